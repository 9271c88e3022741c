"""Adds a participant to a room's session. Used for new calls and for calls moved from another room."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final, NamedTuple, TypeVar

import structlog

from service.bandwidth.errors import BandwidthError, NotFound
from service.bandwidth.webrtc import CreatedParticipant, WebRtcApi
from service.calls.browser import Hears, ParticipantStreams, Permission, heard_id
from service.calls.effects import DeleteParticipant, DeleteSession
from service.clock import Clock
from service.engine.errors import JoinRefused, JoinTimeout
from service.engine.joining.compensated import CompensatedCreate, wait_all, wait_both
from service.engine.joining.creates import ResourceCreator
from service.engine.outbox.retry_write import RetryWriter
from service.engine.outbox.wakeup import WorkerSignal
from service.engine.session_checks import SessionChecker
from service.logs import log_context
from service.metrics import Metrics
from service.store import keys
from service.store.errors import StoreUnavailable
from service.store.room_results import SeatGone, TakenSeat
from service.store.rooms import Rooms
from service.tasks import Tasks

log = structlog.get_logger()
T = TypeVar("T")

_CLEANUP_GRACE: Final = 15.0
"""Seconds after its deadline in which whatever was made has either got its place or been given up."""
_MAX_CREATE_GAP: Final = 0.1
"""Seconds by which one create may be slower than the other and nothing is made of it."""


@contextmanager
def _conflict_as_room_full() -> Iterator[None]:
    """A new participant that conflicts is in no other session: this one is full.

    It may be so for as long as some who have lost their seat, or were made ahead, are to be taken out.
    """
    try:
        yield
    except BandwidthError as error:
        if (error.operation, error.code) != ("add-participant", "conflict"):
            raise
        raise JoinRefused("room-full", str(error), is_transient=True) from error


class JoinedSession(NamedTuple):
    session_id: str
    participant: CreatedParticipant


class SessionJoiner:
    """Deadlines are monotonic.

    Raises JoinRefused, JoinTimeout, NotFoundUnconfirmed, BandwidthError and StoreError.

    Whatever was made by then is taken down, also once the store is back.
    """

    def __init__(
        self,
        *,
        webrtc: WebRtcApi,
        rooms: Rooms,
        session_checker: SessionChecker,
        clock: Clock,
        tasks: Tasks,
        signal: WorkerSignal,
        metrics: Metrics | None = None,
        retry_writer: RetryWriter | None = None,
    ) -> None:
        self._retry_writer = retry_writer or RetryWriter(clock)
        self.creator = ResourceCreator(
            webrtc=webrtc,
            rooms=rooms,
            clock=clock,
            tasks=tasks,
            signal=signal,
            metrics=metrics or Metrics(),
            retry_writer=self._retry_writer,
        )
        self._webrtc = webrtc
        self._session_checker = session_checker
        self._rooms = rooms
        self._clock = clock
        self._tasks = tasks
        self._signal = signal

    async def join(
        self,
        room: str,
        seat: str,
        *,
        session_id: str,
        callback_url: str,
        deadline: float,
        permissions: Sequence[Permission] = (Permission.AUDIO,),
        check_token: Callable[[str], None] = lambda _token: None,
    ) -> JoinedSession:
        """With a participant of its own into the room's session: `session_id`, or a new one if that is empty.

        The seat has been reserved. `check_token` is given the device token, and raises for one that is of no
        use.
        """
        with ExitStack() as owned, _conflict_as_room_full():
            making = owned.enter_context(
                self.creator.create_participant(room, seat, callback_url, permissions, deadline=deadline)
            )
            if session_id:
                participant = await making.wait(self.seconds_left(deadline))
                check_token(participant.token)
                with log_context(participant_id=participant.id):
                    session_id = await self._claim_and_add(room, seat, session_id, making, deadline)
                return JoinedSession(session_id, participant)
            making_session = owned.enter_context(self.creator.create_session(room, deadline=deadline))
            await self._schedule_cleanup(room, seat, making, making_session, deadline)
            await wait_all(making, making_session, seconds=self.seconds_left(deadline))
            participant, made_session = await making.wait(0), await making_session.wait(0)
            check_token(participant.token)
            with log_context(participant_id=participant.id):
                session_id = await self.claim_seat(
                    room, seat, participant.id, made_session, pending=(making, making_session)
                )
                self._check_time(deadline)
                await self.add_to_session(
                    room, session_id=session_id, participant_id=participant.id, deadline=deadline
                )
            return JoinedSession(session_id, participant)

    async def claim_seat(
        self,
        room: str,
        seat: str,
        participant_id: str,
        new_session_id: str,
        *,
        pending: tuple[CompensatedCreate[Any], ...],
        keep: bool = False,
    ) -> str:
        """The room's session: `new_session_id` unless it has one already. `pending`: what has made the two.

        With `keep` the participant is in another room, and stays there when it does not get this seat.
        """
        taken = await self._commit_seat(
            room,
            lambda: self._rooms.take_seat(
                room,
                seat,
                participant_id=participant_id,
                new_session_id=new_session_id,
                now=self._clock.now(),
                keep_participant=keep,
            ),
            pending,
        )
        return taken.session_id

    async def add_to_session(
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
        with log_context(session_id=session_id):
            try:
                await self._webrtc.add_participant(
                    session_id, participant_id, hears=first, timeout=self.seconds_left(deadline)
                )
            except NotFound as error:
                raise await self._session_checker.classify(
                    room, session_id, error, self.seconds_left(deadline)
                ) from error
        if hears:
            await self._subscribe_to_present(room, session_id, participant_id, hears, deadline)

    async def _subscribe_to_present(
        self,
        room: str,
        session_id: str,
        participant_id: str,
        hears: tuple[str | ParticipantStreams, ...],
        deadline: float,
    ) -> None:
        """Those that are left of whom it is to hear; Bandwidth knows nothing of who has gone."""
        view = await self._rooms.read(room)
        there = {member.participant_id for member in view.members} if view else set()
        await self._webrtc.subscribe(
            session_id,
            participant_id,
            hears=tuple(one for one in hears if heard_id(one) in there),
            timeout=self.seconds_left(deadline),
        )

    async def _claim_and_add(
        self,
        room: str,
        seat: str,
        session_id: str,
        pending: CompensatedCreate[CreatedParticipant],
        deadline: float,
    ) -> str:
        """Its seat, and into the session that the room had when the seat was reserved, side by side.

        Mostly the room still has it. Who does not get the seat is owed for deletion, in a session or not.
        """
        participant_id = (await pending.wait(0)).id
        adding = self._tasks.start(
            self._try_add(session_id, participant_id, self.seconds_left(deadline)), name="participant.add"
        )
        taken = await self.claim_seat(room, seat, participant_id, "", pending=(pending,))
        self._check_time(deadline)
        error = await adding
        if taken != session_id:
            # It was replaced meanwhile, for those who had a seat.
            if not isinstance(error, NotFound):
                # What failed may have been done all the same; if not, the next request conflicts.
                with suppress(BandwidthError):
                    await self._webrtc.remove_participant(
                        session_id, participant_id, timeout=self.seconds_left(deadline)
                    )
            await self.add_to_session(
                room, session_id=taken, participant_id=participant_id, deadline=deadline
            )
            return taken
        if isinstance(error, NotFound):
            raise await self._session_checker.classify(
                room, taken, error, self.seconds_left(deadline)
            ) from error
        if error is not None:
            raise error
        return taken

    async def _try_add(self, session_id: str, participant_id: str, seconds: float) -> BandwidthError | None:
        with log_context(session_id=session_id):
            try:
                await self._webrtc.add_participant(session_id, participant_id, timeout=seconds)
            except BandwidthError as error:
                return error
        return None

    async def replace_session(self, room: str, session_id: str, deadline: float) -> None:
        """Everybody into a new session, unless the room has another than `session_id` by now."""
        with self.creator.create_session(room, deadline=deadline) as making:
            made = await making.wait(self.seconds_left(deadline))
            replaced = await self.commit_handover(
                room,
                lambda: self._rooms.roll_over(
                    room, old_session_id=session_id, new_session_id=made, now=self._clock.now()
                ),
                (making,),
            )
        if replaced:
            log.info("session.replaced", vanished=session_id)

    def _check_time(self, deadline: float) -> None:
        if self._clock.monotonic() >= deadline:
            # Not Bandwidth's doing: whoever waits is asked to come back, and gets another attempt.
            raise StoreUnavailable("it answered when the time was up")

    def seconds_left(self, deadline: float) -> float:
        """Seconds until the deadline. Raises JoinTimeout when there are none."""
        left = deadline - self._clock.monotonic()
        if left <= 0:
            raise JoinTimeout
        return left

    async def _commit_seat(
        self,
        room: str,
        write: Callable[[], Awaitable[TakenSeat | SeatGone]],
        pending: tuple[CompensatedCreate[Any], ...],
    ) -> TakenSeat:
        """Hand what was made over to the room; once that is through, the seat's leaving takes it down."""
        seat = await self.commit_handover(room, write, pending)
        if isinstance(seat, SeatGone):
            raise JoinRefused("room-closed")
        return seat

    async def commit_handover(
        self, room: str, write: Callable[[], Awaitable[T]], pending: tuple[CompensatedCreate[Any], ...]
    ) -> T:
        """A write by which the room becomes the owner of what was made.

        Cut off in any way, it may or may not have been taken, and only we know of what was made. The same
        write is then repeated in the background, besides whatever the caller does about it.
        """
        for one in pending:
            one.hand_over()
        try:
            written = await write()
        except BaseException:
            made = [cleanup for one in pending if (cleanup := one.cleanup)]
            self._tasks.start(
                self._retry_writer.retry_until_stored(write, "room", *made, room=room), name="room.settle"
            )
            raise
        if not isinstance(written, TakenSeat) or written.has_due_work:
            self._signal.notify(keys.owner_room(room))
        return written

    async def _schedule_cleanup(
        self,
        room: str,
        seat: str,
        pending_participant: CompensatedCreate[CreatedParticipant],
        pending_session: CompensatedCreate[str],
        deadline: float,
    ) -> None:
        """Owe the removal of what was made while the other create hangs; `claim_seat` calls it off.

        Until then only this process knows of it, and it may be killed. Raises StoreError.
        """
        if await wait_both(
            pending_participant, pending_session, max_gap=_MAX_CREATE_GAP, seconds=self.seconds_left(deadline)
        ):
            return
        now = self._clock.now()
        due = now + max(deadline - self._clock.monotonic(), 0) + _CLEANUP_GRACE
        if participant := pending_participant.created:
            await self._rooms.schedule(room, DeleteParticipant(seat, participant.id), now=now, due=due)
        if session_id := pending_session.created:
            await self._rooms.schedule(room, DeleteSession(session_id), now=now, due=due)
