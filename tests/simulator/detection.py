"""Answering machine detection: what createCall may ask for, and what is reported when."""

import asyncio
from collections.abc import Mapping
from typing import Literal

import msgspec

from tests.simulator.background import Background
from tests.simulator.calls import Call
from tests.simulator.events import build
from tests.simulator.interconnect import Behaviour
from tests.simulator.settings import SimulatorSettings
from tests.simulator.steps import Fetch
from tests.simulator.webhooks import Target, WebhookRequest, Webhooks

# The machineDetectionComplete page.
Value = Literal["human", "answering-machine", "tone-detected", "silence", "timeout", "error"]

MACHINES = {"answering-machine", "tone-detected"}


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """The part of machineDetection that makes a difference without audio; `callback` is there for async."""

    mode: Literal["sync", "async"]
    detection_timeout: float
    silence_timeout: float
    delay_result: bool
    callback: Target | None
    fallback: Target | None


class Detector:
    """Who answers is what `numbers` says; `forced` gives a number another result."""

    def __init__(
        self,
        settings: SimulatorSettings,
        numbers: Mapping[str, Behaviour],
        webhooks: Webhooks,
        background: Background,
    ) -> None:
        self.forced: dict[str, Value] = {}
        self._settings = settings
        self._numbers = numbers
        self._webhooks = webhooks
        self._background = background

    async def detect(self, call: Call, detection: Detection, answer: Fetch) -> Fetch:
        """The answer event to go on with: with sync after the result and carrying it, otherwise at once."""
        value, seconds = self._outcome(call, detection)
        result = {"value": value, "duration": _duration(seconds)}
        if detection.mode == "sync":
            await self._pass(seconds)
            return msgspec.structs.replace(answer, extra={"machineDetectionResult": result})
        self._background.start(
            self._report(call, detection, result, seconds), name=f"detection {call.call_id}"
        )
        return answer

    async def _report(self, call: Call, detection: Detection, result: dict[str, str], seconds: float) -> None:
        """What becomes of a detection whose call has ended is undocumented; assumed: nothing is sent."""
        await self._pass(seconds)
        if call.ended or detection.callback is None:
            return
        event = "machineDetectionComplete"
        payload = build(event, call, machineDetectionResult=result)
        await self._webhooks.deliver(
            WebhookRequest(
                event,
                call.call_id,
                payload,
                detection.callback,
                detection.fallback,
                call.callbacks.timeout,
            )
        )

    def _outcome(self, call: Call, detection: Detection) -> tuple[Value, float]:
        """With the seconds until it is known, not scaled (createCall, machineDetection).

        What speech sounds like is not simulated: the thresholds of speech make no difference.
        """
        machine = self._numbers.get(call.to) == "voicemail"
        value = self.forced.get(call.to, "answering-machine" if machine else "human")
        limit = detection.detection_timeout
        if value == "silence":
            return value, min(detection.silence_timeout, limit)
        if value == "timeout" or self._settings.detection_delay > limit:
            return "timeout", limit
        seconds = self._settings.detection_delay
        if detection.delay_result and value in MACHINES:
            seconds = min(seconds + self._settings.machine_message, limit)
        return value, seconds

    async def _pass(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._settings.time_scale)


def _duration(seconds: float) -> str:
    """ISO 8601, such as the page's PT4.99S."""
    return f"PT{seconds:.2f}".rstrip("0").rstrip(".") + "S"
