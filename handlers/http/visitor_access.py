"""Decides whether a visitor may come in: invitations, the cookies that they become, and allowed origins."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from handlers.http.problems import Problem
from handlers.http.request_guard import HEADER_LIMIT
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

COOKIE: Final = "pstn_visit"
KEY_SCOPES: Final = {Scope.TALK: "control", Scope.DIAL: "dial", Scope.HANGUP: "control"}
"""The scope of an API key that grants each of a visit's."""
_MAX_JOINS: Final = 3
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class VisitorAccess:
    """`base_url`: where pages are; `device_url`: where Bandwidth's browser SDK connects to.

    What an API key has granted holds for as long as there is this key, which may still do it, and nobody has
    ended it.
    """

    invitations: PassSigner
    visits: PassSigner
    passes: Passes
    keys: tuple[ApiKey, ...]
    base_url: str
    device_url: str
    clock: Clock
    joins_in_progress: Counter[str] = field(default_factory=Counter)
    """How often each visit is joining at this moment."""

    async def invite(
        self, room: str, *, name: str, scopes: tuple[Scope, ...], seconds: float, key: ApiKey
    ) -> tuple[Pass, str]:
        """The invitation, and its link. Raises Problem and StoreError."""
        now = self.clock.now()
        said = Pass(new_id(), room, now + seconds, key.name, name, scopes, self._key_mark(key))
        closed = await self.passes.issue(said, now=now)
        if closed is None:
            raise Problem("too-many-invitations", "wait until some have run out, or end them")
        text = self.invitations.sign(replace(said, room_closed_at=closed))
        return said, f"{self.base_url}/join/{room}?invitation={text}"

    def read_invitation(self, room: str, text: str) -> Pass:
        """What a link says, in the name that its key has now; whether it was used or ended says the store.

        Raises Problem.
        """
        try:
            invitation = self.invitations.verify(text, now=self.clock.now())
        except ExpiredPass as error:
            raise _expired() from error
        except InvalidPass as error:
            raise Problem("invitation-forged", "look whether the whole link was opened") from error
        if invitation.room != room:
            raise Problem("invitation-forged", "the invitation is for another room")
        key = self._key_of(invitation)
        if key is None or not _granted_scopes(invitation, key):
            raise _expired()
        closed = (
            invitation.room_closed_at
            if invitation.key_mark
            else _assumed_room_closed_at(invitation, INVITATION_LIFETIME)
        )
        return replace(invitation, issued_by=key.name, key_mark=self._key_mark(key), room_closed_at=closed)

    async def peek(self, invitation: Pass) -> None:
        """Whether it is good, without using it up. Raises Problem and StoreError."""
        _check_state(await self.passes.invitation_state(invitation))

    async def redeem(self, invitation: Pass) -> Pass:
        """The visit that it becomes, once. Raises Problem and StoreError."""
        now = self.clock.now()
        visit = replace(invitation, id=new_id(), until=now + VISIT_LIFETIME)
        _check_state(await self.passes.redeem(invitation, visit, now=now))
        return visit

    async def has_ended(self, visit: Pass) -> bool:
        """Whether somebody has ended it. Raises StoreError."""
        return bool(await self.passes.find_ended([visit]))

    def read_visit(self, request: Request, room: str) -> Pass | None:
        """Whose request it is, by the cookie; None when that is missing, over, or another room's."""
        try:
            visit = self.visits.verify(_cookie(request.headers.get("cookie", "")), now=self.clock.now())
        except (InvalidPass, ExpiredPass):
            return None
        key = self._key_of(visit)
        granted = _granted_scopes(visit, key)
        if key is None or not granted or visit.room != room:
            return None
        known = visit.room_closed_at if visit.key_mark else _assumed_room_closed_at(visit, VISIT_LIFETIME)
        return replace(visit, scopes=granted, issued_by=key.name, room_closed_at=known)

    def set_visit_cookie(self, response: Response, visit: Pass) -> None:
        response.set_cookie(
            COOKIE,
            self.visits.sign(visit),
            max_age=int(VISIT_LIFETIME),
            path=f"/join/{visit.room}",
            secure=urlsplit(self.base_url).scheme == "https",
            httponly=True,
            samesite="lax",
        )

    @contextmanager
    def limit_joins(self, visit: Pass) -> Iterator[None]:
        """A few tabs may join at the same time. Raises Problem for more than that."""
        if self.joins_in_progress[visit.id] >= _MAX_JOINS:
            raise Problem("rate-limited", "this visit is joining already", retry_after=1)
        self.joins_in_progress[visit.id] += 1
        try:
            yield
        finally:
            self.joins_in_progress[visit.id] -= 1
            if not self.joins_in_progress[visit.id]:
                del self.joins_in_progress[visit.id]

    def check_origin(self, request: Request) -> None:
        """A page that is not ours has nothing to say here, whatever cookie comes along. Raises Problem."""
        origin = request.headers.get("origin")
        if origin is None:
            return
        # As a browser has it that came here without a proxy.
        own = {_origin(self.base_url), _origin(f"http://{request.headers.get('host', '')}")}
        if (found := _origin(origin)) is None or found not in own:
            raise Problem("foreign-origin", "the request comes from a page that is not ours")

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
    base_url: str,
    device_url: str,
    passwords: tuple[str, ...],
) -> VisitorAccess:
    return VisitorAccess(
        keys=keys,
        invitations=PassSigner("invitations", *passwords),
        visits=PassSigner("visits", *passwords),
        passes=passes,
        base_url=base_url,
        device_url=device_url,
        clock=clock,
    )


def _cookie(header: str) -> str:
    """Ours, by hand: the standard library's way to read quoted values takes quadratic time."""
    for one in header.split(";"):
        name, _, value = one.partition("=")
        if name.strip() == COOKIE:
            return value.strip()
    return ""


def _origin(url: str) -> tuple[str, str | None, int | None] | None:
    """None for what is no URL."""
    if len(url) > HEADER_LIMIT:
        return None
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None


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
    """Raises Problem unless the invitation is good."""
    match state:
        case InvitationState.USED:
            raise Problem("invitation-used", "an invitation opens the room once; ask for a new one")
        case InvitationState.OVER:
            raise _expired()


def _expired() -> Problem:
    """In the same words whatever has ended it: who holds it need not know."""
    return Problem("invitation-expired", "ask whoever invited you for a new one")
