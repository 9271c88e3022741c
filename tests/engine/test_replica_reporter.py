"""A replica writes what it is every five seconds, and at once what nobody should wait for."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from service.bandwidth.auth import Basic
from service.bandwidth.breaker import FAILURE_THRESHOLD
from service.bandwidth.circuit import Circuit, RequestKind
from service.bandwidth.errors import BandwidthError
from service.engine.replica_reporter import REPORT_INTERVAL, ReplicaReporter, WebhookCounts
from service.engine.standby import Standby
from service.store.redis.client import Client
from service.store.replicas import PEERS, ReplicaReport, Replicas
from service.store.standby import StandbyLeases
from service.tasks import Tasks
from tests.clocks import SetClock
from tests.waiting import wait_until

NOW = 1_796_000_000.0


class Replica:
    def __init__(self, client: Client) -> None:
        self.clock = SetClock(NOW)
        self.doings = WebhookCounts()
        self.replicas = Replicas(client)
        self.circuit = Circuit("webrtc", RequestKind.CREATES, clock=self.clock)
        self.draining = False
        self.off = 0.0
        self.reporter = ReplicaReporter(
            id_="a",
            host="bridge-1",
            replicas=self.replicas,
            webhook_counts=self.doings,
            circuits=[self.circuit],
            credentials=[Basic("me", "secret")],
            draining=lambda: self.draining,
            standby=Standby(
                id_="a",
                apis=[],
                tokens=StandbyLeases(client),
                replicas=self.replicas,
                clock=self.clock,
            ),
            clock=self.clock,
            clock_off=lambda: self.off,
        )

    async def read(self) -> ReplicaReport:
        [report] = await self.replicas.read()
        return report

    def request(self, error: BandwidthError | None = None) -> None:
        try:
            with self.circuit.observe():
                if error:
                    raise error
        except BandwidthError:
            return


@pytest.fixture
async def replica(store_url: str, redis: Redis) -> AsyncIterator[Replica]:
    client = Client(store_url)
    yield Replica(client)
    await client.close()


async def test_it_is_written_every_five_seconds(replica: Replica) -> None:
    await replica.reporter.write_if_due()
    replica.doings.count_accepted()
    replica.clock.advance(REPORT_INTERVAL - 1)
    await replica.reporter.write_if_due()
    assert (await replica.read()).webhooks == 0
    replica.clock.advance(1)
    await replica.reporter.write_if_due()
    report = await replica.read()
    assert (report.webhooks, report.at, report.started) == (1, NOW + REPORT_INTERVAL, NOW)
    assert (report.has_token, report.token_age, report.succeeded) == (True, None, {})


async def test_what_turns_callers_away_is_written_at_once(replica: Replica) -> None:
    await replica.reporter.write_if_due()
    for _ in range(FAILURE_THRESHOLD):
        replica.request(BandwidthError("create-session", "server-error", status=500))
    await replica.reporter.write_if_due()
    assert (await replica.read()).open_breakers == ("webrtc/creates",)
    replica.clock.advance(0.5)
    replica.request()
    replica.draining = True
    await replica.reporter.write_if_due()
    report = await replica.read()
    assert (report.open_breakers, report.draining, report.succeeded) == ((), True, {"webrtc": NOW + 0.5})


async def test_an_error_is_no_success(replica: Replica) -> None:
    replica.request(BandwidthError("create-session", "unauthorized", status=401))
    assert replica.reporter.report().succeeded == {}


async def test_who_was_turned_away_lately(replica: Replica) -> None:
    for n in range(PEERS + 2):
        replica.doings.count_refused(f"192.0.2.{n}", NOW)
    replica.doings.count_refused("192.0.2.3", NOW + 1)
    report = replica.reporter.report()
    assert (report.refused, report.refused_at) == (PEERS + 3, NOW + 1)
    assert report.refused_by == {**{f"192.0.2.{n}": 1 for n in (2, 4, 5, 6)}, "192.0.2.3": 2}
    replica.clock.advance(900.5)
    assert replica.reporter.report().refused_by == {"192.0.2.3": 2}
    assert replica.reporter.report().refused == PEERS + 3


async def test_a_machine_whose_clock_is_off_is_said_so(replica: Replica) -> None:
    for off, said in ((4.9, 0), (-4.9, 0), (3600.04, 3600.0), (-7.0, -7.0)):
        replica.off = off
        assert replica.reporter.report().clock_offset == said


async def test_it_is_written_however_the_time_is_corrected(replica: Replica) -> None:
    """Every five seconds of the process: where time stood still there would be no next report."""
    await replica.reporter.write_if_due()
    replica.clock.advance(REPORT_INTERVAL)
    replica.clock.now = lambda: NOW - 3600  # type: ignore[method-assign]
    await replica.reporter.write_if_due()
    assert (await replica.read()).at == NOW - 3600


async def test_it_goes_on_without_a_store_and_is_forgotten_at_the_end(replica: Replica, redis: Redis) -> None:
    away = Replica(Client("redis://127.0.0.1:1"))
    await away.reporter.write_if_due()
    tasks = Tasks()
    tasks.start(replica.reporter.run(), name="report")

    async def written() -> bool:
        return bool(await replica.replicas.read())

    await wait_until(written)
    replica.reporter.stop()
    assert await tasks.wait(5) == 0
    assert await replica.replicas.read() == []
