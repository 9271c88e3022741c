"""What was deleted from the embedded store is in no file of it any more: real servers, real bytes."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from service.store.redis.aof_rewrite import AofRewriter
from service.store.redis.backends import Command
from service.store.redis.client import Client
from service.store.redis.embedded import EmbeddedServer
from service.tasks import Tasks
from tests.harness import CALLEE, LOG, NUMBER, SHORT_TIMEOUTS, log_to_lines, serving
from tests.operators import Operator
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

SECRET = "+15550107777"
LONG = 3600.0


@pytest.fixture
def place() -> Iterator[Path]:
    """A short path, so that the socket fits beside the data."""
    path = Path(tempfile.mkdtemp(prefix="pb-"))
    yield path / "pstn-bridge"
    shutil.rmtree(path)


@pytest.fixture
async def url(place: Path) -> AsyncIterator[str]:
    server = EmbeddedServer(place)
    yield await server.start()
    await server.stop()


def is_kept(place: Path, text: str) -> bool:
    """Whether it is in a file of the store."""
    return any(
        text.encode() in path.read_bytes() for path in (place / "appendonlydir").iterdir() if path.exists()
    )


@asynccontextmanager
async def rewriting(url: str, *, every: float = LONG, settle: float = LONG) -> AsyncIterator[AofRewriter]:
    client, tasks = Client(url), Tasks()
    rewriter = AofRewriter(client, every=every, min_pause=settle)
    tasks.start(rewriter.run(), name="rewrite")
    try:
        yield rewriter
    finally:
        rewriter.stop()
        assert await tasks.wait(5) == 0
        await client.close()


async def written_and_deleted(url: str, place: Path) -> None:
    async with Redis.from_url(url) as redis:
        await redis.set("call", SECRET)
        await redis.set("other", "stays")
        await redis.delete("call")
    await wait_until(lambda: is_kept(place, SECRET), what="it was never written")


async def count(url: str) -> int:
    """Of rewritings since the server began."""
    async with Redis.from_url(url) as redis:
        return int((await redis.info("persistence"))["aof_rewrites"])


async def test_what_was_deleted_before_the_start_is_gone_after_it(url: str, place: Path) -> None:
    await written_and_deleted(url, place)
    async with rewriting(url):
        await wait_until(lambda: not is_kept(place, SECRET), what="it is in the file still")
        assert is_kept(place, "stays")


async def test_an_erasure_has_the_file_written_anew(url: str, place: Path) -> None:
    async with rewriting(url, settle=0) as rewriter:
        await wait_until(lambda: count_is(url, 1))
        await written_and_deleted(url, place)
        rewriter.request_rewrite()
        await wait_until(lambda: not is_kept(place, SECRET), what="it is in the file still")


async def count_is(url: str, wanted: int) -> bool:
    return await count(url) == wanted


class Instant:
    """A server that has done everything at once."""

    def __init__(self) -> None:
        self.rewritings = 0

    async def send_to_masters(self, commands: Sequence[Command]) -> list[list[Any]]:
        self.rewritings += commands == [("BGREWRITEAOF",)]
        return [["aof_rewrite_in_progress:0\r\naof_last_bgrewrite_status:ok\r\n"]]


async def test_many_erasures_are_one_rewriting() -> None:
    server, tasks = Instant(), Tasks()
    rewriter = AofRewriter(cast("Client", server), every=LONG, min_pause=1)
    tasks.start(rewriter.run(), name="rewrite")
    for _ in range(100):
        rewriter.request_rewrite()
        for _ in range(20):
            await asyncio.sleep(0)  # the loop gets its turn, and waits
    assert server.rewritings == 1
    await wait_until(lambda: server.rewritings == 2)
    rewriter.stop()
    assert await tasks.wait(5) == 0


async def test_spent_tokens_are_gone_after_a_while(url: str, place: Path) -> None:
    async with rewriting(url, every=0.1, settle=0):
        await wait_until(lambda: count_is(url, 1))
        await written_and_deleted(url, place)
        await wait_until(lambda: not is_kept(place, SECRET), what="it is in the file still")


async def test_a_rewriting_that_has_begun_already_is_not_taken_for_ours(url: str, place: Path) -> None:
    """What is erased after its beginning is in what it writes."""
    async with Redis.from_url(url) as redis:
        await redis.config_set("rdb-key-save-delay", 300_000)  # microseconds for each key
        await redis.set("call", SECRET)
        await redis.bgrewriteaof()
        await redis.delete("call")
        await redis.config_set("rdb-key-save-delay", 0)
        assert (await redis.info("persistence"))["aof_rewrite_in_progress"] == 1
    async with rewriting(url):
        await wait_until(lambda: not is_kept(place, SECRET), what="it is in the file still")


async def test_a_failure_is_told_once_and_tried_again(url: str, place: Path) -> None:
    log_to_lines()
    begun = len(LOG.written)

    def told() -> list[str]:
        return [line for line in LOG.written[begun:] if "store.rewrite_failed" in line]

    async with Redis.from_url(url) as redis:
        process = int((await redis.info("server"))["process_id"])
    await written_and_deleted(url, place)
    os.kill(process, signal.SIGKILL)
    async with rewriting(url, settle=0.05):
        await wait_until(lambda: len(told()) == 1)
        server = EmbeddedServer(place)
        assert await server.start() == url
        await wait_until(lambda: not is_kept(place, SECRET), what="it is in the file still")
        await server.stop()
    assert len(told()) == 1


async def test_a_call_that_is_erased_is_in_no_file(simulator: Simulator, place: Path) -> None:
    patience = replace(SHORT_TIMEOUTS, erased_retention=0)
    settings = {"XDG_STATE_HOME": str(place.parent), "BW_VOICE_APPLICATION_ID": simulator.application_id}
    async with (
        serving(simulator, "", patience, **settings, BW_NUMBER=NUMBER, OUTBOUND_PREFIXES="+1555") as service,
        Operator.of(service) as operator,
    ):
        call = await operator.place()
        phone = await simulator.called(CALLEE)
        await phone.until("bridged")
        await phone.hang_up()
        await operator.until(call["id"], "ended")
        await wait_until(lambda: is_kept(place, CALLEE), what="it was never written")

        async def is_erased() -> bool:
            return (await operator.send("DELETE", f"/calls/{call['id']}")).status_code == 204

        # What it owes is done first.
        await wait_until(is_erased)
        await wait_until(lambda: not is_kept(place, CALLEE), what="it is in the file still")
