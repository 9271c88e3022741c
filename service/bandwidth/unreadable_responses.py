"""Answers of Bandwidth, or of somebody in between, that cannot be used: counted, and named once a spell."""

from typing import Final

import structlog

from service.bandwidth.errors import BandwidthError
from service.clock import Clock
from service.metrics import Metrics

log = structlog.get_logger()

CODE: Final = "invalid-response"
QUIET: Final = 300.0
"""Seconds without such an answer to an operation after which the next one begins a new spell."""
_LOOK: Final = "see what answers in between (a proxy, a gateway, a wrong BW_WEBRTC_URL or BW_VOICE_URL)"
_LOST: Final = f"what it has made is known to nobody and lives for up to 9 hours: {_LOOK}"
_MADE: Final = f"what it has made is taken down again: {_LOOK}"
_CALL: Final = f"whether there is a call its webhooks will tell, and pstn-bridge sweep lists it: {_LOOK}"


class Unreadable:
    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._last: dict[str, float] = {}
        """By operation, of which there are few: when there was one, monotonic."""

    def note(self, error: BandwidthError) -> None:
        """Of any error; it is for those that are an answer of no use."""
        if error.code != CODE:
            return
        operation, now = error.operation, self._clock.monotonic()
        self._metrics.unreadable(operation)
        last = self._last.get(operation)
        self._last[operation] = now
        if last is None or now - last > QUIET:
            log.warning(
                "answer.unreadable",
                operation=operation,
                status=error.status,
                error=error.detail,
                hint=_hint(error),
            )


def _hint(error: BandwidthError) -> str:
    if error.made:
        return _MADE
    if error.operation == "create-call":
        return _CALL
    return _LOST if error.operation.startswith("create-") else _LOOK
