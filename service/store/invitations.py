"""Which invitations have been used."""

from typing import Final

from service.store import keys
from service.store.client import Client
from service.store.scripts import Script

_USE: Final = Script("invitation_use")
_GET: Final = Script("get")
_SLACK: Final = 60.0
"""Seconds by which a replica's clock may be behind."""


class UsedInvitations:
    """Marks last until an invitation has expired. Raises StoreUnavailable."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def use(self, room: str, invitation: str, *, visit: str, left: float) -> bool:
        """Have it become this visit; False when it is another. `left`: seconds that it is good for."""
        return bool(
            await self._client.run(
                _USE,
                {"used": keys.used_invitation(room, invitation)},
                {"visit": visit, "ttl": int((left + _SLACK) * 1000)},
            )
        )

    async def is_used(self, room: str, invitation: str) -> bool:
        return await self._client.run(_GET, {"value": keys.used_invitation(room, invitation)}, {}) is not None
