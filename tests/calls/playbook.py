"""Stories of one call: an event in, what is expected of the decision, the next event.

    play().on(initiate()).replies(Join(1)).on(joined()).replies(Transfer(1)).becomes(Status.TRANSFERRING)

Time passes by one second from event to event unless `after` says otherwise.
"""

from typing import Self

import msgspec

from service.calls.decide import decide
from service.calls.decision import Decision
from service.calls.events import Event
from service.calls.model import Call, Intent, Media, Phone, Status
from service.calls.replies import Nothing, Reply
from tests.calls.event_builders import NOW, Cue
from tests.calls.expected_effects import Due


class Playbook:
    def __init__(self, call: Call | None, at: float) -> None:
        self._call = call
        self._before = call
        self._at = at
        self._story: list[str] = []
        self._latest: tuple[Event, Decision] | None = None

    def on(self, cue: Cue, *, after: float = 1.0) -> Self:
        self._at += after
        event = cue(self._at)
        decision = decide(self._call, event)
        assert _stored(decision) == decision, "what is stored of it is something else"
        self._before, self._call = self._call, decision.call
        self._latest = (event, decision)
        self._story.append(f"{_short(event)} -> {_short(decision.reply)}")
        return self

    def replies(self, reply: Reply) -> Self:
        return self._same("reply", reply, self.decision.reply)

    def expects(self, *effects: Due) -> Self:
        """Exactly these are newly owed, in this order; none for nothing."""
        got = [Due(owed.effect, round(owed.due - self._at, 3)) for owed in self.decision.owed]
        return self._same("owed", list(effects), got)

    def cancels(self, *ids: str) -> Self:
        return self._same("cancelled", sorted(ids), sorted(self.decision.cancelled))

    def becomes(self, *states: Status | Phone | Media | Intent) -> Self:
        for state in states:
            self._same("state", repr(state), repr(self._state(type(state))))
        return self

    def knows(self, **fields: object) -> Self:
        """Fields of the call by name."""
        got = {name: getattr(self.call, name) for name in fields}
        return self._same("fields", fields, got)

    def drops_token(self) -> Self:
        return self._same("drops_token", expected=True, got=self.decision.drops_token)

    def keeps_token(self) -> Self:
        return self._same("drops_token", expected=False, got=self.decision.drops_token)

    def refused(self, why: str) -> Self:
        """An order that is not obeyed: nothing happens, and whoever gave it is told."""
        self.replies(Nothing()).expects().cancels().unchanged()
        return self._same("refused", why, self.decision.refused)

    def obeyed(self) -> Self:
        return self._same("refused", "", self.decision.refused)

    def unchanged(self) -> Self:
        return self._same("call", self._before, self._call)

    def notes(self, note: str) -> Self:
        return self._same("note", note, self.decision.note)

    @property
    def call(self) -> Call:
        assert self._call is not None, self._tell("call", "a call", "none is known")
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

    def _same(self, what: str, expected: object, got: object) -> Self:
        assert got == expected, self._tell(what, expected, got)
        return self

    def _tell(self, what: str, expected: object, got: object) -> str:
        *earlier, last = self._story or ["nothing yet"]
        return "\n".join(
            [
                *(f"   {number}. {line}" for number, line in enumerate(earlier, start=1)),
                f"at {len(earlier) + 1}. {last}",
                f"   {what} expected: {expected}",
                f"   {' ' * len(what)}      got: {got}",
                f"   before: {_short(self._before)}",
                f"   after:  {_short(self._call)}",
            ]
        )


def _stored(decision: Decision) -> Decision:
    """As it is read again; what is not of the type that it is declared to be raises a ValidationError."""
    return msgspec.json.decode(msgspec.json.encode(decision), type=Decision)


def _short(value: Event | Reply | Call | None) -> str:
    """Fields of a call that are as usual are left out."""
    return msgspec.json.encode(value).decode()


def play(call: Call | None = None, *, at: float = NOW) -> Playbook:
    return Playbook(call, at)
