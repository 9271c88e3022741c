"""Prepares participants ahead of time, so that a caller is in the room without a request to Bandwidth.

In the store they are kept by the room's scripts (room_stock.lua, room_reserve.lua); here is what they cost.
"""

import math
from typing import Final

import structlog

from service.bandwidth.callback_urls import CallbackUrls
from service.bandwidth.errors import BandwidthError, NotFound
from service.bandwidth.webrtc import CreatedParticipant, WebRtcApi
from service.calls.browser import Permission
from service.calls.effects import PrepareParticipant, ReplacePrepared
from service.clock import Clock
from service.engine.errors import JoinTimeout
from service.engine.joining.compensated import NO_REPEAT
from service.engine.joining.session_join import SessionJoiner
from service.engine.outbox.protocols import RetryLater
from service.engine.phones import TIMEOUT
from service.engine.session_checks import SessionChecker
from service.logs import log_context
from service.metrics import Metrics
from service.store.rooms import Rooms

log = structlog.get_logger()

POOL_SEAT: Final = "stock"
"""In place of a seat, which a participant in the pool has not got yet: its tag, and in its callback URL."""
_TOKEN_MARGIN: Final = 5 * 60.0
"""Seconds before the end of a token that says when it ends: it has to last until the caller is connected."""
_TRIES: Final = 4
_PAUSE: Final = 5.0


class ParticipantPool:
    """Raises StoreError, and RetryLater where Bandwidth has to be asked again later."""

    def __init__(
        self,
        *,
        webrtc: WebRtcApi,
        rooms: Rooms,
        session_joiner: SessionJoiner,
        session_checker: SessionChecker,
        callbacks: CallbackUrls,
        clock: Clock,
        metrics: Metrics,
        lifetime: float,
    ) -> None:
        """`lifetime`: seconds for which one may be handed out, unless its token ends before."""
        self._webrtc = webrtc
        self._rooms = rooms
        self._session_joiner = session_joiner
        self._session_checker = session_checker
        self._callbacks = callbacks
        self._clock = clock
        self._metrics = metrics
        self._lifetime = lifetime

    async def prepare(self, effect: PrepareParticipant, *, attempt: int) -> None:
        """One participant, if the room still wants one. Where Bandwidth refuses it the room goes without."""
        try:
            await self._prepare(effect.room, attempt)
        except (BandwidthError, JoinTimeout) as error:
            self._metrics.prepared("failed")
            if attempt < _TRIES:
                raise RetryLater(_PAUSE * 2.0**attempt) from error
            log.warning("prepared.given_up", attempt=attempt, error=str(error))

    async def replace(self, effect: ReplacePrepared) -> None:
        """Out of the pool: it is too old, or not where it should be."""
        now = self._clock.now()
        if await self._rooms.update_prepared(effect.room, "gone", effect.participant_id, now=now):
            self._metrics.prepared("replaced")

    async def _prepare(self, room: str, attempt: int) -> None:
        with self._session_joiner.creator.create_participant(
            room,
            POOL_SEAT,
            self._callbacks.browser_url(room, POOL_SEAT),
            (Permission.AUDIO,),
            deadline=NO_REPEAT,
        ) as making:
            participant = await making.wait(TIMEOUT)
            session_id = await self._session_joiner.commit_handover(
                room, lambda: self._register(room, participant), (making,)
            )
        if not session_id:
            return
        with log_context(participant_id=participant.id):
            try:
                await self._webrtc.add_participant(
                    session_id, participant.id, timeout=TIMEOUT, attempt=attempt
                )
            except BandwidthError as error:
                await self._rooms.update_prepared(room, "failed", participant.id, now=self._clock.now())
                if not isinstance(error, NotFound):
                    raise
                if await self._webrtc.has_session(session_id, timeout=TIMEOUT):
                    raise
                await self._session_checker.start_checking(room, session_id)
                return
            now = self._clock.now()
            if await self._rooms.update_prepared(
                room, "ready", participant.id, now=now, token=participant.token
            ):
                self._metrics.prepared("made")

    async def _register(self, room: str, participant: CreatedParticipant) -> str:
        now = self._clock.now()
        till = min(now + self._lifetime, (participant.expires_at or math.inf) - _TOKEN_MARGIN)
        return await self._rooms.update_prepared(
            room, "coming", participant.id, now=now, usable_until=max(till, now)
        )
