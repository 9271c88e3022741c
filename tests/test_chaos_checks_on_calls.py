"""The eyes of the chaos judge on the journal of a store that real calls of two replicas have been in."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from redis.asyncio import Redis

from tests.chaos.checks import commits, keys, owing, tokens, workers
from tests.chaos.checks.metrics import differences
from tests.chaos.evidence import Evidence, StoredKey
from tests.chaos.store_history import StoreState, history, key_of
from tests.chaos.troubles import Troubles
from tests.harness import ORIGIN, nothing_left, serving
from tests.scraping import scraped
from tests.simulator.simulator import Simulator
from tests.stores import RestartableStore

CALLS = 6


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[RestartableStore]:
    store = RestartableStore(tmp_path / "store")
    await store.start()
    yield store
    await store.stop()


async def test_nothing_is_found_where_all_is_well(simulator: Simulator, store: RestartableStore) -> None:
    """Several calls come into one room and leave it at once; the eyes have something to look at."""
    settings = {"PREPARED_PARTICIPANTS": "1", "ROOM_MAP": '{"+15551110000": "a"}'}
    async with (
        Redis.from_url(store.url) as redis,
        serving(simulator, store.url, **settings) as one,
        serving(simulator, store.url, **settings) as other,
    ):
        simulator.map_origin(ORIGIN, one.url, other.url)
        phones = await asyncio.gather(
            *(simulator.dial(to="+15551110000", from_=f"+1555222000{n}") for n in range(CALLS))
        )
        await simulator.until(lambda: all(phone.stage == "bridged" for phone in phones))
        await asyncio.gather(*(phone.hang_up() for phone in phones))
        await nothing_left(simulator, redis)
        left = [StoredKey(key.decode(), await redis.pttl(key)) async for key in redis.scan_iter("*")]
    written = history(store.journal)
    evidence = SimpleNamespace(
        store_steps=written,
        logs=[],
        noise=[],
        keys=left,
        due_owners=[],
        owed={},
        simulator=simulator,
        fleet=SimpleNamespace(addresses=[]),
        troubles=Troubles(),
    )
    found = [
        one
        for eye in (commits, keys, owing, tokens, workers)
        for one in eye.check(cast("Evidence", evidence))
    ]
    assert found == []
    kinds = {key_of(key).kind for step in written for key in StoreState().play(step)}
    assert kinds >= {"call", "room", "owed", "agenda", "token"}


async def test_what_a_replica_counts_is_what_it_has_logged(simulator: Simulator, store_url: str) -> None:
    async with serving(simulator, store_url, PREPARED_PARTICIPANTS="1") as service:
        simulator.faults.add("addParticipantToSession", status=500)
        phones = [await simulator.dial(to="+15551110000") for _ in range(2)]
        await simulator.until(lambda: any(phone.stage == "bridged" for phone in phones))
        for phone in phones:
            if not phone.call.ended:
                await phone.hang_up()
        await simulator.until(lambda: simulator.ledger.empty)
        page, lines = await scraped(service.url), service.log()
        assert list(differences(page.samples, lines)) == []
        assert page.get("pstn_calls_ended_total") == len(phones)
        assert page.get("pstn_joins_failed_total") == 1
        assert list(differences(page.samples, [one for one in lines if one["event"] != "join.failed"]))
