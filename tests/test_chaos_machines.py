"""What chaos does to machines, their clocks and the ways between them; and how that is judged."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random  # noqa: TID251 - seeded
from types import SimpleNamespace
from typing import Any, cast

import httpx
import msgspec
import pytest
from redis.asyncio import Redis

from service.tasks import Tasks
from tests.chaos import clock_offset
from tests.chaos.api import OperatorApi, OperatorRequest
from tests.chaos.checks import limits, logs, standby, webhooks
from tests.chaos.evidence import Evidence, ReplicaLogLine, read_logs
from tests.chaos.faketime import WrongStore, library
from tests.chaos.faults.freeze import FrozenProcesses
from tests.chaos.faults.store_minutes import StoreMinutes
from tests.chaos.faults.two_releases import CallCheck, wrong_looks
from tests.chaos.fleet import HOSTS, Fleet, Kill
from tests.chaos.records import Records
from tests.chaos.scenarios.orders import ScenarioOperator
from tests.chaos.severable_proxy import HOST, Cut, SeverableProxy
from tests.chaos.snapshots import Snapshots
from tests.chaos.standby_spans import standby_spans
from tests.chaos.stopped_process import stopped
from tests.chaos.times import NEVER
from tests.chaos.troubles import Trouble, Troubles
from tests.simulator.clock import epoch_ms, monotonic
from tests.simulator.journal import Delivery, PhoneChanged, Request
from tests.simulator.webhooks import DROPPED, TIMED_OUT, FailedDelivery
from tests.stores import RestartableStore
from tests.waiting import wait_until

A, B = HOSTS["a"], HOSTS["b"]
ID = "0b6f3a60-0000-4000-8000-00000000000"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Of a short name, since the store's socket is in it."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        yield Path(name)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as sleeping:  # noqa: S607 - found by the path
        yield sleeping
        sleeping.kill()


def state_of(pid: int) -> str:
    """As in /proc: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_it_goes_on_however_the_block_is_left(process: subprocess.Popen[bytes]) -> None:
    def fail() -> None:
        with stopped(process.pid):
            asyncio.run(wait_until(lambda: state_of(process.pid) == "T"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    asyncio.run(wait_until(lambda: state_of(process.pid) == "S"))


def test_what_was_killed_meanwhile_goes_on_no_more(process: subprocess.Popen[bytes]) -> None:
    with stopped(process.pid):
        process.kill()
        process.wait()


@pytest.mark.parametrize("ends", ["calm", "cancel"])
async def test_frozen_replicas_go_on_when_the_weather_ends(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setattr("tests.chaos.faults.freeze.STORE", 0)
    monkeypatch.setattr("tests.chaos.faults.freeze.IN_A_JOIN", 0)
    monkeypatch.setattr("tests.chaos.faults.freeze.BETWEEN", (0, 0))
    address = SimpleNamespace(host=A, pid=process.pid)
    troubles = Troubles()
    simulator = SimpleNamespace(webhooks=SimpleNamespace(), faults=[])
    site: Any = SimpleNamespace(
        fleet=SimpleNamespace(addresses=[address, address]), troubles=troubles, simulator=simulator
    )
    weather = FrozenProcesses(Random(1))
    blowing = asyncio.get_running_loop().create_task(weather.inject(site))
    await wait_until(lambda: state_of(process.pid) == "T")
    if ends == "calm":
        weather.stop(site)
        await blowing
        assert [(one.kind, one.over < NEVER) for one in troubles.all] == [("frozen", True)]
    else:
        blowing.cancel()
        await asyncio.wait({blowing})
    assert state_of(process.pid) != "T"


async def test_a_replica_is_killed_before_the_store_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_hangs", "_paused", "_takes_no_writes"):
        monkeypatch.setattr(StoreMinutes, name, vars(StoreMinutes)["_killed"])
    for name, seconds in (("BEFORE", 0.0), ("AWAY", 0.2), ("KILLED", 0.5)):
        monkeypatch.setattr(f"tests.chaos.faults.store_minutes.{name}", (seconds, seconds))
    happened: list[str] = []

    def happens(what: str) -> Any:
        async def happen(*_: object, **__: object) -> None:
            happened.append(what)

        return happen

    store = SimpleNamespace(kill=happens("store away"), start=happens("store back"))
    fleet = SimpleNamespace(addresses=["a", "b"], outages=[], kill=happens("replica killed"))
    site: Any = SimpleNamespace(
        store=store,
        fleet=fleet,
        troubles=Troubles(),
        simulator=SimpleNamespace(webhooks=SimpleNamespace(), faults=[]),
    )
    weather = StoreMinutes(Random(1))
    blowing = asyncio.get_running_loop().create_task(weather.inject(site))
    await wait_until(lambda: "store back" in happened)
    weather.stop(site)
    await blowing
    assert happened == ["store away", "replica killed", "store back"]


SAYS = """
import sys
from pathlib import Path
from service.clock import SystemClock
from tests.chaos import clock_offset
clock_offset.use_offset(Path(sys.argv[1]))
for _ in sys.stdin:
    print(SystemClock().now(), flush=True)
"""


def test_a_replicas_clock_is_set_while_it_runs(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    clock_offset.set_offset(file, 0)
    command = [sys.executable, "-c", SAYS, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603
        assert child.stdin
        assert child.stdout
        for offset in (0.0, 7200.0, -3600.0):
            clock_offset.set_offset(file, offset)
            child.stdin.write("\n")
            child.stdin.flush()
            assert float(child.stdout.readline()) - epoch_ms() / 1000 == pytest.approx(offset, abs=5)
        child.stdin.close()


async def test_the_stores_clock_is_set_while_it_runs(folder: Path) -> None:
    faketime = library()
    if faketime is None:
        pytest.skip("libfaketime is not installed")
    store = WrongStore(folder / "store", faketime)
    await store.start()
    assert "LD_PRELOAD" not in os.environ  # noqa: TID251 - it is for the server alone
    try:
        async with Redis.from_url(store.url) as redis:
            store.set_clock(-900)

            async def follows() -> bool:
                seconds, _ = await redis.time()
                return abs(seconds - epoch_ms() / 1000 + 900) < 5

            await wait_until(follows)
    finally:
        await store.stop()


class Served:
    """A server that answers each request with an id of its own, and a way to it."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.swallowed: set[str] = set()

    @asynccontextmanager
    async def way(self) -> AsyncIterator[SeverableProxy]:
        server = await asyncio.start_server(self._serve, HOST, 0)
        port = server.sockets[0].getsockname()[1]
        way = SeverableProxy(partial(asyncio.open_connection, HOST, port), self.swallowed)
        await way.open()
        try:
            yield way
        finally:
            await way.close()
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(65536):
            self.asked.append(head)
            body = f'{{"id":"{ID}{len(self.asked)}"}}'
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
        writer.close()


@pytest.fixture
def served() -> Served:
    return Served()


@asynccontextmanager
async def asking(way: SeverableProxy) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{HOST}:{way.port}", timeout=5) as client:
        yield client


async def test_a_way_that_is_whole(served: Served) -> None:
    async with served.way() as way, asking(way) as client:
        for n in (1, 2):
            assert (await client.post("/")).json() == {"id": f"{ID}{n}"}
    assert served.swallowed == set()


async def test_a_way_that_refuses(served: Served) -> None:
    async with served.way() as way, asking(way) as client:
        await client.post("/")
        await way.cut(Cut.REFUSES)
        with pytest.raises(httpx.RemoteProtocolError):  # over the connection that there was
            await client.post("/")
        with pytest.raises(httpx.ConnectError):
            await client.post("/")
        await way.heal()
        assert (await client.post("/")).is_success
    assert served.swallowed == set(), "what was passed on before it was cut was not swallowed"
    assert len(served.asked) == 2


async def test_a_way_that_hangs_passes_all_on_in_the_end(served: Served) -> None:
    async with served.way() as way, asking(way) as client:
        await client.post("/")
        await way.cut(Cut.HANGS)
        asked = asyncio.get_running_loop().create_task(client.post("/"))
        done, _ = await asyncio.wait({asked}, timeout=0.1)
        assert not done
        await way.heal()
        assert (await asked).json() == {"id": f"{ID}2"}
    assert served.swallowed == set()


@pytest.mark.parametrize(("method", "swallowed"), [("POST", {f"{ID}1"}), ("GET", set())])
async def test_a_way_that_halves(served: Served, method: str, swallowed: set[str]) -> None:
    async with served.way() as way, asking(way) as client:
        await way.cut(Cut.HALVES)
        with pytest.raises(httpx.RemoteProtocolError):
            await client.request(method, "/")
        assert served.swallowed == swallowed
        await way.heal()
        assert (await client.request(method, "/")).is_success
    assert served.swallowed == swallowed


def delivery(
    at: float, over: float, status: int | None, *, to: str = "a", error: str | None = None
) -> Delivery:
    return Delivery(
        event_type="initiate",
        call_id="c-1",
        payload={},
        url=f"https://{to}.test/callbacks/voice",
        body=b"{}",
        username=None,
        password=None,
        status=status,
        ms=(over - at) * 1000,
        content_type="",
        reply=b"",
        error=error,
        sent_at=at,
        synchronous=True,
    )


def request(at: float, operation: str, *, host: str = A, fault: str | None = None) -> Request:
    """`fault`: it is left without an answer."""
    return Request(
        operation=operation,
        method="GET",
        path="",
        ids={},
        status=None if fault else 200,
        at=at,
        ms=5000 if fault == "hang" else 10,
        scheme=None,
        body=None,
        received=not fault,
        host=host,
        fault=fault,
    )


def line(at: float, event: str, **fields: Any) -> ReplicaLogLine:
    wall = epoch_ms() / 1000 - monotonic() + at
    text = datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return ReplicaLogLine(A, "replica-a0.log", "", {"event": event, "timestamp": text, **fields})


CALLEE = "+15556660001"


def evidence(
    directory: Path,
    *,
    deliveries: Sequence[Delivery] = (),
    failed: Sequence[FailedDelivery] = (),
    requests: Sequence[Request] = (),
    logs: Sequence[ReplicaLogLine] = (),
    troubles: Sequence[Trouble] = (),
    calls: dict[str, Any] | None = None,
    hung_up_at: float = 900.0,
) -> Evidence:
    """Of a turn in which a call began at second 0."""
    all_ = Troubles()
    all_.all.extend(troubles)
    fleet = Fleet(directory, RestartableStore(directory), {})
    for address in fleet.addresses:
        address.downs[-1].over = 0.0
    simulator = SimpleNamespace(
        started=0.0,
        deliveries=deliveries,
        requests=requests,
        webhooks=SimpleNamespace(failed=failed, lost=[]),
        phones=[SimpleNamespace(call_id="c-1", call=SimpleNamespace(began=0, to=CALLEE))],
    )
    return cast(
        Evidence,
        SimpleNamespace(
            simulator=simulator,
            fleet=fleet,
            troubles=all_,
            logs=logs,
            calls=calls or {},
            over=1000.0,
            happenings=[PhoneChanged(hung_up_at * 1000, "c-1", None, "ended", "hangup")],
            noise=[],
            bad_answers=[],
            operator_requests=[],
            metrics={"replica-a0.log": ""},
        ),
    )


FROZEN = Trouble("frozen", 20, 30, A)
NO_ANSWER = partial(delivery, status=None, error=TIMED_OUT)


@pytest.mark.parametrize(
    ("one", "wrong"),
    [
        (NO_ANSWER(21, 27), 0),
        (NO_ANSWER(29, 35), 0),
        (NO_ANSWER(29.5, 35.5), 1),
        (NO_ANSWER(14.5, 20.5), 1),
        (NO_ANSWER(31, 37), 1),
        (NO_ANSWER(21, 27, to="b"), 1),
        (delivery(26, 32, 200), 0),
        (delivery(29.5, 34.9, 200), 0),
        (delivery(29.5, 35.1, 200), 1),
        (delivery(21, 22, 500), 1),
        (delivery(21, 22, 503), 1),
    ],
    ids=[
        "frozen",
        "frozen first",
        "for a moment",
        "when it was over",
        "afterwards",
        "the other",
        "late",
        "just",
        "too late",
        "500",
        "503",
    ],
)
def test_what_a_frozen_replica_may_do(tmp_path: Path, one: Delivery, wrong: int) -> None:
    found = list(webhooks.check(evidence(tmp_path, deliveries=[one], troubles=[FROZEN])))
    assert [bool(finding.excuse) for finding in found] == [False] * wrong


def test_of_two_addresses_one_answers_though_the_other_is_frozen(tmp_path: Path) -> None:
    failed = FailedDelivery("initiate", "c-1", [NO_ANSWER(21, 27), NO_ANSWER(27, 33, to="b")])
    [found] = webhooks.check(evidence(tmp_path, failed=[failed], troubles=[FROZEN]))
    assert not found.excuse


@pytest.mark.parametrize(
    ("thaws", "to_b", "excused"),
    [
        (24.0, NO_ANSWER(26, 32, to="b"), True),
        (21.0, NO_ANSWER(26, 32, to="b"), True),
        (20.5, NO_ANSWER(26, 32, to="b"), False),
        (24.0, NO_ANSWER(29, 35, to="b"), False),
    ],
    ids=["both", "just", "one for a moment", "one not at all"],
)
def test_one_stood_still_after_the_other(
    tmp_path: Path, thaws: float, to_b: Delivery, *, excused: bool
) -> None:
    """While it was asked each stood still for so long that it had no time to answer."""
    troubles = [Trouble("frozen", 20, thaws, A), Trouble("frozen", 26, 28, B)]
    failed = FailedDelivery("initiate", "c-1", [NO_ANSWER(20, 26), to_b])
    [found] = webhooks.check(evidence(tmp_path, failed=[failed], troubles=troubles))
    assert bool(found.excuse) is excused


@pytest.mark.parametrize(
    ("tries", "excused"),
    [
        ([delivery(21, 21, None, error=DROPPED), delivery(22, 22, None, error=DROPPED, to="b")], True),
        ([delivery(21, 21, None, error=DROPPED)], False),
        ([delivery(21, 21, None, error=DROPPED), NO_ANSWER(27, 33, to="b")], False),
    ],
    ids=["both lost", "one address", "one lost"],
)
def test_nobody_is_to_be_found_at_both_addresses(
    tmp_path: Path, tries: list[Delivery], *, excused: bool
) -> None:
    [found] = webhooks.check(evidence(tmp_path, failed=[FailedDelivery("initiate", "c-1", tries)]))
    assert bool(found.excuse) is excused


CUT = Trouble("cut-bandwidth", 10, 40, A)
ASIDE = [line(25, "replica.aside"), line(41, "replica.back")]
SENT_AWAY = [delivery(30, 30.1, 503), delivery(30.1, 30.2, 200, to="b")]
KNOWS = [request(at, operation) for at in (40.1, 40.2) for operation in ("getCall", "getSession")]
"""Since each API was asked twice it knows that it is cut off no more."""


def aside(directory: Path, **changed: Any) -> tuple[int, int]:
    """How many findings of the two eyes."""
    shown = {"deliveries": SENT_AWAY, "requests": KNOWS, "logs": ASIDE, "troubles": [CUT], **changed}
    found = evidence(directory, **shown)
    return len(list(webhooks.check(found))), len(list(standby.check(found)))


def test_one_that_is_cut_off_stands_aside(tmp_path: Path) -> None:
    assert aside(tmp_path) == (0, 0)


@pytest.mark.parametrize(("hung_up_at", "wrong"), [(30.05, 0), (30.15, 1)])
def test_a_503_that_nobody_made_up_for(tmp_path: Path, hung_up_at: float, wrong: int) -> None:
    assert aside(tmp_path, deliveries=SENT_AWAY[:1], hung_up_at=hung_up_at) == (wrong, 0)


@pytest.mark.parametrize(("redirected_at", "wrong"), [(29.9, 1), (30.05, 0), (30.15, 1)])
def test_a_503_to_a_phone_that_asks_something_else(tmp_path: Path, redirected_at: float, wrong: int) -> None:
    asks = msgspec.structs.replace(
        delivery(redirected_at, redirected_at + 0.1, 200, to="b"), event_type="redirect", body=b"another"
    )
    assert aside(tmp_path, deliveries=[SENT_AWAY[0], asks]) == (wrong, 0)


@pytest.mark.parametrize("at", [11, 50], ids=["before", "after"])
def test_a_503_of_one_that_does_not_stand_aside(tmp_path: Path, at: float) -> None:
    sent = [delivery(at, at + 0.1, 503), delivery(at + 0.1, at + 0.2, 200, to="b")]
    assert aside(tmp_path, deliveries=sent) == (1, 0)


@pytest.mark.parametrize(
    "troubles", [[], [Trouble("cut-bandwidth", 10, 40, B)], [Trouble("cut-store", 10, 40, A)]]
)
def test_standing_aside_for_no_reason(tmp_path: Path, troubles: list[Trouble]) -> None:
    assert aside(tmp_path, troubles=troubles) == (0, 1)


@pytest.mark.parametrize(
    ("asked", "right"),
    [([], True), (KNOWS[:2], True), (KNOWS[:3], True), (KNOWS, False)],
    ids=["nothing", "one each", "one of them twice", "both twice"],
)
def test_standing_aside_when_the_way_is_whole_again(
    tmp_path: Path, asked: list[Request], right: bool
) -> None:
    late = [line(40.3, "replica.aside"), line(41, "replica.back")]
    [spell] = standby_spans(evidence(tmp_path, requests=asked, logs=late, troubles=[CUT]))
    assert spell.is_right is right


def struck(*at: float, operation: str = "token", fault: str = "reset", host: str = A) -> list[Request]:
    return [request(one, operation, host=host, fault=fault) for one in at]


@pytest.mark.parametrize(
    ("asked", "right"),
    [
        (struck(3, 5), True),
        (struck(3, 5, fault="hang"), False),
        (struck(3, 8, fault="hang"), True),
        (struck(3), False),
        (struck(1, 3), False),
        (struck(3, 5, host=B), False),
        (struck(3, 5, fault="status 503"), False),
        ([*struck(3, 5), request(6, "token")], True),
        ([*struck(3, 5), request(6, "token"), request(7, "getCall")], False),
        ([*struck(3), request(4, "token"), *struck(5)], False),
        ([request(2.5, "token"), *struck(3, 5)], True),
        (struck(3, 5, operation="getSession"), False),
        ([*struck(3, 5, operation="getSession"), *struck(3, 5, operation="getCall")], True),
    ],
    ids=[
        "twice",
        "the second before the first was over",
        "hanging",
        "once",
        "once, and once in the process before",
        "the other",
        "answered",
        "an answer that it may not know of",
        "an answer",
        "an answer in between",
        "an answer before",
        "one of two",
        "both",
    ],
)
def test_standing_aside_without_an_answer(tmp_path: Path, asked: list[Request], *, right: bool) -> None:
    logs = [line(2, "service.started"), line(12, "replica.aside", apis=["voice", "webrtc"])]
    [spell] = standby_spans(evidence(tmp_path, requests=asked, logs=logs))
    assert spell.is_right is right


def test_one_that_does_not_come_back(tmp_path: Path) -> None:
    assert aside(tmp_path, logs=ASIDE[:1]) == (0, 1)


@pytest.mark.parametrize(
    ("reason", "over", "limit", "own", "found"),
    [
        ("time-limit", 60, "150", None, 1),
        ("time-limit", 160, "150", None, 0),
        ("hangup", 60, "150", None, 0),
        ("time-limit", 60, "150", 30, 0),
        ("time-limit", 20, "150", 30, 1),
        ("time-limit", 60, "", 30, 0),
        ("time-limit", 20, "", None, 1),
    ],
)
def test_whose_time_is_up_before_it_is(
    tmp_path: Path, reason: str, over: float, limit: str, own: int | None, found: int
) -> None:
    ended = msgspec.structs.replace(delivery(over, over, 204), event_type="disconnect")
    shown = evidence(tmp_path, deliveries=[ended], calls={"c-1": {"outcome": {"reason": reason}}})
    shown.fleet.addresses[0].settings["CALL_LIMIT"] = limit
    shown.operator_requests.append(placed(own))
    assert len(list(limits.check(shown))) == found


@pytest.mark.parametrize(
    ("own", "ended", "requests", "troubles", "found"),
    [
        (30, 36, [], [], 0),
        (30, 40, [], [], 1),
        (30, None, [], [], 1),
        (None, 400, [], [], 0),
        (30, 40, struck(20), [], 0),
        (30, 40, struck(0.5), [], 1),
        (30, 40, [request(20, "getCall")], [], 1),
        (30, 40, [], [Trouble("frozen", 20, 25, B)], 0),
        (30, 40, [], [Trouble("clock", 20, 25, B)], 1),
    ],
)
def test_who_outlives_its_time(
    tmp_path: Path,
    own: int | None,
    ended: float | None,
    requests: list[Request],
    troubles: list[Trouble],
    found: int,
) -> None:
    shown = outliving(tmp_path, own, ended, requests=requests, troubles=troubles)
    assert len(list(limits.check(shown))) == found


@pytest.mark.parametrize(
    ("status", "seconds", "found"), [(200, 1.0, 1), (200, 5.0, 0), (None, 1.0, 0)], ids=["", "late", "lost"]
)
def test_who_outlives_its_time_as_a_webhook_fared_badly(
    tmp_path: Path, status: int | None, seconds: float, found: int
) -> None:
    sent = [delivery(30, 30 + seconds, status)]
    assert len(list(limits.check(outliving(tmp_path, 30, 40, deliveries=sent)))) == found


@pytest.mark.parametrize(("told", "found"), [(1.5, 1), (4, 0)])
def test_whose_answer_was_told_when_it_was_known_who_took_the_call(
    tmp_path: Path, told: float, found: int
) -> None:
    answer = msgspec.structs.replace(delivery(told, told, 200), event_type="answer")
    assert len(list(limits.check(outliving(tmp_path, 30, 40, deliveries=[answer])))) == found


def outliving(directory: Path, own: int | None, ended: float | None, **more: Any) -> Evidence:
    """A call that was answered at second 1, and ended so much later, or not."""
    shown = evidence(directory, hung_up_at=2000.0 if ended is None else 1 + ended, **more)
    shown.happenings.insert(0, PhoneChanged(1000, "c-1", None, "answered", None))
    shown.operator_requests.append(placed(own))
    return shown


def placed(max_duration: int | None) -> OperatorRequest:
    return OperatorRequest(
        method="POST",
        path="/calls",
        body={"to": CALLEE, "maxDuration": max_duration},
        host=A,
        sent_at=0,
        answered_at=0,
        status=201,
    )


@pytest.mark.parametrize(
    ("limit", "to", "at", "killed", "said", "found"),
    [
        (65, "a", 60, None, "disconnect", 0),
        (150, "a", 60, None, "disconnect", 1),
        (150, "a", 60, 65, "disconnect", 0),
        (150, "a", 60, 40, "disconnect", 1),
        (65, "b", 60, None, "disconnect", 1),
        (65, "a", 40, None, "disconnect", 1),
        (65, "a", 60, None, "answer", 1),
    ],
    ids=["in time", "after the store was back", "lost", "killed before", "the other", "before", "not kept"],
)
def test_whose_end_was_kept_until_the_store_was_back(
    tmp_path: Path, limit: int, to: str, at: float, killed: float | None, said: str, found: int
) -> None:
    """Until it is written down the call goes on, and its time may come to be up."""
    ended = msgspec.structs.replace(delivery(at, at, 204, to=to), event_type="disconnect", synchronous=False)
    served = [delivery(one, one + 0.1, 200) for one in (71, 90, 100, 110, 120)]
    shown = evidence(
        tmp_path,
        deliveries=[ended, *served],
        troubles=[Trouble("cut-store", 50, 70, A)],
        logs=[line(at, "webhook.degraded", call_id="c-1", event_type=said)],
        calls={"c-1": {"outcome": {"reason": "time-limit"}}},
    )
    shown.operator_requests.append(placed(limit))
    if killed is not None:
        shown.fleet.kills.append(Kill(killed, A))
    assert len(list(limits.check(shown))) == found


@pytest.mark.parametrize(
    ("events", "found"), [(["webhook.dropped"], 1), (["service.stopping", "webhook.dropped"], 0)]
)
def test_what_is_told_once_is_kept_until_the_process_ends(
    tmp_path: Path, events: list[str], found: int
) -> None:
    lines = [line(at, event) for at, event in enumerate(events)]
    assert len(list(logs.check(evidence(tmp_path, logs=lines)))) == found


def test_a_clock_that_is_set_back_changes_no_order_of_a_log(tmp_path: Path) -> None:
    written = {"a0": ["12:00", "03:00", "09:00"], "b0": ["11:00", "12:30"]}
    for name, times in written.items():
        lines = [json.dumps({"event": name, "timestamp": f"2026-01-01T{at}:00Z"}) for at in times]
        (tmp_path / name).write_text("\n".join(lines))
    addresses = [SimpleNamespace(host=name, logs=[tmp_path / name]) for name in written]
    read, noise = read_logs(cast("Any", SimpleNamespace(addresses=addresses)))
    for name, times in written.items():
        assert [one.timestamp[11:16] for one in read if one.process == name] == times
    assert (len(read), noise) == (5, [])


def test_a_clock_explains_nothing() -> None:
    troubles = Troubles()
    for kind in ("clock", "killed"):
        troubles.begin(kind, 1.0)
    assert [one.kind for one in troubles.felt] == ["killed"]


@pytest.mark.parametrize(
    ("status", "state", "asked_at", "wrong"),
    [
        (200, "ended", None, 0),
        (200, "gone", None, 1),
        (404, "", None, 1),
        (404, "", 4.0, 0),
        (404, "", 6.0, 1),
    ],
)
def test_a_call_that_was_erased_is_not_found(
    status: int, state: str, asked_at: float | None, wrong: int
) -> None:
    erasing = OperatorRequest(
        method="DELETE",
        path="/calls/c-1",
        body=None,
        host=A,
        sent_at=asked_at or 0,
        answered_at=9,
        status=204,
    )
    looks = [CallCheck("this", "c-1", status, state, over=5.0)]
    assert len(wrong_looks(looks, [erasing] if asked_at else [])) == wrong


@pytest.mark.parametrize(
    ("role", "named", "looks"), [("master", None, 1), ("master", 0, 1), ("master", 1, 0), ("slave", None, 0)]
)
async def test_nobody_looks_but_at_the_master(folder: Path, role: str, named: int | None, looks: int) -> None:
    """Another may lag behind: what is owed would be missed there. A socket has no port."""
    store = RestartableStore(folder)
    await store.start()

    async def name() -> int | None:
        return named

    async with store.client() as redis:
        if role == "slave":
            await redis.replicaof(HOST, "1")
        stills = Snapshots(redis, name, every=0.02)
        watching = Tasks().start(stills.watch(), name="watching")
        await asyncio.sleep(0.1)
        stills.stop()
        await watching
    await store.stop()
    assert bool(stills.all) == bool(looks)


# What operators ask -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "given_up"), [(httpx.ReadTimeout, True), (httpx.ConnectError, False), (httpx.ReadError, False)]
)
async def test_an_operator_gives_up_what_is_not_answered(
    monkeypatch: pytest.MonkeyPatch, error: type[httpx.TransportError], given_up: bool
) -> None:
    """What broke off, or reached nobody, is over; what nobody answers may be carried out yet."""
    asked = 0

    async def request(*_: Any, **__: Any) -> httpx.Response:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise error("")
        return httpx.Response(202, json={})

    monkeypatch.setattr(httpx.AsyncClient, "request", request)
    addresses = [SimpleNamespace(host=name, url=f"http://{name}") for name in HOSTS]
    api = OperatorApi(cast("Fleet", SimpleNamespace(addresses=addresses)), Random(1))
    answer = await api.send("POST", "/calls/c/join", {"room": "a"})
    await api.close()
    assert answer is not None
    assert [(one.status, one.given_up) for one in api.requests] == [(None, given_up), (202, False)]


@pytest.mark.parametrize(
    ("status", "state", "asked", "refs", "kept"),
    [
        (200, "ended", ["GET", "DELETE", "GET"], {"c-1": ID}, True),
        (200, "detached", ["GET", "DELETE", "GET"], {"c-1": ID}, False),
        (404, "", ["GET"], {}, False),
    ],
)
async def test_what_an_operator_erases_was_shown(
    status: int, state: str, asked: list[str], refs: dict[str, str], *, kept: bool
) -> None:
    """It may have ended since. Nobody can ask for its name any more."""
    sent: list[str] = []

    async def send(method: str, _path: str) -> httpx.Response:
        sent.append(method)
        answers = {"GET": status if len(sent) == 1 else 404, "DELETE": 204}
        return httpx.Response(answers[method], json={"id": ID, "state": state})

    api = SimpleNamespace(send=send, bad_answers=[])
    shared = SimpleNamespace(api=api, records=Records())
    operator = ScenarioOperator(cast("Any", shared), cast("Any", SimpleNamespace(call_id="c-1")), Random(2))
    await operator.erase()
    assert (sent, shared.records.refs, bool(shared.records.erased)) == (asked, refs, kept)
    assert api.bad_answers == []
