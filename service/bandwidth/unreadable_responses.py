"""Counts responses that cannot be used, from Bandwidth or a proxy, and logs one of a kind in a while."""

from typing import Final

import structlog

from service.bandwidth.errors import BandwidthError
from service.clock import Clock
from service.metrics import Metrics

log = structlog.get_logger()

CODE: Final = "invalid-response"
QUIET_PERIOD: Final = 300.0
"""Seconds without such an answer to an operation after which the next one begins a new spell."""
_HINT_PROXY: Final = "see what answers in between (a proxy, a gateway, a wrong BW_WEBRTC_URL or BW_VOICE_URL)"
_HINT_LOST: Final = f"what it has made is known to nobody and lives for up to 9 hours: {_HINT_PROXY}"
_HINT_DELETED: Final = f"what it has made is taken down again: {_HINT_PROXY}"
_HINT_CALL: Final = (
    f"whether there is a call its webhooks will tell, and pstn-bridge sweep lists it: {_HINT_PROXY}"
)


class UnreadableResponses:
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
        if last is None or now - last > QUIET_PERIOD:
            log.warning(
                "answer.unreadable",
                operation=operation,
                status=error.status,
                error=error.detail,
                hint=_hint(error),
            )


def _hint(error: BandwidthError) -> str:
    if error.created_id:
        return _HINT_DELETED
    if error.operation == "create-call":
        return _HINT_CALL
    return _HINT_LOST if error.operation.startswith("create-") else _HINT_PROXY
