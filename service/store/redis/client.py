"""Runs scripts on Redis or Valkey, and turns its client's exceptions into ours."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout

from service.clock import Clock, SystemClock
from service.metrics import Metrics
from service.store.errors import StoreUnavailable
from service.store.redis.address import parse
from service.store.redis.backends import CLIENT_ERRORS, Command, backend_for
from service.store.redis.scripts import Result, Script, Value

CONFIRM_TIMEOUT_MS: Final = 800
"""Milliseconds that replicas have to confirm a write: less than the sockets' timeout."""
UNCONFIRMED: Final = "replicas have confirmed"
"""Of the error that tells of STORE_REPLICAS being more than there are."""
_MARK_TTL_MS: Final = 60_000
"""Milliseconds for which the mark is kept that WAIT waits for."""

_TAG: Final = re.compile(r"\{.+?\}")

Bound = tuple[list[str], list[Value]]


class _MeasuredRun:
    """Measures what is sent inside, and makes what the client library raises ours.

    A class, since a generator with `contextmanager` took longer than all else that is done around a script.
    """

    __slots__ = ("_begun", "_clock", "_metrics", "_operation")

    def __init__(self, operation: str, metrics: Metrics, clock: Clock) -> None:
        self._operation = operation
        self._metrics = metrics
        self._clock = clock

    def __enter__(self) -> None:
        self._begun = self._clock.monotonic()

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self._metrics.store_trip(self._operation, self._clock.monotonic() - self._begun)
        if isinstance(error, CLIENT_ERRORS):
            self._metrics.store_failed(_kind(error))
            raise StoreUnavailable(f"{self._operation}: {type(error).__name__}: {error}") from error


class Client:
    """Runs scripts. Raises StoreUnavailable for whatever the store or the way to it does wrong.

    With `replicas` a write counts when so many replicas have it: what a master alone has is lost with it. One
    that they do not confirm in time is StoreUnavailable like one that was not made, though it may have been;
    scripts can be run again.
    """

    def __init__(
        self, url: str, *, replicas: int = 0, metrics: Metrics | None = None, clock: Clock | None = None
    ) -> None:
        self._backend = backend_for(parse(url))
        self._replicas = replicas
        self._metrics = metrics or Metrics()
        self._clock = clock or SystemClock()

    async def run(self, script: Script, keys: Mapping[str, str], args: Mapping[str, Value]) -> Result:
        bound = script.bind(keys, args)
        with self._measured(script.name):
            return (await self._run_in_slot(script, [bound]))[0]

    async def run_many(
        self, script: Script, each: Sequence[tuple[Mapping[str, str], Mapping[str, Value]]]
    ) -> list[Result]:
        """The script with each of these keys and arguments; not one transaction.

        One round trip, on a cluster one for each partition, side by side.
        """
        bound = [script.bind(keys, args) for keys, args in each]
        places: dict[int, list[int]] = defaultdict(list)
        for n, (names, _) in enumerate(bound):
            places[self._backend.slot(names[0])].append(n)
        results: dict[int, Result] = {}

        async def visit(members: list[int]) -> None:
            found = await self._run_in_slot(script, [bound[n] for n in members])
            results.update(zip(members, found, strict=True))

        with self._measured(script.name):
            done = await asyncio.gather(*map(visit, places.values()), return_exceptions=True)
            for error in done:
                if error is not None:
                    raise error
        return [results[n] for n in range(len(bound))]

    async def ping(self) -> None:
        """Every master answers, and has as many replicas as have to confirm."""
        wait: list[Command] = [("WAIT", self._replicas, CONFIRM_TIMEOUT_MS)] if self._replicas else []
        with self._measured("ping"):
            for answers in await self._backend.send_to_all([("PING",), *wait]):
                _raise_first(answers)
                if wait:
                    self._check(answers[-1])

    async def send_to_masters(self, commands: Sequence[Command]) -> list[list[Result]]:
        """What each master answers to commands that have no key."""
        with self._measured("ask_all"):
            found = await self._backend.send_to_all(commands)
            for answers in found:
                _raise_first(answers)
        return found

    async def close(self) -> None:
        await self._backend.close()

    def _measured(self, operation: str) -> "_MeasuredRun":
        return _MeasuredRun(operation, self._metrics, self._clock)

    async def _run_in_slot(self, script: Script, bound: Sequence[Bound]) -> list[Result]:
        """All to the place of the first."""
        results = await self._send(script, script.by_sha, bound)
        unknown = [n for n, result in enumerate(results) if isinstance(result, NoScriptError)]
        if unknown:
            # A fresh or restarted server; EVAL also makes it remember the script.
            again = await self._send(script, script.by_source, [bound[n] for n in unknown])
            for n, result in zip(unknown, again, strict=True):
                results[n] = result
        _raise_first(results)
        return results

    async def _send(self, script: Script, how: tuple[str, str], bound: Sequence[Bound]) -> list[Result]:
        commands: list[Command] = [(*how, len(names), *names, *values) for names, values in bound]
        key = bound[0][0][0]
        if script.is_read_only or not self._replicas:
            return await self._backend.send(key, commands)
        # WAIT waits for what this connection has written last. A script that runs again, since the first time
        # was not confirmed, may write nothing; the mark makes WAIT wait for all that was written before.
        mark = (_TAG.search(key) or [key])[0] + ":confirmed"
        commands += [("SET", mark, 1, "PX", _MARK_TTL_MS), ("WAIT", self._replicas, CONFIRM_TIMEOUT_MS)]
        *results, marked, confirmed = await self._backend.send(key, commands)
        if not any(isinstance(result, Exception) for result in results):
            _raise_first([marked, confirmed])
            self._check(confirmed)
        return results

    def _check(self, confirmed: int) -> None:
        if confirmed < self._replicas:
            raise TimeoutError(f"{confirmed} of {self._replicas} {UNCONFIRMED}")


def _raise_first(results: Sequence[Result]) -> None:
    for result in results:
        if isinstance(result, Exception):
            raise result


def _kind(error: BaseException) -> str:
    if isinstance(error, TimeoutError | RedisTimeout):
        return "timeout"
    return "answer" if isinstance(error, ResponseError) else "connection"
