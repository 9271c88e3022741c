"""Who may come in: invitations, the cookies that they become, and where pages may be."""

import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from handlers.api.problems import Problem
from handlers.guard import HEADER_LIMIT
from service.api_keys import ApiKey
from service.clock import Clock
from service.invitations import Expired, Forged, Pass, Scope, Signer
from service.store.invitations import UsedInvitations

COOKIE: Final = "pstn_visit"
NEEDED: Final = {Scope.TALK: "control", Scope.DIAL: "dial", Scope.HANGUP: "control"}
"""The scope of an API key that grants each of a visit's."""
_JOINS: Final = 3
_PORTS: Final = {"http": 80, "https": 443}
VISIT: Final = 12 * 3600.0
"""Seconds for which a visit is good: longer than any session of Bandwidth's."""


@dataclass(frozen=True, kw_only=True)
class Door:
    """`base_url`: where pages are; `device_url`: where Bandwidth's browser SDK connects to.

    What an API key has granted holds for as long as there is such a key, which may still do it.
    """

    invitations: Signer
    visits: Signer
    used: UsedInvitations
    keys: tuple[ApiKey, ...]
    base_url: str
    device_url: str
    clock: Clock
    joins: Counter[str] = field(default_factory=Counter)
    """How often each visit is joining at this moment."""

    def invite(
        self, room: str, *, name: str, scopes: tuple[Scope, ...], seconds: float, issued_by: str
    ) -> tuple[str, float]:
        """The link, and until when it is good (seconds since the epoch)."""
        until = self.clock.now() + seconds
        said = Pass(_id(), room, until, issued_by, name, scopes)
        return f"{self.base_url}/join/{room}?invitation={self.invitations.sign(said)}", until

    async def look(self, room: str, text: str) -> Pass:
        """An invitation that is good, without using it up. Raises Problem and StoreError."""
        invitation = self._read(room, text)
        if await self.used.is_used(room, invitation.id):
            raise _used()
        return invitation

    async def open(self, room: str, text: str) -> Pass:
        """The visit that an invitation becomes, once. Raises Problem and StoreError."""
        invitation = self._read(room, text)
        now = self.clock.now()
        visit = Pass(_id(), room, now + VISIT, invitation.issued_by, invitation.name, invitation.scopes)
        if not await self.used.use(room, invitation.id, visit=visit.id, left=invitation.until - now):
            raise _used()
        return visit

    def visit(self, request: Request, room: str) -> Pass | None:
        """Whose request it is, by the cookie; None when that is missing, over, or another room's."""
        try:
            visit = self.visits.read(_cookie(request.headers.get("cookie", "")), now=self.clock.now())
        except (Forged, Expired):
            return None
        granted = self._granted(visit)
        return replace(visit, scopes=granted) if visit.room == room and granted else None

    def remember(self, response: Response, visit: Pass) -> None:
        response.set_cookie(
            COOKIE,
            self.visits.sign(visit),
            max_age=int(VISIT),
            path=f"/join/{visit.room}",
            secure=urlsplit(self.base_url).scheme == "https",
            httponly=True,
            samesite="lax",
        )

    @contextmanager
    def joining(self, visit: Pass) -> Iterator[None]:
        """A few tabs may join at the same time. Raises Problem for more than that."""
        if self.joins[visit.id] >= _JOINS:
            raise Problem("rate-limited", "this visit is joining already", retry_after=1)
        self.joins[visit.id] += 1
        try:
            yield
        finally:
            self.joins[visit.id] -= 1
            if not self.joins[visit.id]:
                del self.joins[visit.id]

    def check_origin(self, request: Request) -> None:
        """A page that is not ours has nothing to say here, whatever cookie comes along. Raises Problem."""
        origin = request.headers.get("origin")
        if origin is None:
            return
        # As a browser has it that came here without a proxy.
        own = {_origin(self.base_url), _origin(f"http://{request.headers.get('host', '')}")}
        if (found := _origin(origin)) is None or found not in own:
            raise Problem("foreign-origin", "the request comes from a page that is not ours")

    def _read(self, room: str, text: str) -> Pass:
        try:
            invitation = self.invitations.read(text, now=self.clock.now())
        except Expired as error:
            raise Problem("invitation-expired", "ask whoever invited you for a new one") from error
        except Forged as error:
            raise Problem("invitation-forged", "look whether the whole link was opened") from error
        if invitation.room != room:
            raise Problem("invitation-forged", "the invitation is for another room")
        if not self._granted(invitation):
            raise Problem("invitation-expired", "the key that it was made with is gone")
        return invitation

    def _granted(self, said: Pass) -> tuple[Scope, ...]:
        """What of it the key may still grant."""
        key = next((one for one in self.keys if one.name == said.issued_by), None)
        may = key.scopes if key else frozenset()
        if NEEDED[Scope.TALK] not in may:
            return ()
        return tuple(scope for scope in said.scopes if NEEDED[scope] in may)


def door_of(
    used: UsedInvitations,
    clock: Clock,
    *,
    keys: tuple[ApiKey, ...],
    base_url: str,
    device_url: str,
    passwords: tuple[str, ...],
) -> Door:
    return Door(
        keys=keys,
        invitations=Signer("invitations", *passwords),
        visits=Signer("visits", *passwords),
        used=used,
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


def _used() -> Problem:
    return Problem("invitation-used", "an invitation opens the room once; ask for a new one")


def _id() -> str:
    return secrets.token_hex(8)
