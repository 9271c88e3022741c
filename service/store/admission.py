"""Who may place a call: asked twice it is one call, and each API key has so many in an hour."""

from typing import Final

import msgspec

from service.store import keys
from service.store.client import Client
from service.store.scripts import Script

_ADMIT: Final = Script("admit")
_FORGET: Final = Script("admit_forget")

_REMEMBERED: Final = 24 * 3_600_000
"""Milliseconds for which an idempotency key is known."""


class Admitted(msgspec.Struct, frozen=True):
    ref: str
    fresh: bool
    """Whether the call is to be placed; else it has been asked for before, and `ref` is its ref."""


class Mismatch(msgspec.Struct, frozen=True):
    """Something else has been asked for under this idempotency key."""


class TooMany(msgspec.Struct, frozen=True):
    retry_after: float
    """Seconds until one of those that are counted is an hour old."""


class Admission:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def admit(
        self, *, api_key: str, once: str, digest: str, ref: str, per_hour: int, now: float
    ) -> Admitted | Mismatch | TooMany:
        """May `api_key`, by its name, place the call `ref`? `ref` is new for each request.

        `once` is the idempotency key, empty without one; `digest` says what is asked for under it. Calls of
        the last 60 minutes are counted, whenever those began.
        """
        answer, known = await self._client.run(
            _ADMIT,
            {"once": keys.once(api_key, once), "placed": keys.placed(api_key)},
            {
                "idempotent": int(bool(once)),
                "digest": digest,
                "ref": ref,
                "per_hour": per_hour,
                "once_ttl": _REMEMBERED,
                "now": int(now * 1000),
            },
        )
        if answer == b"mismatch":
            return Mismatch()
        if answer == b"many":
            return TooMany(float(known) / 1000)
        return Admitted(known.decode(), fresh=answer == b"new")

    async def forget(self, *, api_key: str, once: str, ref: str) -> None:
        """The call `ref` certainly never was: it is not counted, and may be asked for again."""
        names = {"once": keys.once(api_key, once), "placed": keys.placed(api_key)}
        await self._client.run(_FORGET, names, {"ref": ref})
