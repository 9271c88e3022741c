"""Decides which visitors may come in: signs invitations, redeems them for visits, and checks visits."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from msgspec.structs import replace

from service.api_keys import ApiKey
from service.clock import Clock
from service.invitations import (
    INVITATION_LIFETIME,
    VISIT_LIFETIME,
    ExpiredPass,
    InvalidPass,
    Pass,
    PassSigner,
    Scope,
    new_id,
)
from service.store.invitations import InvitationState, Passes

KEY_SCOPES: Final = {Scope.TALK: "control", Scope.DIAL: "dial", Scope.HANGUP: "control"}
"""The scope of an API key that grants each of a visit's."""
_MAX_JOINS: Final = 3
"""Joins of one visit that may be under way at the same time: a few tabs."""


class VisitorError(Exception):
    """A visitor is not let in, or an invitation is not given out."""


class InvitationForged(VisitorError):
    """We have not signed it, or it is not whole."""


class InvitationForOtherRoom(VisitorError):
    """It is one of ours, and opens another room."""


class InvitationExpired(VisitorError):
    """It has run out, was ended, or its key may not grant it any more. The visitor need not know which."""


class InvitationUsed(VisitorError):
    """It has become a visit already."""


class TooManyInvitations(VisitorError):
    """The room has as many open invitations and visits as it may have."""


class TooManyJoins(VisitorError):
    """The visit has as many joins under way as it may have."""


@dataclass(frozen=True, kw_only=True)
class VisitorAccess:
    """Invitations and visits.

    What an API key has granted holds for as long as there is this key, which may still do it, and nobody has
    ended it.
    """

    invitations: PassSigner
    visits: PassSigner
    passes: Passes
    keys: tuple[ApiKey, ...]
    clock: Clock
    joins_in_progress: Counter[str] = field(default_factory=Counter)
    """How often each visit is joining at this moment."""

    async def invite(
        self, room: str, *, name: str, scopes: tuple[Scope, ...], seconds: float, key: ApiKey
    ) -> tuple[Pass, str]:
        """The invitation, and its signed text. `seconds`: for which it is good.

        Raises TooManyInvitations and StoreError.
        """
        now = self.clock.now()
        said = Pass(new_id(), room, now + seconds, key.name, name, scopes, self._key_mark(key))
        closed = await self.passes.issue(said, now=now)
        if closed is None:
            raise TooManyInvitations
        return said, self.invitations.sign(replace(said, room_closed_at=closed))

    def read_invitation(self, room: str, text: str) -> Pass:
        """What its signed text says, in the name that its key has now. `peek` tells whether it is still open.

        Raises InvitationForged, InvitationForOtherRoom and InvitationExpired.
        """
        try:
            invitation = self.invitations.verify(text, now=self.clock.now())
        except ExpiredPass as error:
            raise InvitationExpired from error
        except InvalidPass as error:
            raise InvitationForged from error
        if invitation.room != room:
            raise InvitationForOtherRoom
        key = self._key_of(invitation)
        if key is None or not _granted_scopes(invitation, key):
            raise InvitationExpired
        closed = (
            invitation.room_closed_at
            if invitation.key_mark
            else _assumed_room_closed_at(invitation, INVITATION_LIFETIME)
        )
        return replace(invitation, issued_by=key.name, key_mark=self._key_mark(key), room_closed_at=closed)

    async def peek(self, invitation: Pass) -> None:
        """Check that it is open, without using it up.

        Raises InvitationUsed, InvitationExpired and StoreError.
        """
        _check_state(await self.passes.invitation_state(invitation))

    async def redeem(self, invitation: Pass) -> Pass:
        """The visit that it becomes, once. Raises InvitationUsed, InvitationExpired and StoreError."""
        now = self.clock.now()
        visit = replace(invitation, id=new_id(), until=now + VISIT_LIFETIME)
        _check_state(await self.passes.redeem(invitation, visit, now=now))
        return visit

    async def has_ended(self, visit: Pass) -> bool:
        """Whether the visit was ended, or its room closed. Raises StoreError."""
        return bool(await self.passes.find_ended([visit]))

    def sign_visit(self, visit: Pass) -> str:
        """The text that `read_visit` takes. Raises nothing."""
        return self.visits.sign(visit)

    def read_visit(self, text: str, room: str) -> Pass | None:
        """The visit that a signed text stands for. Raises nothing.

        None where it is missing or forged, has run out, or is for another room, and where its key is gone or
        may grant nothing any more.
        """
        try:
            visit = self.visits.verify(text, now=self.clock.now())
        except (InvalidPass, ExpiredPass):
            return None
        key = self._key_of(visit)
        granted = _granted_scopes(visit, key)
        if key is None or not granted or visit.room != room:
            return None
        known = visit.room_closed_at if visit.key_mark else _assumed_room_closed_at(visit, VISIT_LIFETIME)
        return replace(visit, scopes=granted, issued_by=key.name, room_closed_at=known)

    @contextmanager
    def limit_joins(self, visit: Pass) -> Iterator[None]:
        """Counts a join of the visit for as long as it is under way. Raises TooManyJoins."""
        if self.joins_in_progress[visit.id] >= _MAX_JOINS:
            raise TooManyJoins
        self.joins_in_progress[visit.id] += 1
        try:
            yield
        finally:
            self.joins_in_progress[visit.id] -= 1
            if not self.joins_in_progress[visit.id]:
                del self.joins_in_progress[visit.id]

    def _key_mark(self, key: ApiKey) -> str:
        return self.invitations.key_marks(key.digest)[0]

    def _key_of(self, said: Pass) -> ApiKey | None:
        """The key behind it, if it is still one of ours. A release that went by names has left no mark."""
        if said.key_mark:
            return self._keys_by_mark.get(said.key_mark)
        return next((one for one in self.keys if one.name == said.issued_by), None)

    @cached_property
    def _keys_by_mark(self) -> Mapping[str, ApiKey]:
        return {mark: key for key in self.keys for mark in self.invitations.key_marks(key.digest)}


def create_visitor_access(
    passes: Passes,
    clock: Clock,
    *,
    keys: tuple[ApiKey, ...],
    passwords: tuple[str, ...],
) -> VisitorAccess:
    """`passwords`: what passes are signed with, the present one first. Raises nothing."""
    return VisitorAccess(
        keys=keys,
        invitations=PassSigner("invitations", *passwords),
        visits=PassSigner("visits", *passwords),
        passes=passes,
        clock=clock,
    )


def _granted_scopes(said: Pass, key: ApiKey | None) -> tuple[Scope, ...]:
    """What of it the key may still grant."""
    may = key.scopes if key else frozenset()
    if KEY_SCOPES[Scope.TALK] not in may:
        return ()
    return tuple(scope for scope in said.scopes if KEY_SCOPES[scope] in may)


def _assumed_room_closed_at(said: Pass, life: float) -> int:
    """The closing that one knows of which does not say so: none after which it can have been issued."""
    return int((said.until - life) * 1000)


def _check_state(state: InvitationState) -> None:
    """Raises InvitationUsed and InvitationExpired unless the invitation is open."""
    match state:
        case InvitationState.USED:
            raise InvitationUsed
        case InvitationState.OVER:
            raise InvitationExpired
