"""Reads one voice webhook. It is checked once and trusted from then on.

Lenient in what does not matter, since every 400 costs a caller: fields of an odd type are taken as absent,
and unknown ones are left alone.
"""

import hashlib
import json
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from service.bandwidth.callback_urls import MAX_ROUNDS
from service.bandwidth.validation import is_id
from service.calls.display import clean_display_text
from service.calls.model import Direction
from service.calls.numbers import e164, hide_numbers
from service.calls.refs import is_ref, ref_of_call

_TEXT: Final = 256
"""Characters kept of a field; the longest that Bandwidth documents and we use is a tag of 256."""
_MAX_ROUND_SECONDS: Final = 25.0
"""Seconds that a round takes at most: Bandwidth waits 15 for our answer, and the caller hears a sentence."""
_decode = msgspec.json.decode


class MalformedWebhook(Exception):
    """400: the body is not one that Bandwidth sends."""


class ConferenceEvent(Exception):
    """204: it is about a conference as a whole, of which we have none (voice API, conference webhooks)."""


class ForeignAccount(Exception):
    """403: the webhook is of another account."""


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """What Bandwidth said, and where. Reading a field raises nothing: what cannot be read is absent."""

    event_type: str
    call_id: str
    ref: str
    attempt: int
    """Of the join or transfer that the URL was given to; 0 in an application's own URLs."""
    at: float
    """When we received it, in seconds since the epoch."""
    event_key: str
    """Names the webhook among those of its call. A copy of it has the same."""
    our_numbers: frozenset[str]
    """Numbers of ours in E.164 form: numbers without a country code are read by them."""
    body: dict[str, Any]
    rounds: int = 0
    """How often the caller has been told to come back, while the store was away."""
    since: float = 0
    """When the caller came first (seconds since the epoch); 0 where this is the first time."""
    is_leg: bool = False
    """Whether it is about our own call into WebRTC, and not about the phone."""

    def text(self, name: str) -> str:
        return _text(self.body.get(name))

    def safe_text(self, name: str) -> str:
        """A text that everybody may see, such as a cause: no number is in it."""
        return hide_numbers(self.text(name))

    def nested_text(self, outer: str, name: str) -> str:
        """The text of a field of an object in the body."""
        value = self.body.get(outer)
        return _text(value.get(name)) if isinstance(value, dict) else ""

    @property
    def machine(self) -> str:
        """What machine detection has found, as a word."""
        return hide_numbers(self.nested_text("machineDetectionResult", "value"))

    def integer(self, name: str) -> int | None:
        value = self.body.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def event_time(self) -> float:
        """When it happened, in seconds since the epoch by Bandwidth's clock; 0 where that cannot be read."""
        try:
            at = datetime.fromisoformat(self.text("eventTime"))
            return at.timestamp() if at.tzinfo else 0
        except (ValueError, OverflowError):
            return 0

    @property
    def is_transfer_leg(self) -> bool:
        """Whether it is about the B leg of a transfer, which names the phone's call as its parent."""
        return self.text("parentCallId") not in {"", self.call_id}

    @property
    def direction(self) -> Direction:
        return Direction.OUTBOUND if self.body.get("direction") == "outbound" else Direction.INBOUND

    @property
    def own_number(self) -> str:
        """The number of ours that the call is on, in E.164 form; empty where it cannot be read."""
        return e164(self.text("to" if self.direction is Direction.INBOUND else "from"), self.our_numbers)

    @property
    def diverted_from(self) -> str:
        """The last number that the call was diverted from, in E.164 form; empty where it was not diverted."""
        return e164(self.nested_text("diversion", "origTo"), self.our_numbers)

    def party(self, name: str) -> str:
        """`from` or `to`: in E.164 form where it is a number, otherwise as it is shown (`Anonymous`)."""
        text = self.text(name)
        return e164(text, self.our_numbers) or clean_display_text(text)[:_TEXT]


def parse(
    raw: bytes,
    *,
    ref: str = "",
    attempt: int = 0,
    leg: bool = False,
    again: str = "",
    since: str = "",
    at: float,
    account_id: str,
    our_numbers: frozenset[str] = frozenset(),
) -> Webhook:
    """Raises MalformedWebhook, ForeignAccount and ConferenceEvent.

    Malformed is broken JSON, no `eventType`, and what is no `callId`.
    `at`: seconds since the epoch.
    `again`, `since`: of the URL, as `CallbackUrls` has written them; believed as far as they can be true.
    A `ref` that we cannot have given out is ignored: the call ids in the body name the call as well.
    """
    body = _object(raw)
    event_type = _required(body, "eventType")
    if event_type.startswith("conference") and "callId" not in body:
        raise ConferenceEvent(event_type)
    call_id = _required(body, "callId")
    if not is_id(call_id):
        raise MalformedWebhook("callId is no id")
    account = body.get("accountId")
    if isinstance(account, str | int) and not isinstance(account, bool) and str(account) != account_id:
        raise ForeignAccount
    if not is_ref(ref):
        # The events of a B leg name the A leg as its parent.
        parent = body.get("parentCallId")
        ref = ref_of_call(parent if isinstance(parent, str) and is_id(parent) else call_id)
    rounds, first = _rounds_so_far(again, since, at)
    webhook = Webhook(
        rounds=rounds,
        since=first,
        event_type=event_type,
        call_id=call_id,
        ref=ref,
        attempt=attempt,
        at=at,
        event_key=_event_key(event_type, body.get("eventTime"), raw),
        is_leg=leg,
        our_numbers=our_numbers,
        body=body,
    )
    # Phone and leg may be told of at the same moment.
    return (
        replace(webhook, event_key=f"leg:{webhook.event_key}") if leg or webhook.is_transfer_leg else webhook
    )


def _rounds_so_far(again: str, since: str, at: float) -> tuple[int, float]:
    """Rounds, and when the first began. No caller has waited for longer than they take."""
    if not (again.isascii() and again.isdecimal() and len(again) < 3):
        return 0, 0
    rounds = int(again)
    if not (since.isascii() and since.isdecimal() and len(since) < 15):
        return rounds, 0
    first = int(since) / 1000
    return rounds, first if 0 <= at - first <= min(rounds, MAX_ROUNDS) * _MAX_ROUND_SECONDS else 0


def _text(value: object) -> str:
    """JSON can spell half a character, which nothing else can write."""
    if not isinstance(value, str):
        return ""
    text = value[:_TEXT]
    return text if text.isascii() else text.encode(errors="replace").decode()


def _object(raw: bytes) -> dict[str, Any]:
    try:
        try:
            body = _decode(raw)
        except msgspec.DecodeError:
            # Slower, and takes what the fast one does not: half characters, numbers beyond a double.
            body = json.loads(raw.decode(), parse_constant=_refuse)
    except ValueError as error:
        raise MalformedWebhook(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise MalformedWebhook("the body is nested too deeply") from error
    if not isinstance(body, dict):
        raise MalformedWebhook("the body is not a JSON object")
    return body


def _refuse(constant: str) -> None:
    """Refuse NaN and the like, which Python's parser takes and JSON has not (RFC 8259)."""
    raise ValueError(f"{constant} is no JSON")


def _required(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if isinstance(value, str) and len(value) > _TEXT:
        raise MalformedWebhook(f"{name} is longer than {_TEXT} characters")
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise MalformedWebhook(f"{name} is missing or not a string of printable characters")
    return value


def _event_key(event_type: str, event_time: object, raw: bytes) -> str:
    """Under which the same webhook is known again: its type and time, or its body where it has no time."""
    if isinstance(event_time, str) and 0 < len(event_time) <= _TEXT:
        return f"{event_type}@{_text(event_time)}"
    return f"{event_type}#{hashlib.sha256(raw).hexdigest()}"
