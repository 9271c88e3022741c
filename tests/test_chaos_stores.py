"""The Sentinel set that storms are played on. `make test-stores` runs it: a failover takes its time."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest

from tests.chaos.store_history import StoreState, history
from tests.chaos.store_journal import StoreJournal
from tests.chaos.stores import SentinelSet
from tests.store_servers import LEFT_BEHIND

pytestmark = [pytest.mark.stores, *LEFT_BEHIND]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SentinelSet]:
    store = SentinelSet(tmp_path / "store")
    try:
        await store.start()
        yield store
    finally:
        await store.stop()


async def test_client_and_journal_follow_the_master(store: SentinelSet) -> None:
    journals, written = [store.journal], [str(uuid4())]
    async with store.client() as redis:
        await redis.set("key", written[0])
        await redis.sadd("first", "kept")
        for way in ("COORDINATED", "killed", "plain"):
            if way == "killed":
                await store.kill()
            else:
                await store.fail_over(*([way] if way == "COORDINATED" else []))
            await store.replaced()
            if way == "killed":
                await store.start()
            else:
                await store.whole()
            journals.append(store.journal)
            assert await redis.get("key") == written[-1]
            written.append(str(uuid4()))
            await redis.set("key", written[-1])
            assert written[-1] in StoreJournal(store.journal).ids(), way
            now = StoreState()
            for step in history(store.journal):
                now.play(step)
            assert now.text("key") == written[-1].encode(), way
            assert now.members("first") == {b"kept"}, f"{way}: what was there before it took over"
    assert all(old != new for old, new in pairwise(journals))


async def test_what_a_dead_master_did_not_pass_on_is_in_no_journal(store: SentinelSet) -> None:
    alone = str(uuid4())
    async with store.client() as redis:
        master = await store.servers.master()
        with ExitStack() as stack:
            for replica in store.servers.servers[1:]:
                stack.enter_context(replica.dump())
            # Its sockets would still pass on what it wrote.
            await master.asked("CLIENT", "KILL", "TYPE", "replica")
            await redis.set("key", alone)
            assert alone in StoreJournal(store.journal).ids()
            await store.kill()
        await store.replaced()
        await store.start()
        assert await redis.get("key") is None
    assert alone not in StoreJournal(store.journal).ids()


def test_who_was_only_seen_in_a_session_is_in_no_journal(tmp_path: Path) -> None:
    owned, stranger, later = (str(uuid4()) for _ in range(3))
    file = tmp_path / "appendonly.aof.1.incr.aof"
    look = f'{{"type":"check-room","session_id":"{owned}","strangers":{{"{stranger}":1.5}}}}'
    journal = StoreJournal(tmp_path)
    # What is written comes in pieces, and is read in others.
    file.write_text(f"$9\r\n{look[:85]}")
    assert journal.ids() == {owned}
    file.write_text(f"$9\r\n{look}\r\n$9\r\n{later}\r\n")
    assert journal.ids() == {owned, later}
