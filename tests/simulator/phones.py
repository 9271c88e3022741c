"""A phone as a test holds it: what it hears, and what its owner does."""

from typing import Literal

from tests.simulator.calls import Call, CallEngine, Sound
from tests.simulator.sessions import Sessions

Milestone = Literal["answered", "transferring", "bridged", "ended"]

Script = Literal["tone", "echo"]

REACHED: dict[str, set[str]] = {
    "answered": {"answered", "transferring", "bridged"},
    "transferring": {"transferring", "bridged"},
    "bridged": {"bridged"},
    "ended": {"ended"},
}


class Phone:
    """With media it says a tone of its own, or greets and repeats what it hears; set either at any time."""

    def __init__(self, call: Call, engine: CallEngine, sessions: Sessions, tone: int = 0) -> None:
        self.call = call
        self.tone = tone
        """In whole hertz; 0 is silence."""
        self.script: Script = "tone"
        self._engine = engine
        self._sessions = sessions

    @property
    def call_id(self) -> str:
        return self.call.call_id

    @property
    def state(self) -> Literal["ringing", "answered", "ended"]:
        if self.call.ended:
            return "ended"
        return "ringing" if self.call.answer_time is None else "answered"

    @property
    def stage(self) -> str:
        """Finer than `state`: ringing, answered, transferring, bridged, ended."""
        return self.call.stage

    @property
    def heard(self) -> list[str]:
        return self.call.heard

    @property
    def sounds(self) -> list[Sound]:
        """All that was heard, in order: ("ring",), ("play", url), ("speak", text)."""
        return self.call.sounds

    @property
    def cause(self) -> str | None:
        return self.call.cause

    @property
    def error(self) -> str | None:
        return self.call.error_message

    @property
    def tag(self) -> str | None:
        return self.call.tag

    @property
    def document(self) -> str | None:
        return self.call.document

    @property
    def first_bxml_ms(self) -> float | None:
        return self.call.first_bxml_ms

    @property
    def leg(self) -> Call | None:
        """The B leg, the one talked to or else the latest."""
        if self.call.peer is not None:
            return self.call.peer
        return self.call.legs[-1] if self.call.legs else None

    @property
    def participant_id(self) -> str | None:
        """The participant this phone is connected to at present; a leg into WebRTC is its token's."""
        peer = self.call.peer
        return self.call.participant_id or (peer.participant_id if peer is not None else None)

    @property
    def session_id(self) -> str | None:
        participant = self._sessions.participants.get(self.participant_id or "")
        return participant.session_id if participant is not None else None

    async def until(self, milestone: Milestone, timeout: float = 15.0) -> None:  # noqa: ASYNC109 - a test's limit
        """Wait for a stage; a phone that ends while another is waited for is an AssertionError at once."""
        call = self.call
        await call.changes.until(
            lambda: call.stage in REACHED[milestone] or call.ended,
            timeout=timeout,
            what=lambda: f"{milestone}: {self}",
        )
        if call.ended and milestone != "ended":
            raise AssertionError(f"ended before {milestone}: {self}")

    async def hears(self, text: str, timeout: float = 15.0) -> None:  # noqa: ASYNC109 - a test's limit
        """Wait until a sentence with `text` in it has been spoken."""
        await self.call.changes.until(
            lambda: any(text in sentence for sentence in self.call.heard),
            timeout=timeout,
            what=lambda: f"{text!r} heard: {self}",
        )

    async def hang_up(self, cause: str | None = None) -> None:
        """By default with the cause the list of causes gives: giving up while it rings is `cancel`."""
        if cause is None and self.call.answer_time is None:
            cause = "cancel" if self.call.direction == "inbound" else "rejected"
        self.call.hung_up = self.call.hung_up or not self.call.ended
        self._engine.end(self.call, cause or "hangup")

    async def far_end_hangs_up(self, cause: str = "hangup") -> None:
        """End the B leg; the phone itself stays."""
        if self.leg is None or self.leg.ended:
            raise AssertionError(f"no far end: {self}")
        self.leg.hung_up = True
        self._engine.end(self.leg, cause)

    def pick_up(self) -> None:
        """Answer, where the number is scripted as "ring"."""
        self.call.picked_up.set()

    def press(self, keys: str) -> None:
        for key in keys:
            self.call.keys.put_nowait(key)

    def __repr__(self) -> str:
        call = self.call
        return (
            f"<Phone {call.call_id} {call.stage} cause={call.cause} error={call.error_message} "
            f"heard={call.heard} document={call.document}>"
        )
