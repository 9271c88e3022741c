"""What our settings add to the event of a webhook, and what stands for a field that Bandwidth leaves out."""

from typing import Any

import pytest
from msgspec.structs import replace

from service.calls.events import (
    Answer,
    AskedToRetry,
    Disconnect,
    Event,
    Gathered,
    Initiate,
    LegDisconnect,
    LegNoted,
    MachineDetected,
    PhoneRequest,
    TransferAnswer,
    TransferComplete,
    TransferDisconnect,
    UnknownWebhook,
)
from service.calls.incoming import apply_policy
from service.calls.model import Direction
from service.calls.policy import CallLimits, Policy
from service.calls.refs import ref_of_call

AT = 1_800_000_000.0
REF = ref_of_call("c-1")
OURS, OTHER, FALLBACK = "+15550100100", "+15550100101", "+15550100199"
POLICY = Policy(
    room_map={OURS: "sales"},
    announcement="Hello.",
    fallback_number=FALLBACK,
    our_numbers=frozenset({OURS, OTHER}),
    pin_numbers=frozenset({OTHER}),
    max_pin_attempts=2,
    webhook_budget=6.5,
    limits=CallLimits(call=600, hold=60),
    short_leg=2.5,
    closed_message="We are closed.",
)


def said(direction: Direction = Direction.INBOUND, **more: Any) -> dict[str, Any]:
    """What a webhook about the phone says."""
    return {"at": AT, "ref": REF, "call_id": "c-1", "direction": direction, "from_number": "+1", **more}


def applied(
    event: Event, *, own_number: str = OURS, diverted_from: str = "", policy: Policy = POLICY
) -> Event:
    return apply_policy(event, policy, ref=REF, own_number=own_number, diverted_from=diverted_from)


@pytest.mark.parametrize("kind", [Initiate, Answer, Gathered, AskedToRetry])
def test_a_phone_that_asks_gets_what_is_set_for_its_number(kind: type[Any]) -> None:
    parsed = kind(**said(answered=True, first_at=AT - 9, outage_waits=2))
    assert applied(parsed) == kind(
        **said(answered=True, first_at=AT - 9, outage_waits=2),
        room="sales",
        lease_until=AT + 6.5,
        announcement="Hello.",
        fallback_number=FALLBACK,
        waits_for_others=True,
        max_duration=600,
        pin_attempts_allowed=0,
        closed_message="We are closed.",
    )


def test_a_call_that_we_have_placed_is_asked_for_nothing_and_never_turned_away() -> None:
    found = applied(Answer(**said(Direction.OUTBOUND, answered=True)), own_number=OTHER)
    assert isinstance(found, PhoneRequest)
    assert (found.waits_for_others, found.pin_attempts_allowed, found.closed_message) == (False, 0, "")
    assert (found.max_duration, found.lease_until, found.announcement) == (600, AT + 6.5, "Hello.")


def test_digits_are_asked_for_on_the_number_that_was_called() -> None:
    found = applied(Initiate(**said(answered=False)), own_number=OTHER)
    assert isinstance(found, PhoneRequest)
    assert (found.pin_attempts_allowed, found.room) == (2, f"call-{REF}")


@pytest.mark.parametrize(("diverted_from", "fallback"), [(OTHER, ""), ("+15550100111", FALLBACK)])
def test_a_call_that_was_diverted_from_a_number_of_ours_has_no_fallback(
    diverted_from: str, fallback: str
) -> None:
    found = applied(Initiate(**said(answered=False)), diverted_from=diverted_from)
    assert isinstance(found, PhoneRequest)
    assert found.fallback_number == fallback


@pytest.mark.parametrize(("told", "cause"), [("", "unknown"), ("busy", "busy")])
def test_the_end_of_a_call_has_a_room_and_a_cause(told: str, cause: str) -> None:
    parsed = Disconnect(**said(), cause=told, error_id="e-1", sip_response_code=486)
    assert applied(parsed) == replace(parsed, room="sales", cause=cause)
    assert applied(parsed, own_number="") == replace(parsed, room=f"call-{REF}", cause=cause)


@pytest.mark.parametrize(("told", "cause"), [("", "unknown"), ("busy", "busy")])
def test_the_end_of_a_leg_has_a_cause(told: str, cause: str) -> None:
    parsed = LegDisconnect(AT, 2, cause=told, leg_id="c-2", error_id="e-1", sip_response_code=486)
    assert applied(parsed) == replace(parsed, cause=cause)


@pytest.mark.parametrize(
    ("tag", "wants_reply", "kept"), [("", True, REF), ("t", True, "t"), ("", False, ""), ("t", False, "t")]
)
def test_a_leg_without_a_tag_that_wants_a_reply_keeps_the_ref(tag: str, wants_reply: bool, kept: str) -> None:
    parsed = LegNoted(AT, "answer", "c-2", tag, wants_reply=wants_reply)
    assert applied(parsed) == replace(parsed, tag=kept)


def test_how_long_a_leg_has_to_last_is_set() -> None:
    parsed = TransferComplete(AT, 2, cause="", error_id="e-1")
    assert applied(parsed) == replace(parsed, short_leg=2.5)


@pytest.mark.parametrize(
    "event",
    [
        MachineDetected(AT, "human"),
        TransferAnswer(AT, 2, leg_id="c-2", tag=""),
        TransferDisconnect(AT, 2, cause=""),
        UnknownWebhook(AT, "newIn2027"),
    ],
)
def test_the_others_stay_as_they_are(event: Event) -> None:
    assert applied(event) is event
