"""Puts members of a room into the session that has replaced theirs."""

from typing import Final

import structlog
from msgspec.structs import replace

from service.bandwidth.errors import NotFound
from service.bandwidth.webrtc import WebRtcApi
from service.calls.browser import Hears, is_browser
from service.calls.effects import AddParticipant
from service.calls.events import Moved, ParticipantVanished
from service.calls.model import Call, Media, parse_seat
from service.clock import Clock
from service.engine.browsers import Browsers
from service.engine.errors import NotFoundUnconfirmed
from service.engine.joining.session_join import SessionJoiner
from service.engine.outbox.protocols import NotInStore, RetryLater, SupportsHandle
from service.engine.phones import TIMEOUT
from service.engine.timeouts import Timeouts
from service.store.calls import Calls

log = structlog.get_logger()

_SUBSCRIBE_ATTEMPTS: Final = 8
"""Attempts after which the member stays without those that it cannot hear."""
_MOVE_DURATION: Final = 0.5
"""Seconds in which a move is through, as a rule."""


class MemberRestorer:
    """Raises BandwidthError, StoreError, NotInStore, or RetryLater when it has to be tried again."""

    def __init__(
        self,
        *,
        webrtc: WebRtcApi,
        calls: Calls,
        browsers: Browsers,
        session_joiner: SessionJoiner,
        event_handler: SupportsHandle,
        clock: Clock,
        timeouts: Timeouts,
    ) -> None:
        self._webrtc = webrtc
        self._calls = calls
        self._browsers = browsers
        self._session_joiner = session_joiner
        self._event_handler = event_handler
        self._clock = clock
        self._timeouts = timeouts

    async def restore(self, effect: AddParticipant, *, attempt: int) -> None:
        """Add the member to the session. If its participant is gone, the call is told, or the seat freed."""
        if is_browser(effect.seat):
            await self._restore_browser(effect, attempt)
        else:
            await self._restore_call(effect, attempt)

    async def _restore_browser(self, effect: AddParticipant, attempt: int) -> None:
        browser = await self._browsers.browser(effect.room, effect.seat)
        # One that has left is taken down next, and would hear everybody until then.
        if browser and await self._add_back(effect, browser.hears, attempt) == "":
            await self._browsers.leave(effect.room, effect.seat, why="vanished")

    async def _restore_call(self, effect: AddParticipant, attempt: int) -> None:
        ref, join = parse_seat(effect.seat)
        call = (await self._calls.load(ref)).call
        if call is not None and call.next_room and call.next_seat == effect.seat:
            # The mover puts it there, or has just put it into the session of before.
            raise RetryLater(_MOVE_DURATION, effect)
        if call is not None and call.seat != effect.seat:
            # It has moved on in the same moment, and would be brought back among strangers.
            if attempt > 1:
                await self._remove_moved(effect, call)
            return
        # The caller waits in silence: one that is not known is put back at once, and hears everybody.
        hears = call.hears if call is not None and call.attempt == join else None
        session_id = await self._add_back(effect, hears, attempt)
        now = self._clock.now()
        if session_id == "":
            if (await self._event_handler.handle(ref, ParticipantVanished(now, join))).call is None:
                raise NotInStore
        elif session_id and call is not None and call.media is Media.BRIDGED:
            there = Moved(at=now, attempt=join, seat_no=call.seat_no, room=effect.room, session_id=session_id)
            after = (await self._event_handler.handle(ref, there)).call
            if after is not None and after.seat != effect.seat:
                await self._remove_moved(effect, after)

    async def _remove_moved(self, effect: AddParticipant, call: Call) -> None:
        """It moved on while it was put back; the room where it is by now owes it a place of its own."""
        if effect.room not in {call.room, call.next_room}:
            await self._webrtc.remove_participant(effect.session_id, effect.participant_id, timeout=TIMEOUT)

    async def _add_back(self, effect: AddParticipant, hears: Hears, attempt: int) -> str | None:
        """The session that it is in; empty when its participant has gone, None when the room has another."""
        try:
            await self._session_joiner.add_to_session(
                effect.room,
                session_id=effect.session_id,
                participant_id=effect.participant_id,
                hears=hears,
                deadline=self._clock.monotonic() + TIMEOUT,
            )
        except NotFoundUnconfirmed as doubt:
            if doubt.session_replaced:
                return None
            looks = effect.looks.seen(self._clock.now()) if doubt.is_participant else effect.looks
            if looks.reach(self._timeouts.vanished_limit):
                return ""
            raise RetryLater(self._timeouts.vanished_limit.interval, replace(effect, looks=looks)) from doubt
        except NotFound as error:
            # Those whom it hears are put back at the same time.
            if attempt < _SUBSCRIBE_ATTEMPTS:
                raise
            log.warning("subscription.not_possible", error=str(error))
        return effect.session_id
