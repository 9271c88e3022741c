"""Asks Bandwidth about calls and rooms that nothing has been heard of.

Webhooks get lost: an asynchronous one is repeated once, and only after a failed connection (voice API,
webhooks). So every live call owes a question, due when nothing should be the same any more, and put off each
time that something is heard of it. What is learned goes through the same state machine.
"""

from collections.abc import Mapping
from typing import Final

import structlog

from service.bandwidth.errors import BandwidthError, NotFound
from service.bandwidth.voice import CallState, VoiceApi
from service.bandwidth.webrtc import WebRtcApi
from service.calls.effects import AddParticipant, CheckCall, CheckRoom, CheckTakenFromPool, EndDialing
from service.calls.events import DialingTimedOut, FoundEnded, Placed
from service.calls.looks import CallChecked, Looks
from service.calls.model import Call, Direction, Intent, Media, Phone
from service.calls.numbers import hide_numbers
from service.calls.outcomes import NOT_FOUND
from service.clock import Clock
from service.engine.outbox.protocols import NotInStore, RetryLater, SupportsHandle
from service.engine.phones import DISCONNECTED, TIMEOUT, PhoneControl
from service.engine.session_checks import SessionChecker
from service.engine.timeouts import Timeouts
from service.logs import log_context
from service.metrics import Metrics
from service.store.calls import Calls
from service.store.room_index import RoomView
from service.store.rooms import Rooms

log = structlog.get_logger()

ASK_AFTER_ID: Final = str(CheckCall.__struct_config__.tag)
_CLOCK_SKEW: Final = 60.0
"""Seconds by which Bandwidth's clock may be behind ours."""

_STABLE_INTENTS: Final = frozenset({Intent.HOLD, Intent.TRANSFER})


def max_idle(call: Call, timeouts: Timeouts) -> float | None:
    """Seconds for which nothing needs to be heard of a call; None while something else is waited for."""
    match call.media:
        case _ if call.phone is Phone.DIALING:
            # `EndDialing` asks when it can ring no longer.
            return None
        case _ if call.not_found:
            return timeouts.not_found_limit.interval
        case Media.JOINING | Media.LEAVING:
            return timeouts.join_check
        case Media.READY | Media.TRANSFERRING:
            return timeouts.transfer_check
        case Media.BRIDGED:
            return timeouts.idle_check
        case Media.NONE:
            return timeouts.idle_check if call.intent in _STABLE_INTENTS else timeouts.transfer_check


class Reconciler:
    """Raises BandwidthError and StoreError, RetryLater when there is nothing to be told, and NotInStore."""

    def __init__(
        self,
        *,
        voice: VoiceApi,
        phones: PhoneControl,
        webrtc: WebRtcApi,
        calls: Calls,
        rooms: Rooms,
        session_checker: SessionChecker,
        event_handler: SupportsHandle,
        clock: Clock,
        timeouts: Timeouts,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or Metrics()
        self._voice = voice
        self._phones = phones
        self._webrtc = webrtc
        self._calls = calls
        self._rooms = rooms
        self._session_checker = session_checker
        self._event_handler = event_handler
        self._clock = clock
        self._timeouts = timeouts

    async def check_call(self, effect: CheckCall, *, attempt: int) -> None:
        """Whether a call lives of which nothing was heard; asked again after twice the time if it does."""
        call = (await self._calls.load(effect.ref)).call
        if call is None or call.phone is Phone.DIALING:
            # One that is being dialed owes no such question: that is what the call was before.
            raise NotInStore
        if not call.live:
            return
        state = await self._voice.get_call(call.call_id, timeout=TIMEOUT, attempt=attempt)
        if state and state.state == DISCONNECTED:
            await self._record_found_ended(call, call.call_id, state)
            return
        log.info("call.asked_after", state=state.state if state else "unknown", attempt=attempt)
        known = state is not None or await self._is_in_session(call, attempt)
        if call.not_found or not known:
            await self._record_lookup(call, known=known)
            return
        await self._calls.extend_ttl(call.ref, now=self._clock.now())
        longest = self._timeouts.idle_check_max
        raise RetryLater(min((max_idle(call, self._timeouts) or longest) * 2.0 ** min(attempt, 16), longest))

    async def end_dialing(self, effect: EndDialing, *, attempt: int) -> None:
        """Nothing was heard of an outbound call for longer than it can ring: it has to end."""
        call = (await self._calls.load(effect.ref)).call
        if call is None:
            raise NotInStore
        if call.phone is not Phone.DIALING:
            return
        call_id = call.call_id or await self._find(call, attempt)
        if call_id:
            await self._event_handler.handle(call.ref, Placed(self._clock.now(), call_id))
            state = await self._voice.get_call(call_id, timeout=TIMEOUT, attempt=attempt)
            if state and state.state == DISCONNECTED:
                await self._record_found_ended(call, call_id, state)
                return
            await self._phones.hang_up(call_id, attempt=attempt)
        await self._event_handler.handle(call.ref, DialingTimedOut(self._clock.now()))

    async def check_room(self, effect: CheckRoom, *, attempt: int) -> None:
        """Who is in the session without a seat is taken out, who has one and is not there loses it.

        Both once that was so again, a while apart.
        """
        now = self._clock.now()
        room, inside = await self._inside(effect, attempt)
        if inside is None:
            raise RetryLater(self._timeouts.idle_check)
        missing = await self._free_absent_seats(room, inside, effect.missing)
        seated = {*room.prepared, *(member.participant_id for member in room.members)}
        found = {one: effect.orphans.get(one, now) for one in inside if one not in seated}
        for orphan, since in sorted(found.items()):
            if now - since >= self._timeouts.orphan_grace and await self._remove_orphan(
                effect, orphan, attempt
            ):
                del found[orphan]
        if found == effect.orphans and not missing and not effect.missing:
            raise RetryLater(
                min(self._timeouts.idle_check * 2.0 ** min(attempt, 16), self._timeouts.idle_check_max)
            )
        pause = self._timeouts.orphan_grace if found else self._timeouts.idle_check
        due = now + (self._timeouts.vanished_limit.interval if missing else pause)
        again = CheckRoom(effect.room, effect.session_id, found, missing)
        await self._rooms.schedule(effect.room, again, now=now, due=due)

    async def check_taken(self, effect: CheckTakenFromPool, *, attempt: int) -> None:
        """What callers got from the pool is put into the session again where it is not there."""
        room, inside = await self._inside(effect, attempt)
        if inside is None:
            return
        now = self._clock.now()
        for member in room.members:
            if (
                member.seat in room.handed_out_seats
                and member.phase == "in"
                and member.participant_id not in inside
            ):
                self._metrics.reconciler_find("taken-missing")
                with log_context(participant_id=member.participant_id):
                    log.warning("participant.put_back")
                again = AddParticipant(room.name, member.seat, effect.session_id, member.participant_id)
                await self._rooms.schedule(room.name, again, now=now)

    async def _inside(
        self, effect: CheckRoom | CheckTakenFromPool, attempt: int
    ) -> tuple[RoomView, tuple[str, ...] | None]:
        """The room, and who is in its session: None when that was not found. Raises NotInStore.

        A session that is the room's no more has nothing to be looked at: its looks were called off with it.
        """
        inside: tuple[str, ...] | None
        try:
            inside = await self._webrtc.list_participants(effect.session_id, timeout=TIMEOUT, attempt=attempt)
        except NotFound:
            inside = None
        room = await self._rooms.read(effect.room)
        if room is None or room.session_id != effect.session_id:
            raise NotInStore
        if inside is None:
            await self._session_checker.start_checking(effect.room, effect.session_id)
        return room, inside

    async def _free_absent_seats(
        self, room: RoomView, inside: tuple[str, ...], before: Mapping[str, Looks]
    ) -> dict[str, Looks]:
        """Those who are missing, and not yet for certain: they are looked at again.

        Bandwidth deletes a participant when it notices that the device has gone (voicebridge-ts). Who is owed
        to be put there is not there for that reason: whether the device has gone shows when that is done.
        """
        now = self._clock.now()
        browsers = {
            member.participant_id: member.seat
            for member in room.members
            if member.browser and member.phase == "in"
            if now - member.presence.seated_at >= self._timeouts.orphan_grace
        }
        ready = {one for one, ready in room.prepared.items() if ready}
        missing = {
            one: before.get(one, Looks()).seen(now) for one in {*browsers, *ready} if one not in inside
        }
        if missing:
            coming = await self._rooms.list_seats_being_added(room.name)
            missing = {one: looks for one, looks in missing.items() if browsers.get(one) not in coming}
        gone = [one for one, looks in sorted(missing.items()) if looks.reach(self._timeouts.vanished_limit)]
        for one in gone:
            del missing[one]
            if one in ready:
                await self._rooms.update_prepared(room.name, "gone", one, now=now)
                continue
            await self._rooms.vacate(room.name, browsers[one], now=now)
            with log_context(seat=browsers[one], participant_id=one):
                log.info("participant.left", why="vanished")
        return missing

    async def _remove_orphan(self, effect: CheckRoom, participant_id: str, attempt: int) -> bool:
        """Whether that was done; one whom Bandwidth does not let go keeps nobody else in."""
        try:
            await self._webrtc.remove_participant(
                effect.session_id, participant_id, timeout=TIMEOUT, attempt=attempt
            )
            await self._webrtc.delete_participant(participant_id, timeout=TIMEOUT, attempt=attempt)
        except BandwidthError:
            return False
        with log_context(participant_id=participant_id):
            log.warning("participant.orphan_removed")
        self._metrics.reconciler_find("stranger-removed")
        return True

    async def _is_in_session(self, call: Call, attempt: int) -> bool:
        """Whether its participant is in its session: then the phone may well be there too."""
        if not call.session_id or not call.participant_id:
            return False
        try:
            inside = await self._webrtc.list_participants(call.session_id, timeout=TIMEOUT, attempt=attempt)
        except NotFound:
            return False
        return call.participant_id in inside

    async def _record_lookup(self, call: Call, *, known: bool) -> None:
        await self._event_handler.handle(
            call.ref, CallChecked(self._clock.now(), known, self._timeouts.not_found_limit)
        )
        after = (await self._calls.load(call.ref)).call
        if after is not None and not after.live and after.outcome and after.outcome.cause == NOT_FOUND:
            self._log_found_ended(call.call_id, NOT_FOUND)

    def _log_found_ended(self, call_id: str, cause: str) -> None:
        with log_context(call_id=call_id):
            log.warning("call.found_ended", cause=cause)
        self._metrics.reconciler_find("call-ended")

    async def _record_found_ended(self, call: Call, call_id: str, state: CallState) -> None:
        cause = hide_numbers(state.disconnect_cause or "")
        self._log_found_ended(call_id, cause)
        ended = FoundEnded(
            at=self._clock.now(),
            ref=call.ref,
            call_id=call_id,
            direction=call.direction,
            room=call.room,
            from_number=call.from_number,
            to_number=call.to_number,
            cause=cause,
            error_id=hide_numbers(state.error_id or ""),
        )
        await self._event_handler.handle(call.ref, ended)

    async def _find(self, call: Call, attempt: int) -> str:
        """Where createCall was never answered: the id of the one call that fits and is of no other ref."""
        found = await self._voice.list_calls(
            to=call.to_number,
            from_=call.from_number,
            since=call.created_at - _CLOCK_SKEW,
            timeout=TIMEOUT,
            attempt=attempt,
        )
        # The B leg of a transfer is listed with the numbers of its A leg.
        dialed = [one for one in found if one.direction == Direction.OUTBOUND and not one.parent_call_id]
        fits = [one.call_id for one in dialed if await self._is_unclaimed(one.call_id)]
        if len(fits) != 1:
            return ""
        self._metrics.reconciler_find("call-found")
        return fits[0]

    async def _is_unclaimed(self, call_id: str) -> bool:
        ref = await self._calls.ref_of_call_id(call_id)
        return (await self._calls.load(ref)).call is None
