"""Reports of replicas: read together, small, and forgotten by themselves."""

import pytest
from redis.asyncio import Redis

from service.metrics import BREAKERS
from service.store import keys
from service.store.redis.client import Client
from service.store.replicas import LARGEST, REPORT_TTL, ReplicaReport, Replicas, encode_report

FULL = ReplicaReport(
    id="0123abcd",
    at=1_796_000_000.123,
    host="bridge-1",
    version="1.0.0",
    started=1_795_000_000.123,
    open_breakers=("voice/creates", "voice/clean-up", "voice/questions", "webrtc/creates", "webrtc/clean-up"),
    has_token=True,
    token_age=3599.9,
    succeeded={"voice": 1_796_000_000.123, "webrtc": 1_796_000_000.123, "token": 1_796_000_000.123},
    webhooks=10**12,
    refused=10**12,
    refused_at=1_796_000_000.123,
    refused_by={"192.0.2.1": 10**12},
    misaddressed=10**12,
    misaddressed_at=1_796_000_000.123,
    draining=True,
    unreachable_apis=("voice", "webrtc"),
    on_standby=True,
    clock_offset=-86_399.9,
)


@pytest.fixture
def replicas(client: Client) -> Replicas:
    return Replicas(client)


async def test_all_are_read_the_oldest_first(replicas: Replicas) -> None:
    younger = ReplicaReport(id="b", at=2, started=2)
    await replicas.write(younger)
    await replicas.write(FULL)
    await replicas.write(ReplicaReport(id="a", at=1, started=1))
    assert [one.id for one in await replicas.read()] == ["a", "b", FULL.id]
    assert (await replicas.read())[-1] == FULL
    await replicas.write(ReplicaReport(id="b", at=3, started=2, draining=True))
    assert (await replicas.read())[1].draining, "what it said last"


async def test_one_that_ends_is_forgotten_at_once(replicas: Replicas, redis: Redis) -> None:
    await replicas.write(FULL)
    await replicas.drop(FULL.id)
    assert await replicas.read() == []
    assert await redis.keys() == [keys.clock().encode()]


async def test_one_that_dies_is_forgotten_by_itself(replicas: Replicas, redis: Redis) -> None:
    await replicas.write(FULL)
    for key in (keys.replica(FULL.id), keys.replicas()):
        assert 0 < await redis.pttl(key) <= REPORT_TTL * 1000
    await redis.delete(keys.replica(FULL.id))
    assert await replicas.read() == []
    await redis.zadd(keys.replicas(), {FULL.id: 1})
    await replicas.write(ReplicaReport(id="b", at=1))
    assert await redis.zrange(keys.replicas(), 0, -1) == [b"b"], "and so is its name"


async def test_one_that_cannot_be_read_hides_no_other(replicas: Replicas, redis: Redis) -> None:
    await replicas.write(FULL)
    await replicas.write(ReplicaReport(id="b", at=1))
    await redis.set(keys.replica("b"), "{")
    assert await replicas.read() == [FULL]
    await redis.set(keys.replica("b"), '{"id":"b","at":1,"news":[1]}')
    assert await replicas.read() == [ReplicaReport(id="b", at=1), FULL], "of a newer release"


@pytest.mark.parametrize("char", ["a", "\\", '"', "\n", "\x00", "\u00e9", "\U0001f600"])
def test_no_report_is_larger_whatever_is_in_it(char: str) -> None:
    long = char * 10_000
    hostile = {f"{n}{long}": 10**12 for n in range(1000)}
    report = ReplicaReport(
        **{
            **{name: getattr(FULL, name) for name in FULL.__struct_fields__},
            "host": long,
            "version": long,
            "open_breakers": tuple("/".join(one) for one in BREAKERS),
            "refused_by": hostile,
        }
    )
    assert 500 < len(encode_report(report)) <= LARGEST
