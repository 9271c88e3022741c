"""Calls in every state, and every event in all circumstances that matter: run through `decide`."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec.structs import replace

from service.calls.decide import TABLE, decide
from service.calls.decision import Decision
from service.calls.events import Event
from service.calls.model import Call, Intent, Media, Phone
from tests.calls.cues import (
    FALLBACK,
    NOW,
    TOKEN_LIFE,
    Cue,
    a_call,
    answer,
    disconnect,
    initiate,
    join_failed,
    joined,
    redirect,
    transfer_answer,
    transfer_complete,
    transfer_disconnect,
    unknown,
    vanished,
)


class Circumstance(NamedTuple):
    words: str
    late: bool = False
    answered: bool = True
    fallback: str = ""
    failure: str = ""


CIRCUMSTANCES: Final = (
    Circumstance(""),
    Circumstance("past its time", late=True),
    Circumstance("with a fallback number", fallback=FALLBACK),
    Circumstance("not answered", answered=False),
    Circumstance("not answered, with a fallback number", answered=False, fallback=FALLBACK),
    Circumstance("after a failure", failure="bandwidth-error"),
)


class Case(NamedTuple):
    name: str
    media: Media
    intent: Intent
    phone: Phone
    words: str
    decision: Decision


def cues(circumstance: Circumstance, attempt: int = 1) -> dict[str, Cue]:
    cause = "hangup" if circumstance.answered else "timeout"
    every: list[Cue] = [
        initiate(),
        answer(),
        redirect(),
        transfer_answer(attempt),
        transfer_complete(attempt, cause),
        transfer_disconnect(attempt, cause),
        vanished(attempt),
        joined(attempt),
        join_failed(attempt),
        disconnect(),
        unknown(),
    ]
    known = {type(cue(NOW)): cue for cue in every}
    return {_name(kind): known[kind] for kind in TABLE}


def cases() -> Iterator[Case]:
    for phone in Phone:
        for media in Media:
            for intent in Intent:
                for circumstance in CIRCUMSTANCES:
                    call = _call(media, intent, phone, circumstance)
                    at = NOW + (TOKEN_LIFE if circumstance.late else 1)
                    for name, cue in cues(circumstance).items():
                        decision = decide(call, cue(at))
                        yield Case(name, media, intent, phone, circumstance.words, decision)


def on_no_call() -> dict[str, Decision]:
    return {name: decide(None, cue(NOW)) for name, cue in cues(CIRCUMSTANCES[0]).items()}


def on_an_older_attempt(intent: Intent) -> dict[str, Decision]:
    """Only what belongs to an attempt can belong to an older one."""
    call = replace(a_call(Media.BRIDGED, intent), attempt=2)
    return {
        name: decide(call, cue(NOW))
        for name, cue in cues(CIRCUMSTANCES[0]).items()
        if hasattr(cue(NOW), "attempt")
    }


def _call(media: Media, intent: Intent, phone: Phone, circumstance: Circumstance) -> Call:
    call = a_call(media, intent, phone, answered=circumstance.answered)
    return replace(call, fallback=circumstance.fallback, failure=circumstance.failure)


def _name(kind: type[Event]) -> str:
    return str(kind.__struct_config__.tag)
