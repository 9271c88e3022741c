"""The judge of the storm: what is a leak, which allowance an id has, and what a look costs."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from redis.asyncio import Redis

from tests.chaos.checks import CHECKS, doubts, leaks
from tests.chaos.checks.doubts import leaves_in_doubt
from tests.chaos.cost import CheckCost, evidence_of, work_of
from tests.chaos.creates import killed_before_written
from tests.chaos.evidence import Evidence, ReplicaLogLine
from tests.chaos.finding import Finding
from tests.chaos.fleet import Downtime, Fleet, Kill, Stop
from tests.chaos.orphans import (
    ANSWER_LOST,
    ANSWER_UNREADABLE,
    KILLED_BEFORE_WRITTEN,
    WAITS,
    Ends,
    orphans_of,
    why_untold,
)
from tests.chaos.site import GRACE
from tests.simulator.clock import monotonic
from tests.simulator.faults import Fault
from tests.simulator.journal import Delivery, Request
from tests.simulator.ledger import Alive
from tests.simulator.simulator import Simulator
from tests.stores import RestartableStore

HOST = "127.0.0.1"
KILL = Kill(at=50, host=HOST, begun=10, reaped_at=55)
CREATE = (20.0, 22.0)
"""When the create was asked and answered of which the question is."""


def create(begun: float, over: float, host: str = HOST, created: str = "id") -> Request:
    return Request(
        operation="createParticipant",
        method="POST",
        path="",
        ids={},
        status=200,
        at=begun,
        ms=(over - begun) * 1000,
        scheme=None,
        body=None,
        received=True,
        created=created,
        host=host,
    )


def webhook(begun: float, over: float, reply: bytes = b"", status: int | None = 200) -> Delivery:
    return Delivery(
        event_type="initiate",
        call_id="",
        payload={},
        url="https://a.test/callbacks/voice",
        body=b"",
        username=None,
        password=None,
        status=status,
        ms=(over - begun) * 1000,
        content_type="",
        reply=reply,
        error=None if status else "gone",
        sent_at=begun,
        synchronous=True,
    )


AFTERWARDS = [webhook(30, 31), webhook(32, 33)]
"""One after the other, between the create's answer and the kill."""


def is_lost(
    *,
    asked: tuple[float, float] = CREATE,
    webhooks: list[Delivery] | None = None,
    others: list[Request] | None = None,
    outages: list[Downtime] | None = None,
    kills: list[Kill] | None = None,
    host: str = HOST,
) -> bool:
    one = create(*asked, host=host)
    sent = {HOST: webhooks if webhooks is not None else AFTERWARDS}
    requests = [*(others or []), one]
    found = killed_before_written(requests, sent, kills if kills is not None else [KILL], outages or [])
    return one in found


def test_answered_and_killed_at_once() -> None:
    assert is_lost(webhooks=[])


def test_answered_after_the_kill() -> None:
    assert is_lost(asked=(49, 51))


def test_read_by_bandwidth_after_the_kill() -> None:
    """It was asked before: what a dead process has sent is still in the sockets."""
    assert is_lost(asked=(51, 52))


def test_asked_by_the_next_process() -> None:
    assert not is_lost(asked=(56, 57))


def test_asked_by_the_process_before() -> None:
    assert not is_lost(asked=(8, 9))


def test_of_the_other_replica() -> None:
    assert not is_lost(host="localhost", webhooks=[])


def test_of_a_replica_that_was_not_killed() -> None:
    assert not is_lost(kills=[], webhooks=[])


def test_forgotten_long_before_the_kill() -> None:
    """The replica has served others since, with the store at hand: this one it could have written down."""
    assert not is_lost()


@pytest.mark.parametrize(
    "served",
    [
        AFTERWARDS[:1],
        [webhook(30, 33), webhook(31, 32)],
        [webhook(21, 31), webhook(32, 33)],
        [webhook(30, 31, b'<Redirect redirectUrl="?again=1"/>'), webhook(32, 33)],
        [webhook(30, 31), webhook(32, 33, status=503)],
        [webhook(30, 31), webhook(48, 51)],
    ],
    ids=[
        "one",
        "at the same time",
        "sent before the answer",
        "without the store",
        "failed",
        "after the kill",
    ],
)
def test_what_does_not_show_that_it_went_on(served: list[Delivery]) -> None:
    assert is_lost(webhooks=served)


def test_what_it_was_asked_for_was_cut_off() -> None:
    assert is_lost(webhooks=[webhook(19, 50.5, status=None), *AFTERWARDS])


def test_what_it_was_asked_for_was_over_late() -> None:
    own = webhook(19, 40)
    assert is_lost(webhooks=[own, *AFTERWARDS])
    assert not is_lost(webhooks=[own, *AFTERWARDS, webhook(41, 42), webhook(43, 44)])


def test_what_was_refused_before_the_replica_listened() -> None:
    assert not is_lost(webhooks=[webhook(11, 11.1, status=None), *AFTERWARDS])


def test_it_waited_for_another_create() -> None:
    """A participant and its session are asked for together."""
    assert is_lost(others=[create(20, 49, created="other")])
    assert not is_lost(others=[create(20, 23, created="other")])


@pytest.mark.parametrize(
    ("over", "expected"), [(23, False), (32, True), (float("inf"), True)], ids=["back", "just back", "away"]
)
def test_the_store_was_away(over: float, expected: bool) -> None:
    """A write that it did not take is repeated after a second at the latest."""
    assert is_lost(outages=[Downtime(21, over)]) is expected


def test_the_store_was_away_before() -> None:
    assert not is_lost(outages=[Downtime(1, 19)])


def untold(fault: Fault | None, over: float = 22.0, *, received: bool = False, told: bool = True) -> Request:
    """A create that was struck by this, and answered at `over`."""
    one = create(CREATE[0], over)
    words = str(fault) if fault else None
    return msgspec.structs.replace(one, fault=words, received=received, told=told)


HUNG = Fault("createParticipant", hang=True, executed=True)
SLOW = Fault("createParticipant", delay=5, executed=True)
CUT = Fault("createParticipant", reset=True, executed=True)
CUT_LATE = Fault("createParticipant", hang=True, reset=True, executed=True)
PAGE = Fault("createParticipant", status=502, page=True, executed=True)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (untold(CUT, told=False), ANSWER_LOST),
        (untold(CUT_LATE, told=False), ANSWER_LOST),
        (untold(HUNG, CREATE[0] + WAITS + 1), ANSWER_LOST),
        (untold(HUNG, CREATE[0] + WAITS - 1), ""),
        (untold(SLOW, CREATE[0] + 5), ""),
        (untold(None, CREATE[0] + 0.1), ""),
        (untold(PAGE, received=True, told=False), ANSWER_UNREADABLE),
        (untold(PAGE, told=False), ""),
        (untold(None, received=True), ""),
    ],
    ids=[
        "cut",
        "held and cut",
        "held for longer than is promised",
        "held for less",
        "slow",
        "nothing struck it",
        "page",
        "page that came to nobody",
        "all is well",
    ],
)
def test_what_was_not_told(asked: Request, expected: str) -> None:
    """Who hangs up early by itself has no allowance."""
    assert why_untold(asked, Ends([], [])) == expected


@pytest.mark.parametrize(
    ("kills", "stops", "expected"),
    [
        ([Kill(at=21, host=HOST, begun=10, reaped_at=23)], [], ANSWER_LOST),
        ([Kill(at=21, host="localhost", begun=10, reaped_at=23)], [], ""),
        ([Kill(at=19, host=HOST, begun=10, reaped_at=19.5)], [], ""),
        ([Kill(at=19.9, host=HOST, begun=10, reaped_at=20.1)], [], ANSWER_LOST),
        ([Kill(at=23, host=HOST, begun=10, reaped_at=24)], [], ""),
        ([], [Stop(at=21 - GRACE, over=21, host=HOST, begun=5, reaped_at=21.1)], ANSWER_LOST),
        ([], [Stop(at=20.5, over=21, host=HOST, begun=5, reaped_at=21.1)], ""),
    ],
    ids=[
        "killed while it waited",
        "the other one",
        "the one before",
        "asked as it died",
        "killed afterwards",
        "stopped, and its time was up",
        "stopped and did not wait",
    ],
)
def test_the_process_ended_while_it_waited(kills: list[Kill], stops: list[Stop], expected: str) -> None:
    assert why_untold(untold(None), Ends(kills, stops)) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (untold(CUT, told=False), True),
        (msgspec.structs.replace(untold(PAGE, received=True, told=False), status=502), True),
        (untold(PAGE, received=True, told=False), True),
        (msgspec.structs.replace(untold(PAGE, received=True, told=False), status=404, created=None), False),
        (untold(None, received=True), False),
        (untold(None), False),
    ],
    ids=["cut", "page of a 502", "page of a 200", "no such place", "all is well", "hung up"],
)
def test_what_leaves_a_replica_in_doubt(asked: Request, expected: bool) -> None:
    assert leaves_in_doubt(asked) is expected


def test_a_create_in_doubt_that_no_log_has(tmp_path: Path) -> None:
    evidence = evidence_of(4, tmp_path)
    assert [*doubts.check(evidence)] == []
    evidence.simulator.requests.append(untold(CUT, told=False))
    assert len([*doubts.check(evidence)]) == 1
    fields = {"event": "create.in_doubt", "operation": "create-participant"}
    line = ReplicaLogLine(HOST, "a.log", "", fields)
    there = msgspec.structs.replace(evidence, logs=[*evidence.logs, line])
    assert [*doubts.check(there)] == []
    elsewhere = msgspec.structs.replace(line, host="localhost")
    assert [*doubts.check(msgspec.structs.replace(evidence, logs=[elsewhere]))] != []


def test_a_create_in_doubt_whose_process_was_killed_at_once(tmp_path: Path) -> None:
    evidence = evidence_of(4, tmp_path)
    evidence.simulator.requests.append(untold(CUT, told=False))
    evidence.fleet.kills.append(Kill(at=22.1, host=HOST, begun=10, reaped_at=23))
    assert [*doubts.check(evidence)] == []


def test_what_lives_is_told_with_its_allowance(tmp_path: Path) -> None:
    evidence = evidence_of(4, tmp_path)
    asked = [
        msgspec.structs.replace(one, created=name)
        for name, one in {"cut": untold(CUT, told=False), "left": untold(None)}.items()
    ]
    evidence.simulator.requests.extend(asked)
    alive = Alive(calls=[], legs=[], sessions=[], participants=["cut", "left", "never answered"])
    found = leaks.check(msgspec.structs.replace(evidence, alive=alive))
    assert [(one.ids[0], one.excuse) for one in found] == [
        ("cut", ANSWER_LOST),
        ("left", ""),
        ("never answered", ""),
    ]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[RestartableStore]:
    store = RestartableStore(tmp_path / "store")
    await store.start()
    yield store
    await store.stop()


class Trial:
    """A simulator and a store, and no replicas: what they would have done is done here."""

    def __init__(self, simulator: Simulator, store: RestartableStore, redis: Redis, directory: Path) -> None:
        self.simulator = simulator
        self.redis = redis
        self.fleet = Fleet(directory, store, {"BW_TOKEN_URL": simulator.token_url})

    async def create(self, seconds: float = 5) -> str:
        """A session, asked for by replica `a`, which waits so long."""
        async with httpx.AsyncClient(timeout=seconds) as client:
            answer = await client.post(f"{self.url}/sessions", json={}, headers=self.authorization)
        return str(answer.json()["id"])

    @property
    def url(self) -> str:
        return f"{self.simulator.webrtc_url}/accounts/{self.simulator.account_id}"

    @property
    def authorization(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.simulator.tokens.issue()}"}

    async def kill(self) -> None:
        at = monotonic()
        await self.fleet.addresses[0].reap()
        self.fleet.kills.append(Kill(at, HOST, 0, monotonic()))

    def allowances(self) -> dict[str, str]:
        """Of what lives, empty for none."""
        alive = self.simulator.ledger.alive()
        made = {*alive.participants, *alive.sessions}
        found = orphans_of(self.simulator, self.fleet, made)
        return {one: found.get(one, "") for one in made}


@pytest.fixture
async def trial(simulator: Simulator, store: RestartableStore, tmp_path: Path) -> AsyncIterator[Trial]:
    async with Redis.from_url(store.url) as redis:
        yield Trial(simulator, store, redis, tmp_path)


async def test_a_leak_is_found(trial: Trial) -> None:
    made = await trial.create()
    assert trial.allowances() == {made: ""}


async def test_who_hangs_up_early_has_no_allowance(trial: Trial) -> None:
    trial.simulator.faults.add("createSession", delay=0.2, executed=True)
    with pytest.raises(httpx.ReadTimeout):
        await trial.create(seconds=0.05)
    await trial.simulator.until(lambda: bool(trial.simulator.requests))
    [made] = trial.simulator.requests
    assert trial.allowances() == {made.created: ""}


async def test_an_answer_that_was_cut_off(trial: Trial) -> None:
    trial.simulator.faults.add("createSession", reset=True, executed=True)
    with pytest.raises(httpx.TransportError):
        await trial.create()
    await trial.simulator.until(lambda: bool(trial.simulator.requests))
    assert [*trial.allowances().values()] == [ANSWER_LOST]


async def test_an_answer_that_cannot_be_read(trial: Trial) -> None:
    trial.simulator.faults.add("createSession", rewrite=lambda _: {"id": 7})
    await trial.create()
    assert [*trial.allowances().values()] == [ANSWER_UNREADABLE]


async def test_what_was_lost_with_its_replica_is_no_leak(trial: Trial) -> None:
    made = await trial.create()
    await trial.kill()
    assert trial.allowances() == {made: KILLED_BEFORE_WRITTEN}


async def test_what_is_made_after_the_kill_is_a_leak(trial: Trial) -> None:
    await trial.kill()
    made = await trial.create()
    assert trial.allowances() == {made: ""}


async def test_what_was_written_down_is_a_leak_whatever_was_killed(trial: Trial) -> None:
    """Also when it was taken out of the store again since, and the store was killed."""
    made = await trial.create()
    await trial.redis.hset("room", "session", f"in {made}")
    await trial.redis.delete("room")
    await trial.kill()
    await trial.fleet.restart_store(away=0)
    assert trial.allowances() == {made: ""}


async def test_what_a_process_asked_as_it_died(trial: Trial) -> None:
    """The simulator gets no time meanwhile, and serves the request when the process is dead."""
    asks = (
        "import socket, sys\n"
        "host, port, request = sys.argv[1:]\n"
        "socket.create_connection((host, port)).sendall(request.encode())"
    )
    url = httpx.URL(f"{trial.url}/sessions")
    lines = [f"POST {url.path} HTTP/1.1", f"host: {url.host}", "content-length: 0"]
    lines += [f"{name}: {value}" for name, value in trial.authorization.items()]
    request = "\r\n".join([*lines, "", ""])
    subprocess.run([sys.executable, "-c", asks, url.host, str(url.port), request], check=True)  # noqa: ASYNC221, S603 - as it says
    await trial.kill()
    await trial.simulator.until(lambda: bool(trial.simulator.requests))
    [asked] = trial.simulator.requests
    assert asked.created
    assert asked.at > trial.fleet.kills[0].at
    assert all(trial.allowances().values())


def test_every_address_is_told_apart(tmp_path: Path) -> None:
    """By the host by which it knows Bandwidth."""
    settings = {"BW_TOKEN_URL": f"http://{HOST}:1/token"}
    hosts = [address.host for address in Fleet(tmp_path, RestartableStore(tmp_path), settings).addresses]
    assert hosts == [HOST, "localhost"]


FEW, MANY = 200, 1200
"""Calls."""


def grows(few: CheckCost, many: CheckCost) -> bool:
    """By more than there are more calls, with something for sorting and for what is done once."""
    return many.steps > 1.25 * MANY / FEW * few.steps + 1000


@pytest.fixture(scope="module")
def work() -> tuple[dict[str, CheckCost], dict[str, CheckCost]]:
    """Of a look at few calls and at many, by eye."""
    return work_of(FEW), work_of(MANY)


@pytest.mark.parametrize("eye", CHECKS)
def test_a_look_costs_as_much_as_there_are_calls(
    work: tuple[dict[str, CheckCost], dict[str, CheckCost]], eye: str
) -> None:
    """Counted are lines that run and ids that are compared, which is the same on each machine."""
    few, many = (one[eye] for one in work)
    assert not grows(few, many), f"{few} for {FEW} calls, {many} for {MANY}"


def _looks_at_all_requests_for_each_call(evidence: Evidence) -> Iterator[Finding]:
    for call_id in evidence.calls:
        if any(one.created == call_id for one in evidence.simulator.requests):
            yield Finding(what=call_id)


def _looks_for_each_id_in_a_list(evidence: Evidence) -> Iterator[Finding]:
    made = [one.created for one in evidence.simulator.requests]
    yield from (Finding(what=call_id) for call_id in evidence.calls if call_id in made)


def test_what_costs_more_is_seen() -> None:
    eyes = {"loop": _looks_at_all_requests_for_each_call, "list": _looks_for_each_id_in_a_list}
    few, many = work_of(FEW // 20, eyes), work_of(MANY // 20, eyes)
    assert [eye for eye in eyes if grows(few[eye], many[eye])] == [*eyes]
