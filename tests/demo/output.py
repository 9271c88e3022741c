"""What happens at the simulator, as lines for people: when, who speaks to whom, which step of the flow."""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from tests.simulator.journal import (
    Delivery,
    Happening,
    PhoneChanged,
    RequestAnswered,
    SpeechHeard,
    WebhookDelivered,
)

OUTBOUND_ONLY: Final = 4
STEPS: Final[Mapping[int, str]] = MappingProxyType(
    {
        1: "createSession",
        2: "createParticipant",
        3: "addParticipantToSession",
        OUTBOUND_ONLY: "createCall",
        5: "call answered callback; of an inbound call, initiate",
        6: "transferToWebRTC",
        7: "removeParticipantFromSession",
        8: "hang up: the phone itself, <Hangup> or modifyCall",
        9: "deleteSession",
    }
)
_STEP_OF: Final[Mapping[str, int]] = MappingProxyType(
    {
        "createSession": 1,
        "createParticipant": 2,
        "addParticipantToSession": 3,
        "createCall": 4,
        "webhook initiate": 5,
        "webhook answer": 5,
        "BXML <Transfer>": 6,
        "BXML <SpeakSentence> <Transfer>": 6,
        "BXML <Bridge>": 6,
        "removeParticipantFromSession": 7,
        "deleteParticipant": 7,
        "call ended": 8,
        "webhook disconnect": 8,
        "BXML <Hangup>": 8,
        "BXML <SpeakSentence> <Hangup>": 8,
        "updateCall": 8,
        "deleteSession": 9,
    }
)

PHONE, BANDWIDTH, BRIDGE = "phone", "Bandwidth", "bridge"


class OutputLine(NamedTuple):
    """`at_ms` counts from the simulator's start; `ms` is how long it took, where that is known."""

    at_ms: float
    who: str
    whom: str
    what: str
    detail: str = ""
    status: str = ""
    ms: float | None = None

    @property
    def step(self) -> int | None:
        return _STEP_OF.get(self.what)

    @property
    def is_success(self) -> bool:
        """Whether it was answered with success, or needs no answer."""
        return not self.status or self.status.startswith("2")


class CallNames:
    """Phones in the order of their calls, and our own calls into WebRTC, which `is_leg` knows."""

    def __init__(self, is_leg: Callable[[str], bool] = lambda _call_id: False) -> None:
        self._names: dict[str, str] = {}
        self._is_leg = is_leg

    def of(self, call_id: str) -> str:
        if call_id not in self._names:
            kind = "leg" if self._is_leg(call_id) else "caller"
            known = sum(name.startswith(kind) for name in self._names.values())
            self._names[call_id] = f"{kind} {known + 1}"
        return self._names[call_id]


def output_lines(happening: Happening, names: CallNames, zero: float = 0.0) -> Iterator[OutputLine]:
    """`zero` is the simulator's start in monotonic seconds: what took time stands where it began."""
    match happening:
        case RequestAnswered(_, request):
            status = str(request.status) if request.received else "none"
            began = (request.at - zero) * 1000
            yield OutputLine(began, BRIDGE, BANDWIDTH, request.operation, status=status, ms=request.ms)
        case WebhookDelivered(at_ms, delivery):
            yield from _delivered(at_ms, delivery, names, zero)
        case PhoneChanged(at_ms, call_id, None, stage, cause):
            detail = ", ".join(word for word in (names.of(call_id), cause) if word)
            ways = (BANDWIDTH, PHONE) if stage == "bridged" else (PHONE, BANDWIDTH)
            if stage in {"ringing", "bridged", "ended"}:
                yield OutputLine(at_ms, *ways, f"call {stage}", detail)
        case SpeechHeard(at_ms, call_id, text):
            yield OutputLine(at_ms, BANDWIDTH, PHONE, "speech", f"{names.of(call_id)}: {text}")
        case _:
            return


def _delivered(at_ms: float, delivery: Delivery, names: CallNames, zero: float) -> Iterator[OutputLine]:
    """The question when it was sent, and the answer when it came."""
    call_id = str(delivery.payload.get("parentCallId") or delivery.call_id)
    name = names.of(call_id)
    what = f"webhook {delivery.event_type}"
    status = "none" if delivery.status is None else str(delivery.status)
    detail = f"{name}, {delivery.error}" if delivery.error else name
    asked = (delivery.sent_at - zero) * 1000
    if not delivery.synchronous:
        yield OutputLine(asked, BANDWIDTH, BRIDGE, what, detail, status, delivery.ms)
        return
    yield OutputLine(asked, BANDWIDTH, BRIDGE, what, name)
    yield OutputLine(at_ms, BRIDGE, BANDWIDTH, _said(delivery.reply), detail, status, delivery.ms)


def _said(document: bytes) -> str:
    try:
        return " ".join(["BXML", *(f"<{verb.tag}>" for verb in ET.fromstring(document))])
    except ET.ParseError:
        return "no BXML"
