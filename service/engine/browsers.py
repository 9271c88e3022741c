"""Admits browsers to rooms, takes their heartbeats, and takes down those that are gone."""

from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from service.bandwidth.callback_urls import CallbackUrls
from service.bandwidth.errors import BandwidthError
from service.calls.browser import (
    Browser,
    Hears,
    Permission,
    counts_as_gone_from,
    seat_of_browser,
    visit_ends_at,
)
from service.calls.effects import CheckPresence
from service.calls.room_settings import MAX_MEMBERS
from service.clock import Clock
from service.engine.errors import JoinRefused, JoinTimeout, NotFoundUnconfirmed, RequestRefusal
from service.engine.joining.call_join import failure_reason
from service.engine.joining.session_join import SessionJoiner
from service.engine.outbox.protocols import NotInStore, RetryLater
from service.engine.outbox.retries import client_retry_after
from service.engine.outbox.retry_write import RetryWriter
from service.engine.outbox.wakeup import WorkerSignal
from service.engine.timeouts import Timeouts
from service.logs import log_context
from service.metrics import Metrics
from service.store import keys
from service.store.room_index import Member
from service.store.room_results import ReservedSeat, RoomFull, SeatGone, SessionInDoubt
from service.store.rooms import Rooms
from service.tasks import Tasks

log = structlog.get_logger()

SEATED_PHASES: Final = frozenset({"reserved", "in"})
"""Phases of a seat that somebody has."""
_SEAT_POLL: Final = 0.1
"""Seconds between two looks whether a seat has become free."""


class AdmittedBrowser(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that may connect. The token is handed out once, and kept nowhere."""

    room: str
    seat: str
    participant_id: str
    session_id: str
    token: str
    expires_at: float
    """Seconds since the epoch; 0 where the token does not say."""

    def __repr__(self) -> str:
        return f"AdmittedBrowser(room={self.room!r}, seat={self.seat!r}, token=***)"


class Browsers:
    """All methods raise StoreError. `budget`: seconds in which a browser is admitted or refused."""

    def __init__(
        self,
        *,
        session_joiner: SessionJoiner,
        rooms: Rooms,
        callbacks: CallbackUrls,
        budget: float,
        timeouts: Timeouts,
        clock: Clock,
        tasks: Tasks,
        signal: WorkerSignal,
        new_name: Callable[[], str],
        metrics: Metrics,
        retry_writer: RetryWriter | None = None,
    ) -> None:
        self._session_joiner = session_joiner
        self._rooms = rooms
        self._callbacks = callbacks
        self._budget = budget
        self._timeouts = timeouts
        self._clock = clock
        self._tasks = tasks
        self._signal = signal
        self._new_name = new_name
        self._metrics = metrics
        self._retry_writer = retry_writer or RetryWriter(clock)

    async def admit(
        self,
        room: str,
        *,
        name: str = "",
        permissions: tuple[Permission, ...] = (Permission.AUDIO,),
        visit: str = "",
        visit_ends_at: float = 0,
    ) -> AdmittedBrowser | RequestRefusal:
        """A seat, a session where the room has none, and a participant in it with its own subscription.

        The seat goes back when nothing is heard of the browser in time. Whatever browser the visit had before
        leaves, so that nobody is there twice. `visit_ends_at`: when the visit runs out, and its browser
        leaves.
        """
        deadline = self._clock.monotonic() + self._budget
        while True:
            try:
                return await self._admit(
                    room, Browser(name, permissions, visit, visit_until=visit_ends_at), deadline
                )
            except NotFoundUnconfirmed as error:
                if deadline - self._clock.monotonic() <= self._timeouts.vanished_limit.interval:
                    return self._refusal(error)
            await self._clock.sleep(self._timeouts.vanished_limit.interval)

    async def _admit(self, room: str, browser: Browser, deadline: float) -> AdmittedBrowser | RequestRefusal:
        """Raises NotFoundUnconfirmed when it may be possible in a moment."""
        seat = seat_of_browser(self._new_name())
        with log_context(room=room, seat=seat):
            try:
                place = await self._reserve(room, seat, browser, deadline)
                entered = await self._session_joiner.join(
                    room,
                    seat,
                    session_id=place.session_id,
                    callback_url=self._callbacks.browser_url(room, seat),
                    deadline=deadline,
                    permissions=browser.permissions,
                )
                await self._keep_newest(room, browser.visit, seat)
            except (JoinRefused, JoinTimeout, BandwidthError) as error:
                self._release_seat(room, seat)
                return self._refusal(error)
            except BaseException:
                self._release_seat(room, seat)
                raise
            with log_context(participant_id=entered.participant.id):
                log.info("participant.admitted")
        return AdmittedBrowser(
            room=room,
            seat=seat,
            participant_id=entered.participant.id,
            session_id=entered.session_id,
            token=entered.participant.token,
            expires_at=entered.participant.expires_at,
        )

    async def find(self, room: str, participant_id: str) -> Member | None:
        """Whoever has this participant and a seat, a phone too."""
        members = await self._members(room)
        return next(
            (one for one in members if one.phase in SEATED_PHASES and one.participant_id == participant_id),
            None,
        )

    async def visit_of(self, room: str, participant_id: str) -> str:
        """Whose browser this is, or was until it is taken down; empty for nobody's."""
        members = await self._members(room)
        found = (one.browser for one in members if one.browser and one.participant_id == participant_id)
        return next((browser.visit for browser in found), "")

    async def heartbeat(self, room: str, seat: str) -> bool:
        """A sign of life; False when it has no seat any more."""
        return await self._rooms.heartbeat(room, seat, now=self._clock.now())

    async def leave(self, room: str, seat: str, *, why: str = "asked") -> bool:
        """Take it down; False when it was not there."""
        left = await self._rooms.vacate(room, seat, now=self._clock.now())
        if left:
            self._signal.notify(keys.owner_room(room))
            with log_context(room=room, seat=seat):
                log.info("participant.left", why=why)
        return left

    async def participants_by_visit(self, room: str) -> dict[str, str]:
        """Participants by the visit whose they are."""
        return {
            one.browser.visit: one.participant_id
            for one in await self._members(room)
            if one.browser and one.browser.visit and one.phase == "in"
        }

    async def leave_visit(self, room: str, visit: str) -> bool:
        """Take down whatever browser of the visit has a seat; False when none has."""
        found = [one for one in await self._browsers_of_visit(room, visit) if one.phase in SEATED_PHASES]
        for one in found:
            await self.leave(room, one.seat)
        return bool(found)

    async def subscribe(self, room: str, member: Member, hears: Hears) -> bool:
        """Whom it hears from now on: written down, and owed to Bandwidth. False when it has left."""
        if member.browser is None:
            raise ValueError("a phone's subscriptions are its call's")
        kept = msgspec.structs.replace(member.browser, hears=hears)
        subscribed = await self._rooms.subscribe(
            room,
            member.seat,
            kept,
            participant_id=member.participant_id,
            now=self._clock.now(),
            unknown_fields=member.unknown_fields,
        )
        if subscribed:
            self._signal.notify(keys.owner_room(room))
        return subscribed

    async def handle_event(
        self, room: str, seat: str, participant_id: str, event: str, event_time_ms: int = 0
    ) -> None:
        """A participant event (sessions API, webhooks): `onConnect`, `onLeave` or `onDisconnect`.

        `event_time_ms`: when it happened by Bandwidth's clock, in milliseconds; 0 if that is not known. What
        is older than what was told before changes nothing.
        """
        member = await self._seated_browser(room, seat)
        if member is None or (member.participant_id and member.participant_id != participant_id):
            return
        match event:
            case "onConnect":
                await self._rooms.mark_connected(room, seat, now=self._clock.now(), reported_ms=event_time_ms)
            case "onDisconnect":
                await self._rooms.mark_disconnected(
                    room, seat, now=self._clock.now(), reported_ms=event_time_ms
                )
                self._signal.notify(keys.owner_room(room))
            case "onLeave":
                await self.leave(room, seat, why="reported")

    async def check_presence(self, effect: CheckPresence) -> None:
        """Take it down if it was silent for too long, or its visit is over. Raises RetryLater, NotInStore."""
        found = [one for one in await self._members(effect.room) if one.seat == effect.seat]
        if not found:
            raise NotInStore
        [member] = found
        if member.phase not in SEATED_PHASES:
            return
        absent = counts_as_gone_from(
            member.presence, unused=self._timeouts.unused_seat, absent=self._timeouts.browser_absence
        )
        over = visit_ends_at(member.browser)
        left = min(absent, over) - self._clock.now()
        if left > 0:
            raise RetryLater(min(left, self._timeouts.idle_check))
        await self.leave(effect.room, effect.seat, why="over" if over < absent else "absent")

    async def browser(self, room: str, seat: str) -> Browser | None:
        """The one that has the seat; None where it has left. Raises StoreError."""
        member = await self._seated_browser(room, seat)
        return member.browser if member else None

    async def _reserve(self, room: str, seat: str, browser: Browser, deadline: float) -> ReservedSeat:
        """Raises JoinRefused. Where only the visit's own browser is in the way, wait until it is out."""
        await self._leave_visit(room, browser.visit)
        while True:
            place = await self._rooms.reserve(
                room,
                seat,
                wait_if_empty=False,
                limit=MAX_MEMBERS,
                now=self._clock.now(),
                browser=browser,
                refuse_if_doubted=True,
            )
            match place:
                case ReservedSeat():
                    return place
                case SeatGone():
                    raise JoinRefused("room-closed")
                case SessionInDoubt():
                    raise NotFoundUnconfirmed(is_participant=False)
                case RoomFull():
                    leaving = [
                        one for one in await self._browsers_of_visit(room, browser.visit) if one.seat != seat
                    ]
                    if not leaving or self._session_joiner.seconds_left(deadline) < _SEAT_POLL:
                        raise JoinRefused("room-full", f"room {room} has {place.members} members")
            await self._clock.sleep(_SEAT_POLL)

    async def _leave_visit(self, room: str, visit: str) -> None:
        """Whoever of the visit is in. One that is just coming in sees to that itself."""
        for one in await self._browsers_of_visit(room, visit):
            if one.phase == "in":
                await self.leave(room, one.seat, why="replaced")

    async def _keep_newest(self, room: str, visit: str, seat: str) -> None:
        """Of those who came in at the same time the last one stays."""
        found = [one for one in await self._browsers_of_visit(room, visit) if one.phase in SEATED_PHASES]
        newest = max(found, key=lambda one: (one.presence.seated_at, one.seat), default=None)
        for one in found:
            if one is not newest and (one.phase == "in" or one.seat == seat):
                await self.leave(room, one.seat, why="replaced")

    async def _browsers_of_visit(self, room: str, visit: str) -> list[Member]:
        if not visit:
            return []
        return [one for one in await self._members(room) if one.browser and one.browser.visit == visit]

    async def _seated_browser(self, room: str, seat: str) -> Member | None:
        """A browser that has this seat."""
        members = await self._members(room)
        return next(
            (one for one in members if one.seat == seat and one.browser and one.phase in SEATED_PHASES), None
        )

    async def _members(self, room: str) -> tuple[Member, ...]:
        view = await self._rooms.read(room)
        return view.members if view else ()

    def _release_seat(self, room: str, seat: str) -> None:
        async def vacate() -> None:
            await self._rooms.vacate(room, seat, now=self._clock.now())
            self._signal.notify(keys.owner_room(room))

        self._tasks.start(
            self._retry_writer.retry_until_stored(vacate, "browser's seat", room=room),
            name="participant.given_up",
        )

    def _refusal(
        self, error: JoinRefused | JoinTimeout | NotFoundUnconfirmed | BandwidthError
    ) -> RequestRefusal:
        reason = failure_reason(error)
        self._metrics.join_failed(reason)
        log.warning("participant.refused", reason=reason, error=str(error))
        retry_after = client_retry_after(error.retry_after) if isinstance(error, BandwidthError) else None
        # That a participant is gone as soon as it was made is nothing that whoever asks could act on.
        known = "bandwidth-error" if reason == "participant-vanished" else reason
        return RequestRefusal(known, _brief(error, known), retry_after, full_detail=str(error))


def _brief(error: Exception, reason: str) -> str:
    """Without Bandwidth's own words; a doubt quotes them as well."""
    if isinstance(error, BandwidthError):
        return error.brief
    return reason if isinstance(error, NotFoundUnconfirmed) else str(error)
