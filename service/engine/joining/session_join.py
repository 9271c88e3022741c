"""The way of a participant into a room's session, for who comes from outside and from another room alike."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final, NamedTuple, TypeVar

import structlog

from service.bandwidth.errors import BandwidthError, NotFound
from service.bandwidth.webrtc import CreatedParticipant, WebRtcApi
from service.calls.browser import Hears, Permission, Streams, heard_id
from service.calls.effects import DeleteParticipant, DeleteSession
from service.clock import Clock
from service.engine.outbox.wakeup import Alarm
from service.engine.joining.creates import Creates
from service.engine.joining.compensated import Creation, TooSlow, all_made, together
from service.engine.session_checks import Doubts
from service.engine.outbox.retry_write import Persistence
from service.logs import bound
from service.metrics import Metrics
from service.store import keys
from service.store.errors import StoreUnavailable
from service.store.rooms import Gone, Rooms, Seat
from service.tasks import Tasks

log = structlog.get_logger()
T = TypeVar("T")

_AFTER_THE_JOIN: Final = 15.0
"""Seconds after its deadline in which whatever was made has either got its place or been given up."""
_APART: Final = 0.1
"""Seconds by which one create may be slower than the other and nothing is made of it."""


class Refused(Exception):
    """It cannot succeed; the reason is one of `service.calls.outcomes.FAILURES`.

    `passes`: in a moment it might.
    """

    def __init__(self, reason: str, detail: str = "", *, passes: bool = False) -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.passes = passes


@contextmanager
def _full_at_bandwidth() -> Iterator[None]:
    """A new participant that conflicts is in no other session: this one is full.

    It may be so for as long as some who have lost their seat, or were made ahead, are to be taken out.
    """
    try:
        yield
    except BandwidthError as error:
        if (error.operation, error.code) != ("add-participant", "conflict"):
            raise
        raise Refused("room-full", str(error), passes=True) from error


class Entered(NamedTuple):
    session_id: str
    participant: CreatedParticipant


class Entrance:
    """Deadlines are monotonic. Raises Refused, TooSlow, InDoubt, BandwidthError and StoreError.

    Whatever was made by then is taken down, also once the store is back.
    """

    def __init__(
        self,
        *,
        webrtc: WebRtcApi,
        rooms: Rooms,
        doubts: Doubts,
        clock: Clock,
        tasks: Tasks,
        alarm: Alarm,
        metrics: Metrics | None = None,
        persistence: Persistence | None = None,
    ) -> None:
        self._persistence = persistence or Persistence(clock)
        self.creates = Creates(
            webrtc=webrtc,
            rooms=rooms,
            clock=clock,
            tasks=tasks,
            alarm=alarm,
            metrics=metrics or Metrics(),
            persistence=self._persistence,
        )
        self._webrtc = webrtc
        self._doubts = doubts
        self._rooms = rooms
        self._clock = clock
        self._tasks = tasks
        self._alarm = alarm

    async def enter(
        self,
        room: str,
        seat: str,
        *,
        session_id: str,
        callback_url: str,
        deadline: float,
        permissions: Sequence[Permission] = (Permission.AUDIO,),
        check: Callable[[str], None] = lambda _token: None,
    ) -> Entered:
        """With a participant of its own into the room's session: `session_id`, or a new one if that is empty.

        The seat has been reserved. `check` is given the device token, and raises for one that is of no use.
        """
        with ExitStack() as owned, _full_at_bandwidth():
            making = owned.enter_context(
                self.creates.participant(room, seat, callback_url, permissions, deadline=deadline)
            )
            if session_id:
                participant = await making.within(self.left(deadline))
                check(participant.token)
                with bound(participant_id=participant.id):
                    session_id = await self._take_and_add(room, seat, session_id, making, deadline)
                return Entered(session_id, participant)
            making_session = owned.enter_context(self.creates.session(room, deadline=deadline))
            await self._insure(room, seat, making, making_session, deadline)
            await all_made(making, making_session, seconds=self.left(deadline))
            participant, made_session = await making.within(0), await making_session.within(0)
            check(participant.token)
            with bound(participant_id=participant.id):
                session_id = await self.take_seat(
                    room, seat, participant.id, made_session, making=(making, making_session)
                )
                self._check_time(deadline)
                await self.add(room, session_id=session_id, participant_id=participant.id, deadline=deadline)
            return Entered(session_id, participant)

    async def take_seat(
        self,
        room: str,
        seat: str,
        participant_id: str,
        made_session: str,
        *,
        making: tuple[Creation[Any], ...],
        keep: bool = False,
    ) -> str:
        """The room's session: `made_session` unless it has one already. `making`: what has made the two.

        With `keep` the participant is in another room, and stays there when it does not get this seat.
        """
        taken = await self._settle(
            room,
            lambda: self._rooms.enter(
                room,
                seat,
                participant_id=participant_id,
                made_session=made_session,
                now=self._clock.now(),
                keep=keep,
            ),
            making,
        )
        return taken.session_id

    async def add(
        self,
        room: str,
        *,
        session_id: str,
        participant_id: str,
        deadline: float,
        hears: Hears = None,
    ) -> None:
        """Into the session.

        Raises NotFound when those whom it `hears` are not there, which they may be in a moment.
        """
        # Nobody at first: whom it hears may be on their way into the same session, and unknown there.
        first = None if hears is None else ()
        with bound(session_id=session_id):
            try:
                await self._webrtc.add_participant(
                    session_id, participant_id, hears=first, timeout=self.left(deadline)
                )
            except NotFound as error:
                raise await self._doubts.of(room, session_id, error, self.left(deadline)) from error
        if hears:
            await self._hear(room, session_id, participant_id, hears, deadline)

    async def _hear(
        self,
        room: str,
        session_id: str,
        participant_id: str,
        hears: tuple[str | Streams, ...],
        deadline: float,
    ) -> None:
        """Those that are left of whom it is to hear; Bandwidth knows nothing of who has gone."""
        view = await self._rooms.read(room)
        there = {member.participant_id for member in view.members} if view else set()
        await self._webrtc.subscribe(
            session_id,
            participant_id,
            hears=tuple(one for one in hears if heard_id(one) in there),
            timeout=self.left(deadline),
        )

    async def _take_and_add(
        self,
        room: str,
        seat: str,
        session_id: str,
        making: Creation[CreatedParticipant],
        deadline: float,
    ) -> str:
        """Its seat, and into the session that the room had when the seat was reserved, side by side.

        Mostly the room still has it. Who does not get the seat is owed for deletion, in a session or not.
        """
        participant_id = (await making.within(0)).id
        adding = self._tasks.start(
            self._tried(session_id, participant_id, self.left(deadline)), name="participant.add"
        )
        taken = await self.take_seat(room, seat, participant_id, "", making=(making,))
        self._check_time(deadline)
        error = await adding
        if taken != session_id:
            # It was replaced meanwhile, for those who had a seat.
            if not isinstance(error, NotFound):
                # What failed may have been done all the same; if not, the next request conflicts.
                with suppress(BandwidthError):
                    await self._webrtc.remove_participant(
                        session_id, participant_id, timeout=self.left(deadline)
                    )
            await self.add(room, session_id=taken, participant_id=participant_id, deadline=deadline)
            return taken
        if isinstance(error, NotFound):
            raise await self._doubts.of(room, taken, error, self.left(deadline)) from error
        if error is not None:
            raise error
        return taken

    async def _tried(self, session_id: str, participant_id: str, seconds: float) -> BandwidthError | None:
        with bound(session_id=session_id):
            try:
                await self._webrtc.add_participant(session_id, participant_id, timeout=seconds)
            except BandwidthError as error:
                return error
        return None

    async def roll_over(self, room: str, session_id: str, deadline: float) -> None:
        """Everybody into a new session, unless the room has another than `session_id` by now."""
        with self.creates.session(room, deadline=deadline) as making:
            made = await making.within(self.left(deadline))
            replaced = await self.written(
                room,
                lambda: self._rooms.roll_over(room, old=session_id, made=made, now=self._clock.now()),
                (making,),
            )
        if replaced:
            log.info("session.replaced", vanished=session_id)

    def _check_time(self, deadline: float) -> None:
        if self._clock.monotonic() >= deadline:
            # Not Bandwidth's doing: whoever waits is asked to come back, and gets another attempt.
            raise StoreUnavailable("it answered when the time was up")

    def left(self, deadline: float) -> float:
        """Seconds until the deadline. Raises TooSlow when there are none."""
        left = deadline - self._clock.monotonic()
        if left <= 0:
            raise TooSlow
        return left

    async def _settle(
        self, room: str, write: Callable[[], Awaitable[Seat | Gone]], making: tuple[Creation[Any], ...]
    ) -> Seat:
        """Hand what was made over to the room; once that is through, the seat's leaving takes it down."""
        seat = await self.written(room, write, making)
        if isinstance(seat, Gone):
            raise Refused("room-closed")
        return seat

    async def written(
        self, room: str, write: Callable[[], Awaitable[T]], making: tuple[Creation[Any], ...]
    ) -> T:
        """A write by which the room becomes the owner of what was made.

        Cut off in any way, it may or may not have been taken, and only we know of what was made. The same
        write is then repeated in the background, besides whatever the caller does about it.
        """
        for one in making:
            one.handed_over()
        try:
            written = await write()
        except BaseException:
            made = [cleanup for one in making if (cleanup := one.cleanup)]
            self._tasks.start(self._persistence.write(write, "room", *made, room=room), name="room.settle")
            raise
        if not isinstance(written, Seat) or written.owes:
            self._alarm.wake(keys.owner_room(room))
        return written

    async def _insure(
        self,
        room: str,
        seat: str,
        making_participant: Creation[CreatedParticipant],
        making_session: Creation[str],
        deadline: float,
    ) -> None:
        """Owe the removal of what was made while the other create hangs; `take_seat` calls it off.

        Until then only this process knows of it, and it may be killed. Raises StoreError.
        """
        if await together(making_participant, making_session, apart=_APART, seconds=self.left(deadline)):
            return
        now = self._clock.now()
        due = now + max(deadline - self._clock.monotonic(), 0) + _AFTER_THE_JOIN
        if participant := making_participant.made:
            await self._rooms.owe(room, DeleteParticipant(seat, participant.id), now=now, due=due)
        if session_id := making_session.made:
            await self._rooms.owe(room, DeleteSession(session_id), now=now, due=due)
