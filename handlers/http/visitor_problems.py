"""Maps the errors of visitors' access to the problems that a client is told."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from handlers.http.problems import Problem
from service.engine.visitors import (
    InvitationExpired,
    InvitationForged,
    InvitationForOtherRoom,
    InvitationUsed,
    TooManyInvitations,
    TooManyJoins,
    VisitorError,
)


class _Answer(NamedTuple):
    kind: str
    detail: str
    retry_after: float | None = None
    """Seconds."""


_PROBLEMS: Final[Mapping[type[VisitorError], _Answer]] = MappingProxyType(
    {
        InvitationForged: _Answer("invitation-forged", "look whether the whole link was opened"),
        InvitationForOtherRoom: _Answer("invitation-forged", "the invitation is for another room"),
        # In the same words whatever has ended it: the visitor that holds it need not know.
        InvitationExpired: _Answer("invitation-expired", "ask whoever invited you for a new one"),
        InvitationUsed: _Answer("invitation-used", "an invitation opens the room once; ask for a new one"),
        TooManyInvitations: _Answer("too-many-invitations", "wait until some have run out, or end them"),
        TooManyJoins: _Answer("rate-limited", "this visit is joining already", retry_after=1),
    }
)


def visitor_problem(error: VisitorError) -> Problem:
    """The problem that the error is answered with. Raises KeyError for an error that the table lacks."""
    kind, detail, retry_after = _PROBLEMS[type(error)]
    return Problem(kind, detail, retry_after=retry_after)
