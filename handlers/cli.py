"""The command line, `pstn-bridge`: what goes wrong is told on standard error, with what to do about it."""

from __future__ import annotations

import argparse
import math
import signal
import socket
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import structlog
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handlers.owed import add_owed
from handlers.stopping import Stopping
from service import __version__, logs
from service.settings import ConfigurationError, Settings, load, warnings
from service.store.errors import StoreUnavailable

if TYPE_CHECKING:
    from service.engine.patience import Patience

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2  # argparse exits with it
CONFIGURATION: Final = 3
STORE: Final = 4
_KEEP_ALIVE: Final = (
    75  # seconds; longer than load balancers keep theirs, so that they never meet a closed one
)

_CLOSE: Final = (b"connection", b"close")

log = structlog.get_logger()

_ABOUT = """\
Bridges phone calls on Bandwidth's network into WebRTC sessions: answers the
webhooks of a Bandwidth Voice application, and brings each call into a room
that browsers join."""

_MORE = """\
the least it needs in the environment:
  BW_ACCOUNT_ID        the id of your Bandwidth account
  BW_CLIENT_ID         the OAuth2 credentials of that account; with
  BW_CLIENT_SECRET     BW_VOICE_AUTH=basic and BW_WEBRTC_AUTH=basic it is
                       BW_USERNAME and BW_PASSWORD
  BASE_CALLBACK_URL    the https address at which Bandwidth reaches this service
  CALLBACK_USERNAME    what Bandwidth shows when it calls: choose both, and set
  CALLBACK_PASSWORD    the same in the Voice application
  REDIS_URL            (optional) the store; without it an embedded server starts

  With SECRETS_DIR, variables that are not set are read from files of their name
  in that directory. `pstn-bridge serve --check-config` lists all that is wrong.

exit codes:
  0  done              1  failed            2  wrong usage
  3  configuration     4  store unreachable
"""


def main(argv: Sequence[str] | None = None, *, patience: Patience | None = None) -> int:
    """Run the command with these arguments (default: the process's) and give its exit code.

    Wrong usage, --help and --version raise SystemExit, as argparse does.
    """
    arguments = _parser().parse_args(argv)
    try:
        settings = load()
    except ConfigurationError as error:
        for problem in error.problems:
            _tell(f"error: {problem}")
        return CONFIGURATION
    if "run" in arguments:
        return _looking(arguments, settings)
    if not arguments.check_config:
        worker = not arguments.no_worker
        return serve(settings, arguments.host, arguments.port, run_worker=worker, patience=patience)
    for notice in warnings(settings):
        _tell(f"warning: {notice}")
    sys.stdout.write("configuration ok\n")
    return DONE


def _looking(arguments: argparse.Namespace, settings: Settings) -> int:
    """A command that works on the store of a service which runs, or ran."""
    logs.configure(format="console", level="error", stream=sys.stderr)
    try:
        return int(arguments.run(arguments, settings))
    except StoreUnavailable as error:
        _tell(f"error: the store cannot be used: {error}")
        return STORE


def serve(
    settings: Settings, host: str, port: int, *, run_worker: bool, patience: Patience | None = None
) -> int:
    """Answer webhooks on this address until a signal ends it; gives the exit code."""
    logs.configure(format=settings.log_format, level=settings.log_level)
    for notice in warnings(settings):
        log.warning("setting.questioned", variable=notice.variable, wrong=notice.wrong, wants=notice.wants)
    try:
        listener = _bind(host, port)
    except OSError as error:
        _tell(f"error: cannot listen on {host} port {port}: {error.strerror or error}")
        _tell("choose another address with --host and --port, or end what is using this one")
        return FAILED
    from handlers.app import create_app  # noqa: PLC0415 - the other commands start without it
    from service.engine.patience import PATIENCE  # noqa: PLC0415 - as above

    stopping = Stopping(settings.drain_delay)
    with listener:
        app = create_app(settings, run_worker=run_worker, patience=patience or PATIENCE, stopping=stopping)
        return run(app, settings, listener, stopping)


def run(app: ASGIApp, settings: Settings, listener: socket.socket, stopping: Stopping | None = None) -> int:
    """Serve `app` on a bound socket until SIGTERM or SIGINT, then finish what is in flight; the exit code.

    The signal is told to `stopping`, and everything is served until its delay is over. A second one ends it.

    uvicorn answers a failed start with an exit code of its own; here the cause decides.
    """
    witness = _Witness(app)
    config = uvicorn.Config(
        witness,
        interface="asgi3",
        lifespan="on",
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE,
        # Webhooks are answered within their budget; what goes on after them has a grace of its own.
        timeout_graceful_shutdown=math.ceil(settings.webhook_budget) + 1,
    )
    server = _Server(config, settings, stopping or Stopping())
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn has its own while it serves, and sends the signal once more afterwards: to these.
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    try:
        server.run(sockets=[listener])
    except SystemExit:  # raised by uvicorn when the start failed; the witness knows why
        return _explain(witness.error, settings)
    except OSError as error:
        return _explain(error, settings)
    if witness.error is not None:
        return _explain(witness.error, settings)
    log.info("service.stopped")
    return DONE


class _Witness:
    """Keeps the exception that ended the application's lifespan, which uvicorn logs and forgets."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.error: BaseException | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_without_traceback(message: Message) -> None:
            await send({"type": message["type"]})

        try:
            await self._app(scope, receive, send_without_traceback)
        except BaseException as error:
            self.error = error
            raise


class _Server(uvicorn.Server):
    """uvicorn's server, which says where it listens, and which serves on for a while when it is to end."""

    def __init__(self, config: uvicorn.Config, settings: Settings, stopping: Stopping) -> None:
        super().__init__(config)
        self._settings = settings
        self._stopping = stopping
        self._announced = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        hurries = self.should_exit and not self._stopping.over
        self._stopping.tell()
        if not hurries:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second; True ends the serving."""
        if not await super().on_tick(counter):
            return False
        if not self._announced:
            self._announced = True
            log.info("service.stopping", delay_s=self._stopping.delay)
        headers = self.server_state.default_headers
        if _CLOSE not in headers:
            # Who keeps connections open goes elsewhere with the next request, before they are closed here.
            self.server_state.default_headers = [*headers, _CLOSE]
        return not self._stopping.told or self._stopping.over

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started or not sockets:
            return
        host, port = sockets[0].getsockname()[:2]
        log.info(
            "service.started",
            version=__version__,
            address=f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}",
            callback_url=f"{self._settings.base_callback_url}/callbacks/voice",
            callback_username=self._settings.callback_username,
            hint="in the Voice application, set callback_url for call-initiated and call-status events",
        )


def _bind(host: str, port: int) -> socket.socket:
    """Bound and not yet listening: who connects before the service is ready is refused, not left waiting."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _explain(error: BaseException | None, settings: Settings) -> int:
    store = _unavailable(error)
    if store is None:
        log.error("service.failed", exc_info=error)
        _tell(f"error: the service failed: {error!r}; the log has the details")
        return FAILED
    log.error("store.unavailable", error=str(store))
    _tell(f"error: the store cannot be used: {store}")
    if settings.redis_url is not None:
        _tell("check that the server REDIS_URL names is running and can be reached from here")
    return STORE


def _unavailable(error: BaseException | None) -> BaseException | None:
    """StoreUnavailable, also where a task group has wrapped it."""
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := _unavailable(inner))), None)
    return error if isinstance(error, StoreUnavailable) else None


def _tell(line: str) -> None:
    sys.stderr.write(f"pstn-bridge: {line}\n")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535; 0 takes any free one)")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    shape: dict[str, Any] = {
        "description": _ABOUT,
        "epilog": _MORE,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }
    parser = argparse.ArgumentParser(prog="pstn-bridge", **shape)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "serve", help="answer Bandwidth's webhooks (serve --help for more)", **shape
    )
    command.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)"
    )
    command.add_argument(
        "--port", default=8080, type=_port, help="the port to listen on (default: %(default)s)"
    )
    command.add_argument(
        "--check-config", action="store_true", help="say whether the configuration is right, and end"
    )
    command.add_argument(
        "--no-worker", action="store_true", help="leave owed effects to the workers of other replicas"
    )
    add_owed(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
