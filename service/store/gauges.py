"""Counts what the store holds for the metrics, in one trip and at little cost.

Which state a live call is in stands in one sorted set for each partition, kept by the scripts that write
calls: the score is the state's place in `STATES` times `STEP`, plus the time at which the call's key expires.
A commit moves its call, so that it is never counted twice, and a call that is forgotten without an end falls
out of the count by itself.
"""

from typing import Final

import msgspec

from service.calls.effects import (
    CheckCall,
    CheckPage,
    CheckPresence,
    CheckRoom,
    CheckSession,
    EndDialing,
    ReplaceSession,
    TellAlone,
    TellHoldTimeUp,
    TellTimeNearlyUp,
    TellTimeUp,
)
from service.calls.model import Call, Status
from service.calls.refs import PARTITIONS
from service.metrics import StoreGauges
from service.store import keys
from service.store.call_index import LIVE_TTL_MS
from service.store.redis.client import Client
from service.store.redis.scripts import Script
from service.store.script_values import ms

_SURVEY: Final = Script("survey")

STATES: Final = tuple(str(status) for status in Status if status is not Status.ENDED)
STEP: Final = 10**13
"""More milliseconds since the epoch than there will be before the year 2286."""
_LATE: Final = 20_000
"""Milliseconds without news of a call whose leg is to answer; an announcement is over by then."""
_SOON: Final = 60_000
"""Milliseconds: the longest that work is put off which has failed, but for what Bandwidth itself asks for."""
_OWNERS: Final = 50
"""Owners of a partition whose work is looked into for the oldest."""
_ROOMS: Final = 100
"""Rooms of a partition whose members are counted; of more, a random choice."""
_CHECK_KINDS: Final = msgspec.json.encode(
    [
        str(kind.__struct_config__.tag)
        for kind in (
            *(CheckCall, CheckPage, CheckPresence, CheckRoom, CheckSession, EndDialing, ReplaceSession),
            *(TellAlone, TellHoldTimeUp, TellTimeNearlyUp, TellTimeUp),
        )
    ]
)


def state_index(call: Call) -> int | str:
    """The call's place among the states, as the scripts take it; empty for one that has ended."""
    return STATES.index(call.status) if call.live else ""


async def read_gauges(client: Client, *, now: float) -> StoreGauges:
    """`now`: seconds since the epoch. Raises StoreUnavailable."""
    parts = await client.run_many(
        _SURVEY,
        [
            (
                {
                    "agenda": keys.agenda(one),
                    "dead": keys.dead(one),
                    "live": keys.live_rooms(one),
                    "standing": keys.live_calls(one),
                },
                {
                    "now": ms(now),
                    "prefix": keys.prefix(one),
                    "soon": _SOON,
                    "owners": _OWNERS,
                    "rooms": _ROOMS,
                    "questions": _CHECK_KINDS,
                    "states": len(STATES),
                    "answers": STATES.index(Status.TRANSFERRING),
                    "heard": LIVE_TTL_MS - _LATE,
                    "step": STEP,
                },
            )
            for one in range(PARTITIONS)
        ],
    )
    due, near, later, oldest, dead, rooms, members, states, late = zip(*parts, strict=True)
    return StoreGauges(
        calls={state: sum(one[place] for one in states) for place, state in enumerate(STATES)},
        late_transfers=sum(late),
        owners_by_due={"now": sum(due), "soon": sum(near), "later": sum(later)},
        oldest_owed_seconds=max(oldest) / 1000,
        dead_letters=sum(dead),
        rooms=sum(rooms),
        room_members=tuple(size for sizes in members for size in sizes),
    )
