"""Decides by several looks whether a session or participant that Bandwidth does not find is gone.

A copy that lags behind says 404 too, and a session replaced in haste cuts everybody off. A session in doubt
is looked at again beside the calls, owed by its room once at a time; until then nobody new is sent into it.
"""

from typing import Final

import structlog

from service.bandwidth.errors import NotFound
from service.bandwidth.webrtc import WebRtcApi
from service.calls.effects import CheckSession
from service.clock import Clock
from service.engine.errors import NotFoundUnconfirmed
from service.engine.outbox.protocols import RetryLater
from service.engine.outbox.wakeup import WorkerSignal
from service.engine.phones import TIMEOUT
from service.engine.timeouts import Timeouts
from service.logs import log_context
from service.metrics import Metrics
from service.store import keys
from service.store.rooms import Rooms
from service.tasks import Tasks

log = structlog.get_logger()

_LATER: Final = 0.05
"""Seconds from when a look is due until the worker is woken: it has to be written down by then."""


class SessionChecker:
    """Raises BandwidthError and StoreError."""

    def __init__(
        self,
        *,
        webrtc: WebRtcApi,
        rooms: Rooms,
        clock: Clock,
        tasks: Tasks,
        signal: WorkerSignal,
        timeouts: Timeouts,
        metrics: Metrics,
    ) -> None:
        self._webrtc = webrtc
        self._rooms = rooms
        self._clock = clock
        self._tasks = tasks
        self._signal = signal
        self._timeouts = timeouts
        self._metrics = metrics

    @property
    def check_interval(self) -> float:
        """Seconds until it is worth to try again."""
        return self._timeouts.vanished_limit.interval

    async def classify(
        self, room: str, session_id: str, error: NotFound, seconds: float
    ) -> NotFoundUnconfirmed:
        """One of the two was not found when a participant was put into a session."""
        if await self._webrtc.has_session(session_id, timeout=seconds):
            return NotFoundUnconfirmed(is_participant=True, detail=str(error))
        return NotFoundUnconfirmed(
            is_participant=False, session_replaced=not await self.start_checking(room, session_id)
        )

    async def start_checking(self, room: str, session_id: str) -> bool:
        """The session was not found: that is the first look. False when it is not the room's."""
        now = self._clock.now()
        first = CheckSession(room, session_id).seen(now)
        ours = await self._rooms.doubt_session(room, first, now=now, due=now + self.check_interval)
        if ours:
            with log_context(room=room, session_id=session_id):
                log.warning("session.not_found", looks=1)
            self._tasks.start(self._notify_when_due(room), name="session.look")
        return ours

    async def _notify_when_due(self, room: str) -> None:
        """Callers wait for the next look; otherwise it is found due a while later."""
        await self._clock.sleep(self.check_interval + _LATER)
        self._signal.notify(keys.owner_room(room))

    async def check(self, effect: CheckSession, *, attempt: int) -> bool:
        """Another look; whether the session is gone. Raises RetryLater until that is certain."""
        room = await self._rooms.read(effect.room)
        if room is None or room.session_id != effect.session_id:
            # Should it be the room's all the same, whoever does not find it next begins anew.
            return False
        if await self._webrtc.has_session(effect.session_id, timeout=TIMEOUT, attempt=attempt):
            await self._rooms.confirm_session(effect.room, effect.session_id, now=self._clock.now())
            log.info("session.found", looks=effect.looks.count)
            return False
        now = self._clock.now()
        looked = effect.seen(now)
        if looked.looks.reach(self._timeouts.vanished_limit):
            log.warning("session.vanished", looks=looked.looks.count)
            self._metrics.reconciler_find("session-vanished")
            return True
        log.warning("session.not_found", looks=looked.looks.count)
        await self._rooms.doubt_session(effect.room, looked, now=now, due=now + self.check_interval)
        self._tasks.start(self._notify_when_due(effect.room), name="session.look")
        raise RetryLater(self.check_interval, looked)
