"""Decides whether what a worker has struck off as done was done, by what Bandwidth was asked for.

The store's journal says what was struck off, and the simulator's what was asked and answered. Each strike
needs an answer of its own kind: that Bandwidth did it, or that there is nothing left to do it to.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from tests.chaos.call_histories import place_of
from tests.chaos.store_history import Key, Step, StoreState, key_of
from tests.chaos.stored_calls import HANG_UP, call_in
from tests.simulator.journal import Request

Effect = Mapping[str, Any]
RequestKey = tuple[str, ...]
"""What is asked of Bandwidth: an operation, and whom or what it is about."""
REDIRECT, HANG_UP_REQUEST, SESSION_FOUND = "redirect", "hang-up", "getSession"
ASKS: Final[Mapping[str, Callable[[Effect], RequestKey]]] = MappingProxyType(
    {
        "redirect-phone": lambda one: (REDIRECT, one["ref"], str(one["attempt"])),
        "hang-up": lambda one: (HANG_UP_REQUEST, one["call_id"]),
        "hang-up-leg": lambda one: (HANG_UP_REQUEST, one["call_id"]),
        "delete-participant": lambda one: ("deleteParticipant", one["participant_id"]),
        "delete-session": lambda one: ("deleteSession", one["session_id"]),
        "remove-participant": lambda one: (
            "removeParticipantFromSession",
            one["session_id"],
            one["participant_id"],
        ),
    }
)
"""By kind of effect: the request that it is."""
GONE: Final = frozenset({404, 409})
"""There is nothing to do it to, or not any more."""


class RemovedEffect(NamedTuple):
    """An effect that a worker has struck off. `owner`: as `call:<ref>` or `room:<name>`."""

    prefix: str
    owner: str
    effect: Effect


def removed_effects(state: StoreState, step: Step) -> Iterator[RemovedEffect]:
    """By a worker's round, before it is played. What a call's or a room's own step calls off is none.

    Nor is a dead letter: that is told by itself.
    """
    kinds = {key_of(where.decode()).kind for _, where, *_ in step if where}
    if kinds & {"call", "room", "dead"}:
        return
    for name, where, *fields in step:
        key = key_of(where.decode())
        if name == b"HDEL" and key.kind == "owed":
            owed = state.hash(str(key))
            for field in fields:
                if not field.startswith(b".") and field in owed:
                    yield RemovedEffect(key.prefix, key.name, _effect(owed[field]))


class CompletedRequests:
    """What Bandwidth was asked for, and has done; once for all strikes of a turn, in order."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self._done: set[RequestKey] = set()
        self._found: Counter[str] = Counter()
        """By session: how often Bandwidth has said that it is there."""
        for one in requests:
            if one.status is None:
                continue
            if one.operation == SESSION_FOUND:
                self._found[one.ids.get("sessionId", "")] += one.status < 300
            elif one.status < 300 or one.status in GONE:
                self._done.add(_thing(one))
        self._believed: Counter[str] = Counter()

    def missing(self, one: RemovedEffect, state: StoreState) -> str:
        """What was not done, in the state after the strike; empty where all is well."""
        kind = str(one.effect.get("type"))
        match kind:
            case "check-session":
                return self._in_doubt(one, state)
            case "tell-time-up":
                call = call_in(state, Key(one.prefix, "call", str(one.effect["ref"])))
                told = call is None or not call.live or call.intent == HANG_UP
                return "" if told else "the time is up, and the call goes on"
            case _ if kind in ASKS and (thing := ASKS[kind](one.effect)) not in self._done:
                return f"Bandwidth has not done {' '.join(thing)}"
        return ""

    def _in_doubt(self, one: RemovedEffect, state: StoreState) -> str:
        """Of a session that stays its room's each look that ends the doubt has found it."""
        session = str(one.effect["session_id"])
        room = state.hash(f"{one.prefix}:room:{one.effect['room']}")
        if room.get(b"session") != session.encode():
            return ""
        self._believed[session] += 1
        if self._believed[session] <= self._found[session]:
            return ""
        return f"session {session} was not found, and is still the room's"


def _thing(request: Request) -> RequestKey:
    ids, body = request.ids, request.body if isinstance(request.body, dict) else {}
    match request.operation:
        case "updateCall" if body.get("state") == "completed":
            return HANG_UP_REQUEST, ids.get("callId", "")
        case "updateCall":
            _, ref, attempt = place_of(str(body.get("redirectUrl", "")))
            return REDIRECT, ref, str(attempt)
        case "removeParticipantFromSession":
            return request.operation, ids.get("sessionId", ""), ids.get("participantId", "")
        case "deleteSession":
            return request.operation, ids.get("sessionId", "")
    return request.operation, ids.get("participantId", "")


def _effect(value: bytes) -> Effect:
    """An effect is the last part of what is owed; one that cannot be read has no kind."""
    try:
        found = json.loads(value.split(b" ", 5)[5])
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
