"""The store is away for long while something is being made: it is kept in memory, or told by its ids."""

import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.harness import nothing_left, serving
from tests.processes import environment, replica
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.stores import RestartableStore
from tests.test_stopping import point_at
from tests.waiting import wait_until

LONG_AGO = 300
"""Tries after which what was made used to be forgotten: five minutes."""


@pytest.fixture
async def store() -> AsyncIterator[RestartableStore]:
    with tempfile.TemporaryDirectory(prefix="bridge-gone-") as directory:
        store = RestartableStore(Path(directory))
        await store.start()
        yield store
        await store.start()
        await store.stop()


async def cut_off_in_the_making(simulator: Simulator, store: RestartableStore, number: int) -> list[Phone]:
    """Callers whose session and participant come into being when the store has gone."""
    gates = [simulator.gates.hold(one) for one in ("createSession", "createParticipant")]
    phones = [await simulator.dial() for _ in range(number)]
    for gate in gates:
        await gate.reached(count=number)
    await store.kill()
    for gate in gates:
        gate.release()
    return phones


def ids(lines: list[dict[str, Any]], kind: str) -> set[str]:
    """Of things of this kind, by lines that may name others as well."""
    return {line[f"{kind}_id"] for line in lines if kind in {line.get("kind"), line.get("operation", "")[7:]}}


async def test_what_was_made_is_kept_for_as_long_as_we_live(
    simulator: Simulator, store: RestartableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("service.engine.outbox.retry_write", "service.engine.backlog"):
        for name in ("FIRST_PAUSE", "LONGEST_PAUSE"):
            monkeypatch.setattr(f"{module}.{name}", 0.001)
    monkeypatch.setattr("service.engine.outbox.retry_write._TRIES_A_SECOND", 10_000)
    async with serving(simulator, store.url, WEBHOOK_BUDGET="2") as service:
        phones = await cut_off_in_the_making(simulator, store, 3)
        for phone in phones:
            await phone.hears("One moment")
            await phone.hang_up()

        def most_tries() -> int:
            told = service.log("store.write_retried", what="room")
            # Each is told at its 1st, 2nd, 4th ... try: the lines of one, less one, are a power of two.
            return 2 ** (len(told) // 3 - 1) if len(told) >= 3 else 0

        await wait_until(lambda: most_tries() > LONG_AGO, seconds=60)
        await store.start()
        async with Redis.from_url(store.url) as redis:
            await nothing_left(simulator, redis)
        assert service.log("cleanup.not_stored") == []
        assert service.log("store.write_lost") == []


async def test_what_was_made_is_told_when_the_process_ends(
    simulator: Simulator, store: RestartableStore
) -> None:
    settings = environment(simulator, REDIS_URL=store.url, WEBHOOK_BUDGET="2", SHUTDOWN_GRACE="1")
    async with replica(settings) as leaving:
        point_at(simulator, leaving.url)
        phones = await cut_off_in_the_making(simulator, store, 3)
        for phone in phones:
            await phone.hears("One moment")
        leaving.signal(signal.SIGTERM)
        assert await leaving.ended() == 0
        alive, made = simulator.ledger.alive(), leaving.log("create.done")
        lost = leaving.log("cleanup.not_stored")
        assert ids(lost, "session") == ids(made, "session") == set(alive.sessions)
        assert ids(lost, "participant") == ids(made, "participant") == set(alive.participants)
        assert len(lost) == len(alive.sessions) + len(alive.participants) == 6
        assert all(line["room"].startswith("call-") and line["ref"] for line in lost)
        assert leaving.log("webhook.dropped"), "that they called is told by nobody else"
        for phone in phones:
            await phone.until("ended", timeout=30)
