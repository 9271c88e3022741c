"""Counts the wrong PINs of the last hour, for each caller and each number, for all replicas."""

import hashlib
import hmac
from typing import Final

from service.calls.pin_guessing import NUMBER_LIMIT, WrongPinCounts
from service.store import keys
from service.store.redis.client import Client
from service.store.redis.scripts import Script, Value

_COUNT: Final = Script("pin_wrong")
_READ: Final = Script("pin_wrongs")
_HOUR_MS: Final = 3_600_000
"""Milliseconds; they are forgotten an hour after the first of them."""


class WrongPins:
    """Numbers are kept as keyed hashes. Raises StoreUnavailable."""

    def __init__(self, client: Client, secret: bytes) -> None:
        self._client = client
        self._secret = secret

    async def count(self, request_key: str, *, caller: str, number: str) -> WrongPinCounts:
        """One more by this caller (empty for one without a number) on this number. `request_key` names it."""
        names = self._names(caller, number)
        digest = hashlib.sha256(request_key.encode()).hexdigest()[:16]
        args: dict[str, Value] = {"once": digest, "most": NUMBER_LIMIT, "hour": _HOUR_MS}
        return _guesses(await self._client.run_many(_COUNT, [({"wrong": name}, args) for name in names]))

    async def read(self, *, caller: str, number: str) -> WrongPinCounts:
        names = self._names(caller, number)
        return _guesses(await self._client.run_many(_READ, [({"wrong": name}, {}) for name in names]))

    def _names(self, caller: str, number: str) -> list[str]:
        whose = [f"number:{number}", *([f"caller:{caller}"] if caller else [])]
        return [
            keys.wrong_pins(hmac.digest(self._secret, one.encode(), "sha256").hex()[:32]) for one in whose
        ]


def _guesses(counted: list[int]) -> WrongPinCounts:
    on_number, *by_caller = counted
    return WrongPinCounts(on_number=on_number, by_caller=by_caller[0] if by_caller else 0)
