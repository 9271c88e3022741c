"""Wrong PINs of the last hour, of each caller and on each number of ours, for all replicas."""

import hashlib
import hmac
from typing import Final

from service.calls.pin_guessing import ON_NUMBER, Guesses
from service.store import keys
from service.store.redis.client import Client
from service.store.redis.scripts import Script, Value

_COUNT: Final = Script("pin_wrong")
_READ: Final = Script("pin_wrongs")
_HOUR: Final = 3_600_000
"""Milliseconds; they are forgotten an hour after the first of them."""


class WrongPins:
    """Numbers are kept as keyed hashes. Raises StoreUnavailable."""

    def __init__(self, client: Client, secret: bytes) -> None:
        self._client = client
        self._secret = secret

    async def count(self, once: str, *, caller: str, number: str) -> Guesses:
        """One more by this caller (empty for one without a number) on this number. `once` names it."""
        names = self._names(caller, number)
        digest = hashlib.sha256(once.encode()).hexdigest()[:16]
        args: dict[str, Value] = {"once": digest, "most": ON_NUMBER, "hour": _HOUR}
        return _guesses(await self._client.run_many(_COUNT, [({"wrong": name}, args) for name in names]))

    async def read(self, *, caller: str, number: str) -> Guesses:
        names = self._names(caller, number)
        return _guesses(await self._client.run_many(_READ, [({"wrong": name}, {}) for name in names]))

    def _names(self, caller: str, number: str) -> list[str]:
        whose = [f"number:{number}", *([f"caller:{caller}"] if caller else [])]
        return [
            keys.wrong_pins(hmac.digest(self._secret, one.encode(), "sha256").hex()[:32]) for one in whose
        ]


def _guesses(counted: list[int]) -> Guesses:
    on_number, *by_caller = counted
    return Guesses(on_number=on_number, by_caller=by_caller[0] if by_caller else 0)
