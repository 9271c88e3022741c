"""Stores whether new calls are taken, for all replicas."""

from typing import Final

import msgspec

from service.store import keys
from service.store.errors import StoreCorrupt
from service.store.redis.client import Client
from service.store.redis.scripts import Script

_GET: Final = Script("get")
_PUT: Final = Script("put")


class PauseState(msgspec.Struct, frozen=True):
    """No new calls are taken."""

    since: float
    """Seconds since the epoch."""
    message: str = ""
    """What callers are told; empty for words of ours."""


_decode: Final = msgspec.json.Decoder(PauseState).decode


class PauseSwitch:
    """It stays as it is set, however long that is. Raises StoreUnavailable."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self) -> PauseState | None:
        """None while calls are taken. Raises StoreCorrupt."""
        value = await self._client.run(_GET, {"value": keys.paused()}, {})
        try:
            return None if value is None else _decode(value)
        except msgspec.DecodeError as error:
            raise StoreCorrupt(f"whether new calls are taken: {error}") from error

    async def set(self, paused: PauseState | None) -> None:
        """None has calls taken again."""
        value = b"" if paused is None else msgspec.json.encode(paused)
        await self._client.run(_PUT, {"value": keys.paused()}, {"text": value})
