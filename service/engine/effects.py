"""Carries out one owed effect: one request to Bandwidth or one step in the store, each safe to repeat."""

from contextlib import suppress
from typing import Final, assert_never, get_args

import structlog
from msgspec.structs import replace

from service.bandwidth.errors import BandwidthError, Misrouted, NotFound
from service.bandwidth.webrtc import WebRtcApi
from service.calls.browser import Hears, heard_id, is_browser
from service.calls.effects import (
    AddParticipant,
    AskAfter,
    CheckPage,
    CheckPresence,
    CheckRoom,
    CheckSession,
    CheckTaken,
    DeleteParticipant,
    DeleteSession,
    Effect,
    EndDialing,
    Ends,
    Evict,
    FreeSeat,
    HangUp,
    HangUpLeg,
    LeaveRoom,
    MoveParticipant,
    NameCall,
    RedirectPhone,
    RemoveParticipant,
    ReplaceSession,
    ReplaceStock,
    StockRoom,
    Subscribe,
    SummonWaiter,
    TellAlone,
    TellHoldUp,
    TellTimeShort,
    TellTimeUp,
    name_of,
)
from service.calls.events import (
    DialingOver,
    Event,
    Evicted,
    HoldUp,
    LeftAlone,
    Moved,
    PageGone,
    ParticipantVanished,
    Summoned,
    TimeShort,
    TimeUp,
)
from service.calls.looks import Looks
from service.calls.model import Call, Media, call_of
from service.clock import Clock
from service.engine.alarm import Alarm
from service.engine.asking import Asker
from service.engine.doubts import Doubts, InDoubt
from service.engine.entrance import Entrance
from service.engine.moving import Mover
from service.engine.participants import SEATED, Participants
from service.engine.patience import Patience
from service.engine.performing import Handles, Missing, NotYet
from service.engine.phones import TIMEOUT, Phones
from service.engine.stock import Stocker
from service.store import keys
from service.store.calls import Calls
from service.store.rooms import Rooms

log = structlog.get_logger()

_HEARS_TRIES: Final = 8
_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 150.0
_ARRIVING: Final = 0.5
"""Seconds in which a move is through, as a rule."""
"""Seconds between two looks at what nothing is said of."""


_LookedFor = (
    AskAfter
    | EndDialing
    | CheckRoom
    | CheckTaken
    | CheckPresence
    | CheckPage
    | Subscribe
    | MoveParticipant
    | AddParticipant
    | SummonWaiter
    | TellAlone
    | Evict
    | TellTimeUp
    | TellTimeShort
    | TellHoldUp
)
_LOOKED_FOR: Final = get_args(_LookedFor)


class Performer:
    """Raises BandwidthError, TooSlow, StoreError or NotYet when the effect has to be tried again."""

    def __init__(
        self,
        *,
        phones: Phones,
        webrtc: WebRtcApi,
        calls: Calls,
        rooms: Rooms,
        entrance: Entrance,
        mover: Mover,
        participants: Participants,
        engine: Handles,
        asker: Asker,
        doubts: Doubts,
        stocker: Stocker,
        clock: Clock,
        alarm: Alarm,
        patience: Patience,
    ) -> None:
        self._phones = phones
        self._webrtc = webrtc
        self._calls = calls
        self._rooms = rooms
        self._entrance = entrance
        self._mover = mover
        self._participants = participants
        self._engine = engine
        self._asker = asker
        self._doubts = doubts
        self._stocker = stocker
        self._clock = clock
        self._alarm = alarm
        self._patience = patience

    async def perform(self, effect: Effect, *, attempt: int) -> None:
        try:
            await self._perform(effect, attempt)
        except Missing as error:
            if isinstance(effect, _LOOKED_FOR):
                self._not_there(effect, error)
        except NotYet as again:
            if again.instead is None and isinstance(effect, _LOOKED_FOR) and effect.looks:
                raise NotYet(again.seconds, replace(effect, looks=Looks())) from again
            raise
        except (NotFound, Misrouted) as error:
            if not isinstance(effect, Ends):
                raise
            await self._nothing_said(effect, error)

    def _not_there(self, effect: _LookedFor, error: Missing) -> None:
        """Struck off when the store did not have what it is about at several looks, a while apart."""
        looks = effect.looks.seen(self._clock.now())
        if not looks.are(self._patience.lost):
            raise NotYet(self._patience.lost.pause, replace(effect, looks=looks)) from error
        log.warning("effect.given_up", effect=name_of(effect), attempt=looks.count, error="not in the store")

    async def _nothing_said(self, effect: Ends, error: BandwidthError) -> None:
        """Whether it is done nobody knows: asked again, and not for ever."""
        looks = effect.looks.seen(self._clock.now())
        if looks.are(self._patience.given_up):
            log.warning("effect.given_up", effect=name_of(effect), attempt=looks.count, error=str(error))
            if isinstance(effect, EndDialing):
                await self._engine.handle(effect.ref, DialingOver(self._clock.now()))
            return
        raise NotYet(backoff(looks.count), replace(effect, looks=looks)) from error

    async def _perform(self, effect: Effect, attempt: int) -> None:
        match effect:
            case HangUp() | HangUpLeg():
                await self._phones.hang_up(effect.call_id, attempt=attempt)
            case RedirectPhone():
                await self._phones.redirect(effect, attempt=attempt)
            case LeaveRoom() | FreeSeat() | NameCall():
                await self._write(effect)
            case (
                AddParticipant()
                | RemoveParticipant()
                | DeleteParticipant()
                | DeleteSession()
                | ReplaceSession()
                | Subscribe()
            ):
                await self._change(effect, attempt)
            case StockRoom():
                await self._stocker.make(effect, attempt=attempt)
            case ReplaceStock():
                await self._stocker.replace(effect)
            case AskAfter() | EndDialing() | CheckRoom() | CheckSession() | CheckTaken() | CheckPresence():
                await self._ask(effect, attempt)
            case CheckPage():
                await self._check_page(effect)
            case TellAlone() | Evict() if is_browser(effect.seat):
                pass  # its page sees it for itself
            case _:
                await self._tell(effect, attempt)

    async def _write(self, effect: LeaveRoom | FreeSeat | NameCall) -> None:
        """Steps in the store, in another partition than the call's."""
        now = self._clock.now()
        match effect:
            case LeaveRoom():
                if await self._rooms.vacate(effect.room, effect.seat, keep=effect.keep, now=now):
                    self._alarm.wake(keys.owner_room(effect.room))
            case FreeSeat():
                await self._rooms.free(effect.room, effect.seat, now=now)
            case NameCall():
                await self._calls.name(effect.call_id, effect.ref)

    async def _change(
        self,
        effect: AddParticipant
        | RemoveParticipant
        | DeleteParticipant
        | DeleteSession
        | ReplaceSession
        | Subscribe,
        attempt: int,
    ) -> None:
        """Sessions and who is in them."""
        match effect:
            case AddParticipant():
                await self._add_again(effect, attempt)
            case RemoveParticipant():
                await self._webrtc.remove_participant(
                    effect.session_id, effect.participant_id, timeout=TIMEOUT, attempt=attempt
                )
            case DeleteParticipant():
                await self._webrtc.delete_participant(effect.participant_id, timeout=TIMEOUT, attempt=attempt)
            case DeleteSession():
                await self._webrtc.delete_session(effect.session_id, timeout=TIMEOUT, attempt=attempt)
            case ReplaceSession():
                await self._replace(effect)
            case Subscribe():
                await self._subscribe(effect, attempt)

    async def _ask(
        self,
        effect: AskAfter | EndDialing | CheckRoom | CheckSession | CheckTaken | CheckPresence,
        attempt: int,
    ) -> None:
        """What nobody has told us."""
        match effect:
            case AskAfter():
                await self._asker.ask_after(effect, attempt=attempt)
            case EndDialing():
                await self._asker.end_dialing(effect, attempt=attempt)
            case CheckRoom():
                await self._asker.check_room(effect, attempt=attempt)
            case CheckTaken():
                await self._asker.check_taken(effect, attempt=attempt)
            case CheckSession():
                if await self._doubts.check(effect, attempt=attempt):
                    await self._replace(ReplaceSession(effect.room, effect.session_id))
            case CheckPresence():
                await self._participants.check_presence(effect)

    async def _tell(
        self,
        effect: MoveParticipant | SummonWaiter | TellAlone | Evict | TellTimeUp | TellTimeShort | TellHoldUp,
        attempt: int,
    ) -> None:
        """What comes of these is an event of a call."""
        now = self._clock.now()
        match effect:
            case MoveParticipant():
                await self._handle(effect.ref, await self._mover.move(effect, attempt=attempt))
            case SummonWaiter():
                await self._handle(effect.ref, Summoned(now, effect.room))
            case TellAlone():
                ref, join = call_of(effect.seat)
                alone = LeftAlone(at=now, attempt=join, room=effect.room, then=effect.then)
                await self._handle(ref, alone)
            case Evict():
                ref, join = call_of(effect.seat)
                await self._handle(ref, Evicted(at=now, attempt=join, room=effect.room))
                await self._spare(effect, ref, join)
            case TellTimeUp():
                await self._handle(effect.ref, TimeUp(now))
            case TellTimeShort():
                await self._handle(effect.ref, TimeShort(now))
            case TellHoldUp():
                await self._handle(effect.ref, HoldUp(now, effect.attempt, effect.soon))
            case _:
                assert_never(effect)

    async def _handle(self, ref: str, event: Event) -> None:
        """Raises Missing: what the call was to be told it has not heard."""
        if (await self._engine.handle(ref, event)).call is None:
            raise Missing

    async def _check_page(self, effect: CheckPage) -> None:
        """Tells the calls that a page has placed into this room, if nobody is on it any more."""
        room = await self._rooms.read(effect.room)
        if room is None:
            raise Missing
        seats = [one.seat for one in room.members if one.phase in SEATED]
        if any(is_browser(seat) for seat in seats):
            return
        for ref in dict.fromkeys(call_of(seat)[0] for seat in seats):
            call = (await self._calls.load(ref)).call
            if call is None or call.page_alone:
                await self._handle(ref, PageGone(self._clock.now(), effect.room))

    async def _spare(self, effect: Evict, ref: str, join: int) -> None:
        """A participant that has moved on meanwhile is not taken down; that is next in this lane."""
        call = (await self._calls.load(ref)).call
        if call is None or call.attempt != join or call.media is not Media.BRIDGED:
            return
        if effect.seat not in {call.seat, call.next_seat if call.next_room else ""}:
            await self._rooms.vacate(effect.room, effect.seat, keep=True, now=self._clock.now())

    async def _subscribe(self, effect: Subscribe, attempt: int) -> None:
        room = await self._rooms.read(effect.room)
        if room is None or not room.session_id:
            raise Missing
        try:
            await self._webrtc.subscribe(
                room.session_id,
                effect.participant_id,
                hears=effect.hears,
                timeout=TIMEOUT,
                attempt=attempt,
            )
        except NotFound as error:
            doubt = await self._doubts.of(effect.room, room.session_id, error, TIMEOUT)
            # Where the session has vanished this waits for the next one, and says nothing of anybody.
            looks = effect.looks.seen(self._clock.now()) if doubt.participant else effect.looks
            if doubt.participant and effect.hears:
                await self._hear_those_there(effect, room.session_id, attempt)
            if not doubt.participant or not looks.are(self._patience.vanished):
                raise NotYet(self._patience.vanished.pause, replace(effect, looks=looks)) from error
            # Who is left is what the next order says.
            log.warning("subscription.not_possible", error=str(error))

    async def _hear_those_there(self, effect: Subscribe, session_id: str, attempt: int) -> None:
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

    async def _replace(self, effect: ReplaceSession) -> None:
        """A session has nearly reached the age at which Bandwidth ends it."""
        deadline = self._clock.monotonic() + TIMEOUT
        await self._entrance.roll_over(effect.room, effect.session_id, deadline)

    async def _add_again(self, effect: AddParticipant, attempt: int) -> None:
        """Into the session that has replaced another; whose participant is gone is told so."""
        if is_browser(effect.seat):
            browser = await self._participants.browser(effect.room, effect.seat)
            # One that has left is taken down next, and would hear everybody until then.
            if browser and await self._put_back(effect, browser.hears, attempt) == "":
                await self._participants.leave(effect.room, effect.seat, why="vanished")
            return
        ref, join = call_of(effect.seat)
        # Somebody waits in silence: who is not known is put back at once, and hears everybody.
        call = (await self._calls.load(ref)).call
        if call is not None and call.next_room and call.next_seat == effect.seat:
            # Who moves it here puts it there, or has just put it into the session of before.
            raise NotYet(_ARRIVING, effect)
        if call is not None and call.seat != effect.seat:
            # It has moved on in the same moment, and would be brought back among strangers.
            if attempt > 1:
                await self._take_back(effect, call)
            return
        session_id = await self._put_back(
            effect, call.hears if call is not None and call.attempt == join else None, attempt
        )
        if session_id == "":
            await self._handle(ref, ParticipantVanished(self._clock.now(), join))
        elif session_id and call is not None and call.media is Media.BRIDGED and call.seat == effect.seat:
            now = self._clock.now()
            there = Moved(at=now, attempt=join, place=call.place, room=effect.room, session_id=session_id)
            told = (await self._engine.handle(ref, there)).call
            if told is not None and told.seat != effect.seat:
                await self._take_back(effect, told)

    async def _take_back(self, effect: AddParticipant, call: Call) -> None:
        """It moved on while it was put back; the room where it is by now owes it a place of its own."""
        if effect.room not in {call.room, call.next_room}:
            await self._webrtc.remove_participant(effect.session_id, effect.participant_id, timeout=TIMEOUT)

    async def _put_back(self, effect: AddParticipant, hears: Hears, attempt: int) -> str | None:
        """The session that it is in; empty when its participant has gone, None when the room has another."""
        try:
            await self._entrance.add(
                effect.room,
                session_id=effect.session_id,
                participant_id=effect.participant_id,
                hears=hears,
                deadline=self._clock.monotonic() + TIMEOUT,
            )
        except InDoubt as doubt:
            if doubt.over:
                return None
            looks = effect.looks.seen(self._clock.now()) if doubt.participant else effect.looks
            if looks.are(self._patience.vanished):
                return ""
            raise NotYet(self._patience.vanished.pause, replace(effect, looks=looks)) from doubt
        except NotFound as error:
            # Those whom it hears are put back at the same time.
            if attempt < _HEARS_TRIES:
                raise
            log.warning("subscription.not_possible", error=str(error))
        return effect.session_id


def backoff(looks: int) -> float:
    """Seconds until what was answered so, so often, is asked again."""
    return min(_LONGEST_DELAY, _FIRST_DELAY * 4.0 ** min(looks, 16))
