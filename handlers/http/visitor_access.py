"""Who may come in: invitations, the cookies that they become, and where pages may be."""

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
from service.invitations import INVITATION, VISIT, Expired, Forged, Pass, Scope, Signer, new_id
from service.store.invitations import Passes, State

COOKIE: Final = "pstn_visit"
NEEDED: Final = {Scope.TALK: "control", Scope.DIAL: "dial", Scope.HANGUP: "control"}
"""The scope of an API key that grants each of a visit's."""
_JOINS: Final = 3
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class Door:
    """`base_url`: where pages are; `device_url`: where Bandwidth's browser SDK connects to.

    What an API key has granted holds for as long as there is this key, which may still do it, and nobody has
    ended it.
    """

    invitations: Signer
    visits: Signer
    passes: Passes
    keys: tuple[ApiKey, ...]
    base_url: str
    device_url: str
    clock: Clock
    joins: Counter[str] = field(default_factory=Counter)
    """How often each visit is joining at this moment."""

    async def invite(
        self, room: str, *, name: str, scopes: tuple[Scope, ...], seconds: float, key: ApiKey
    ) -> tuple[Pass, str]:
        """The invitation, and its link. Raises Problem and StoreError."""
        now = self.clock.now()
        said = Pass(new_id(), room, now + seconds, key.name, name, scopes, self._mark(key))
        closed = await self.passes.issue(said, now=now)
        if closed is None:
            raise Problem("too-many-invitations", "wait until some have run out, or end them")
        text = self.invitations.sign(replace(said, closed=closed))
        return said, f"{self.base_url}/join/{room}?invitation={text}"

    def invitation(self, room: str, text: str) -> Pass:
        """What a link says, in the name that its key has now; whether it was used or ended says the store.

        Raises Problem.
        """
        try:
            invitation = self.invitations.read(text, now=self.clock.now())
        except Expired as error:
            raise _over() from error
        except Forged as error:
            raise Problem("invitation-forged", "look whether the whole link was opened") from error
        if invitation.room != room:
            raise Problem("invitation-forged", "the invitation is for another room")
        key = self._key_of(invitation)
        if key is None or not _granted(invitation, key):
            raise _over()
        closed = invitation.closed if invitation.key else _closed_before(invitation, INVITATION)
        return replace(invitation, issued_by=key.name, key=self._mark(key), closed=closed)

    async def look(self, invitation: Pass) -> None:
        """Whether it is good, without using it up. Raises Problem and StoreError."""
        _check(await self.passes.state(invitation))

    async def open(self, invitation: Pass) -> Pass:
        """The visit that it becomes, once. Raises Problem and StoreError."""
        now = self.clock.now()
        visit = replace(invitation, id=new_id(), until=now + VISIT)
        _check(await self.passes.use(invitation, visit, now=now))
        return visit

    async def is_over(self, visit: Pass) -> bool:
        """Whether somebody has ended it. Raises StoreError."""
        return bool(await self.passes.over([visit]))

    def visit(self, request: Request, room: str) -> Pass | None:
        """Whose request it is, by the cookie; None when that is missing, over, or another room's."""
        try:
            visit = self.visits.read(_cookie(request.headers.get("cookie", "")), now=self.clock.now())
        except (Forged, Expired):
            return None
        key = self._key_of(visit)
        granted = _granted(visit, key)
        if key is None or not granted or visit.room != room:
            return None
        known = visit.closed if visit.key else _closed_before(visit, VISIT)
        return replace(visit, scopes=granted, issued_by=key.name, closed=known)

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

    def _mark(self, key: ApiKey) -> str:
        return self.invitations.marks(key.digest)[0]

    def _key_of(self, said: Pass) -> ApiKey | None:
        """The key behind it, if it is still one of ours. A release that went by names has left no mark."""
        if said.key:
            return self._marked.get(said.key)
        return next((one for one in self.keys if one.name == said.issued_by), None)

    @cached_property
    def _marked(self) -> Mapping[str, ApiKey]:
        return {mark: key for key in self.keys for mark in self.invitations.marks(key.digest)}


def door_of(
    passes: Passes,
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


def _granted(said: Pass, key: ApiKey | None) -> tuple[Scope, ...]:
    """What of it the key may still grant."""
    may = key.scopes if key else frozenset()
    if NEEDED[Scope.TALK] not in may:
        return ()
    return tuple(scope for scope in said.scopes if NEEDED[scope] in may)


def _closed_before(said: Pass, life: float) -> int:
    """The closing that one knows of which does not say so: none after which it can have been issued."""
    return int((said.until - life) * 1000)


def _check(state: State) -> None:
    """Raises Problem unless the invitation is good."""
    match state:
        case State.USED:
            raise Problem("invitation-used", "an invitation opens the room once; ask for a new one")
        case State.OVER:
            raise _over()


def _over() -> Problem:
    """In the same words whatever has ended it: who holds it need not know."""
    return Problem("invitation-expired", "ask whoever invited you for a new one")
