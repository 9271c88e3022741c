"""Finds live calls and rooms that owe nothing any more of what they must.

Every script that writes a call or a room writes what it owes in the same step, so that there are none. But
somebody may delete a key, and what was struck off for a wrong reason nobody does.
"""

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from service.calls.model import Status
from service.store import keys
from service.store.gauges import STATES, STEP
from service.store.redis.client import Client
from service.store.redis.scripts import Script
from service.store.script_values import ms, pairs

_FORGOTTEN: Final = Script("forgotten")
_PART: Final = 400
"""Calls that are looked at in one step, some commands for each: about a millisecond of the store."""
_ROOMS: Final = 50
"""Rooms; each is read whole."""
_RECENT_MS: Final = 4 * 3_600_000
"""Milliseconds since an ended call began: what it owes still is looked for on the agenda."""


class Unscheduled(NamedTuple):
    """`kind` is owed anew, by its kind; or `agenda`: it was owed, and nobody would have looked."""

    owner: str
    kind: str


class UnscheduledSearch:
    """`interval`: seconds in which a partition is looked through once, by whichever replica comes first.

    `max_dialing`: seconds for which a call may be dialed; `roll_over`: until a room gets a new session.
    """

    def __init__(self, client: Client, *, interval: float, max_dialing: float, roll_over: float) -> None:
        self._client = client
        self._interval = interval
        self._max_dialing = max_dialing
        self._roll_over = roll_over

    async def scan(self, partition: int, *, now: float) -> AsyncIterator[list[Unscheduled]]:
        """One step after the other. Raises StoreError."""
        cursor = b""
        while True:
            cursor, *found = await self._client.run(
                _FORGOTTEN,
                {
                    "searched": keys.searched(partition),
                    "standing": keys.live_calls(partition),
                    "calls": keys.calls(partition),
                    "live": keys.live_rooms(partition),
                    "agenda": keys.agenda(partition),
                },
                {
                    "now": ms(now),
                    "prefix": keys.prefix(partition),
                    "cursor": cursor,
                    "every": ms(self._interval),
                    "count": _PART,
                    "rooms": _ROOMS,
                    "step": STEP,
                    "dialing": STATES.index(Status.DIALING),
                    "rings": ms(self._max_dialing),
                    "recent": _RECENT_MS,
                    "roll_over": ms(self._roll_over),
                },
            )
            yield [Unscheduled(owner, kind) for owner, kind in pairs(text.decode() for text in found)]
            if not cursor:
                return
