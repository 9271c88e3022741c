"""What a call that is up takes of the store: counted by the server itself, with the room it is alone in."""

from redis.asyncio import Redis

from tests.harness import serving
from tests.simulator.simulator import Simulator

CALLS = 12
MOST = 2_900
"""Bytes of its keys, as the server counts them: Valkey 9.1 some 2,530; Redis 7.0, which allots larger steps,
2,860. What many calls share comes on top, and the tables of keys (docs/performance.md)."""
SHARED = (b"news", b"agenda", b"calls", b"live", b"standing", b"marker", b"clock", b"searched", b"replicas")


async def test_a_held_call_is_small(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with serving(simulator, store_url):
        phones = [await simulator.dial() for _ in range(CALLS)]
        for phone in phones:
            await phone.until("bridged")
        keys = [key async for key in redis.scan_iter() if key.rpartition(b":")[2] not in SHARED]
        kept = [key for key in keys if b":replica:" not in key]
        used = sum([await redis.memory_usage(key, samples=0) or 0 for key in kept])
        assert used / CALLS < MOST
        for phone in phones:
            await phone.hang_up()
        await simulator.settled()
