"""A replica finds out that it is cut off, stands aside while the store lets it, and comes back by itself."""

from collections.abc import AsyncIterator, Callable

import pytest
import structlog
from redis.asyncio import Redis

from service.bandwidth.auth import Basic
from service.bandwidth.circuit import Circuit, Kind
from service.bandwidth.errors import BandwidthError, NotFound
from service.engine.replica_reporter import Doings, Reporter
from service.engine.standby import _REMEMBERED, LOST, Api, Standby
from service.metrics import Metrics
from service.store import keys
from service.store.redis.client import Client
from service.store.replicas import Replicas, Report
from service.store.standby import LEASE, StandbyTokens
from service.tasks import Tasks
from tests.clocks import SetClock
from tests.waiting import wait_until

NOW = 1_796_000_000.0
UNREACHABLE = BandwidthError("get-session", "unreachable", retry=True)
NOT_FOUND = NotFound("get-session", "not-found", status=404)
FAILS = BandwidthError("get-session", "server-error", status=500)


class Tokens(Basic):
    lost_at: float | None = None  # type: ignore[assignment]


class Replica:
    """Its way to one API, which answers a question with `meets`."""

    def __init__(self, id_: str, client: Client, clock: SetClock) -> None:
        self.meets: BandwidthError = NOT_FOUND
        self.asked = 0
        self.clock = clock
        self.creates = Circuit("webrtc", Kind.CREATES, clock=clock)
        self._questions = Circuit("webrtc", Kind.QUESTIONS, clock=clock, reach=self.creates.reach)
        self.metrics = Metrics()
        self.tokens = Tokens("me", "secret")
        circuits = (self.creates, self._questions)
        self.standby = Standby(
            id_=id_,
            apis=[Api("webrtc", circuits, self.tokens, self._ask)],
            tokens=StandbyTokens(client),
            replicas=Replicas(client),
            clock=clock,
            metrics=self.metrics,
        )
        self.reporter = Reporter(
            id_=id_,
            host=id_,
            replicas=Replicas(client),
            doings=Doings(),
            circuits=circuits,
            credentials=[self.tokens],
            draining=lambda: False,
            standby=self.standby,
            clock=clock,
            clock_off=lambda: 0.0,
        )

    async def _ask(self) -> None:
        self.asked += 1
        with self._questions.watching():
            raise self.meets

    def request(self, error: BandwidthError | None = None) -> None:
        try:
            with self.creates.watching():
                if error:
                    raise error
        except BandwidthError:
            return

    def cut(self) -> None:
        self.meets = UNREACHABLE
        self.request(UNREACHABLE)

    async def pass_time(self, seconds: float = 1.0) -> None:
        self.clock.advance(seconds)
        await self.look()

    async def look(self) -> None:
        await self.standby.look()
        await self.reporter.look()

    @property
    def gauge(self) -> float | None:
        return self.metrics.registry.get_sample_value("pstn_standby")


@pytest.fixture
async def client(store_url: str, redis: Redis) -> AsyncIterator[Client]:
    client = Client(store_url)
    yield client
    await client.close()


@pytest.fixture
def new(client: Client) -> Callable[[str], Replica]:
    return lambda id_: Replica(id_, client, SetClock(NOW))


async def busy(replica: Replica) -> None:
    """It serves, and says so."""
    replica.request()
    replica.clock.advance(5)
    replica.request()
    await replica.look()


async def test_it_stands_aside_and_comes_back(new: Callable[[str], Replica], redis: Redis) -> None:
    a, b = new("a"), new("b")
    await busy(a)
    await busy(b)
    with structlog.testing.capture_logs() as lines:
        b.cut()
        await b.look()
        assert (b.standby.unreached, b.standby.aside) == ((), False), "once is not for long"
        await b.pass_time(LOST)
        assert b.standby.aside
        report = b.reporter.report()
        assert (report.unreached, report.aside, b.gauge) == (("webrtc",), True, 1)
        assert b.asked == 2, "each second"
        b.meets = NOT_FOUND
        await b.pass_time()
    assert (b.standby.unreached, b.standby.aside, b.gauge) == ((), False, 0)
    assert not await redis.exists(keys.aside())
    told = [(line["event"], line["apis"]) for line in lines if line["event"].startswith("replica.")]
    assert told == [("replica.aside", ["webrtc"]), ("replica.back", [])]
    asked = b.asked
    await b.pass_time()
    assert b.asked == asked, "nobody is asked while all is well"


@pytest.mark.parametrize("answer", [NOT_FOUND, FAILS])
async def test_whoever_is_answered_is_not_cut_off(
    new: Callable[[str], Replica], answer: BandwidthError
) -> None:
    a, b = new("a"), new("b")
    await busy(a)
    b.request(UNREACHABLE)
    b.meets = answer
    await b.look()
    await b.pass_time(LOST)
    assert not b.standby.unreached


async def test_a_success_of_a_request_ends_it_too(new: Callable[[str], Replica]) -> None:
    a, b = new("a"), new("b")
    await busy(a)
    await busy(b)
    b.cut()
    await b.pass_time(LOST)
    assert b.standby.aside
    b.request()
    await b.look()
    assert not b.standby.aside


async def test_without_a_token_it_is_as_far_as_who_gives_one_out(new: Callable[[str], Replica]) -> None:
    a, b = new("a"), new("b")
    await busy(a)
    await busy(b)
    b.tokens.lost_at = b.clock.monotonic()
    await b.pass_time(LOST - 1)
    assert (b.standby.unreached, b.asked) == ((), 1)
    await b.pass_time()
    assert (b.standby.unreached, b.standby.aside) == (("webrtc",), True)
    b.tokens.lost_at = None
    await b.pass_time()
    assert (b.standby.unreached, b.standby.aside) == ((), False)


async def test_one_replica_never_stands_aside(new: Callable[[str], Replica]) -> None:
    b = new("b")
    await busy(b)
    b.cut()
    for _ in range(int(LOST) + 2):
        await b.pass_time()
        assert not b.standby.aside
    assert b.standby.unreached


async def test_both_are_cut_off_at_the_same_moment(new: Callable[[str], Replica]) -> None:
    a, b = new("a"), new("b")
    await busy(a)
    await busy(b)
    a.cut()
    b.cut()
    aside = []
    for _ in range(6):
        await a.pass_time()
        await b.pass_time()
        aside.append((a.standby.aside, b.standby.aside))
    assert (True, True) not in aside
    assert aside[-1] == (False, False), "as soon as each has told of itself"


async def test_one_that_nobody_calls_tries_for_the_sake_of_the_other(new: Callable[[str], Replica]) -> None:
    a, b = new("a"), new("b")
    await a.look()
    assert a.asked == 0
    b.cut()
    await b.pass_time(LOST)
    assert not b.standby.aside, "nobody is known to be well"
    await a.pass_time(5)
    assert a.asked == 1
    await b.pass_time()
    assert b.standby.aside


async def test_without_the_store_it_does_as_it_did(
    new: Callable[[str], Replica], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = new("a"), new("b")
    await busy(a)
    await busy(b)
    b.cut()
    await b.pass_time(LOST)
    before = b.standby.aside
    monkeypatch.setattr(b.standby, "_tokens", StandbyTokens(Client("redis://127.0.0.1:1")))
    await b.pass_time()
    assert (before, b.standby.aside, b.standby.unreached) == (True, False, ("webrtc",))


async def test_no_longer_than_the_store_has_said(new: Callable[[str], Replica]) -> None:
    a, b = new("a"), new("b")
    await busy(a)
    await busy(b)
    b.cut()
    await b.pass_time(LOST)
    b.clock.advance(LEASE - 0.1)
    assert b.standby.aside
    b.clock.advance(0.1)
    assert not b.standby.aside


async def test_one_that_ends_holds_nothing(new: Callable[[str], Replica], redis: Redis) -> None:
    a, b = new("a"), new("b")
    await busy(a)
    await busy(b)
    b.cut()
    b.clock.advance(LOST)
    tasks = Tasks()
    tasks.start(b.standby.run(), name="standby")
    await wait_until(lambda: b.standby.aside)
    assert await redis.exists(keys.aside())
    b.standby.stop()
    assert await tasks.wait(5) == 0
    assert not await redis.exists(keys.aside())


def test_a_webhook_is_sent_elsewhere_once(new: Callable[[str], Replica]) -> None:
    standby = new("b").standby
    assert standby.sends_away("one")
    assert not standby.sends_away("one")
    assert all(standby.sends_away(str(n)) for n in range(_REMEMBERED))
    assert standby.sends_away("one"), "only so many are remembered"


async def test_the_report_says_it_at_once(new: Callable[[str], Replica], client: Client) -> None:
    a, b = new("a"), new("b")
    await busy(a)
    await busy(b)
    b.cut()
    await b.pass_time(LOST)
    read: list[Report] = await Replicas(client).read()
    assert {one.id: one.aside for one in read} == {"a": False, "b": True}
