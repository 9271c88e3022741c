"""How many ordered calls are up at once: of each API key, of its visitors, and of all keys together.

Nobody has to tell when a call is over, so that nothing is lost with a replica that dies. Where no more fit,
those that are counted are looked at, and what is over makes room.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from service.calls.model import Call, Direction, Intent
from service.store import keys
from service.store.call_index import LIVE, CallIndex
from service.store.redis.client import Client
from service.store.redis.scripts import Script, Value

_TAKE: Final = Script("up_take")
_READ: Final = Script("up_read")
_LOOKED: Final = Script("up_looked")

_AT_ONCE: Final = 1_000
"""Calls that one order looks at; the next order goes on with others."""
_UNDER_WAY: Final = 10_000
"""Milliseconds in which an order that was let through is written down."""
_TRANSFER: Final = "/transfer"
"""Behind the ref of a call that was sent to another number: to the telephone bill that is one more."""


class Full(StrEnum):
    """Whose calls they are that are as many as may be."""

    VISITORS = "visitors"
    """Those who order in the name of the key."""
    KEY = "key"
    ALL = "all"


def transfer_of(ref: str) -> str:
    """The name under which it is counted that this call was sent to another number."""
    return ref + _TRANSFER


class CallsUp:
    """Raises StoreError."""

    def __init__(self, client: Client, calls: CallIndex, now: Callable[[], float]) -> None:
        self._client = client
        self._calls = calls
        self._now = now

    async def take(self, name: str, *, api_key: str, limits: Mapping[Full, int]) -> Full | None:
        """Count `name`, a ref or `transfer_of` one, for each of `limits`; or say which is met.

        What is refused stays counted for the others until somebody looks, and it is over: taken out here, it
        might be what another order, to the same call, has been let through by.
        """
        counted = _counted(api_key)
        for full, limit in limits.items():
            if not await self._take(counted[full], name, limit):
                return full
        return None

    async def _take(self, up: str, name: str, limit: int) -> bool:
        if await self._fits(up, name, limit):
            return True
        return await self._made_room(up) and await self._fits(up, name, limit)

    async def _fits(self, up: str, name: str, limit: int) -> bool:
        args: dict[str, Value] = {"name": name, "limit": limit, "now": self._ms, "ttl": LIVE}
        return bool(await self._client.run(_TAKE, {"up": up}, args))

    async def _made_room(self, up: str) -> bool:
        """Whether any of those that are counted are over."""
        read = await self._client.run(_READ, {"up": up}, {"most": _AT_ONCE})
        counted = {name.decode(): float(at) for name, at in zip(read[::2], read[1::2], strict=True)}
        found = await self._calls.several(
            list(dict.fromkeys(name.removesuffix(_TRANSFER) for name in counted))
        )
        calls = {call.ref: call for call in found}
        began = self._ms - _UNDER_WAY
        over, live = [], []
        for name, at in counted.items():
            call = calls.get(name.removesuffix(_TRANSFER))
            if _is_up(name, call):
                live.append(name)
            elif at < began or (call is not None and not call.live):
                over.append(name)
        await self._looked(up, over=over, live=live)
        return bool(over)

    async def _looked(self, up: str, *, over: list[str], live: list[str] | None = None) -> None:
        args: dict[str, Value] = {"over": " ".join(over), "live": " ".join(live or ()), "now": self._ms}
        await self._client.run(_LOOKED, {"up": up}, args)

    @property
    def _ms(self) -> int:
        return int(self._now() * 1000)


def _counted(api_key: str) -> dict[Full, str]:
    visitors = keys.up(api_key, Full.VISITORS)
    return {Full.VISITORS: visitors, Full.KEY: keys.up(api_key), Full.ALL: keys.up_all()}


def _is_up(name: str, call: Call | None) -> bool:
    if call is None or not call.live:
        return False
    return call.direction is Direction.OUTBOUND if name == call.ref else call.intent is Intent.ELSEWHERE
