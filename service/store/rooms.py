"""Rooms in the store: who has a seat, which session is the room's, and what is owed when members leave.

A room's life (an epoch) begins with its first seat and ends with its last; seats' ids are never used twice,
so that a seat that still exists says that the epoch it was taken in goes on.
"""

from typing import Final

import msgspec

from service.calls.effects import DeleteParticipant, DeleteSession
from service.store import keys
from service.store.client import Client
from service.store.outbox import encode_effect
from service.store.scripts import Result, Script, Value

_RESERVE: Final = Script("room_reserve")
_ENTER: Final = Script("room_enter")
_REPLACE: Final = Script("room_replace")
_VACATE: Final = Script("room_vacate")
_FREE: Final = Script("room_free")
_OWE: Final = Script("room_owe")
_TTL: Final = 12 * 3_600_000
"""Milliseconds from the last change; a session lives 9 hours at most (sessions API, call flow)."""
_LEFT_TTL: Final = 15 * 60_000
"""Milliseconds for which a replica may stall between the beginning of a join and its seat."""


Args = dict[str, Value]


class RoomFull(msgspec.Struct, frozen=True):
    members: int


class Seat(msgspec.Struct, frozen=True):
    session_id: str
    """Empty when the room has no session yet."""


class Gone(msgspec.Struct, frozen=True):
    """The seat was given up meanwhile; what was brought along is owed for deletion."""


class Rooms:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def reserve(self, room: str, seat: str, *, limit: int, now: float) -> Seat | RoomFull | Gone:
        answer, value = await self._client.run(
            _RESERVE,
            {"room": keys.room(room), "left": keys.left(room, seat)},
            {"now": _ms(now), "seat": seat, "limit": limit, "ttl": _TTL},
        )
        if answer == b"gone":
            return Gone()
        return RoomFull(int(value)) if answer == b"full" else Seat(value.decode())

    async def enter(
        self, room: str, seat: str, *, participant_id: str, made_session: str, now: float
    ) -> Seat | Gone:
        """Take the seat; `made_session` becomes the room's session unless it has one."""
        args: Args = {"seat": seat, "participant": participant_id, "made": made_session, "ttl": _TTL}
        return _seat(await self._run(_ENTER, room, now, args))

    async def replace_session(
        self, room: str, seat: str, *, vanished: str, made_session: str, now: float
    ) -> Seat | Gone:
        """Put a new session in the place of one that Bandwidth does not know any more."""
        args: Args = {"seat": seat, "vanished": vanished, "made": made_session, "name": room, "ttl": _TTL}
        return _seat(await self._run(_REPLACE, room, now, args))

    async def vacate(self, room: str, seat: str, *, now: float) -> bool:
        """Begin to take a member down; tells whether there was one."""
        args: Args = {"seat": seat, "name": room, "left_ttl": _LEFT_TTL}
        return bool(await self._run(_VACATE, room, now, args, left=keys.left(room, seat)))

    async def free(self, room: str, seat: str, *, now: float) -> None:
        await self._run(_FREE, room, now, {"seat": seat})

    async def owe(self, room: str, effect: DeleteParticipant | DeleteSession, *, now: float) -> None:
        """Write down the removal of something that was made too late to be used."""
        target = effect.participant_id if isinstance(effect, DeleteParticipant) else effect.session_id
        id_, text = encode_effect(effect, target)
        owner = keys.owner_room(room)
        await self._client.run(
            _OWE,
            {"owed": keys.owed(owner), "agenda": keys.agenda(keys.partition_of_owner(owner))},
            {
                "now": _ms(now),
                "owner": owner,
                "effects": msgspec.json.encode([(id_, _ms(now), target, text)]),
            },
        )

    async def _run(self, script: Script, room: str, now: float, args: Args, **more: str) -> Result:
        owner = keys.owner_room(room)
        return await self._client.run(
            script,
            {
                "room": keys.room(room),
                "owed": keys.owed(owner),
                "agenda": keys.agenda(keys.partition_of_room(room)),
                **more,
            },
            {"now": _ms(now), "owner": owner, **args},
        )


def _seat(answer: Result) -> Seat | Gone:
    where, session = answer
    return Seat(session.decode()) if where == b"in" else Gone()


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
