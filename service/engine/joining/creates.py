"""Sends the creates that a join is made of."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from service.bandwidth.webrtc import CreatedParticipant, WebRtcApi
from service.calls.browser import Permission
from service.calls.effects import DeleteParticipant, DeleteSession, HangUpLeg
from service.clock import Clock
from service.engine.cleanup import CleanUp
from service.engine.joining.compensated import NO_REPEAT, CompensatedCreate
from service.engine.outbox.retry_write import RetryWriter
from service.engine.outbox.wakeup import WorkerSignal
from service.metrics import Metrics
from service.store import keys
from service.store.rooms import Rooms
from service.tasks import Tasks

T = TypeVar("T", bound=str | CreatedParticipant)

CREATE_TIMEOUT: Final = 60.0
"""Seconds after which a create is given up for good; its late answer is the only way to its id."""
_REPEAT_MARGIN: Final = 1.0
"""Seconds that have to be left for a create which is sent once more."""
_TAG: Final = 50
"""Characters of a room's name in the tag of its session."""


class ResourceCreator:
    """What nobody takes over is owed by the room for removal, also once the store is back.

    `deadline`: monotonic, of whoever waits for it; a create that failed is sent once more before it.
    """

    def __init__(
        self,
        *,
        webrtc: WebRtcApi,
        rooms: Rooms,
        clock: Clock,
        tasks: Tasks,
        signal: WorkerSignal,
        metrics: Metrics,
        retry_writer: RetryWriter,
    ) -> None:
        self._webrtc = webrtc
        self._rooms = rooms
        self._clock = clock
        self._tasks = tasks
        self._signal = signal
        self._metrics = metrics
        self._retry_writer = retry_writer

    def create_participant(
        self,
        room: str,
        seat: str,
        callback_url: str,
        permissions: Sequence[Permission],
        *,
        deadline: float,
    ) -> CompensatedCreate[CreatedParticipant]:
        async def request(attempt: int) -> CreatedParticipant:
            return await self._webrtc.create_participant(
                tag=seat,
                callback_url=callback_url,
                permissions=permissions,
                timeout=CREATE_TIMEOUT,
                attempt=attempt,
            )

        return self._start(
            room,
            request,
            lambda id_: DeleteParticipant(seat, id_),
            "create-participant",
            repeat_until=deadline - _REPEAT_MARGIN,
        )

    def create_session(self, room: str, *, deadline: float) -> CompensatedCreate[str]:
        async def request(attempt: int) -> str:
            return await self._webrtc.create_session(tag=room[:_TAG], timeout=CREATE_TIMEOUT, attempt=attempt)

        return self._start(
            room,
            request,
            DeleteSession,
            "create-session",
            repeat_until=deadline - _REPEAT_MARGIN,
        )

    def create_leg(
        self, room: str, request: Callable[[], Coroutine[Any, Any, str]]
    ) -> CompensatedCreate[str]:
        """Of a createCall into WebRTC: it makes the id of that call. It is never sent twice."""
        return self._start(room, lambda _attempt: request(), HangUpLeg, "create-leg")

    def _start(
        self,
        room: str,
        request: Callable[[int], Coroutine[Any, Any, T]],
        cleanup: Callable[[str], CleanUp],
        name: str,
        *,
        repeat_until: float = NO_REPEAT,
    ) -> CompensatedCreate[T]:
        return CompensatedCreate(
            self._tasks,
            request,
            cleanup,
            lambda effect: self._schedule_cleanup(room, effect),
            name,
            clock=self._clock,
            metrics=self._metrics,
            repeat_until=repeat_until,
        )

    async def _schedule_cleanup(self, room: str, effect: CleanUp) -> None:
        await self._retry_writer.retry_until_stored(
            lambda: self._rooms.schedule(room, effect, now=self._clock.now()),
            "late create",
            effect,
            room=room,
        )
        self._signal.notify(keys.owner_room(room))
