"""Stores invitations and visits: which are open, which have been redeemed, and which are over.

They are signed texts (service/invitations.py), good as long as nothing here says otherwise: a mark of its
own, or that the room was closed after the last closing that the text knows of. A store that has lost all
ends nobody's visit. Marks and lists run out with what they are about.
"""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

import msgspec

from service.invitations import INVITATION_LIFETIME, Pass
from service.store import keys
from service.store.errors import StoreCorrupt
from service.store.keys import RoomKeys
from service.store.redis.client import Client
from service.store.redis.scripts import Script, Value
from service.store.script_values import ms, pairs

_ISSUE: Final = Script("pass_issue")
_USE: Final = Script("invitation_use")
_READ: Final = Script("pass_read")
_END: Final = Script("pass_end")
_LIST: Final = Script("pass_list")

MAX_OPEN: Final = 5000
"""Invitations and visits of one room that are open; some 200 bytes each."""
_SLACK: Final = 60.0
"""Seconds by which a replica's clock may be behind."""
MAX_LIFETIME_MS: Final = ms(INVITATION_LIFETIME + _SLACK)
"""Milliseconds for which anything is good at most; a visit is so for less."""
_ENDED: Final = b"-"
"""As in passes.lua: the mark of what was ended."""


class PassKind(StrEnum):
    INVITATION = "invitation"
    VISIT = "visit"


class InvitationState(StrEnum):
    """Of an invitation."""

    OPEN = "open"
    USED = "used"
    OVER = "over"


class OpenPass(msgspec.Struct, frozen=True, omit_defaults=True):
    """One that is open. Its id opens nothing."""

    id: str
    name: str
    scopes: tuple[str, ...]
    """Words of whichever release has written them."""
    issued_by: str
    """The name of an API key."""
    until: float
    """Seconds since the epoch."""


_decode: Final = msgspec.json.Decoder(OpenPass).decode


class Passes:
    """All methods raise StoreUnavailable. `max_open`: how many may be open in a room."""

    def __init__(self, client: Client, *, max_open: int = MAX_OPEN) -> None:
        self._client = client
        self._max_open = max_open

    async def issue(self, invitation: Pass, *, now: float) -> int | None:
        """Write it down. The closing of its room that it has to know of; None when too many are open."""
        closed = await self._client.run(
            _ISSUE,
            {**_list_keys(invitation.room), "closed": RoomKeys.of(invitation.room).closed_at},
            {
                "now": ms(now),
                "field": _field(PassKind.INVITATION, invitation.id),
                "record": _record(invitation),
                "till": ms(invitation.until),
                "life": MAX_LIFETIME_MS,
                "most": self._max_open,
            },
        )
        return None if closed < 0 else int(closed)

    async def redeem(self, invitation: Pass, visit: Pass, *, now: float) -> InvitationState:
        """Have the invitation become this visit: OPEN when it has, also when it had before."""
        room = invitation.room
        answer = await self._client.run(
            _USE,
            {
                "used": keys.used_invitation(room, invitation.id),
                **_list_keys(room),
                "closed": RoomKeys.of(room).closed_at,
            },
            {
                "now": ms(now),
                "known": invitation.room_closed_at,
                "visit": visit.id,
                "ttl": ms(max(0.0, invitation.until - now) + _SLACK),
                "invitation_field": _field(PassKind.INVITATION, invitation.id),
                "visit_field": _field(PassKind.VISIT, visit.id),
                "record": _record(visit),
                "till": ms(visit.until),
                "life": MAX_LIFETIME_MS,
            },
        )
        return InvitationState.OPEN if answer == b"opened" else InvitationState(answer.decode())

    async def invitation_state(self, invitation: Pass) -> InvitationState:
        closed, became = await self._client.run(
            _READ,
            {
                "closed": RoomKeys.of(invitation.room).closed_at,
                "mark": keys.used_invitation(invitation.room, invitation.id),
            },
            {},
        )
        if became == _ENDED or int(closed) > invitation.room_closed_at:
            return InvitationState.OVER
        return InvitationState.USED if became else InvitationState.OPEN

    async def find_ended(self, visits: Collection[Pass]) -> set[Pass]:
        """Those of the visits that were ended, or whose room was closed."""
        asked = list(visits)
        found = await self._client.run_many(
            _READ,
            [
                ({"closed": RoomKeys.of(one.room).closed_at, "mark": keys.ended_visit(one.room, one.id)}, {})
                for one in asked
            ],
        )
        return {
            one
            for one, (closed, mark) in zip(asked, found, strict=True)
            if mark or int(closed) > one.room_closed_at
        }

    async def end_invitation(self, room: str, id_: str) -> bool:
        """False when no such invitation is open."""
        return await self._end(room, PassKind.INVITATION, id_, keys.used_invitation(room, id_))

    async def end_visit(self, room: str, id_: str, *, listed: bool = True) -> bool:
        """False when no such visit is open. `listed`: not also one that is not on the list."""
        return await self._end(room, PassKind.VISIT, id_, keys.ended_visit(room, id_), listed=listed)

    async def list_open(self, room: str, kind: PassKind, *, now: float) -> list[OpenPass]:
        """Those that are open, the first to run out first. Raises StoreCorrupt."""
        flat = await self._client.run(_LIST, {"passes": RoomKeys.of(room).passes}, {})
        found = [_decode_open(room, record) for field, record in pairs(flat) if _is(kind, field)]
        return sorted((one for one in found if one.until > now), key=lambda one: (one.until, one.id))

    async def _end(self, room: str, kind: PassKind, id_: str, mark: str, *, listed: bool = True) -> bool:
        args: dict[str, Value] = {"field": _field(kind, id_), "listed": int(listed), "life": MAX_LIFETIME_MS}
        return bool(await self._client.run(_END, {**_list_keys(room), "mark": mark}, args))


def _list_keys(room: str) -> dict[str, str]:
    at = RoomKeys.of(room)
    return {"passes": at.passes, "ends": at.passes_until}


def _field(kind: PassKind, id_: str) -> str:
    return f"{kind}:{id_}"


def _is(kind: PassKind, field: bytes) -> bool:
    return field.startswith(f"{kind}:".encode())


def _record(said: Pass) -> bytes:
    return msgspec.json.encode(OpenPass(said.id, said.name, said.scopes, said.issued_by, said.until))


def _decode_open(room: str, record: bytes) -> OpenPass:
    try:
        return _decode(record)
    except msgspec.DecodeError as error:
        raise StoreCorrupt(f"an open invitation or visit of room {room}: {error}") from error
