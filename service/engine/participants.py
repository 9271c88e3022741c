"""Browsers in rooms: how one gets its token and its seat, and how it is known to be there or gone."""

from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from service.bandwidth.errors import BandwidthError
from service.calls.browser import (
    Browser,
    Hears,
    Permission,
    absent_from,
    over_from,
    seat_of_browser,
)
from service.calls.effects import CheckPresence
from service.calls.room import MEMBERS
from service.clock import Clock
from service.engine.alarm import Alarm
from service.engine.callbacks import Callbacks
from service.engine.creation import TooSlow
from service.engine.doubts import InDoubt
from service.engine.entrance import Entrance, Refused
from service.engine.joining import reason_of
from service.engine.operators import Refusal
from service.engine.patience import Patience
from service.engine.performing import Missing, NotYet
from service.engine.persist import Persistence
from service.engine.retries import told_to_wait
from service.logs import bound
from service.metrics import Metrics
from service.store import keys
from service.store.room_directory import Member
from service.store.rooms import Doubted, Gone, Place, RoomFull, Rooms
from service.tasks import Tasks

log = structlog.get_logger()

SEATED: Final = frozenset({"reserved", "in"})
"""Phases of a seat that somebody has."""
_PAUSE: Final = 0.1
"""Seconds between two looks whether a seat has become free."""


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that may connect. The token is handed out once, and kept nowhere."""

    room: str
    seat: str
    participant_id: str
    session_id: str
    token: str
    expires_at: float
    """Seconds since the epoch; 0 where the token does not say."""

    def __repr__(self) -> str:
        return f"Admitted(room={self.room!r}, seat={self.seat!r}, token=***)"


class Participants:
    """All methods raise StoreError. `budget`: seconds in which a browser is admitted or refused."""

    def __init__(
        self,
        *,
        entrance: Entrance,
        rooms: Rooms,
        callbacks: Callbacks,
        budget: float,
        patience: Patience,
        clock: Clock,
        tasks: Tasks,
        alarm: Alarm,
        new_name: Callable[[], str],
        metrics: Metrics,
        persistence: Persistence | None = None,
    ) -> None:
        self._entrance = entrance
        self._rooms = rooms
        self._callbacks = callbacks
        self._budget = budget
        self._patience = patience
        self._clock = clock
        self._tasks = tasks
        self._alarm = alarm
        self._new_name = new_name
        self._metrics = metrics
        self._persistence = persistence or Persistence(clock)

    async def admit(
        self,
        room: str,
        *,
        name: str = "",
        permissions: tuple[Permission, ...] = (Permission.AUDIO,),
        visit: str = "",
        until: float = 0,
    ) -> Admitted | Refusal:
        """A seat, a session where the room has none, and a participant in it with its own subscription.

        The seat goes back when nothing is heard of the browser in time. Whatever browser the visit had before
        leaves, so that nobody is there twice. `until`: when the visit runs out, and its browser leaves.
        """
        deadline = self._clock.monotonic() + self._budget
        while True:
            try:
                return await self._admit(room, Browser(name, permissions, visit, until=until), deadline)
            except InDoubt as error:
                if deadline - self._clock.monotonic() <= self._patience.vanished.pause:
                    return self._refused(error)
            await self._clock.sleep(self._patience.vanished.pause)

    async def _admit(self, room: str, browser: Browser, deadline: float) -> Admitted | Refusal:
        """Raises InDoubt when it may be possible in a moment."""
        seat = seat_of_browser(self._new_name())
        with bound(room=room, seat=seat):
            try:
                place = await self._reserve(room, seat, browser, deadline)
                entered = await self._entrance.enter(
                    room,
                    seat,
                    session_id=place.session_id,
                    callback_url=self._callbacks.browser(room, seat),
                    deadline=deadline,
                    permissions=browser.permissions,
                )
                await self._keep_newest(room, browser.visit, seat)
            except (Refused, TooSlow, BandwidthError) as error:
                self._give_up(room, seat)
                return self._refused(error)
            except BaseException:
                self._give_up(room, seat)
                raise
            with bound(participant_id=entered.participant.id):
                log.info("participant.admitted")
        return Admitted(
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
            (one for one in members if one.phase in SEATED and one.participant_id == participant_id), None
        )

    async def visit_of(self, room: str, participant_id: str) -> str:
        """Whose browser this is, or was until it is taken down; empty for nobody's."""
        members = await self._members(room)
        found = (one.browser for one in members if one.browser and one.participant_id == participant_id)
        return next((browser.visit for browser in found), "")

    async def beat(self, room: str, seat: str) -> bool:
        """A sign of life; False when it has no seat any more."""
        return await self._rooms.beat(room, seat, now=self._clock.now())

    async def leave(self, room: str, seat: str, *, why: str = "asked") -> bool:
        """Take it down; False when it was not there."""
        left = await self._rooms.vacate(room, seat, now=self._clock.now())
        if left:
            self._alarm.wake(keys.owner_room(room))
            with bound(room=room, seat=seat):
                log.info("participant.left", why=why)
        return left

    async def visiting(self, room: str) -> dict[str, str]:
        """Participants by the visit whose they are."""
        return {
            one.browser.visit: one.participant_id
            for one in await self._members(room)
            if one.browser and one.browser.visit and one.phase == "in"
        }

    async def leave_visit(self, room: str, visit: str) -> bool:
        """Take down whatever browser of the visit has a seat; False when none has."""
        found = [one for one in await self._of_visit(room, visit) if one.phase in SEATED]
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
            foreign=member.foreign,
        )
        if subscribed:
            self._alarm.wake(keys.owner_room(room))
        return subscribed

    async def report(self, room: str, seat: str, participant_id: str, event: str, told: int = 0) -> None:
        """A participant event (sessions API, webhooks): `onConnect`, `onLeave` or `onDisconnect`.

        `told`: when it happened by Bandwidth's clock, in milliseconds; 0 if that is not known. What is older
        than what was told before changes nothing.
        """
        member = await self._seated(room, seat)
        if member is None or (member.participant_id and member.participant_id != participant_id):
            return
        match event:
            case "onConnect":
                await self._rooms.connected(room, seat, now=self._clock.now(), told=told)
            case "onDisconnect":
                await self._rooms.disconnected(room, seat, now=self._clock.now(), told=told)
                self._alarm.wake(keys.owner_room(room))
            case "onLeave":
                await self.leave(room, seat, why="reported")

    async def check_presence(self, effect: CheckPresence) -> None:
        """Take it down if it was silent for too long, or its visit is over. Raises NotYet, Missing."""
        found = [one for one in await self._members(effect.room) if one.seat == effect.seat]
        if not found:
            raise Missing
        [member] = found
        if member.phase not in SEATED:
            return
        absent = absent_from(member.presence, unused=self._patience.unused, absent=self._patience.absent)
        over = over_from(member.browser)
        left = min(absent, over) - self._clock.now()
        if left > 0:
            raise NotYet(min(left, self._patience.quiet))
        await self.leave(effect.room, effect.seat, why="over" if over < absent else "absent")

    async def browser(self, room: str, seat: str) -> Browser | None:
        """The one that has the seat; None where it has left. Raises StoreError."""
        member = await self._seated(room, seat)
        return member.browser if member else None

    async def _reserve(self, room: str, seat: str, browser: Browser, deadline: float) -> Place:
        """Raises Refused. Where only the visit's own browser is in the way, wait until it is out."""
        await self._leave_visit(room, browser.visit)
        while True:
            place = await self._rooms.reserve(
                room,
                seat,
                waits=False,
                limit=MEMBERS,
                now=self._clock.now(),
                browser=browser,
                heeds=True,
            )
            match place:
                case Place():
                    return place
                case Gone():
                    raise Refused("room-closed")
                case Doubted():
                    raise InDoubt(participant=False)
                case RoomFull():
                    leaving = [one for one in await self._of_visit(room, browser.visit) if one.seat != seat]
                    if not leaving or self._entrance.left(deadline) < _PAUSE:
                        raise Refused("room-full", f"room {room} has {place.members} members")
            await self._clock.sleep(_PAUSE)

    async def _leave_visit(self, room: str, visit: str) -> None:
        """Whoever of the visit is in. One that is just coming in sees to that itself."""
        for one in await self._of_visit(room, visit):
            if one.phase == "in":
                await self.leave(room, one.seat, why="replaced")

    async def _keep_newest(self, room: str, visit: str, seat: str) -> None:
        """Of those who came in at the same time the last one stays."""
        found = [one for one in await self._of_visit(room, visit) if one.phase in SEATED]
        newest = max(found, key=lambda one: (one.presence.taken, one.seat), default=None)
        for one in found:
            if one is not newest and (one.phase == "in" or one.seat == seat):
                await self.leave(room, one.seat, why="replaced")

    async def _of_visit(self, room: str, visit: str) -> list[Member]:
        if not visit:
            return []
        return [one for one in await self._members(room) if one.browser and one.browser.visit == visit]

    async def _seated(self, room: str, seat: str) -> Member | None:
        """A browser that has this seat."""
        members = await self._members(room)
        return next(
            (one for one in members if one.seat == seat and one.browser and one.phase in SEATED), None
        )

    async def _members(self, room: str) -> tuple[Member, ...]:
        view = await self._rooms.read(room)
        return view.members if view else ()

    def _give_up(self, room: str, seat: str) -> None:
        async def vacate() -> None:
            await self._rooms.vacate(room, seat, now=self._clock.now())
            self._alarm.wake(keys.owner_room(room))

        self._tasks.start(
            self._persistence.write(vacate, "browser's seat", room=room), name="participant.given_up"
        )

    def _refused(self, error: Refused | TooSlow | InDoubt | BandwidthError) -> Refusal:
        reason = reason_of(error)
        self._metrics.join_failed(reason)
        log.warning("participant.refused", reason=reason, error=str(error))
        retry_after = told_to_wait(error.retry_after) if isinstance(error, BandwidthError) else None
        # That a participant is gone as soon as it was made is nothing that whoever asks could act on.
        known = "bandwidth-error" if reason == "participant-vanished" else reason
        return Refusal(known, _brief(error, known), retry_after, words=str(error))


def _brief(error: Exception, reason: str) -> str:
    """Without Bandwidth's own words; a doubt quotes them as well."""
    if isinstance(error, BandwidthError):
        return error.brief
    return reason if isinstance(error, InDoubt) else str(error)
