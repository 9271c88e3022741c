"""A client whose every reply is lost once, so that it sends each script again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from redis.asyncio import Redis

from service.store.redis.client import Client
from service.store.redis.scripts import Result, Script, Value

FORGETFUL: Final = {"room_vacate", "room_configure"}
"""Sent again they answer that there is nothing to do; whoever asks must be able to go on from that too."""


class RepeatingClient(Client):
    """Fails where a script leaves something else behind when it runs twice."""

    def __init__(self, url: str, redis: Redis) -> None:
        super().__init__(url)
        self._look = redis
        self._turn = asyncio.Lock()

    async def run(self, script: Script, keys: Mapping[str, str], args: Mapping[str, Value]) -> Result:
        async with self._turn:
            first = await super().run(script, keys, args)
            before = await contents(self._look)
            second = await super().run(script, keys, args)
            assert await contents(self._look) == before, f"{script.name} is not safe to run twice"
        return first if script.name in FORGETFUL else second


async def contents(redis: Redis) -> dict[str, Any]:
    """Everything in the store."""
    read: dict[Any, Callable[[Any], Awaitable[Any]]] = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"set": redis.smembers,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"stream": redis.xrange,
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
    }
    names: list[Any] = await redis.keys()
    return {key.decode(): await read[await redis.type(key)](key) for key in names}
