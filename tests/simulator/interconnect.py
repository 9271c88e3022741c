"""Where calls go out to: the SIP interconnect into WebRTC, and scripted numbers."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Literal

from tests.simulator.calls import Call
from tests.simulator.journal import Journal
from tests.simulator.sessions import Participant, Sessions
from tests.simulator.settings import SimulatorSettings
from tests.simulator.verbs import uui_values

Mode = Literal["answer", "reject", "timeout"]
# "answer": a human, "voicemail": a machine.
# "ring": until the test calls `phone.pick_up()` or the caller gives up.
Behaviour = Literal["answer", "voicemail", "busy", "no-answer", "reject", "ring"]

# Seconds, not scaled: for what a test does itself.
PATIENCE = 5.0
SIP_RESPONSES = {"busy": 486, "rejected": 603}
# The disconnect and transfer pages show the first in their examples; assumed for the others.
ERRORS = {
    "busy": "Callee is busy",
    "rejected": "Callee rejected the call",
    "timeout": "Callee did not answer",
}


class LegRejected(Exception):
    """The interconnect refuses the INVITE; the text says why."""


class SipInterconnect:
    """Admits whoever presents the token of a live participant; `rejections` says why others were not."""

    def __init__(
        self,
        settings: SimulatorSettings,
        sessions: Sessions,
        journal: Journal,
        live: Callable[[], Iterable[Call]],
    ) -> None:
        self.uri = settings.interconnect_uri
        self.mode: Mode = "answer"
        self.answer_delay = settings.interconnect_answer_delay
        self.rejections: list[str] = []
        self._sessions = sessions
        self._journal = journal
        self._live = live

    async def ring(self, leg: Call, uui: str | None) -> str | None:
        """None when the leg is answered, otherwise the cause. Undocumented all through: see `_admit`."""
        if self.mode == "timeout":
            await asyncio.Event().wait()
        if self.mode == "reject":
            return "rejected"
        try:
            leg.participant_id = self._admit(leg, uui or "").id
        except LegRejected as reason:
            self.rejections.append(str(reason))
            leg.error_message = str(reason)
            return "rejected"
        await asyncio.sleep(self.answer_delay)
        return None

    def _admit(self, leg: Call, uui: str) -> Participant:
        """The token authenticates (interconnection page); all samples subscribe before the leg connects.

        What happens with any other token is undocumented; assumed: the leg is refused.
        """
        self._check_call_id(leg, uui)
        tokens = uui_values(uui, "jwt")
        if len(tokens) != 1:
            raise LegRejected(f"{len(tokens)} tokens in uui")
        participant = self._sessions.by_token(tokens[0])
        if participant is None:
            raise LegRejected("token of no live participant")
        if participant.session_id is None:
            raise LegRejected(f"participant {participant.id} is in no session")
        if participant.subscriptions.empty:
            raise LegRejected(f"participant {participant.id} has no subscription")
        if any(call.participant_id == participant.id for call in self._live()):
            raise LegRejected(f"participant {participant.id} has a leg already")
        return participant

    def _check_call_id(self, leg: Call, uui: str) -> None:
        """The first value of the recipe names the call that is transferred, for debugging."""
        caller = leg.parent or leg
        expected = "".join(caller.call_id.split("-")[1:])
        for value in uui_values(uui, "base64"):
            if value != expected:
                self._journal.complain(f"uui names call {value}, not {expected}")


class Destinations:
    """Rings a number or the interconnect. `numbers` scripts what a phone does, by default it answers."""

    def __init__(self, interconnect: SipInterconnect, answer_delay: float, time_scale: float) -> None:
        self.interconnect = interconnect
        self.numbers: dict[str, Behaviour] = {}
        self.answer_delay = answer_delay
        self._time_scale = time_scale

    async def ring(self, call: Call, to: str, uui: str | None) -> str | None:
        """None when answered, else the cause; after the call timeout that is `timeout`."""
        seconds = call.ring_seconds * self._time_scale
        if self.numbers.get(to) == "ring":
            # However busy the machine is, a test has its time to pick up.
            seconds = max(seconds, PATIENCE)
        try:
            async with asyncio.timeout(seconds):
                cause = await self._ring(call, to, uui)
        except TimeoutError:
            cause = "timeout"
        call.sip_response_code = SIP_RESPONSES.get(cause or "")
        call.error_message = call.error_message or ERRORS.get(cause or "")
        return cause

    async def _ring(self, call: Call, to: str, uui: str | None) -> str | None:
        if to == self.interconnect.uri:
            return await self.interconnect.ring(call, uui)
        if to.startswith("sip"):
            # Nobody but the interconnect has a SIP address here.
            return "rejected"
        match self.numbers.get(to, "answer"):
            case "busy":
                return "busy"
            case "reject":
                return "rejected"
            case "no-answer":
                await asyncio.Event().wait()
            case "ring":
                await call.picked_up.wait()
            case "answer" | "voicemail":
                await asyncio.sleep(self.answer_delay)
        return None
