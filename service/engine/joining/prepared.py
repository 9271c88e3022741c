"""Participants that are made ahead: whoever calls a room that has one is in it without asking Bandwidth.

In the store they are kept by the room's scripts (room_stock.lua, room_reserve.lua); here is what they cost.
"""

import math
from typing import Final

import structlog

from service.bandwidth.errors import BandwidthError, NotFound
from service.bandwidth.webrtc import CreatedParticipant, WebRtcApi
from service.calls.browser import Permission
from service.calls.effects import ReplaceStock, StockRoom
from service.clock import Clock
from service.bandwidth.callback_urls import Callbacks
from service.engine.joining.compensated import NEVER, TooSlow
from service.engine.session_checks import Doubts
from service.engine.joining.session_join import Entrance
from service.engine.outbox.protocols import NotYet
from service.engine.phones import TIMEOUT
from service.logs import bound
from service.metrics import Metrics
from service.store.rooms import Rooms

log = structlog.get_logger()

NAME: Final = "stock"
"""In place of a seat, which a participant in stock has not got yet: its tag, and in its callback URL."""
_LAST: Final = 5 * 60.0
"""Seconds before the end of a token that says when it ends: it has to last until the caller is connected."""
_TRIES: Final = 4
_PAUSE: Final = 5.0


class Stocker:
    """Raises StoreError, and NotYet where Bandwidth has to be asked again later."""

    def __init__(
        self,
        *,
        webrtc: WebRtcApi,
        rooms: Rooms,
        entrance: Entrance,
        doubts: Doubts,
        callbacks: Callbacks,
        clock: Clock,
        metrics: Metrics,
        life: float,
    ) -> None:
        """`life`: seconds for which one may be handed out, unless its token ends before."""
        self._webrtc = webrtc
        self._rooms = rooms
        self._entrance = entrance
        self._doubts = doubts
        self._callbacks = callbacks
        self._clock = clock
        self._metrics = metrics
        self._life = life

    async def make(self, effect: StockRoom, *, attempt: int) -> None:
        """One participant, if the room still wants one. Where Bandwidth refuses it the room goes without."""
        try:
            await self._make(effect.room, attempt)
        except (BandwidthError, TooSlow) as error:
            self._metrics.stock("failed")
            if attempt < _TRIES:
                raise NotYet(_PAUSE * 2.0**attempt) from error
            log.warning("stock.given_up", attempt=attempt, error=str(error))

    async def replace(self, effect: ReplaceStock) -> None:
        """Out of stock: it is too old, or not where it should be."""
        now = self._clock.now()
        if await self._rooms.stock(effect.room, "gone", effect.participant_id, now=now):
            self._metrics.stock("replaced")

    async def _make(self, room: str, attempt: int) -> None:
        with self._entrance.creates.participant(
            room, NAME, self._callbacks.browser(room, NAME), (Permission.AUDIO,), deadline=NEVER
        ) as making:
            participant = await making.within(TIMEOUT)
            session_id = await self._entrance.written(
                room, lambda: self._coming(room, participant), (making,)
            )
        if not session_id:
            return
        with bound(participant_id=participant.id):
            try:
                await self._webrtc.add_participant(
                    session_id, participant.id, timeout=TIMEOUT, attempt=attempt
                )
            except BandwidthError as error:
                await self._rooms.stock(room, "failed", participant.id, now=self._clock.now())
                if not isinstance(error, NotFound):
                    raise
                if await self._webrtc.has_session(session_id, timeout=TIMEOUT):
                    raise
                await self._doubts.begin(room, session_id)
                return
            now = self._clock.now()
            if await self._rooms.stock(room, "ready", participant.id, now=now, token=participant.token):
                self._metrics.stock("made")

    async def _coming(self, room: str, participant: CreatedParticipant) -> str:
        now = self._clock.now()
        till = min(now + self._life, (participant.expires_at or math.inf) - _LAST)
        return await self._rooms.stock(room, "coming", participant.id, now=now, till=max(till, now))
