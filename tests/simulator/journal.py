"""What happened: requests, deliveries, complaints, and whoever watches them come in."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tests.simulator.background import Changes
from tests.simulator.clock import monotonic


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One API request. `at` is monotonic seconds, `status` None if the answer reached nobody."""

    operation: str
    method: str
    path: str
    ids: Mapping[str, str]
    status: int | None
    at: float
    ms: float
    scheme: str | None
    body: Any
    received: bool
    created: str | None = None
    """Id of what it made."""
    host: str = ""
    """By which name it came: who asks can be told apart where each has been given another."""
    fault: str | None = None
    """What struck it: the fault in words. None: it was served as usual."""
    told: bool = True
    """Whether the id of what it made is in its answer; that may have reached nobody all the same."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One POST of a webhook. `error` says why there is no status; `body` are the bytes that went out."""

    event_type: str
    call_id: str
    payload: dict[str, Any]
    url: str
    body: bytes
    username: str | None
    password: str | None
    status: int | None
    ms: float
    content_type: str
    reply: bytes
    error: str | None
    sent_at: float
    synchronous: bool


class RequestAnswered(msgspec.Struct, frozen=True, tag="request"):
    at_ms: float
    request: Request


class WebhookDelivered(msgspec.Struct, frozen=True, tag="webhook"):
    at_ms: float
    delivery: Delivery


class PhoneChanged(msgspec.Struct, frozen=True, tag="phone"):
    """A call or a leg came to a new stage; `cause` once it has ended."""

    at_ms: float
    call_id: str
    parent_call_id: str | None
    stage: str
    cause: str | None
    participant_id: str | None = None
    """The participant it is connected to; only while it is bridged."""


class MemberChanged(msgspec.Struct, frozen=True, tag="member"):
    """A participant was added, subscribed anew, removed or deleted; `session_id` None: in no session now."""

    at_ms: float
    participant_id: str
    session_id: str | None
    hears: tuple[str, ...] | None
    """Participants that it receives. Empty: every other member. None: nobody."""


class SpeechHeard(msgspec.Struct, frozen=True, tag="speech"):
    at_ms: float
    call_id: str
    text: str


class SoundHeard(msgspec.Struct, frozen=True, tag="sound"):
    """Something besides speech: `ring` or `play`. `seconds`: how long it lasts unless it is cut off."""

    at_ms: float
    call_id: str
    kind: str
    seconds: float


Happening = RequestAnswered | WebhookDelivered | PhoneChanged | MemberChanged | SpeechHeard | SoundHeard
Observer = Callable[[Happening], None]


class Journal:
    """`at_ms` counts from the simulator's start."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.deliveries: list[Delivery] = []
        self.complaints: list[str] = []
        self.changes = Changes()
        self.observers: list[Observer] = []
        self.started = monotonic()

    def complain(self, text: str) -> None:
        """Somebody did what the documents do not allow; tests assert that this never happens."""
        self.complaints.append(text)
        self.changes.notify()

    def answered(self, request: Request) -> None:
        self.requests.append(request)
        self._tell(RequestAnswered(self._now(), request))

    def delivered(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self._tell(WebhookDelivered(self._now(), delivery))

    def stage(
        self, call_id: str, parent_call_id: str | None, stage: str, cause: str | None, participant: str | None
    ) -> None:
        self._tell(PhoneChanged(self._now(), call_id, parent_call_id, stage, cause, participant))

    def member(self, participant_id: str, session_id: str | None, hears: tuple[str, ...] | None) -> None:
        self._tell(MemberChanged(self._now(), participant_id, session_id, hears))

    def spoke(self, call_id: str, text: str) -> None:
        self._tell(SpeechHeard(self._now(), call_id, text))

    def sounded(self, call_id: str, kind: str, seconds: float) -> None:
        self._tell(SoundHeard(self._now(), call_id, kind, seconds))

    def _now(self) -> float:
        return (monotonic() - self.started) * 1000

    def _tell(self, happening: Happening) -> None:
        for observer in self.observers:
            observer(happening)
        self.changes.notify()
