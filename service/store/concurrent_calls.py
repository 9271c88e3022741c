"""Counts the ordered calls that are up at once, for each API key, its visitors, and all keys together.

Nobody has to tell when a call is over, so that nothing is lost with a replica that dies. Where no more fit,
those that are counted are looked at, and what is over makes room.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from service.calls.model import Call, Direction, Intent
from service.store import keys
from service.store.call_index import LIVE_TTL_MS, CallIndex
from service.store.redis.client import Client
from service.store.redis.scripts import Script, Value
from service.store.script_values import ms, pairs

_TAKE: Final = Script("up_take")
_READ: Final = Script("up_read")
_LOOKED: Final = Script("up_looked")

_AT_ONCE: Final = 1_000
"""Calls that one order looks at; the next order goes on with others."""
_GRACE_MS: Final = 10_000
"""Milliseconds in which an order that was let through is written down."""
_TRANSFER: Final = "/transfer"
"""Behind the ref of a call that was sent to another number: to the telephone bill that is one more."""


class ConcurrencyScope(StrEnum):
    """Whose calls they are that are as many as may be."""

    VISITORS = "visitors"
    """Those who order in the name of the key."""
    KEY = "key"
    ALL = "all"


def transfer_name(ref: str) -> str:
    """The name under which it is counted that this call was sent to another number."""
    return ref + _TRANSFER


class ConcurrentCalls:
    """Raises StoreError."""

    def __init__(self, client: Client, calls: CallIndex, now: Callable[[], float]) -> None:
        self._client = client
        self._calls = calls
        self._now = now

    async def claim(
        self, name: str, *, api_key: str, limits: Mapping[ConcurrencyScope, int]
    ) -> ConcurrencyScope | None:
        """Count `name`, a ref or `transfer_name` one, for each of `limits`; or say which is met.

        What is refused stays counted for the others until somebody looks, and it is over: taken out here, it
        might be what another order, to the same call, has been let through by.
        """
        counted = _keys_of(api_key)
        for full, limit in limits.items():
            if not await self._claim_one(counted[full], name, limit):
                return full
        return None

    async def _claim_one(self, up: str, name: str, limit: int) -> bool:
        if await self._add_if_below(up, name, limit):
            return True
        return await self._drop_ended(up) and await self._add_if_below(up, name, limit)

    async def _add_if_below(self, up: str, name: str, limit: int) -> bool:
        args: dict[str, Value] = {"name": name, "limit": limit, "now": self._now_ms, "ttl": LIVE_TTL_MS}
        return bool(await self._client.run(_TAKE, {"up": up}, args))

    async def _drop_ended(self, up: str) -> bool:
        """Whether any of those that are counted are over."""
        read = await self._client.run(_READ, {"up": up}, {"most": _AT_ONCE})
        counted = {name.decode(): float(at) for name, at in pairs(read)}
        found = await self._calls.read_many(
            list(dict.fromkeys(name.removesuffix(_TRANSFER) for name in counted))
        )
        calls = {call.ref: call for call in found}
        began = self._now_ms - _GRACE_MS
        over, live = [], []
        for name, at in counted.items():
            call = calls.get(name.removesuffix(_TRANSFER))
            if _is_live(name, call):
                live.append(name)
            elif at < began or (call is not None and not call.live):
                over.append(name)
        await self._write_back(up, over=over, live=live)
        return bool(over)

    async def _write_back(self, up: str, *, over: list[str], live: list[str] | None = None) -> None:
        args: dict[str, Value] = {"over": " ".join(over), "live": " ".join(live or ()), "now": self._now_ms}
        await self._client.run(_LOOKED, {"up": up}, args)

    @property
    def _now_ms(self) -> int:
        return ms(self._now())


def _keys_of(api_key: str) -> dict[ConcurrencyScope, str]:
    visitors = keys.concurrent_calls(api_key, ConcurrencyScope.VISITORS)
    return {
        ConcurrencyScope.VISITORS: visitors,
        ConcurrencyScope.KEY: keys.concurrent_calls(api_key),
        ConcurrencyScope.ALL: keys.all_concurrent_calls(),
    }


def _is_live(name: str, call: Call | None) -> bool:
    if call is None or not call.live:
        return False
    return call.direction is Direction.OUTBOUND if name == call.ref else call.intent is Intent.TRANSFER
