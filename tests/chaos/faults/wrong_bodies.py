"""Requests are carried out, and their answers have bodies that are wrong."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.chaos.faults.bursts import FaultBursts
from tests.chaos.operations import CREATE_CALL, CREATES, OTHERS
from tests.simulator.faults import Fault

Rewrite = Callable[[Any], Any]
PAGE = b"<html><body>Sign in</body></html>"
ANY: Mapping[str, Rewrite] = {
    "no body": lambda _: None,
    "web page": lambda _: PAGE,
    "not text": lambda _: b"\xff\xfe\x00",
    "a list": lambda _: [],
    "null": lambda _: b"null",
    "a number": lambda _: 7,
    "an empty object": lambda _: {},
    "cut off": lambda answer: json.dumps(answer).encode()[:12],
    "nested deeply": lambda _: b"[" * 50_000,
    "large": lambda _: b'{"id": "' + b"a" * 1_100_000 + b'"}',
}
"""Without the id of what was made: it lives out its hours, and that is said."""
PARTICIPANT: Mapping[str, Rewrite] = {
    "token is a number": lambda answer: {**answer, "token": 12345},
    "token is empty": lambda answer: {**answer, "token": ""},
    "token is null": lambda answer: {**answer, "token": None},
    "no token": lambda answer: {"participant": answer["participant"]},
    "cut off after the id": lambda answer: _cut(answer, answer["participant"]["id"]),
}
SESSION: Mapping[str, Rewrite] = {
    "tag is a number": lambda answer: {**answer, "tag": 7},
    "cut off after the id": lambda answer: _cut(answer, answer["id"]),
}
CALL: Mapping[str, Rewrite] = {
    "id alone": lambda answer: {"callId": answer["callId"], "to": [7]},
    "cut off after the id": lambda answer: _cut({"callId": answer["callId"], **answer}, answer["callId"]),
}
NO_ID: Mapping[str, Mapping[str, Rewrite]] = {
    "createParticipant": {
        "id with a blank": lambda answer: {**answer, "participant": {"id": "a b"}},
        "id is a number": lambda answer: {**answer, "participant": {"id": 7}},
        "id is a path": lambda answer: {**answer, "participant": {"id": "../x"}},
        "id is dots": lambda answer: {**answer, "participant": {"id": ".."}},
    },
    "createSession": {
        "id is a number": lambda _: {"id": 7},
        "id is a path": lambda _: {"id": "../x"},
        "id is empty": lambda _: {"id": ""},
    },
    "createCall": {
        "id is a number": lambda answer: {**answer, "callId": 7},
        "id is a path": lambda answer: {**answer, "callId": "../x"},
    },
}
WITH_ID: Mapping[str, Mapping[str, Rewrite]] = {
    "createParticipant": PARTICIPANT,
    "createSession": SESSION,
    "createCall": CALL,
}
OTHERS_OWN: Mapping[str, Mapping[str, Rewrite]] = {
    "listSessionParticipants": {
        "ids are numbers": lambda _: [{"id": 7}],
        "no ids": lambda _: [{}],
        "an id is a path": lambda _: [{"id": "../x"}],
    },
    "getCall": {
        "state is a number": lambda answer: {**answer, "state": 7},
        "unknown state": lambda answer: {**answer, "state": "resting"},
        "times are numbers": lambda answer: {**answer, "endTime": 7, "startTime": {}},
    },
    "listCalls": {
        "no ids": lambda _: [{"state": "answered"}],
        "ids are paths": lambda _: [{"callId": "../x"}],
    },
    "token": {
        "token is a number": lambda answer: {**answer, "access_token": 7},
        "token is empty": lambda answer: {**answer, "access_token": ""},
        "token has lines": lambda answer: {**answer, "access_token": "a\r\nb: c"},
        "life is a word": lambda answer: {**answer, "expires_in": "soon"},
        "life is negative": lambda answer: {**answer, "expires_in": -5},
        "life is endless": lambda answer: {**answer, "expires_in": 1e300},
    },
}
STATUSES = (None, None, None, 204, 202, 302)
"""In place of the answer's own."""
AT_ONCE = 4
"""Operations, besides one that makes something."""
SHARE = 0.5
LOST = 0.15
"""Share of wrong answers to creates that do not have the id."""


class WrongBodies(FaultBursts):
    """A few operations at a time."""

    kind = "bodies-wrong"
    lengths = (1.0, 4.0)
    pauses = (0.2, 1.5)

    def begin_burst(self) -> str:
        makes = [*CREATES, CREATE_CALL]
        self._operations = {self.dice.choice(makes), *self.dice.sample([*makes, *OTHERS], AT_ONCE)}
        return ", ".join(sorted(self._operations))

    def fault_for(self, operation: str) -> Fault | None:
        dice = self.dice
        if operation not in self._operations or dice.random() >= SHARE:
            return None
        if operation in WITH_ID and dice.random() >= LOST:
            name, rewrite = dice.choice([*WITH_ID[operation].items()])
            return _fault(operation, name, rewrite, None)
        own = NO_ID.get(operation) or OTHERS_OWN.get(operation) or {}
        name, rewrite = dice.choice([*ANY.items(), *own.items()])
        status = dice.choice(STATUSES)
        return _fault(operation, name, rewrite if status != 204 else lambda _: None, status)


def _fault(operation: str, name: str, rewrite: Rewrite, status: int | None) -> Fault:
    return Fault(operation, rewrite=lambda answer: _safe(rewrite, answer), status=status, name=name)


def _safe(rewrite: Rewrite, answer: Any) -> Any:
    """An answer that says of itself that it is an error is left as it is."""
    try:
        return rewrite(answer)
    except (KeyError, TypeError):
        return answer


def _cut(answer: Any, after: str) -> bytes:
    """Right behind the first place where this stands, with its quotation mark."""
    text = json.dumps(answer)
    return text[: text.index(after) + len(after) + 1].encode()
