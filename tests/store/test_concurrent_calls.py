"""How many calls are up at once, of a key and of all."""

import asyncio

import pytest
from redis.asyncio import Redis

from service.calls.model import Call, Direction, Intent, Phone
from service.store.concurrent_calls import ConcurrencyScope, ConcurrentCalls, transfer_name
from service.store.redis.client import Client

NOW = 1_700_000_000.0
LATER = 60.0
"""Seconds in which an order is written down, and more."""


class KnownCalls:
    """The calls that are written down, and how many of them were looked at."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}
        self.looked = 0

    async def read_many(self, refs: list[str]) -> list[Call]:
        self.looked += len(refs)
        return [self.calls[ref] for ref in refs if ref in self.calls]

    def write(self, ref: str, *, live: bool = True, **more: object) -> None:
        usual = {"direction": Direction.OUTBOUND, "phone": Phone.UP if live else Phone.GONE}
        self.calls[ref] = Call(ref=ref, call_id="", room="r", created_at=NOW, **(usual | more))  # type: ignore[arg-type]


class Bench:
    def __init__(self, client: Client) -> None:
        self.known = KnownCalls()
        self.now = NOW
        self._up = ConcurrentCalls(client, self.known, lambda: self.now)  # type: ignore[arg-type] # what is used of it

    async def take(
        self, name: str, *, api_key: str = "shop", of_key: int = 2, of_all: int = 4, of_visitors: int = 0
    ) -> ConcurrencyScope | None:
        """`of_visitors`: of whoever orders in the name of the key; 0 for an order of the key itself."""
        limits = {ConcurrencyScope.VISITORS: of_visitors} if of_visitors else {}
        limits |= {ConcurrencyScope.KEY: of_key, ConcurrencyScope.ALL: of_all}
        return await self._up.claim(name, api_key=api_key, limits=limits)


@pytest.fixture
def bench(repeating: Client) -> Bench:
    return Bench(repeating)


async def test_so_many_of_a_key(bench: Bench) -> None:
    for ref in ("r1", "r2"):
        bench.known.write(ref)
        assert await bench.take(ref) is None
    assert bench.known.looked == 0, "nobody is looked at while there is room"
    bench.now += LATER
    assert await bench.take("r3") is ConcurrencyScope.KEY
    assert await bench.take("r1") is None, "it is one of them"
    assert await bench.take("r3", api_key="desk") is None


async def test_so_many_of_a_keys_visitors(bench: Bench) -> None:
    for ref in ("r1", "r2", "r3"):
        bench.known.write(ref)
    assert await bench.take("r1", of_visitors=1) is None
    assert await bench.take("r2", of_visitors=1) is ConcurrencyScope.VISITORS
    assert await bench.take("r2", api_key="desk", of_visitors=1) is None, "those of another key"
    assert await bench.take("r3") is None, "what is left to the key, which r2 has not taken"
    assert await bench.take("r4") is ConcurrencyScope.KEY, "the visitors' is one of the key's"
    bench.known.write("r1", live=False)
    assert await bench.take("r4", of_visitors=1) is None


async def test_what_is_refused_is_counted_for_nobody_once_it_is_over(bench: Bench) -> None:
    for ref in ("r1", "r2", "r3"):
        bench.known.write(ref)
    for ref in ("r1", "r2"):
        assert await bench.take(ref) is None
    assert await bench.take("r3", of_visitors=1) is ConcurrencyScope.KEY
    for ref in ("r1", "r3"):
        bench.known.write(ref, live=False)
    bench.known.write("r4")
    assert await bench.take("r4", of_visitors=1) is None


async def test_one_of_two_transfers_of_a_call_does_not_uncount_the_other(bench: Bench) -> None:
    """The first is refused by all, and the second let through before the first is told."""
    bench.known.write("r1", intent=Intent.TRANSFER)
    assert await bench.take(transfer_name("r1"), of_key=1, of_all=0) is ConcurrencyScope.ALL
    assert await bench.take("r2", of_key=1) is ConcurrencyScope.KEY


async def test_so_many_of_all(bench: Bench) -> None:
    for ref, key in (("r1", "a"), ("r2", "b")):
        bench.known.write(ref)
        assert await bench.take(ref, api_key=key, of_all=2) is None
    for _ in range(3):
        assert await bench.take("r3", api_key="c", of_key=1, of_all=2) is ConcurrencyScope.ALL
    bench.known.write("r1", live=False)
    assert await bench.take("r3", api_key="c", of_key=1, of_all=2) is None


async def test_what_is_over_makes_room(bench: Bench) -> None:
    for ref in ("r1", "r2"):
        bench.known.write(ref)
        await bench.take(ref)
    bench.known.write("r1", live=False)
    assert await bench.take("r3") is None
    assert await bench.take("r4") is ConcurrencyScope.KEY


async def test_what_was_never_written_down_makes_room_a_little_later(bench: Bench) -> None:
    for ref in ("r1", "r2"):
        await bench.take(ref)
    assert await bench.take("r3") is ConcurrencyScope.KEY, "they may be written down in this moment"
    bench.now += LATER
    assert await bench.take("r3") is None


async def test_a_transfer_counts_for_as_long_as_the_phone_is_elsewhere(bench: Bench) -> None:
    bench.known.write("r1", intent=Intent.TRANSFER)
    bench.known.write("r2", direction=Direction.INBOUND, intent=Intent.TRANSFER)
    for name in ("r1", transfer_name("r1"), transfer_name("r2")):
        assert await bench.take(name, of_key=3) is None
    bench.now += LATER
    assert await bench.take("r4", of_key=3) is ConcurrencyScope.KEY
    bench.known.write("r1")
    bench.now += LATER
    assert await bench.take("r4", of_key=3) is None
    assert await bench.take("r5", of_key=3) is ConcurrencyScope.KEY, "the call itself is up"


async def test_a_transfer_that_was_refused_counts_for_seconds(bench: Bench) -> None:
    """And not until the call is over: nobody has to tell."""
    bench.known.write("r1")
    for name in ("r1", transfer_name("r1")):
        assert await bench.take(name) is None
    assert await bench.take("r2") is ConcurrencyScope.KEY
    bench.now += LATER
    assert await bench.take("r2") is None


async def test_a_key_that_is_refused_does_not_uncount_what_another_has_sent_away(bench: Bench) -> None:
    bench.known.write("r1", direction=Direction.INBOUND, intent=Intent.TRANSFER)
    bench.known.write("r2")
    assert await bench.take(transfer_name("r1"), of_all=2) is None
    assert await bench.take("r2", api_key="desk", of_key=1, of_all=2) is None
    assert await bench.take(transfer_name("r1"), api_key="desk", of_key=1, of_all=2) is ConcurrencyScope.KEY
    bench.known.write("r3")
    assert await bench.take("r3", of_all=2) is ConcurrencyScope.ALL


async def test_many_at_once(client: Client, redis: Redis) -> None:
    bench = Bench(client)
    found = await asyncio.gather(*(bench.take(f"r{n}", of_key=3) for n in range(9)))
    assert found.count(None) == 3
    names = [key async for key in redis.scan_iter("*up*")]
    assert [await redis.zcard(name) for name in names] == [3, 3]
    assert all([await redis.ttl(name) > 0 for name in names])


async def test_of_very_many_some_are_looked_at(client: Client) -> None:
    """An order costs so much and no more; the next goes on with those that it left."""
    bench = Bench(client)
    for n in range(1100):
        bench.known.write(f"r{n:04}", live=n < 1000)
        await bench.take(f"r{n:04}", of_key=1100, of_all=2200)
        bench.now += 0.001
    bench.now += LATER
    assert await bench.take("one more", of_key=1100, of_all=2200) is ConcurrencyScope.KEY
    assert bench.known.looked == 1000
    assert await bench.take("one more", of_key=1100, of_all=2200) is None
