"""The timeline of a call as messages between phone, Bandwidth, this service, and operators."""

from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from service.calls.model import Call


class Actor(IntEnum):
    PHONE = 0
    BANDWIDTH = 1
    SERVICE = 2
    OPERATOR = 3


class Message(NamedTuple):
    sender: Actor
    receiver: Actor
    words: str


class Step(NamedTuple):
    """One line: messages of one moment, or a note about what it meant."""

    at: float
    """Seconds since the epoch."""
    messages: tuple[Message, ...] = ()
    note: str = ""
    bad: bool = False


_PHONE_DOES: Final[Mapping[str, str]] = MappingProxyType(
    {"initiate": "calls", "answer": "answers", "gather": "keys", "turnedAway": "calls"}
)
_WEBHOOKS: Final = frozenset(
    {
        "initiate",
        "answer",
        "redirect",
        "gather",
        "bridgeComplete",
        "transferAnswer",
        "transferComplete",
        "transferDisconnect",
        "legAnswer",
        "legBridgeComplete",
        "legDisconnect",
        "machineDetectionComplete",
        "disconnect",
        "turnedAway",
        "unknown",
    }
)
_ORDERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "dial": "dial",
        "orderHold": "hold",
        "orderJoin": "join",
        "orderTransfer": "transfer",
        "orderHangup": "hang up",
        "orderSubscriptions": "hears",
    }
)
_OUTCOMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "joined": "in the room's session",
        "joinFailed": "did not get into the room",
        "foundEmpty": "nobody is there: waits outside",
        "moved": "is in the other room",
        "moveFailed": "could not get into the other room",
        "placed": "Bandwidth has the call",
        "notPlaced": "nobody was called",
        "asked": "Bandwidth was asked whether it knows the call",
        "foundEnded": "found to be over at Bandwidth, no webhook came",
        "dialingOver": "rang for so long that it is over",
        "timeUp": "its time is up",
        "timeShort": "its time is nearly up",
        "holdUp": "has been on hold for long",
        "summoned": "somebody has come",
        "leftAlone": "everybody else has gone",
        "pageGone": "nobody is left on the page",
        "evicted": "the room was closed",
        "participantVanished": "Bandwidth lost its participant",
    }
)
_BAD_EVENTS: Final = frozenset(
    {
        "joinFailed",
        "moveFailed",
        "notPlaced",
        "participantVanished",
        "foundEnded",
        "dialingOver",
        "turnedAway",
    }
)
_NO_REPLY: Final = frozenset({"nothing", "join"})
"""Replies that are none: to a notification, and while a join is carried out."""
_HEARD_BY_PHONE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "apologise": "is told",
        "farewell": "is told",
        "hangup": "hung up",
        "hold": "on hold",
        "ask-digits": "digits?",
        "await-others": "waits",
        "elsewhere": "goes on",
    }
)
_ROUTINE_EFFECTS: Final = frozenset({"name-call"})
"""Work that nobody needs to know of as long as it gets done."""
_HANGS_UP: Final = frozenset({"hangup", "cancel"})
_TO_LEG: Final = frozenset({"transferAnswer", "legAnswer", "legBridgeComplete"})


def steps(call: Call, timeline: Sequence[Mapping[str, Any]]) -> list[Step]:
    """In the order in which it happened: requests have times of their own."""
    found = [step for entry in timeline for step in _steps_of(entry)]
    if not call.live and call.outcome is not None:
        found = [_without_our_hangup(call, step) for step in found]
    return sorted(found, key=lambda step: step.at)


def _steps_of(entry: Mapping[str, Any]) -> Iterator[Step]:
    yield from (_request_step(one) for one in entry.get("requests", ()))
    event, at = str(entry["event"]), float(entry["at"])
    if "effect" in entry:
        if entry["effect"] not in _ROUTINE_EFFECTS or event != "effectDone":
            yield _effect_step(entry, event, at)
        return
    yield _event_step(entry, event, at)
    reply = str(entry.get("reply", ""))
    if reply and reply not in _NO_REPLY and event not in _ORDERS:
        yield _reply_step(reply, event, at)


def _event_step(entry: Mapping[str, Any], event: str, at: float) -> Step:
    details = _details(entry)
    bad = event in _BAD_EVENTS or _failed(entry)
    if event in _ORDERS:
        return Step(at, (Message(Actor.OPERATOR, Actor.SERVICE, _ORDERS[event]),), bad=bad)
    if event in _WEBHOOKS:
        words = f"{event} {details}".rstrip()
        webhook = Message(Actor.BANDWIDTH, Actor.SERVICE, words)
        does = (
            "hangs up"
            if event == "disconnect" and entry.get("cause") in _HANGS_UP
            else _PHONE_DOES.get(event)
            # One that was told to come back has called before.
            if not (event == "turnedAway" and entry.get("rounds"))
            else ""
        )
        first = (Message(Actor.PHONE, Actor.BANDWIDTH, does),) if does else ()
        return Step(at, (*first, webhook), bad=bad)
    note = f"{_OUTCOMES.get(event, event)}{': ' if details else ''}{details}"
    if silence := entry.get("silence_ms"):
        note = f"{note} ({silence:.0f} ms of silence)"
    return Step(at, note=note, bad=bad)


def _failed(entry: Mapping[str, Any]) -> bool:
    """Whether a cause is one that somebody should look at."""
    cause = str(entry.get("cause", ""))
    return bool(entry.get("error_id")) or cause not in {"", *_HANGS_UP, "timeout", "busy", "rejected"}


def _details(entry: Mapping[str, Any]) -> str:
    parts = [str(entry[name]) for name in ("cause", "reason", "value") if entry.get(name)]
    if code := entry.get("sip_response_code"):
        parts.append(f"SIP {code}")
    return " ".join(parts)


def _reply_step(reply: str, event: str, at: float) -> Step:
    said = Message(Actor.SERVICE, Actor.BANDWIDTH, reply)
    heard = "" if event in _TO_LEG else _HEARD_BY_PHONE.get(reply, "")
    then = (Message(Actor.BANDWIDTH, Actor.PHONE, heard),) if heard else ()
    return Step(at, (said, *then), bad=reply == "apologise")


def _request_step(request: Mapping[str, Any]) -> Step:
    status, error = request.get("status"), str(request.get("error", ""))
    parts = [str(request["operation"]), str(status or error), f"{request['ms']:.0f}ms"]
    if repeats := request.get("repeats"):
        parts.append(f"+{repeats} again")
    return Step(
        float(request["at"]), (Message(Actor.SERVICE, Actor.BANDWIDTH, " ".join(parts)),), bad=bool(error)
    )


def _effect_step(entry: Mapping[str, Any], event: str, at: float) -> Step:
    """What was owed; the request that it took stands above it."""
    name, _, about = str(entry["effect"]).partition(":")
    room = about.partition(":")[0]
    said = f"{name} {room}" if name == "leave-room" and not room.startswith("call-") else name
    tries = f", try {entry['tries']}" if entry.get("tries", 1) > 1 else ""
    match event:
        case "effectDone":
            return Step(at, note=f"done: {said}{tries}")
        case "effectFailed":
            return Step(at, note=f"failed: {said} ({entry.get('error', '')}), again later{tries}", bad=True)
        case _:
            return Step(at, note=f"GIVEN UP: {said} ({entry.get('error', '')}){tries}", bad=True)


def _without_our_hangup(call: Call, step: Step) -> Step:
    """A phone that we have let go does not hang up, as far as anybody can tell."""
    told = bool(call.failure)
    if told and step.messages and step.messages[0].words == "hangs up":
        return step._replace(messages=step.messages[1:])
    return step
