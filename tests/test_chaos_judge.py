"""The judge of the fault run: what is a leak, what was lost with a replica, and what a look costs."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random  # noqa: TID251 - the judge wants an operator, who is asked nothing here

import httpx
import pytest
from redis.asyncio import Redis

from tests.chaos.creates import lost
from tests.chaos.fleet import Down, Fleet, Kill
from tests.chaos.lives import Api
from tests.chaos.verdict import Judge
from tests.simulator.clock import monotonic
from tests.simulator.journal import Delivery, Request
from tests.simulator.simulator import Simulator
from tests.stores import Store

HOST = "127.0.0.1"
KILL = Kill(at=50, host=HOST, begun=10, buried=55)
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
    outages: list[Down] | None = None,
    kills: list[Kill] | None = None,
    host: str = HOST,
) -> bool:
    one = create(*asked, host=host)
    sent = {HOST: webhooks if webhooks is not None else AFTERWARDS}
    found = lost([*(others or []), one], sent, kills if kills is not None else [KILL], outages or [])
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
    assert is_lost(outages=[Down(21, over)]) is expected


def test_the_store_was_away_before() -> None:
    assert not is_lost(outages=[Down(1, 19)])


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path / "store")
    await store.start()
    yield store
    await store.stop()


class Trial:
    """A judge, and no replicas: what they would have done is done here."""

    def __init__(self, simulator: Simulator, store: Store, redis: Redis, directory: Path) -> None:
        self.simulator = simulator
        self.redis = redis
        self.fleet = Fleet(directory, store, {"BW_TOKEN_URL": simulator.token_url})
        self.judge = Judge(simulator, self.fleet, Api(self.fleet, Random(1)), redis)

    async def create(self) -> str:
        """A session, asked for by replica `a`."""
        async with httpx.AsyncClient() as client:
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
        await self.fleet.addresses[0].bury()
        self.fleet.kills.append(Kill(at, HOST, 0, monotonic()))


@pytest.fixture
async def trial(simulator: Simulator, store: Store, tmp_path: Path) -> AsyncIterator[Trial]:
    async with Redis.from_url(store.url) as redis:
        yield Trial(simulator, store, redis, tmp_path)


async def test_a_leak_is_found(trial: Trial) -> None:
    made = await trial.create()
    assert await trial.judge.leaked() == {made}


async def test_what_was_lost_with_its_replica_is_no_leak(trial: Trial) -> None:
    await trial.create()
    await trial.kill()
    assert await trial.judge.leaked() == set()


async def test_what_is_made_after_the_kill_is_a_leak(trial: Trial) -> None:
    await trial.kill()
    made = await trial.create()
    assert await trial.judge.leaked() == {made}


async def test_what_was_written_down_is_a_leak_whatever_was_killed(trial: Trial) -> None:
    """Also when it was taken out of the store again since, and the store was killed."""
    made = await trial.create()
    await trial.redis.hset("room", "session", f"in {made}")
    await trial.redis.delete("room")
    await trial.kill()
    await trial.fleet.restart_store(away=0)
    assert await trial.judge.leaked() == {made}


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
    assert await trial.judge.leaked() == set()


def test_every_address_is_told_apart(tmp_path: Path) -> None:
    """By the host by which it knows Bandwidth."""
    settings = {"BW_TOKEN_URL": f"http://{HOST}:1/token"}
    hosts = [address.host for address in Fleet(tmp_path, Store(tmp_path), settings).addresses]
    assert hosts == [HOST, "localhost"]


def _storm(calls: int) -> Iterator[float]:
    """Seconds of processor for a look at so many calls, several times."""
    seconds, size = calls / 12, calls * 4
    requests = [create(seconds * n / size, seconds * n / size + 0.03, created=str(n)) for n in range(size)]
    webhooks = [webhook(seconds * n / size, seconds * n / size + 0.05) for n in range(size)]
    lives = calls // 100
    kills = [
        Kill(seconds * (n + 1) / lives, HOST, seconds * n / lives, seconds * (n + 1) / lives)
        for n in range(lives)
    ]
    outages = [Down(seconds * n / lives + 1, seconds * n / lives + 2) for n in range(lives)]
    for _ in range(3):
        begun = time.process_time()
        found = lost(requests, {HOST: webhooks}, kills, outages)
        yield time.process_time() - begun
        assert lives <= len(found) < size


def test_a_look_costs_as_much_as_there_are_calls() -> None:
    few, many = min(_storm(500)), min(_storm(4000))
    assert many < 20 * few, f"{many / few:.1f} times as much for 8 times as many calls"
