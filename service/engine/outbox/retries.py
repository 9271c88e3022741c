"""When an effect that has failed is tried again."""

from collections.abc import Mapping
from typing import Final

from service.calls.effects import (
    AddParticipant,
    AskAfter,
    CheckPage,
    CheckPresence,
    CheckRoom,
    CheckSession,
    CheckTaken,
    DeleteParticipant,
    DeleteSession,
    Effect,
    EndDialing,
    Evict,
    FreeSeat,
    HangUp,
    HangUpLeg,
    LeaveRoom,
    MoveParticipant,
    NameCall,
    RedirectPhone,
    RemoveParticipant,
    ReplaceSession,
    ReplaceStock,
    StockRoom,
    Subscribe,
    SummonWaiter,
    TellAlone,
    TellHoldUp,
    TellTimeShort,
    TellTimeUp,
)

_FIRST: Final = 0.5
_LONGEST: Final = 60.0
"""Seconds of our own backoff."""
_SOON: Final = 10.0
"""A phone that should be hung up costs, a seat that is not free is in somebody's way, or somebody waits."""
_CLEAN_UP: Final = 20.0
_LATER: Final = 300.0

OBEYED: Final[Mapping[type[Effect], float]] = {
    HangUp: _SOON,
    HangUpLeg: _SOON,
    EndDialing: _SOON,
    LeaveRoom: _SOON,
    FreeSeat: _SOON,
    Evict: _SOON,
    TellAlone: _SOON,
    TellTimeUp: _SOON,
    TellTimeShort: _SOON,
    TellHoldUp: _SOON,
    CheckPage: _SOON,
    SummonWaiter: _SOON,
    RedirectPhone: _SOON,
    MoveParticipant: _SOON,
    AddParticipant: _SOON,
    Subscribe: _SOON,
    NameCall: _SOON,
    RemoveParticipant: _CLEAN_UP,
    DeleteParticipant: _CLEAN_UP,
    DeleteSession: _CLEAN_UP,
    AskAfter: _LATER,
    CheckRoom: _LATER,
    CheckSession: _SOON,
    CheckTaken: _LATER,
    CheckPresence: _LATER,
    ReplaceSession: _LATER,
    StockRoom: _LATER,
    ReplaceStock: _LATER,
}
"""Seconds for which a Retry-After is obeyed: a gateway may say an hour, or a date of another zone."""


def backoff(tries: int, jitter: float) -> float:
    """Seconds to the next try: doubling, and by `jitter` between half and the whole of that."""
    return min(_LONGEST, _FIRST * 2.0 ** min(tries, 16)) * (0.5 + jitter / 2)


def told_to_wait(retry_after: float | None) -> float | None:
    """Seconds that are passed on to whoever asked us for it: a person, or a client of theirs."""
    return None if retry_after is None else min(retry_after, _LONGEST)


def obeyed(effect: Effect, retry_after: float | None) -> float:
    """Seconds for which Bandwidth's wish keeps the effect from its next try."""
    return min(retry_after or 0, OBEYED[type(effect)])
