"""Shows calls and rooms as the API does. What is not there is `null`. Nothing in here raises."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from service.calls.browser import Browser, Hears
from service.calls.model import Call, Outcome, parse_seat
from service.calls.numbers import masked
from service.calls.room_settings import RoomSettings
from service.store.room_index import Member, RoomView


def call_view(call: Call, *, numbers: bool) -> dict[str, Any]:
    """A call. `numbers`: whether phone numbers are shown as a whole."""
    show = _same if numbers else masked
    return {
        "id": call.ref,
        "callId": call.call_id or None,
        "state": call.status,
        "direction": call.direction,
        "room": call.room,
        "nextRoom": call.next_room or None,
        "from": show(call.from_number) or None,
        "to": show(call.to_number) or None,
        "interconnect": call.interconnect,
        "createdAt": time_view(call.created_at),
        "answeredAt": time_view(call.answered_at),
        "bridgedAt": time_view(call.bridged_at),
        "endedAt": time_view(call.ended_at),
        "tag": call.tag or None,
        "announcement": call.announcement or None,
        "participantId": call.participant_id or None,
        "sessionId": call.session_id or None,
        "hears": _hears(call.hears),
        "machine": call.machine or None,
        "elsewhere": show(call.transfer_to) or None,
        "failure": call.failure or None,
        "outcome": None if call.outcome is None else _outcome(call.outcome),
    }


def full_call_view(call: Call, timeline: Sequence[Mapping[str, Any]], *, numbers: bool) -> dict[str, Any]:
    """A call with its timeline. `numbers`: as in `call_view`."""
    return {**call_view(call, numbers=numbers), "timeline": [_entry(entry) for entry in timeline]}


def room_view(room: RoomView, *, now: float, pins: bool) -> dict[str, Any]:
    """A room. `now`: seconds since the epoch. `pins`: whether the PIN, which is a password, is shown."""
    return {
        "room": room.name,
        "epoch": room.epoch,
        "sessionId": room.session_id or None,
        "sessionAge": round(max(0.0, now - room.opened), 3) if room.session_id else None,
        "members": [_member(member) for member in room.members],
        "waiting": list(room.waiting),
        "settings": _settings(room.settings, pins=pins),
    }


def participant_view(room: str, member: Member) -> dict[str, Any]:
    """A participant that is a browser."""
    browser, presence = member.browser or Browser(), member.presence
    return {
        "participantId": member.participant_id,
        "room": room,
        "kind": "browser",
        "name": browser.name or None,
        "permissions": list(browser.permissions),
        "state": member.phase,
        "connected": presence.is_connected,
        "createdAt": time_view(presence.seated_at),
        "lastSeenAt": time_view(presence.last_seen_at),
        "hears": _heard_by(browser.hears),
    }


def _member(member: Member) -> dict[str, Any]:
    browser = member.browser
    return {
        "kind": "phone" if browser is None else "browser",
        "call": parse_seat(member.seat)[0] if browser is None else None,
        "name": (browser.name if browser else "") or None,
        "participantId": member.participant_id or None,
        "state": member.phase,
    }


def _heard_by(hears: Hears) -> str | list[Any]:
    if hears is None:
        return "everyone"
    return [
        one if isinstance(one, str) else {"participantId": one.participant_id, "streamAliases": one.aliases}
        for one in hears
    ] or "nobody"


def _same(number: str) -> str:
    return number


def time_view(seconds: float) -> str | None:
    """A time as text. `seconds`: since the epoch; 0 for none."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _hears(hears: tuple[str, ...] | None) -> str | list[str]:
    if hears is None:
        return "everyone"
    return list(hears) or "nobody"


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "blame": outcome.blame,
        "reason": outcome.reason,
        "cause": outcome.cause or None,
        "errorId": outcome.error_id or None,
        "sipResponseCode": outcome.sip_response_code,
    }


def _entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {_camel(name): _detail(name, value) for name, value in entry.items()}


def _detail(name: str, value: Any) -> Any:
    match name:
        case "at":
            return time_view(value)
        case "requests":
            return [_entry(request) for request in value]
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _settings(settings: RoomSettings, *, pins: bool) -> dict[str, Any]:
    """A client may send them back as they are."""
    waiting, alone = settings.waiting, settings.alone
    return {
        "announcement": settings.announcement or None,
        "waiting": waiting
        and {
            "sound": waiting.sound,
            "music": waiting.music or None,
            "message": waiting.message or None,
            "limit": waiting.limit,
        },
        "alone": alone and {"after": alone.after, "then": alone.then},
        "limit": settings.limit,
        "pin": (settings.pin if pins else "") or None,
        "interconnect": settings.interconnect,
    }
