"""Grants replicas that cannot reach Bandwidth to stand aside, never to more than half of them."""

from collections.abc import Sequence
from typing import Final

from service.store import keys
from service.store.redis.client import Client
from service.store.redis.scripts import Script
from service.store.replicas import MAX_REPLICAS
from service.store.script_values import ms

_RENEW: Final = Script("standby_renew")
_RELEASE: Final = Script("standby_release")

LEASE: Final = 15.0
"""Seconds for which one stands aside that is not heard of again."""
REPORT_MAX_AGE: Final = 10.0
"""Seconds for which what another replica has told of itself is believed."""


class StandbyLeases:
    """Raises StoreUnavailable."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def renew(self, id_: str, unreachable_apis: Sequence[str]) -> bool:
        """Whether the replica may stand aside from now on; where not, it holds nothing any more.

        `unreachable_apis`: those that it cannot reach.
        """
        granted = await self._client.run(
            _RENEW,
            {"standing": keys.standby(), "replicas": keys.replicas()},
            {
                "id": id_,
                "apis": ",".join(unreachable_apis),
                "prefix": keys.replica(""),
                "limit": MAX_REPLICAS,
                "fresh": ms(REPORT_MAX_AGE),
                "lease": ms(LEASE),
            },
        )
        return bool(granted)

    async def release(self, id_: str) -> None:
        await self._client.run(_RELEASE, {"standing": keys.standby()}, {"id": id_})
