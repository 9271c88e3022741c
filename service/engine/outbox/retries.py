"""Computes when an effect that has failed is tried again."""

from collections.abc import Mapping
from typing import Final

from service.calls.effects import (
    AddParticipant,
    CheckCall,
    CheckPage,
    CheckPresence,
    CheckRoom,
    CheckSession,
    CheckTakenFromPool,
    DeleteParticipant,
    DeleteSession,
    Effect,
    EndDialing,
    FreeSeat,
    HangUpLeg,
    HangUpPhone,
    LeaveRoom,
    MoveParticipant,
    PrepareParticipant,
    RecordCallId,
    RedirectPhone,
    RemoveParticipant,
    ReplacePrepared,
    ReplaceSession,
    Subscribe,
    SummonWaiter,
    TellAlone,
    TellHoldTimeUp,
    TellRoomClosed,
    TellTimeNearlyUp,
    TellTimeUp,
)

_FIRST: Final = 0.5
_LONGEST: Final = 60.0
"""Seconds of our own backoff."""
_URGENT: Final = 10.0
"""A phone that should be hung up costs, a seat that is not free is in somebody's way, or somebody waits."""
_CLEAN_UP: Final = 20.0
_LATER: Final = 300.0

MAX_RETRY_AFTER: Final[Mapping[type[Effect], float]] = {
    HangUpPhone: _URGENT,
    HangUpLeg: _URGENT,
    EndDialing: _URGENT,
    LeaveRoom: _URGENT,
    FreeSeat: _URGENT,
    TellRoomClosed: _URGENT,
    TellAlone: _URGENT,
    TellTimeUp: _URGENT,
    TellTimeNearlyUp: _URGENT,
    TellHoldTimeUp: _URGENT,
    CheckPage: _URGENT,
    SummonWaiter: _URGENT,
    RedirectPhone: _URGENT,
    MoveParticipant: _URGENT,
    AddParticipant: _URGENT,
    Subscribe: _URGENT,
    RecordCallId: _URGENT,
    RemoveParticipant: _CLEAN_UP,
    DeleteParticipant: _CLEAN_UP,
    DeleteSession: _CLEAN_UP,
    CheckCall: _LATER,
    CheckRoom: _LATER,
    CheckSession: _URGENT,
    CheckTakenFromPool: _LATER,
    CheckPresence: _LATER,
    ReplaceSession: _LATER,
    PrepareParticipant: _LATER,
    ReplacePrepared: _LATER,
}
"""Seconds for which a Retry-After is obeyed: a gateway may say an hour, or a date of another zone."""


def backoff(tries: int, jitter: float) -> float:
    """Seconds to the next try: doubling, and by `jitter` between half and the whole of that."""
    return min(_LONGEST, _FIRST * 2.0 ** min(tries, 16)) * (0.5 + jitter / 2)


def client_retry_after(retry_after: float | None) -> float | None:
    """Seconds that are passed on to whoever asked us for it: a person, or a client of theirs."""
    return None if retry_after is None else min(retry_after, _LONGEST)


def capped_retry_after(effect: Effect, retry_after: float | None) -> float:
    """Seconds for which Bandwidth's wish keeps the effect from its next try."""
    return min(retry_after or 0, MAX_RETRY_AFTER[type(effect)])
