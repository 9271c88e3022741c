"""The server: it binds, serves until a signal ends it, and explains what ended it otherwise."""

import gc
import math
import signal
import socket
from types import FrameType
from typing import Final

import structlog
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handlers.app.asgi import create_app
from handlers.cli.runtime import DONE, FAILED, STORE, write_stderr
from handlers.http.draining import Drain
from handlers.http.log_throttle import throttle_libraries
from service import __version__, logs
from service.engine.timeouts import Timeouts
from service.setting_warnings import warnings
from service.settings import Settings
from service.store.errors import StoreUnavailable

_KEEP_ALIVE: Final = (
    75  # seconds; longer than load balancers keep theirs, so that they never meet a closed one
)

_GC_THRESHOLDS: Final = (20_000, 20, 50)
"""Objects made until the youngest are looked through, and how often that until older ones are."""

_CLOSE: Final = (b"connection", b"close")

log = structlog.get_logger()


def serve(settings: Settings, host: str, port: int, *, run_worker: bool, timeouts: Timeouts) -> int:
    """Answer webhooks on this address until a signal ends it; gives the exit code."""
    logs.configure(format=settings.log_format, level=settings.log_level)
    throttle_libraries()
    for notice in warnings(settings):
        log.warning("setting.questioned", variable=notice.variable, wrong=notice.wrong, wants=notice.wants)
    try:
        listener = _bind(host, port)
    except OSError as error:
        write_stderr(f"error: cannot listen on {host} port {port}: {error.strerror or error}")
        write_stderr("choose another address with --host and --port, or end what is using this one")
        return FAILED
    drain = Drain(settings.drain_delay)
    with listener:
        app = create_app(settings, run_worker=run_worker, timeouts=timeouts, drain=drain)
        return run(app, settings, listener, drain)


def run(app: ASGIApp, settings: Settings, listener: socket.socket, drain: Drain | None = None) -> int:
    """Serve `app` on a bound socket until SIGTERM or SIGINT, then finish what is in flight; the exit code.

    The signal is told to `drain`, and everything is served until its delay is over. A second one ends it.

    uvicorn answers a failed start with an exit code of its own; here the cause decides.
    """
    witness = _LifespanErrorRecorder(app)
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
    server = _Server(config, settings, drain or Drain())
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


class _LifespanErrorRecorder:
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

    def __init__(self, config: uvicorn.Config, settings: Settings, drain: Drain) -> None:
        super().__init__(config)
        self._settings = settings
        self._stopping = drain
        self._announced = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        hurries = self.should_exit and not self._stopping.is_over
        self._stopping.signal()
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
        return not self._stopping.has_begun or self._stopping.is_over

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _tune_gc()
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


def _tune_gc() -> None:
    """What the start has made stays, and need not be looked through again and again for what does not."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


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
    store = _store_error(error)
    if store is None:
        log.error("service.failed", exc_info=error)
        write_stderr(f"error: the service failed: {error!r}; the log has the details")
        return FAILED
    log.error("store.unavailable", error=str(store))
    write_stderr(f"error: the store cannot be used: {store}")
    if settings.redis_url is not None:
        write_stderr("check that the server REDIS_URL names is running and can be reached from here")
    return STORE


def _store_error(error: BaseException | None) -> BaseException | None:
    """StoreUnavailable, also where a task group has wrapped it."""
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := _store_error(inner))), None)
    return error if isinstance(error, StoreUnavailable) else None
