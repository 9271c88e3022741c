"""A replica finds out that it is cut off, stands aside while the store lets it, and comes back by itself."""

from collections.abc import AsyncIterator, Callable

import pytest
import structlog
from redis.asyncio import Redis

from service.bandwidth.auth import Basic
from service.bandwidth.circuit import Circuit, RequestKind
from service.bandwidth.errors import BandwidthError, NotFound
from service.engine.replica_reporter import ReplicaReporter, WebhookCounts
from service.engine.standby import _MAX_REDIRECTED, UNREACHED_AFTER, MonitoredApi, Standby
from service.metrics import Metrics
from service.store import keys
from service.store.redis.client import Client
from service.store.replicas import ReplicaReport, Replicas
from service.store.standby import LEASE, StandbyLeases
from service.tasks import Tasks
from tests.clocks import SetClock
from tests.waiting import wait_until

NOW = 1_796_000_000.0
UNREACHABLE = BandwidthError("get-session", "unreachable", retryable=True)
NOT_FOUND = NotFound("get-session", "not-found", status=404)
FAILS = BandwidthError("get-session", "server-error", status=500)


class Tokens(Basic):
    unreachable_since: float | None = None  # type: ignore[assignment]


class Replica:
    """Its way to one API, which answers a question with `meets`."""

    def __init__(self, id_: str, client: Client, clock: SetClock) -> None:
        self.meets: BandwidthError = NOT_FOUND
        self.asked = 0
        self.clock = clock
        self.creates = Circuit("webrtc", RequestKind.CREATES, clock=clock)
        self._questions = Circuit(
            "webrtc", RequestKind.QUESTIONS, clock=clock, reachability=self.creates.reachability
        )
        self.metrics = Metrics()
        self.tokens = Tokens("me", "secret")
        circuits = (self.creates, self._questions)
        self.standby = Standby(
            id_=id_,
            apis=[MonitoredApi("webrtc", circuits, self.tokens, self._ask)],
            tokens=StandbyLeases(client),
            replicas=Replicas(client),
            clock=clock,
            metrics=self.metrics,
        )
        self.reporter = ReplicaReporter(
            id_=id_,
            host=id_,
            replicas=Replicas(client),
            webhook_counts=WebhookCounts(),
            circuits=circuits,
            credentials=[self.tokens],
            draining=lambda: False,
            standby=self.standby,
            clock=clock,
            clock_off=lambda: 0.0,
        )

    async def _ask(self) -> None:
        self.asked += 1
        with self._questions.observe():
            raise self.meets

    def request(self, error: BandwidthError | None = None) -> None:
        try:
            with self.creates.observe():
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
        await self.standby.check()
        await self.reporter.write_if_due()

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
        assert (b.standby.unreached, b.standby.is_aside) == ((), False), "once is not for long"
        await b.pass_time(UNREACHED_AFTER)
        assert b.standby.is_aside
        report = b.reporter.report()
        assert (report.unreachable_apis, report.on_standby, b.gauge) == (("webrtc",), True, 1)
        assert b.asked == 2, "each second"
        b.meets = NOT_FOUND
        await b.pass_time()
    assert (b.standby.unreached, b.standby.is_aside, b.gauge) == ((), False, 0)
    assert not await redis.exists(keys.standby())
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
    await b.pass_time(UNREACHED_AFTER)
    assert not b.standby.unreached


async def test_a_success_of_a_request_ends_it_too(new: Callable[[str], Replica]) -> None:
    a, b = new("a"), new("b")
    await busy(a)
    await busy(b)
    b.cut()
    await b.pass_time(UNREACHED_AFTER)
    assert b.standby.is_aside
    b.request()
    await b.look()
    assert not b.standby.is_aside


async def test_without_a_token_it_is_as_far_as_who_gives_one_out(new: Callable[[str], Replica]) -> None:
    a, b = new("a"), new("b")
    await busy(a)
    await busy(b)
    b.tokens.unreachable_since = b.clock.monotonic()
    await b.pass_time(UNREACHED_AFTER - 1)
    assert (b.standby.unreached, b.asked) == ((), 1)
    await b.pass_time()
    assert (b.standby.unreached, b.standby.is_aside) == (("webrtc",), True)
    b.tokens.unreachable_since = None
    await b.pass_time()
    assert (b.standby.unreached, b.standby.is_aside) == ((), False)


async def test_one_replica_never_stands_aside(new: Callable[[str], Replica]) -> None:
    b = new("b")
    await busy(b)
    b.cut()
    for _ in range(int(UNREACHED_AFTER) + 2):
        await b.pass_time()
        assert not b.standby.is_aside
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
        aside.append((a.standby.is_aside, b.standby.is_aside))
    assert (True, True) not in aside
    assert aside[-1] == (False, False), "as soon as each has told of itself"


async def test_one_that_nobody_calls_tries_for_the_sake_of_the_other(new: Callable[[str], Replica]) -> None:
    a, b = new("a"), new("b")
    await a.look()
    assert a.asked == 0
    b.cut()
    await b.pass_time(UNREACHED_AFTER)
    assert not b.standby.is_aside, "nobody is known to be well"
    await a.pass_time(5)
    assert a.asked == 1
    await b.pass_time()
    assert b.standby.is_aside


async def test_without_the_store_it_does_as_it_did(
    new: Callable[[str], Replica], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = new("a"), new("b")
    await busy(a)
    await busy(b)
    b.cut()
    await b.pass_time(UNREACHED_AFTER)
    before = b.standby.is_aside
    monkeypatch.setattr(b.standby, "_tokens", StandbyLeases(Client("redis://127.0.0.1:1")))
    await b.pass_time()
    assert (before, b.standby.is_aside, b.standby.unreached) == (True, False, ("webrtc",))


async def test_no_longer_than_the_store_has_said(new: Callable[[str], Replica]) -> None:
    a, b = new("a"), new("b")
    await busy(a)
    await busy(b)
    b.cut()
    await b.pass_time(UNREACHED_AFTER)
    b.clock.advance(LEASE - 0.1)
    assert b.standby.is_aside
    b.clock.advance(0.1)
    assert not b.standby.is_aside


async def test_one_that_ends_holds_nothing(new: Callable[[str], Replica], redis: Redis) -> None:
    a, b = new("a"), new("b")
    await busy(a)
    await busy(b)
    b.cut()
    b.clock.advance(UNREACHED_AFTER)
    tasks = Tasks()
    tasks.start(b.standby.run(), name="standby")
    await wait_until(lambda: b.standby.is_aside)
    assert await redis.exists(keys.standby())
    b.standby.stop()
    assert await tasks.wait(5) == 0
    assert not await redis.exists(keys.standby())


def test_a_webhook_is_sent_elsewhere_once(new: Callable[[str], Replica]) -> None:
    standby = new("b").standby
    assert standby.should_redirect("one")
    assert not standby.should_redirect("one")
    assert all(standby.should_redirect(str(n)) for n in range(_MAX_REDIRECTED))
    assert standby.should_redirect("one"), "only so many are remembered"


async def test_the_report_says_it_at_once(new: Callable[[str], Replica], client: Client) -> None:
    a, b = new("a"), new("b")
    await busy(a)
    await busy(b)
    b.cut()
    await b.pass_time(UNREACHED_AFTER)
    read: list[ReplicaReport] = await Replicas(client).read()
    assert {one.id: one.on_standby for one in read} == {"a": False, "b": True}
