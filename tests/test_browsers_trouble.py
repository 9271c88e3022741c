"""Browsers when something fails: nothing they had stays behind, and nobody is counted who is not there."""

import asyncio
import json
import signal
import tempfile
from asyncio import Task
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from service.engine.timeouts import Timeouts
from service.tasks import Tasks
from tests.browsers import add_browser
from tests.harness import API_KEYS, LOG, RunningService, nothing_left, serving
from tests.operators import Operator, operator_for
from tests.outbound import operations
from tests.processes import environment, replica
from tests.simulator.simulator import Simulator
from tests.stores import RestartableStore
from tests.waiting import wait_until

MAKING = ["createSession", "createParticipant", "addParticipantToSession"]
ROOM = "/rooms/sales/participants"


def asking(operator: Operator) -> Task[httpx.Response]:
    """A browser that comes and is not waited for."""
    return Tasks().start(operator.send("POST", ROOM, {"name": "Anna"}), name="asking")


def kind(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition(":")[2]


# Bandwidth fails --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", MAKING)
@pytest.mark.parametrize(
    ("status", "answered", "problem"),
    [
        (429, 429, "rate-limited"),
        (403, 502, "credentials-refused"),
        (400, 502, "request-refused"),
    ],
)
async def test_a_step_is_refused(
    simulator: Simulator,
    service: RunningService,
    operator: Operator,
    step: str,
    status: int,
    answered: int,
    problem: str,
) -> None:
    simulator.faults.add(step, status=status, retry_after="7" if status == 429 else None)
    refused = await operator.send("POST", ROOM, {})
    assert (refused.status_code, kind(refused)) == (answered, problem)
    assert refused.headers.get("Retry-After") == ("7" if status == 429 else None)
    assert service.log("participant.refused", reason=problem)


async def test_nobody_is_told_to_wait_for_an_hour(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    simulator.faults.add("createParticipant", status=429, retry_after="3600")
    assert (await operator.send("POST", ROOM, {})).headers["Retry-After"] == "60"


@pytest.mark.parametrize("step", MAKING)
async def test_a_step_hangs(simulator: Simulator, store_url: str, redis: Redis, step: str) -> None:
    """Answered within the budget; what the hanging request makes after all is taken down."""
    async with operator_for(simulator, store_url, redis, WEBHOOK_BUDGET="1") as (_, operator):
        fault = simulator.faults.add(step, hang=True)
        began = asyncio.get_running_loop().time()
        refused = await operator.send("POST", ROOM, {})
        assert (refused.status_code, kind(refused)) == (504, "bandwidth-timeout")
        assert asyncio.get_running_loop().time() - began < 2
        fault.release()
        if step != "addParticipantToSession":
            await simulator.until(lambda: step in operations(simulator))


@pytest.mark.parametrize("step", ["removeParticipantFromSession", "deleteParticipant", "deleteSession"])
async def test_taking_it_down_is_tried_again(
    simulator: Simulator, service: RunningService, operator: Operator, step: str
) -> None:
    browser = await add_browser(simulator, operator)
    simulator.faults.add(step, status=500, times=2)
    assert await browser.leave() == 204
    assert (await operator.send("GET", browser.path)).status_code == 404, (
        "it has left, whatever is still owed"
    )
    await simulator.until(lambda: operations(simulator).count(step) == 3, timeout=10, what="third try")
    assert len(service.log("effect.retried")) == 2


async def test_a_participant_that_is_gone_as_soon_as_it_was_made(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    """It was not found, which is not the truth yet: a while later the browser gets another one."""
    async with operator_for(simulator, store_url, redis, Timeouts(vanished_grace=0.4)) as (_, operator):
        gate = simulator.gates.hold("addParticipantToSession")
        coming = asking(operator)
        await gate.reached()
        [participant] = list(simulator.sessions.participants.values())
        simulator.sessions.delete_participant(participant)
        gate.release()
        admitted = await coming
        assert admitted.status_code == 201
        assert admitted.json()["participantId"] in set(simulator.sessions.participants) - {participant.id}
        await operator.send("DELETE", "/rooms/sales")


async def test_participants_that_are_never_found(simulator: Simulator, store_url: str, redis: Redis) -> None:
    more = {"WEBHOOK_BUDGET": "4"}
    async with operator_for(simulator, store_url, redis, Timeouts(vanished_grace=0.4), **more) as (
        service,
        operator,
    ):
        simulator.faults.add("addParticipantToSession", status=404, times=None)
        refused = await asking(operator)
        assert (refused.status_code, kind(refused)) == (502, "bandwidth-error")
        assert service.log("participant.refused", reason="participant-vanished")
        simulator.faults.clear()


# It leaves, or the room ends, while it is coming ------------------------------------------------------------


@pytest.mark.parametrize("step", MAKING)
async def test_the_room_is_closed_while_it_comes(
    simulator: Simulator, service: RunningService, operator: Operator, step: str
) -> None:
    gate = simulator.gates.hold(step)
    coming = asking(operator)
    await gate.reached()
    assert (await operator.send("DELETE", "/rooms/sales")).status_code == 202
    gate.release()
    answer = await coming
    if answer.is_success:
        # It was in its seat already, and is out again.
        assert step == "addParticipantToSession"
        path = f"{ROOM}/{answer.json()['participantId']}"
        assert (await operator.send("GET", path)).status_code == 404
    else:
        assert answer.status_code in {409, 502}
    await nothing_left_at(simulator)
    browser = await add_browser(simulator, operator)
    assert await browser.leave() == 204


async def nothing_left_at(simulator: Simulator) -> None:
    await wait_until(lambda: simulator.ledger.empty, what=lambda: str(simulator.ledger.alive()))


async def test_whoever_sends_it_away_at_once_does_it_once(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    browser = await add_browser(simulator, operator)
    answers = await asyncio.gather(*(browser.leave() for _ in range(5)))
    assert set(answers) <= {204, 404}
    assert 204 in answers
    await browser.gone()
    await simulator.settled()
    assert operations(simulator).count("deleteParticipant") == 1
    assert await browser.leave() == 404


async def test_many_come_and_go_at_once(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    """The session is the same for all, and goes with the last of them."""
    browsers = await asyncio.gather(*(add_browser(simulator, operator) for _ in range(12)))
    await simulator.until(lambda: len(simulator.sessions.sessions) == 1, what="one session")
    [session] = simulator.sessions.sessions.values()
    assert set(session.members) == {browser.id for browser in browsers}
    assert all(browser.hears == set(session.members) - {browser.id} for browser in browsers)
    assert await asyncio.gather(*(browser.leave() for browser in browsers)) == [204] * 12


# Its session ------------------------------------------------------------------------------------------------


async def test_it_hears_the_same_in_a_new_session(simulator: Simulator, store_url: str, redis: Redis) -> None:
    """Each session is replaced before its age ends it."""
    patience = Timeouts(session_max_age=0.8, old_session_grace=0.2)
    async with operator_for(simulator, store_url, redis, patience) as (_, operator):
        one, other, third = [await add_browser(simulator, operator) for _ in range(3)]
        assert one.participant
        before = one.participant.session_id
        streams = [{"participantId": other.id, "streamAliases": ["desk"]}]
        assert await one.subscribe(streams) == 202
        assert await third.subscribe("nobody") == 202

        def moved() -> bool:
            known = [browser.participant for browser in (one, other, third)]
            return {one.session_id for one in known if one} == {known[0] and known[0].session_id} - {
                before,
                None,
            }

        await simulator.until(moved, what="all are in the new one")
        await simulator.until(
            lambda: (one.hears, other.hears, third.hears) == ({other.id}, {one.id, third.id}, set()),
            what="subscriptions are kept",
        )
        [wanted] = one.participant.subscriptions.participants or []
        assert wanted.stream_aliases == ["desk"]
        for browser in (one, other, third):
            assert await browser.leave() == 204


# Replicas ---------------------------------------------------------------------------------------------------


async def time_passes(redis: Redis, seconds: int) -> None:
    """What is owed by then is due now."""
    async for key in redis.scan_iter("*:owed:*"):
        fields: dict[Any, Any] = await redis.hgetall(key)
        for id_, value in fields.items():
            if not id_.startswith(b"."):
                seq, due, rest = value.split(b" ", 2)
                await redis.hset(key, id_, b"%b %d %b" % (seq, int(due) - seconds * 1000, rest))
    async for key in redis.scan_iter("*:agenda"):
        owners: list[Any] = await redis.zrange(key, 0, -1, withscores=True)
        await redis.zadd(key, {owner: score - seconds * 1000 for owner, score in owners})


async def owed(redis: Redis) -> set[str]:
    """What is owed, by kind."""
    found: set[str] = set()
    async for key in redis.scan_iter("*:owed:*"):
        ids: list[Any] = await redis.hkeys(key)
        found |= {id_.decode().partition(":")[0] for id_ in ids if not id_.startswith(b".")}
    return found


@pytest.mark.parametrize(
    ("step", "owes"),
    [
        ("createParticipant", {"check-presence", "delete-session"}),
        ("createSession", {"check-presence", "delete-participant"}),
        ("addParticipantToSession", {"check-presence", "check-room", "replace-session"}),
    ],
)
async def test_a_replica_is_killed_on_the_way(
    simulator: Simulator, store_url: str, redis: Redis, step: str, owes: set[str]
) -> None:
    """What it had begun is written down, and another one takes it down when its time has come."""
    gate = simulator.gates.hold(step)
    settings = environment(simulator, REDIS_URL=store_url, API_KEYS=API_KEYS)
    async with replica(settings) as first, Operator.at(first.url, key_of(API_KEYS)) as operator:
        coming = asking(operator)
        await gate.reached()

        async def written() -> bool:
            return await owed(redis) == owes

        await wait_until(written, what="it is not written down")
        first.signal(signal.SIGKILL)
        await first.ended()
        with pytest.raises(httpx.TransportError):
            await coming
    patience = Timeouts(unused_seat=0.1, idle_check=60, session_max_age=60)
    async with serving(simulator, store_url, patience) as service, Operator.of(service) as second:
        assert [one["state"] for one in (await second.room("sales"))["members"]] == [
            "in" if step == "addParticipantToSession" else "reserved"
        ]
        await time_passes(redis, 130)
        await nothing_left(simulator, redis)
        assert (await second.send("GET", "/rooms/sales")).status_code == 404


def key_of(keys: str) -> str:
    return keys.partition(",")[0].rpartition(":")[2]


async def test_any_replica_serves_any_browser(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with (
        operator_for(simulator, store_url, redis) as (_, one),
        serving(simulator, store_url) as second,
        Operator.of(second) as other,
    ):
        browser = await add_browser(simulator, one, name="Anna")
        assert await browser.tell(second, "onConnect") == 200
        assert (await one.ask("GET", browser.path))["connected"]
        assert (await other.ask("GET", browser.path))["name"] == "Anna"
        assert (await other.send("POST", f"{browser.path}/heartbeat")).status_code == 204
        assert (await other.send("DELETE", browser.path)).status_code == 204
        assert (await one.send("POST", f"{browser.path}/heartbeat")).status_code == 404


# The store fails --------------------------------------------------------------------------------------------


@pytest.fixture
async def store() -> AsyncIterator[RestartableStore]:
    with tempfile.TemporaryDirectory(prefix="bridge-down-") as directory:
        store = RestartableStore(Path(directory))
        await store.start()
        yield store
        await store.start()
        await store.stop()


async def test_without_a_store_nobody_comes_in(simulator: Simulator, store: RestartableStore) -> None:
    async with (
        serving(simulator, store.url, WEBHOOK_BUDGET="2") as service,
        Operator.of(service) as operator,
    ):
        browser = await add_browser(simulator, operator)
        await store.kill()
        refused = await operator.send("POST", ROOM, {})
        assert (refused.status_code, kind(refused)) == (503, "store-unavailable")
        assert await browser.tell(service, "onDisconnect") == 200, "Bandwidth would only try elsewhere"
        assert service.log("webhook.degraded", event_type="onDisconnect")
        await store.start()
        assert await browser.leave() == 204
        async with Redis.from_url(store.url) as redis:
            await nothing_left(simulator, redis)


@pytest.mark.parametrize("step", MAKING)
async def test_the_store_goes_while_it_comes(
    simulator: Simulator, store: RestartableStore, step: str
) -> None:
    """Whoever asked is told; what was made for it is taken down when the store is back."""
    async with (
        serving(simulator, store.url, WEBHOOK_BUDGET="2") as service,
        Operator.of(service) as operator,
    ):
        gate = simulator.gates.hold(step)
        coming = asking(operator)
        await gate.reached()
        await store.kill()
        gate.release()
        answer = await coming
        await store.start()
        if answer.is_success:
            assert step == "addParticipantToSession", "nothing of it needed the store any more"
            await operator.send("DELETE", f"{ROOM}/{answer.json()['participantId']}")
        else:
            assert kind(answer) in {"store-unavailable", "bandwidth-timeout"}
        async with Redis.from_url(store.url) as redis:
            await nothing_left(simulator, redis, seconds=20)


# Secrets ----------------------------------------------------------------------------------------------------


async def test_its_token_is_for_whoever_asked(
    simulator: Simulator, service: RunningService, operator: Operator, redis: Redis
) -> None:
    began = len(LOG.written)
    browser = await add_browser(simulator, operator, name="Anna Blume")
    await browser.tell(service, "onConnect")
    assert browser.token not in json.dumps(await operator.ask("GET", browser.path))
    assert browser.token not in json.dumps(await operator.room("sales"))
    async for key in redis.scan_iter("*"):
        dump = await redis.dump(key)
        assert browser.token.encode() not in (dump or b"")
    assert await browser.leave() == 204
    await browser.gone()
    written = "\n".join(LOG.written[began:])
    assert browser.id in written
    assert browser.token not in written
    assert "Anna" not in written
    assert browser.participant is None
