"""A session or a participant that Bandwidth does not find: whether it is gone, several looks decide.

A copy that lags behind says 404 too, and a session replaced in haste cuts everybody off. A session in doubt
is looked at again beside the calls, owed by its room once at a time; until then nobody new is sent into it.
"""

from typing import Final

import structlog

from service.bandwidth.errors import NotFound
from service.bandwidth.webrtc import WebRtcApi
from service.calls.effects import CheckSession
from service.clock import Clock
from service.engine.outbox.wakeup import Alarm
from service.engine.timeouts import Patience
from service.engine.outbox.protocols import NotYet
from service.engine.phones import TIMEOUT
from service.logs import bound
from service.metrics import Metrics
from service.store import keys
from service.store.rooms import Rooms
from service.tasks import Tasks

log = structlog.get_logger()

_LATER: Final = 0.05
"""Seconds from when a look is due until the worker is woken: it has to be written down by then."""


class InDoubt(Exception):
    """Nothing can be said for a moment.

    `participant`: it is that, and its session is there. `over`: the room has another session by now, or none.
    """

    def __init__(self, *, participant: bool, over: bool = False, detail: str = "") -> None:
        super().__init__(detail or "the session was not found, and is looked at again")
        self.participant = participant
        self.over = over


class Doubts:
    """Raises BandwidthError and StoreError."""

    def __init__(
        self,
        *,
        webrtc: WebRtcApi,
        rooms: Rooms,
        clock: Clock,
        tasks: Tasks,
        alarm: Alarm,
        patience: Patience,
        metrics: Metrics,
    ) -> None:
        self._webrtc = webrtc
        self._rooms = rooms
        self._clock = clock
        self._tasks = tasks
        self._alarm = alarm
        self._patience = patience
        self._metrics = metrics

    @property
    def pause(self) -> float:
        """Seconds until it is worth to try again."""
        return self._patience.vanished.pause

    async def of(self, room: str, session_id: str, error: NotFound, seconds: float) -> InDoubt:
        """One of the two was not found when a participant was put into a session."""
        if await self._webrtc.has_session(session_id, timeout=seconds):
            return InDoubt(participant=True, detail=str(error))
        return InDoubt(participant=False, over=not await self.begin(room, session_id))

    async def begin(self, room: str, session_id: str) -> bool:
        """The session was not found: that is the first look. False when it is not the room's."""
        now = self._clock.now()
        first = CheckSession(room, session_id).seen(now)
        ours = await self._rooms.doubt(room, first, now=now, due=now + self.pause)
        if ours:
            with bound(room=room, session_id=session_id):
                log.warning("session.not_found", looks=1)
            self._tasks.start(self._wake(room), name="session.look")
        return ours

    async def _wake(self, room: str) -> None:
        """Callers wait for the next look; otherwise it is found due a while later."""
        await self._clock.sleep(self.pause + _LATER)
        self._alarm.wake(keys.owner_room(room))

    async def check(self, effect: CheckSession, *, attempt: int) -> bool:
        """Another look; whether the session is gone. Raises NotYet until that is certain."""
        room = await self._rooms.read(effect.room)
        if room is None or room.session_id != effect.session_id:
            # Should it be the room's all the same, whoever does not find it next begins anew.
            return False
        if await self._webrtc.has_session(effect.session_id, timeout=TIMEOUT, attempt=attempt):
            await self._rooms.believe(effect.room, effect.session_id, now=self._clock.now())
            log.info("session.found", looks=effect.looks.count)
            return False
        now = self._clock.now()
        looked = effect.seen(now)
        if looked.looks.are(self._patience.vanished):
            log.warning("session.vanished", looks=looked.looks.count)
            self._metrics.found("session-vanished")
            return True
        log.warning("session.not_found", looks=looked.looks.count)
        await self._rooms.doubt(effect.room, looked, now=now, due=now + self.pause)
        self._tasks.start(self._wake(effect.room), name="session.look")
        raise NotYet(self.pause, looked)
