"""Carries out one owed effect: one request to Bandwidth or one step in the store, each safe to repeat."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, get_args

import structlog
from msgspec.structs import replace

from service.bandwidth.errors import BandwidthError, Misrouted, NotFound
from service.bandwidth.webrtc import WebRtcApi
from service.calls.browser import heard_id, is_browser
from service.calls.effects import (
    AbandonableEffect,
    AddParticipant,
    CheckCall,
    CheckPage,
    CheckPresence,
    CheckRoom,
    CheckSession,
    CheckTakenFromPool,
    DeleteParticipant,
    DeleteSession,
    Effect,
    EndDialing,
    FreeSeat,
    HangUpLeg,
    HangUpPhone,
    LeaveRoom,
    MoveParticipant,
    PrepareParticipant,
    RecordCallId,
    RedirectPhone,
    RemoveParticipant,
    ReplacePrepared,
    ReplaceSession,
    Subscribe,
    SummonWaiter,
    TellAlone,
    TellHoldTimeUp,
    TellRoomClosed,
    TellTimeNearlyUp,
    TellTimeUp,
    effect_name,
)
from service.calls.events import (
    DialingTimedOut,
    Event,
    HoldTimeUp,
    LeftAlone,
    PageGone,
    RoomClosed,
    Summoned,
    TimeNearlyUp,
    TimeUp,
)
from service.calls.looks import Looks
from service.calls.model import Media, parse_seat
from service.clock import Clock
from service.engine.browsers import SEATED_PHASES, Browsers
from service.engine.joining.move import ParticipantMover
from service.engine.joining.prepared import ParticipantPool
from service.engine.joining.session_join import SessionJoiner
from service.engine.member_restore import MemberRestorer
from service.engine.outbox.protocols import NotInStore, RetryLater, SupportsHandle
from service.engine.outbox.wakeup import WorkerSignal
from service.engine.phones import TIMEOUT, PhoneControl
from service.engine.reconciler import Reconciler
from service.engine.session_checks import SessionChecker
from service.engine.timeouts import Timeouts
from service.store import keys
from service.store.calls import Calls
from service.store.rooms import Rooms

log = structlog.get_logger()

Handler = Callable[[Any, int], Awaitable[None]]
"""Carries out one effect of its type, at this attempt."""

_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 150.0
"""Seconds between two looks at what nothing is said of."""


_DroppedIfMissing = (
    CheckCall
    | EndDialing
    | CheckRoom
    | CheckTakenFromPool
    | CheckPresence
    | CheckPage
    | Subscribe
    | MoveParticipant
    | AddParticipant
    | SummonWaiter
    | TellAlone
    | TellRoomClosed
    | TellTimeUp
    | TellTimeNearlyUp
    | TellHoldTimeUp
)
_DROPPED_IF_MISSING: Final = get_args(_DroppedIfMissing)


class EffectExecutor:
    """Raises BandwidthError, JoinTimeout, StoreError or RetryLater when the effect has to be tried again."""

    def __init__(
        self,
        *,
        phones: PhoneControl,
        webrtc: WebRtcApi,
        calls: Calls,
        rooms: Rooms,
        session_joiner: SessionJoiner,
        mover: ParticipantMover,
        browsers: Browsers,
        member_restorer: MemberRestorer,
        event_handler: SupportsHandle,
        reconciler: Reconciler,
        session_checker: SessionChecker,
        participant_pool: ParticipantPool,
        clock: Clock,
        signal: WorkerSignal,
        timeouts: Timeouts,
    ) -> None:
        self._phones = phones
        self._webrtc = webrtc
        self._calls = calls
        self._rooms = rooms
        self._session_joiner = session_joiner
        self._mover = mover
        self._browsers = browsers
        self._member_restorer = member_restorer
        self._event_handler = event_handler
        self._reconciler = reconciler
        self._session_checker = session_checker
        self._participant_pool = participant_pool
        self._clock = clock
        self._signal = signal
        self._timeouts = timeouts
        self.handlers: Final[Mapping[type[Effect], Handler]] = {
            HangUpPhone: self._hang_up,
            HangUpLeg: self._hang_up,
            RedirectPhone: self._redirect,
            LeaveRoom: self._leave_room,
            FreeSeat: self._free_seat,
            RecordCallId: self._record_call_id,
            AddParticipant: self._add_participant,
            RemoveParticipant: self._remove_participant,
            DeleteParticipant: self._delete_participant,
            DeleteSession: self._delete_session,
            ReplaceSession: self._replace_session,
            Subscribe: self._subscribe,
            PrepareParticipant: self._prepare,
            ReplacePrepared: self._replace_prepared,
            CheckCall: self._check_call,
            EndDialing: self._end_dialing,
            CheckRoom: self._check_room,
            CheckSession: self._check_session,
            CheckTakenFromPool: self._check_taken,
            CheckPresence: self._check_presence,
            CheckPage: self._check_page,
            MoveParticipant: self._move,
            SummonWaiter: self._summon,
            TellAlone: self._tell_alone,
            TellRoomClosed: self._tell_room_closed,
            TellTimeUp: self._tell_time_up,
            TellTimeNearlyUp: self._tell_time_nearly_up,
            TellHoldTimeUp: self._tell_hold_time_up,
        }
        """What carries out each effect; `attempt` is 1 for the first try."""

    async def execute(self, effect: Effect, *, attempt: int) -> None:
        try:
            await self.handlers[type(effect)](effect, attempt)
        except NotInStore as error:
            if isinstance(effect, _DROPPED_IF_MISSING):
                self._on_not_in_store(effect, error)
        except RetryLater as again:
            if again.replacement is None and isinstance(effect, _DROPPED_IF_MISSING) and effect.looks:
                raise RetryLater(again.delay, replace(effect, looks=Looks())) from again
            raise
        except (NotFound, Misrouted) as error:
            if not isinstance(effect, AbandonableEffect):
                raise
            await self._on_not_found(effect, error)

    def _on_not_in_store(self, effect: _DroppedIfMissing, error: NotInStore) -> None:
        """Struck off when the store did not have what it is about at several looks, a while apart."""
        looks = effect.looks.seen(self._clock.now())
        if not looks.reach(self._timeouts.not_in_store_limit):
            raise RetryLater(
                self._timeouts.not_in_store_limit.interval, replace(effect, looks=looks)
            ) from error
        log.warning(
            "effect.given_up", effect=effect_name(effect), attempt=looks.count, error="not in the store"
        )

    async def _on_not_found(self, effect: AbandonableEffect, error: BandwidthError) -> None:
        """Whether it is done nobody knows: asked again, and not for ever."""
        looks = effect.looks.seen(self._clock.now())
        if looks.reach(self._timeouts.unanswered_limit):
            log.warning("effect.given_up", effect=effect_name(effect), attempt=looks.count, error=str(error))
            if isinstance(effect, EndDialing):
                await self._event_handler.handle(effect.ref, DialingTimedOut(self._clock.now()))
            return
        raise RetryLater(not_found_backoff(looks.count), replace(effect, looks=looks)) from error

    # Phones ------------------------------------------------------------------------------------------------

    async def _hang_up(self, effect: HangUpPhone | HangUpLeg, attempt: int) -> None:
        await self._phones.hang_up(effect.call_id, attempt=attempt)

    async def _redirect(self, effect: RedirectPhone, attempt: int) -> None:
        await self._phones.redirect(effect, attempt=attempt)

    # The store, in another partition than the call's --------------------------------------------------------

    async def _leave_room(self, effect: LeaveRoom, _attempt: int) -> None:
        if await self._rooms.vacate(
            effect.room, effect.seat, keep_participant=effect.keeps_participant, now=self._clock.now()
        ):
            self._signal.notify(keys.owner_room(effect.room))

    async def _free_seat(self, effect: FreeSeat, _attempt: int) -> None:
        await self._rooms.free_seat(effect.room, effect.seat, now=self._clock.now())

    async def _record_call_id(self, effect: RecordCallId, _attempt: int) -> None:
        await self._calls.add_alias(effect.call_id, effect.ref)

    # Sessions and their participants ------------------------------------------------------------------------

    async def _add_participant(self, effect: AddParticipant, attempt: int) -> None:
        await self._member_restorer.restore(effect, attempt=attempt)

    async def _remove_participant(self, effect: RemoveParticipant, attempt: int) -> None:
        await self._webrtc.remove_participant(
            effect.session_id, effect.participant_id, timeout=TIMEOUT, attempt=attempt
        )

    async def _delete_participant(self, effect: DeleteParticipant, attempt: int) -> None:
        await self._webrtc.delete_participant(effect.participant_id, timeout=TIMEOUT, attempt=attempt)

    async def _delete_session(self, effect: DeleteSession, attempt: int) -> None:
        await self._webrtc.delete_session(effect.session_id, timeout=TIMEOUT, attempt=attempt)

    async def _prepare(self, effect: PrepareParticipant, attempt: int) -> None:
        await self._participant_pool.prepare(effect, attempt=attempt)

    async def _replace_prepared(self, effect: ReplacePrepared, _attempt: int) -> None:
        await self._participant_pool.replace(effect)

    # What nobody has told us --------------------------------------------------------------------------------

    async def _check_call(self, effect: CheckCall, attempt: int) -> None:
        await self._reconciler.check_call(effect, attempt=attempt)

    async def _end_dialing(self, effect: EndDialing, attempt: int) -> None:
        await self._reconciler.end_dialing(effect, attempt=attempt)

    async def _check_room(self, effect: CheckRoom, attempt: int) -> None:
        await self._reconciler.check_room(effect, attempt=attempt)

    async def _check_taken(self, effect: CheckTakenFromPool, attempt: int) -> None:
        await self._reconciler.check_taken(effect, attempt=attempt)

    async def _check_session(self, effect: CheckSession, attempt: int) -> None:
        if await self._session_checker.check(effect, attempt=attempt):
            await self._replace_session(ReplaceSession(effect.room, effect.session_id), attempt)

    async def _check_presence(self, effect: CheckPresence, _attempt: int) -> None:
        await self._browsers.check_presence(effect)

    # What becomes an event of a call ------------------------------------------------------------------------

    async def _move(self, effect: MoveParticipant, attempt: int) -> None:
        await self._handle_event(effect.ref, await self._mover.move(effect, attempt=attempt))

    async def _summon(self, effect: SummonWaiter, _attempt: int) -> None:
        await self._handle_event(effect.ref, Summoned(self._clock.now(), effect.room))

    async def _tell_alone(self, effect: TellAlone, _attempt: int) -> None:
        if is_browser(effect.seat):
            return  # its page sees it for itself
        ref, join = parse_seat(effect.seat)
        alone = LeftAlone(at=self._clock.now(), attempt=join, room=effect.room, then=effect.then)
        await self._handle_event(ref, alone)

    async def _tell_room_closed(self, effect: TellRoomClosed, _attempt: int) -> None:
        if is_browser(effect.seat):
            return  # its page sees it for itself
        ref, join = parse_seat(effect.seat)
        await self._handle_event(ref, RoomClosed(at=self._clock.now(), attempt=join, room=effect.room))
        await self._keep_if_moved(effect, ref, join)

    async def _tell_time_up(self, effect: TellTimeUp, _attempt: int) -> None:
        await self._handle_event(effect.ref, TimeUp(self._clock.now()))

    async def _tell_time_nearly_up(self, effect: TellTimeNearlyUp, _attempt: int) -> None:
        await self._handle_event(effect.ref, TimeNearlyUp(self._clock.now()))

    async def _tell_hold_time_up(self, effect: TellHoldTimeUp, _attempt: int) -> None:
        await self._handle_event(effect.ref, HoldTimeUp(self._clock.now(), effect.attempt, effect.is_warning))

    async def _handle_event(self, ref: str, event: Event) -> None:
        """Raises NotInStore: what the call was to be told it has not heard."""
        if (await self._event_handler.handle(ref, event)).call is None:
            raise NotInStore

    async def _check_page(self, effect: CheckPage, _attempt: int) -> None:
        """Tells the calls that a page has placed into this room, if nobody is on it any more."""
        room = await self._rooms.read(effect.room)
        if room is None:
            raise NotInStore
        seats = [one.seat for one in room.members if one.phase in SEATED_PHASES]
        if any(is_browser(seat) for seat in seats):
            return
        for ref in dict.fromkeys(parse_seat(seat)[0] for seat in seats):
            call = (await self._calls.load(ref)).call
            if call is None or call.page_gone_after:
                await self._handle_event(ref, PageGone(self._clock.now(), effect.room))

    async def _keep_if_moved(self, effect: TellRoomClosed, ref: str, attempt: int) -> None:
        """A participant that has moved on meanwhile is not taken down; that is next in this lane."""
        call = (await self._calls.load(ref)).call
        if call is None or call.attempt != attempt or call.media is not Media.BRIDGED:
            return
        if effect.seat not in {call.seat, call.next_seat if call.next_room else ""}:
            await self._rooms.vacate(effect.room, effect.seat, keep_participant=True, now=self._clock.now())

    async def _subscribe(self, effect: Subscribe, attempt: int) -> None:
        room = await self._rooms.read(effect.room)
        if room is None or not room.session_id:
            raise NotInStore
        try:
            await self._webrtc.subscribe(
                room.session_id,
                effect.participant_id,
                hears=effect.hears,
                timeout=TIMEOUT,
                attempt=attempt,
            )
        except NotFound as error:
            doubt = await self._session_checker.classify(effect.room, room.session_id, error, TIMEOUT)
            # Where the session has vanished this waits for the next one, and says nothing of anybody.
            looks = effect.looks.seen(self._clock.now()) if doubt.is_participant else effect.looks
            if doubt.is_participant and effect.hears:
                await self._subscribe_to_present(effect, room.session_id, attempt)
            if not doubt.is_participant or not looks.reach(self._timeouts.vanished_limit):
                raise RetryLater(
                    self._timeouts.vanished_limit.interval, replace(effect, looks=looks)
                ) from error
            # Who is left is what the next order says.
            log.warning("subscription.not_possible", error=str(error))

    async def _subscribe_to_present(self, effect: Subscribe, session_id: str, attempt: int) -> None:
        """Somebody has gone between the order and this, and Bandwidth refuses all of it.

        The others are heard by then, and no more than they: it had heard everybody.
        """
        with suppress(NotFound):
            inside = await self._webrtc.list_participants(session_id, timeout=TIMEOUT, attempt=attempt)
            there = tuple(one for one in effect.hears or () if heard_id(one) in inside)
            if effect.participant_id in inside and there != effect.hears:
                await self._webrtc.subscribe(
                    session_id, effect.participant_id, hears=there, timeout=TIMEOUT, attempt=attempt
                )

    async def _replace_session(self, effect: ReplaceSession, _attempt: int) -> None:
        """A session has nearly reached the age at which Bandwidth ends it."""
        deadline = self._clock.monotonic() + TIMEOUT
        await self._session_joiner.replace_session(effect.room, effect.session_id, deadline)


def not_found_backoff(looks: int) -> float:
    """Seconds until what was answered so, so often, is asked again."""
    return min(_LONGEST_DELAY, _FIRST_DELAY * 4.0 ** min(looks, 16))
