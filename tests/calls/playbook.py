"""Stories of one call: an event in, what is expected of the decision, the next event.

    play().on(initiate()).joins(1).on(joined()).replies(Transfer(1)).becomes(Status.TRANSFERRING)

Time passes by one second from event to event unless `after` says otherwise.
"""

from typing import Self

import msgspec

from service.calls.decide import decide
from service.calls.decision import Decision
from service.calls.events import Event
from service.calls.model import Call, Intent, Media, Phone, Status
from service.calls.replies import NoReply, PendingJoin, RecordedReply, Reply
from tests.calls.event_builders import NOW, EventBuilder
from tests.calls.expected_effects import ExpectedEffect


class Playbook:
    def __init__(self, call: Call | None, at: float) -> None:
        self._call = call
        self._before = call
        self._at = at
        self._history: list[str] = []
        self._latest: tuple[Event, Decision] | None = None

    def on(self, cue: EventBuilder, *, after: float = 1.0) -> Self:
        self._at += after
        event = cue(self._at)
        decision = decide(self._call, event)
        assert _round_trip(decision) == decision, "what is stored of it is something else"
        self._before, self._call = self._call, decision.call
        self._latest = (event, decision)
        self._history.append(f"{_as_json(event)} -> {_as_json(decision.reply)}")
        return self

    def replies(self, reply: RecordedReply) -> Self:
        return self._expect("reply", reply, self.decision.recorded_reply)

    def joins(self, attempt: int) -> Self:
        """The attempt has to be carried out; the reply waits for its outcome."""
        return self.replies(PendingJoin(attempt))

    def expects(self, *effects: ExpectedEffect) -> Self:
        """Exactly these are newly owed, in this order; none for nothing."""
        got = [ExpectedEffect(owed.effect, round(owed.due - self._at, 3)) for owed in self.decision.effects]
        return self._expect("owed", list(effects), got)

    def cancels(self, *ids: str) -> Self:
        return self._expect("cancelled", sorted(ids), sorted(self.decision.cancels))

    def becomes(self, *states: Status | Phone | Media | Intent) -> Self:
        for state in states:
            self._expect("state", repr(state), repr(self._state(type(state))))
        return self

    def knows(self, **fields: object) -> Self:
        """Fields of the call by name."""
        got = {name: getattr(self.call, name) for name in fields}
        return self._expect("fields", fields, got)

    def drops_token(self) -> Self:
        return self._expect("drops_token", expected=True, got=self.decision.drops_token)

    def keeps_token(self) -> Self:
        return self._expect("drops_token", expected=False, got=self.decision.drops_token)

    def refused(self, why: str) -> Self:
        """An order that is not obeyed: nothing happens, and whoever gave it is told."""
        self.replies(NoReply()).expects().cancels().unchanged()
        return self._expect("refused", why, self.decision.refusal_reason)

    def accepted(self) -> Self:
        return self._expect("refused", "", self.decision.refusal_reason)

    def unchanged(self) -> Self:
        return self._expect("call", self._before, self._call)

    def notes(self, note: str) -> Self:
        return self._expect("note", note, self.decision.note)

    @property
    def call(self) -> Call:
        assert self._call is not None, self._failure("call", "a call", "none is known")
        return self._call

    @property
    def at(self) -> float:
        """When the latest event happened."""
        return self._at

    @property
    def decision(self) -> Decision:
        assert self._latest is not None, "nothing has happened yet"
        return self._latest[1]

    def _state(self, kind: type[Status | Phone | Media | Intent]) -> Status | Phone | Media | Intent:
        states = (self.call.status, self.call.phone, self.call.media, self.call.intent)
        return next(state for state in states if type(state) is kind)

    def _expect(self, what: str, expected: object, got: object) -> Self:
        assert got == expected, self._failure(what, expected, got)
        return self

    def _failure(self, what: str, expected: object, got: object) -> str:
        *earlier, last = self._history or ["nothing yet"]
        return "\n".join(
            [
                *(f"   {number}. {line}" for number, line in enumerate(earlier, start=1)),
                f"at {len(earlier) + 1}. {last}",
                f"   {what} expected: {expected}",
                f"   {' ' * len(what)}      got: {got}",
                f"   before: {_as_json(self._before)}",
                f"   after:  {_as_json(self._call)}",
            ]
        )


def _round_trip(decision: Decision) -> Decision:
    """As it is read again; what is not of the type that it is declared to be raises a ValidationError."""
    return msgspec.json.decode(msgspec.json.encode(decision), type=Decision)


def _as_json(value: Event | Reply | Call | None) -> str:
    """Fields of a call that are as usual are left out."""
    return msgspec.json.encode(value).decode()


def play(call: Call | None = None, *, at: float = NOW) -> Playbook:
    return Playbook(call, at)
