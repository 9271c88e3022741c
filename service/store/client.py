"""The connection to Redis or Valkey, and the one place where its client's exceptions become ours."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.connection import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import NoScriptError, RedisError

from service.store.errors import StoreUnavailable
from service.store.scripts import Result, Script, Value

TIMEOUT: Final = 3.0
"""Seconds for one script with its retries: a webhook that meets a dead store must still be answered."""
_SOCKET_TIMEOUT: Final = 1.0
_CONNECTIONS: Final = 64


class Client:
    """Runs scripts. Raises StoreUnavailable for whatever the store or the way to it does wrong."""

    def __init__(self, url: str) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=TIMEOUT,
            socket_timeout=_SOCKET_TIMEOUT,
            socket_connect_timeout=_SOCKET_TIMEOUT,
            retry=Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.3), 2),
            health_check_interval=15,
            client_name="pstn-bridge",
        )
        self._redis = Redis(connection_pool=pool)

    async def run(self, script: Script, keys: Mapping[str, str], args: Mapping[str, Value]) -> Result:
        names, values = script.bind(keys, args)
        async with _ours(script.name):
            try:
                return await self._redis.evalsha(script.sha, len(names), *names, *values)
            except NoScriptError:
                # A fresh or restarted server; EVAL also makes it remember the script.
                return await self._redis.eval(script.source, len(names), *names, *values)

    async def run_many(
        self, script: Script, each: Sequence[tuple[Mapping[str, str], Mapping[str, Value]]]
    ) -> list[Result]:
        """The script with each of these keys and arguments, in one round trip; not one transaction."""
        bound = [script.bind(keys, args) for keys, args in each]
        async with _ours(script.name):
            results = await self._send("EVALSHA", script.sha, bound)
            unknown = [n for n, result in enumerate(results) if isinstance(result, NoScriptError)]
            again = await self._send("EVAL", script.source, [bound[n] for n in unknown])
            for n, result in zip(unknown, again, strict=True):
                results[n] = result
            for result in results:
                if isinstance(result, Exception):
                    raise result
            return results

    async def _send(
        self, command: str, script: str, bound: Sequence[tuple[list[str], list[Value]]]
    ) -> list[Result]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for names, values in bound:
                pipe.execute_command(command, script, len(names), *names, *values)
            return await pipe.execute(raise_on_error=False)

    async def ping(self) -> None:
        async with _ours("ping"):
            await self._redis.ping()

    async def close(self) -> None:
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()


@asynccontextmanager
async def _ours(operation: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(TIMEOUT):
            yield
    except (RedisError, OSError, TimeoutError, RuntimeError, TypeError) as error:
        # RuntimeError and TypeError leak from the client while a server goes away under it.
        raise StoreUnavailable(f"{operation}: {type(error).__name__}: {error}") from error
