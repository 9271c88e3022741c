"""Stores rooms: seats, the session, and what is owed when members come and go.

A room's life (an epoch) begins with its first seat and ends with its last, or when it is closed. Seats' ids
are never used twice, so that a seat that is not closing says that the epoch it was taken in goes on.
"""

from typing import Final, Literal

import msgspec

from service.calls.browser import Browser
from service.calls.effects import (
    AddParticipant,
    CheckRoom,
    CheckSession,
    DeleteParticipant,
    DeleteSession,
    HangUpLeg,
    Subscribe,
)
from service.calls.policy import is_private_room
from service.calls.room_settings import MAX_MEMBERS, AloneSettings
from service.store import keys
from service.store.invitations import MAX_LIFETIME_MS
from service.store.keys import RoomKeys
from service.store.outbox import encode_effect
from service.store.redis.client import Client
from service.store.redis.scripts import Result, Script, Value
from service.store.room_index import RoomIndex, decode_settings
from service.store.room_results import EmptyRoom, ReservedSeat, RoomFull, SeatGone, SessionInDoubt, TakenSeat
from service.store.script_values import ms, pairs
from service.store.unknown_fields import with_unknown_fields

_RESERVE: Final = Script("room_reserve")
_ENTER: Final = Script("room_enter")
_REPLACE: Final = Script("room_replace")
_ROLL_OVER: Final = Script("room_roll_over")
_VACATE: Final = Script("room_vacate")
_FREE: Final = Script("room_free")
_CLOSE: Final = Script("room_close")
_OWE: Final = Script("room_owe")
_STOCK: Final = Script("room_stock")
_DOUBT: Final = Script("room_doubt")
_OWED: Final = Script("owed_read")
_SIGN: Final = Script("browser_sign")
_SUBSCRIBE: Final = Script("browser_subscribe")

_ADD: Final = str(AddParticipant.__struct_config__.tag)

ROLL_OVER_AFTER: Final = 8.5 * 3600
"""Seconds after which a session is replaced: Bandwidth ends it after 9 hours (sessions API, call flow)."""
_TTL_MS: Final = 12 * 3_600_000
"""Milliseconds from the last change; a room that goes on has a new session before."""
_VACATED_TTL_MS: Final = 15 * 60_000
"""Milliseconds for which a replica may stall between the beginning of a join and its seat."""
OLD_SESSION_GRACE: Final = 60.0
"""Seconds for which a session outlives its replacement, so that its members are moved before it ends."""
CHECK_INTERVAL: Final = 900.0
"""Seconds until a room's seats are compared with the participants of its session."""
UNUSED_TIMEOUT: Final = 120.0
"""Seconds for which a seat is kept for a browser that was never heard of."""
ABSENT_TIMEOUT: Final = 45.0
"""Seconds of silence after which a browser counts as gone."""

_DOUBT_TTL: Final = 10.0
"""Seconds after which a doubt that nobody looks into any more keeps nobody out."""
_HANDED_OUT_TTL_MS: Final = 60_000
"""Milliseconds for which a token out of stock is kept, in case the script that gave it runs again."""

_alone: Final = msgspec.json.encode({"after": AloneSettings().after, "then": AloneSettings().then})
"""What settings that are kept without their defaults leave to these."""

Args = dict[str, Value]
PreparedStep = Literal["coming", "ready", "failed", "gone"]


class Rooms(RoomIndex):
    """`roll_over_after`: seconds until a session is replaced.

    `old_session_grace`: from then on until it is deleted.

    `check_interval`: seconds until who is in a session is compared with who has a seat. `unused_timeout` and
    `absent_timeout`: seconds until a browser is looked after that nothing was heard of, or nothing any more.
    `prepared`: participants that a room with somebody in it has ready for callers. `page_gone_timeout`:
    seconds from when the last browser leaves until the phones are looked after that it may have called; 0 for
    never.
    """

    def __init__(
        self,
        client: Client,
        *,
        roll_over_after: float = ROLL_OVER_AFTER,
        old_session_grace: float = OLD_SESSION_GRACE,
        check_interval: float = CHECK_INTERVAL,
        unused_timeout: float = UNUSED_TIMEOUT,
        absent_timeout: float = ABSENT_TIMEOUT,
        prepared: int = 0,
        page_gone_timeout: float = 0,
    ) -> None:
        super().__init__(client)
        self._prepared = prepared
        self._roll_over_after = roll_over_after
        self._old_session_grace = old_session_grace
        self._check_interval = check_interval
        self._unused_timeout = unused_timeout
        self._absent_timeout = absent_timeout
        self._page_gone_timeout = page_gone_timeout

    async def reserve(
        self,
        room: str,
        seat: str,
        *,
        wait_if_empty: bool,
        limit: int,
        now: float,
        browser: Browser | None = None,
        use_prepared: bool = False,
        refuse_if_doubted: bool = False,
        broken_at: float = 0,
    ) -> ReservedSeat | RoomFull | EmptyRoom | SeatGone | SessionInDoubt:
        """Take a seat, or with `wait_if_empty` wait outside where nobody is there and the room is set so.

        `browser`: what is kept of the one whose seat it is to be; None for a call. `use_prepared`: a
        participant out of the room's stock, if there is one. `refuse_if_doubted`: not while the room's
        session is in doubt. `broken_at`: when the caller's way into this room broke, who is not to come back
        after it was closed.
        """
        args: Args = {
            "seat": seat,
            "waits": int(wait_if_empty),
            "limit": limit,
            "ttl": _TTL_MS,
            "browser": b"" if browser is None else msgspec.json.encode(browser),
            "unused": ms(self._unused_timeout),
            "stock": self._prepared_for(room),
            "takes": int(use_prepared),
            "heeds": int(refuse_if_doubted),
            "broke": ms(broken_at),
        }
        at = RoomKeys.of(room)
        more = {
            "settings": at.settings,
            "left": keys.vacated_seat(room, seat),
            "closed": at.closed_at,
            "news": at.news,
        }
        answer, value, text, *stocked = await self._run(_RESERVE, room, now, args, **more)
        if answer == b"gone":
            return SeatGone()
        if answer == b"doubted":
            return SessionInDoubt()
        if answer == b"full":
            return RoomFull(int(value), leaving=int(text))
        settings = decode_settings(room, text)
        if answer == b"empty" and settings.waiting:
            return EmptyRoom(settings.waiting)
        participant_id, token = (one.decode() for one in stocked) if stocked else ("", "")
        return ReservedSeat(value.decode(), settings, participant_id, token)

    async def take_seat(
        self,
        room: str,
        seat: str,
        *,
        participant_id: str,
        new_session_id: str,
        now: float,
        keep_participant: bool = False,
    ) -> TakenSeat | SeatGone:
        """Take the seat; `new_session_id` becomes the room's session unless it has one.

        With `keep_participant` the participant has a seat in another room, and lives on when it does not get
        this one.
        """
        args: Args = {
            "seat": seat,
            "participant": participant_id,
            "keep": int(keep_participant),
            **self._session_args(room, new_session_id),
        }
        return _taken_seat(await self._run(_ENTER, room, now, args, news=RoomKeys.of(room).news))

    async def replace_session(
        self, room: str, seat: str, *, vanished_session_id: str, new_session_id: str, now: float
    ) -> TakenSeat | SeatGone:
        """Put a new session in the place of one that Bandwidth does not know any more."""
        args: Args = {
            "seat": seat,
            "vanished": vanished_session_id,
            **self._session_args(room, new_session_id),
        }
        return _taken_seat(await self._run(_REPLACE, room, now, args))

    async def roll_over(self, room: str, *, old_session_id: str, new_session_id: str, now: float) -> bool:
        """Put a new session in the place of one that is near its end, and owe everybody the move.

        False when `old_session_id` is not the room's session any more: `new_session_id` is owed for deletion
        then.
        """
        args: Args = {
            "old": old_session_id,
            "grace": ms(self._old_session_grace),
            **self._session_args(room, new_session_id),
        }
        return bool(await self._run(_ROLL_OVER, room, now, args))

    async def vacate(self, room: str, seat: str, *, keep_participant: bool = False, now: float) -> bool:
        """Begin to take a member down; tells whether there was one.

        With `keep_participant` the participant has a seat in another room, and this one is free at once.
        """
        args: Args = {
            "seat": seat,
            "keep": int(keep_participant),
            "left_ttl": _VACATED_TTL_MS,
            "alone": _alone,
            "page": ms(self._page_gone_timeout),
        }
        at = RoomKeys.of(room)
        more = {"settings": at.settings, "left": keys.vacated_seat(room, seat), "news": at.news}
        return bool(await self._run(_VACATE, room, now, args, **more))

    async def free_seat(self, room: str, seat: str, *, now: float) -> None:
        await self._run(_FREE, room, now, {"seat": seat})

    async def update_prepared(
        self,
        room: str,
        step: PreparedStep,
        participant_id: str,
        *,
        now: float,
        usable_until: float = 0,
        token: str = "",
    ) -> str:
        """What has become of a participant in stock (room_stock.lua); the session that it is or is to be in.

        Empty when it is in stock no more. `usable_until`: seconds since the epoch, until when it may be
        handed out.
        """
        args: Args = {
            "step": step,
            "participant": participant_id,
            "token": token,
            "till": ms(usable_until),
            "stock": self._prepared_for(room),
            "limit": MAX_MEMBERS,
            "kept": _HANDED_OUT_TTL_MS,
        }
        session = await self._run(_STOCK, room, now, args)
        return str(session.decode())

    async def doubt_session(self, room: str, check: CheckSession, *, now: float, due: float) -> bool:
        """The room's session was not found: `check` is owed, unless one is, and nobody new is sent into it.

        False when it is not the room's session.
        """
        text = encode_effect(check, check.session_id)[1]
        args: Args = {
            "session": check.session_id,
            "till": ms(now + _DOUBT_TTL),
            "due": ms(due),
            "effect": text,
        }
        return bool(await self._run(_DOUBT, room, now, args))

    async def confirm_session(self, room: str, session_id: str, *, now: float) -> None:
        """The session is there."""
        await self._run(_DOUBT, room, now, {"session": session_id, "till": 0, "due": 0, "effect": ""})

    async def list_seats_being_added(self, room: str) -> frozenset[str]:
        """Seats whose participants are still to be put into the room's session."""
        owed = await self._client.run(_OWED, {"owed": RoomKeys.of(room).owed}, {})
        ids = [field.decode().partition(":") for field, _ in pairs(owed)]
        return frozenset(seat for kind, _, seat in ids if kind == _ADD)

    def _session_args(self, room: str, new_session_id: str) -> Args:
        """For scripts that may make `new_session_id` the room's session."""
        return {
            "made": new_session_id,
            "ttl": _TTL_MS,
            "roll_over": ms(self._roll_over_after),
            "check": ms(self._check_interval),
            "stock": self._prepared_for(room),
            "limit": MAX_MEMBERS,
        }

    def _prepared_for(self, room: str) -> int:
        """In a room of a caller's own there is nobody to wait for."""
        return 0 if is_private_room(room) else self._prepared

    async def heartbeat(self, room: str, seat: str, *, now: float) -> bool:
        """A heartbeat of a browser; tells whether it has its seat."""
        return await self._record_sign(room, seat, "beat", now, 0)

    async def mark_connected(self, room: str, seat: str, *, now: float, reported_ms: int = 0) -> bool:
        """`reported_ms`: when by Bandwidth's clock, in milliseconds; 0 if that is not known."""
        return await self._record_sign(room, seat, "connected", now, reported_ms)

    async def mark_disconnected(self, room: str, seat: str, *, now: float, reported_ms: int = 0) -> bool:
        """It may come back. `reported_ms`: as for `mark_connected`."""
        return await self._record_sign(room, seat, "disconnected", now, reported_ms)

    async def subscribe(
        self,
        room: str,
        seat: str,
        browser: Browser,
        *,
        participant_id: str,
        now: float,
        unknown_fields: bytes = b"",
    ) -> bool:
        """Keep whom a browser hears, and owe it to Bandwidth; tells whether it is in its seat.

        `unknown_fields`: what a newer release has written of the browser.
        """
        args: Args = {
            "seat": seat,
            "browser": with_unknown_fields(msgspec.json.encode(browser), unknown_fields),
            "effect": msgspec.json.encode(Subscribe(room, participant_id, browser.hears)),
        }
        return bool(await self._run(_SUBSCRIBE, room, now, args))

    async def close(self, room: str, *, now: float) -> bool:
        """Everybody out, seated or waiting, and invitations and visits of before are over.

        Tells whether there was anything that was not closed already.
        """
        args: Args = {
            "marks": keys.vacated_seat(room, ""),
            "left_ttl": _VACATED_TTL_MS,
            "ttl": _TTL_MS,
            "life": MAX_LIFETIME_MS,
        }
        at = RoomKeys.of(room)
        more = {"closed": at.closed_at, "passes": at.passes, "ends": at.passes_until, "news": at.news}
        return bool(await self._run(_CLOSE, room, now, args, **more))

    async def schedule(
        self,
        room: str,
        effect: DeleteParticipant | DeleteSession | HangUpLeg | CheckRoom | AddParticipant,
        *,
        now: float,
        due: float | None = None,
    ) -> None:
        """Write down the removal of something that was made too late to be used, or another look."""
        target = _target(effect)
        id_, text = encode_effect(effect, target)
        lane = id_ if isinstance(effect, CheckRoom) else target
        at = RoomKeys.of(room)
        await self._client.run(
            _OWE,
            {"owed": at.owed, "agenda": at.agenda},
            {
                "now": ms(now),
                "owner": at.owner,
                "effects": msgspec.json.encode([(id_, ms(now if due is None else due), lane, text)]),
            },
        )

    async def _record_sign(self, room: str, seat: str, sign: str, now: float, reported_ms: int) -> bool:
        args: Args = {
            "seat": seat,
            "sign": sign,
            "told": reported_ms,
            "absent": ms(self._absent_timeout),
            "ttl": _TTL_MS,
        }
        return bool(await self._run(_SIGN, room, now, args))

    async def _run(self, script: Script, room: str, now: float, args: Args, **more: str) -> Result:
        at = RoomKeys.of(room)
        return await self._client.run(
            script,
            {"room": at.room, "live": at.live_rooms, "owed": at.owed, "agenda": at.agenda, **more},
            {"now": ms(now), "owner": at.owner, "name": room, **args},
        )


def _target(effect: DeleteParticipant | DeleteSession | HangUpLeg | CheckRoom | AddParticipant) -> str:
    match effect:
        case AddParticipant():
            return effect.seat
        case DeleteParticipant():
            return effect.participant_id
        case DeleteSession() | CheckRoom():
            return effect.session_id
        case HangUpLeg():
            return effect.call_id


def _taken_seat(answer: Result) -> TakenSeat | SeatGone:
    where, session, owes = answer
    return TakenSeat(session.decode(), bool(owes)) if where == b"in" else SeatGone()
