"""Keeps idempotency keys, and the hourly quota of outbound calls of each API key and its visitors."""

from typing import Final

import msgspec

from service.store import keys
from service.store.redis.client import Client
from service.store.redis.scripts import Script
from service.store.script_values import ms

_ADMIT: Final = Script("admit")
_FORGET: Final = Script("admit_forget")

_VISITORS: Final = "visitors"
_IDEMPOTENCY_TTL_MS: Final = 24 * 3_600_000
"""Milliseconds for which an idempotency key is known."""


class QuotaRequest(msgspec.Struct, frozen=True):
    """Who orders a call, and when (seconds since the epoch)."""

    api_key: str
    """Its name."""
    now: float
    idempotency_key: str = ""
    """An idempotency key; empty without one."""
    visit: str = ""
    """Of a visitor, who orders in the name of the key; empty for whoever has the key."""


class QuotaGranted(msgspec.Struct, frozen=True):
    ref: str
    is_new: bool
    """Whether the call is to be placed; else it has been asked for before, and `ref` is its ref."""


class IdempotencyMismatch(msgspec.Struct, frozen=True):
    """Something else has been asked for under this idempotency key."""


class QuotaExceeded(msgspec.Struct, frozen=True):
    retry_after: float
    """Seconds until one of those that are counted is an hour old."""
    limit: int
    """Calls of the key in an hour."""


class OutboundQuota:
    """`per_hour`: calls that one API key may place, half of them its visitors.

    A visit may place half of what is the visitors', and what it has tried counts for it whatever came of it:
    one browser takes neither everybody's calls nor has Bandwidth asked without end.
    """

    def __init__(self, client: Client, *, per_hour: int) -> None:
        self._client = client
        self._per_hour = per_hour

    async def claim(
        self, request: QuotaRequest, *, digest: str, ref: str
    ) -> QuotaGranted | IdempotencyMismatch | QuotaExceeded:
        """Whether the call `ref`, which is new for each request, may be placed.

        `digest` says what is asked for under the idempotency key. Calls of the last 60 minutes are counted,
        whenever those began.
        """
        visitors = self._per_hour // 2
        answer, known = await self._client.run(
            _ADMIT,
            {
                "once": keys.idempotency_key(request.api_key, request.idempotency_key),
                "placed": keys.placed(request.api_key),
                "visitors": keys.placed(request.api_key, _VISITORS if request.visit else ""),
                "visit": keys.placed(request.api_key, request.visit and f"visit {request.visit}"),
            },
            {
                "idempotent": int(bool(request.idempotency_key)),
                "digest": digest,
                "ref": ref,
                "per_hour": self._per_hour,
                "for_visitors": visitors if request.visit else self._per_hour,
                "for_visit": (visitors + 1) // 2 if request.visit else self._per_hour,
                "once_ttl": _IDEMPOTENCY_TTL_MS,
                "now": ms(request.now),
            },
        )
        if answer == b"mismatch":
            return IdempotencyMismatch()
        if answer == b"many":
            return QuotaExceeded(float(known) / 1000, self._per_hour)
        return QuotaGranted(known.decode(), is_new=answer == b"new")

    async def release(self, request: QuotaRequest, *, ref: str) -> None:
        """The call `ref` certainly never was: it is given back, and may be asked for again."""
        await self._client.run(
            _FORGET,
            {
                "once": keys.idempotency_key(request.api_key, request.idempotency_key),
                "placed": keys.placed(request.api_key),
                "visitors": keys.placed(request.api_key, _VISITORS),
            },
            {"ref": ref},
        )
