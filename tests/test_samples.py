"""Webhooks as they come over the wire: what each becomes, and what is refused."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from handlers.webhooks.parsers import LEG_KINDS, WEBHOOK_KINDS, kind_of
from handlers.webhooks.participant_events import ParticipantEvent
from handlers.webhooks.payload import ForeignAccount, MalformedWebhook, Webhook, parse
from service.calls.events import (
    Answer,
    BridgeComplete,
    Disconnect,
    Event,
    Gathered,
    Initiate,
    LegAnswer,
    LegBridgeComplete,
    LegDisconnect,
    MachineDetected,
    Redirected,
    TransferAnswer,
    TransferComplete,
    TransferDisconnect,
    UnknownWebhook,
)
from service.calls.incoming import apply_policy
from service.calls.model import Direction
from service.calls.policy import Policy
from service.calls.refs import ref_of_call
from tests.simulator.events import FIELDS

SAMPLES = Path(__file__).parent / "samples"
STEMS = [path.stem for path in SAMPLES.iterdir()]
ACCOUNT = "9900000"
INBOUND = "c-5b1f9c3e-2d7a4e60-8c1b-4f35-9a70-6e2d90b1f4c8"
LEG = "c-5b1f9c3e-71c0d9aa-04e2-4b9d-b6f7-1d3a5c7e9024"
OUTBOUND = "c-0d94e7b2-93f6a1c8-5e27-4d10-8b3f-c2a9641d70e5"
REF, OUTBOUND_REF = "p07-ycvam76wtzoffh3qmcwe", ref_of_call(OUTBOUND)
GIVEN_OUT = "p03-aaaaaaaaaaaaaaaaaaaa"
AT = 1_772_719_332.0
POLICY = Policy(room_map={"+19195550100": "sales"}, announcement="Hello.", fallback_number="+19195550199")

ON_THE_LINE: dict[str, Any] = {
    "ref": REF,
    "call_id": INBOUND,
    "direction": Direction.INBOUND,
    "room": "sales",
    "from_number": "+19195550142",
    "to_number": "+19195550100",
}
DIALED: dict[str, Any] = {
    "ref": OUTBOUND_REF,
    "call_id": OUTBOUND,
    "direction": Direction.OUTBOUND,
    "room": "sales",
    "from_number": "+19195550100",
    "to_number": "+19195550163",
}
ARRIVING: dict[str, Any] = {
    "lease_until": AT + 8,
    "announcement": "Hello.",
    "fallback_number": "+19195550199",
}
CAME_IN: dict[str, Any] = {**ON_THE_LINE, **ARRIVING, "waits_for_others": True}
SIP = {name: json.loads((SAMPLES / f"{name}.json").read_text()).get("sipCallId", "") for name in STEMS}
REDIRECTED, LEG_ANSWERED, ANSWERED = 1772719333.78, 1772719332.655, 1772719807.951
"""When these happened, by Bandwidth's clock."""

EXPECTED: dict[str, Event] = {
    "initiate": Initiate(at=AT, answered=False, sip_call_id=SIP["initiate"], **CAME_IN),
    "initiate-minimal": Initiate(
        at=AT,
        answered=False,
        ref=REF,
        call_id=INBOUND,
        direction=Direction.INBOUND,
        room=f"call-{REF}",
        waits_for_others=True,
        **ARRIVING,
    ),
    "answer": Answer(at=AT, answered=True, machine="human", sip_call_id=SIP["answer"], **DIALED, **ARRIVING),
    "redirect": Redirected(at=AT, answered=True, event_time=REDIRECTED, **CAME_IN),
    "gather": Gathered(at=AT, answered=True, digits="4711", **CAME_IN),
    "bridgeComplete": BridgeComplete(at=AT, answered=True, attempt=2, cause="busy", **CAME_IN),
    "bridgeTargetComplete": BridgeComplete(at=AT, answered=True, attempt=2, **CAME_IN),
    "machineDetectionComplete": MachineDetected(AT, "answering-machine"),
    "transferAnswer": TransferAnswer(AT, 2, leg_id=LEG, tag=f"{REF}.1", event_time=LEG_ANSWERED),
    "transferAnswer-without-parent": TransferAnswer(
        AT, 2, leg_id=LEG, tag=f"{REF}.1", event_time=LEG_ANSWERED
    ),
    "transferComplete": TransferComplete(
        AT,
        2,
        cause="busy",
        error_id="5f2c8e04-6a91-4d3b-97e0-b18d4c7a2f36",
        sip_call_id=SIP["transferComplete"],
    ),
    "transferDisconnect": TransferDisconnect(
        AT, 2, cause="hangup", sip_call_id=SIP["transferDisconnect"], sip_response_code=None
    ),
    "disconnect": Disconnect(at=AT, cause="hangup", sip_call_id=SIP["disconnect"], **ON_THE_LINE),
    "disconnect-unlisted-cause": Disconnect(
        at=AT,
        cause="carrier-blocked",
        error_id="c06b9a7e-1f43-4528-8e9d-3a75d0e2b614",
        sip_response_code=603,
        sip_call_id=SIP["disconnect-unlisted-cause"],
        **DIALED,
    ),
}
"""For webhooks at the second attempt's URL."""
OF_A_LEG: dict[str, Event] = {
    "answer": LegAnswer(AT, 2, leg_id=OUTBOUND, event_time=ANSWERED),
    "redirect": LegAnswer(AT, 2, leg_id=INBOUND, event_time=REDIRECTED),
    "bridgeComplete": LegBridgeComplete(AT, 2, cause="busy"),
    "bridgeTargetComplete": LegBridgeComplete(AT, 2),
    "disconnect": LegDisconnect(AT, 2, cause="hangup", leg_id=INBOUND, sip_call_id=SIP["disconnect"]),
}
"""The same at the address of our own call into WebRTC."""


def raw(name: str) -> bytes:
    return (SAMPLES / f"{name}.json").read_bytes()


def sample(name: str, **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(raw(name))
    return body | changes


def read(body: bytes | dict[str, Any], *, ref: str = "", attempt: int = 2, leg: bool = False) -> Webhook:
    """As the endpoint reads it."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse(content, ref=ref, attempt=attempt, leg=leg, at=AT, account_id=ACCOUNT)


def event(body: bytes | dict[str, Any], *, leg: bool = False) -> Event:
    """What is handed to the engine."""
    webhook = read(body, leg=leg)
    return apply_policy(
        kind_of(webhook).parse(webhook),
        POLICY,
        ref=webhook.ref,
        own_number=webhook.own_number,
        diverted_from=webhook.diverted_from,
    )


def test_there_is_a_sample_of_each_kind_and_an_expectation_for_each_sample() -> None:
    found = {path.stem for path in SAMPLES.iterdir()}
    assert set(WEBHOOK_KINDS) <= found
    assert found == {*EXPECTED, "participant-onConnect"}


@pytest.mark.parametrize("kind", WEBHOOK_KINDS)
def test_a_sample_has_the_documented_fields(kind: str) -> None:
    always, sometimes = (set(fields.split()) for fields in FIELDS[kind])
    names = set(sample(kind))
    assert always <= names
    assert names <= always | sometimes | {"machineDetectionResult"}
    assert sample(kind)["eventType"] == kind


@pytest.mark.parametrize("name", EXPECTED)
def test_what_a_sample_becomes(name: str) -> None:
    webhook = read(raw(name))
    body = sample(name)
    assert event(raw(name)) == EXPECTED[name]
    assert (webhook.event_type, webhook.call_id) == (body["eventType"], body["callId"])
    if "eventTime" in body:
        leg = "leg:" if "parentCallId" in body else ""
        assert webhook.event_key == f"{leg}{body['eventType']}@{body['eventTime']}"


def test_a_participant_event() -> None:
    name = "participant-onConnect"
    assert msgspec.json.decode(raw(name), type=ParticipantEvent) == ParticipantEvent(
        event="onConnect", participantId="d8886aad-b956-4e1b-b2f4-d7c9f8162772", timestamp="1772719332655"
    )


@pytest.mark.parametrize(
    ("timestamp", "told_ms"),
    [
        ("1772719332655", 1772719332655),
        (1772719332655, 1772719332655),
        (None, 0),
        ("soon", 0),
        (-5, 0),
        (1.5, 0),
        ("9" * 16, 0),
        ({}, 0),
    ],
)
def test_when_a_participant_event_happened(timestamp: object, told_ms: int) -> None:
    assert ParticipantEvent(event="onConnect", timestamp=timestamp).happened_ms == told_ms


@pytest.mark.parametrize("name", EXPECTED)
def test_unknown_fields_are_ignored(name: str) -> None:
    extra = {"sipHeaders": {"x-more": "1"}, "newIn2027": [{"deep": [None, 1.5, True]}], "": ""}
    assert event(sample(name, **extra)) == EXPECTED[name]


@pytest.mark.parametrize(("kind", "leg"), [("recordComplete", False), ("newIn2027", False), ("gather", True)])
def test_an_unknown_kind_is_accepted(kind: str, leg: bool) -> None:
    body = sample("redirect", eventType=kind)
    assert event(body, leg=leg) == UnknownWebhook(AT, kind)
    assert kind_of(read(body, leg=leg)).wants_bxml


@pytest.mark.parametrize("kind", LEG_KINDS)
def test_what_a_sample_becomes_at_the_address_of_a_leg(kind: str) -> None:
    assert event(raw(kind), leg=True) == OF_A_LEG[kind]
    at_the_same_moment = read(raw(kind), leg=True).event_key, read(raw(kind)).event_key
    assert len(set(at_the_same_moment)) == 2


@pytest.mark.parametrize("odd", [5, None, [], {"value": 5}, {"value": {}}, "human"])
def test_an_odd_result_of_machine_detection_is_none(odd: Any) -> None:
    assert event(sample("machineDetectionComplete", machineDetectionResult=odd)) == MachineDetected(AT, "")


@pytest.mark.parametrize("leg", [False, True])
@pytest.mark.parametrize("kind", WEBHOOK_KINDS)
def test_no_number_is_in_words_of_bandwidths(kind: str, leg: bool) -> None:
    """These are in the log, the timeline and the outcome, for keys that see no numbers as well."""
    said = "no route to (555) 010-8266"
    words = dict.fromkeys(("cause", "errorId", "errorMessage", "description"), said)
    body = sample(kind, **words, machineDetectionResult={"value": said})
    assert "8266" not in str(event(body, leg=leg))


UNUSUAL: list[Any] = [5, None, {}, [], True, 1.5, {"a": ["b"]}]
REQUIRED = {"callId", "eventType", "accountId"}


@pytest.mark.parametrize("odd", UNUSUAL, ids=json.dumps)
@pytest.mark.parametrize("kind", WEBHOOK_KINDS)
def test_an_odd_type_is_as_good_as_absent(kind: str, odd: Any) -> None:
    """All optional fields at once; only `sipResponseCode` is a number by right."""
    names = set(sample(kind)) - REQUIRED
    assert event(sample(kind, **dict.fromkeys(names, odd))) == event(
        {name: value for name, value in sample(kind).items() if name in REQUIRED}
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cause": 5}, {"cause": "unknown"}),
        ({"from": []}, {"from_number": ""}),
        ({"to": {}}, {"to_number": "", "room": f"call-{REF}"}),
        ({"errorId": None}, {"error_id": ""}),
        ({"sipResponseCode": "486"}, {"sip_response_code": None}),
        ({"sipResponseCode": True}, {"sip_response_code": None}),
        ({"direction": 7}, {"direction": Direction.INBOUND}),
        ({"from": "9" * 300}, {"from_number": "9" * 256}),
    ],
)
def test_a_disconnect_with_an_odd_field(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    assert event(sample("disconnect", **changes)) == msgspec.structs.replace(
        EXPECTED["disconnect"], **expected
    )


def test_an_odd_tag_and_an_odd_time() -> None:
    assert event(sample("transferAnswer", tag={})) == TransferAnswer(
        AT, 2, leg_id=LEG, tag="", event_time=LEG_ANSWERED
    )
    for odd in (None, 5, "", "2" * 257):
        first, second = (
            read(sample("disconnect", eventTime=odd, cause=cause)) for cause in ("hangup", "busy")
        )
        assert first.event_key.startswith("disconnect#")
        assert first.event_key == read(sample("disconnect", eventTime=odd)).event_key != second.event_key


@pytest.mark.parametrize("value", [None, 5, "", [], {}, True, "x" * 257])
@pytest.mark.parametrize("name", ["callId", "eventType"])
def test_without_a_call_or_a_type_it_is_malformed(name: str, value: Any) -> None:
    with pytest.raises(MalformedWebhook, match=name):
        read(sample("initiate", **{name: value}))
    body = sample("initiate")
    del body[name]
    with pytest.raises(MalformedWebhook, match=name):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"callId": "c-1", "eventType"',
        b"callId=c-1&eventType=initiate",
        b"[" * 60_000,
        b'{"a":' * 12_000,
        b'{"callId": "c-1", "eventType": "initiate", "x": ' + b"[" * 60_000 + b"]" * 60_000 + b"}",
        b"[]",
        b"null",
        b'"initiate"',
        b"5",
        b'{"callId": "c-\xff", "eventType": "initiate"}',
        b"\xff\xfe{\x00}\x00",
    ],
    ids=lambda body: body[:24].decode(errors="replace"),
)
def test_what_is_no_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedWebhook):
        read(body)


@pytest.mark.parametrize("account", ["9900001", "", "99000000", 9900001, 0])
def test_another_account_is_foreign(account: str | int) -> None:
    with pytest.raises(ForeignAccount):
        read(sample("initiate", accountId=account))


@pytest.mark.parametrize("account", [None, 9900000, "9900000", True, [], {}])
def test_no_account_and_our_own_are_not_foreign(account: Any) -> None:
    assert event(sample("initiate", accountId=account)) == EXPECTED["initiate"]
    body = sample("initiate")
    del body["accountId"]
    assert event(body) == EXPECTED["initiate"]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_ref_in_the_url_is_the_authority(name: str) -> None:
    assert read(raw(name), ref=GIVEN_OUT).ref == GIVEN_OUT


MALFORMED = ["", "p3-aaaaaaaaaaaaaaaaaaaa", "p16-aaaaaaaaaaaaaaaaaaaa", f"{GIVEN_OUT}.1", "../x", "p03-A" * 9]


@pytest.mark.parametrize("ref", MALFORMED)
def test_without_a_good_ref_the_body_names_the_call(ref: str) -> None:
    assert read(raw("initiate"), ref=ref).ref == REF == ref_of_call(INBOUND)
    assert read(raw("transferAnswer"), ref=ref).ref == REF
    assert read(raw("transferAnswer-without-parent"), ref=ref).ref == ref_of_call(LEG)
    nobody: list[Any] = [None, 5, "", []]
    for odd in nobody:
        assert read(sample("transferAnswer", parentCallId=odd), ref=ref).ref == ref_of_call(LEG)


def test_a_redirect_of_a_leg_that_was_told_to_wait() -> None:
    body = sample("transferAnswer", eventType="redirect")
    assert event(body) == EXPECTED["transferAnswer"]
    assert event(sample("redirect", parentCallId=INBOUND)) == EXPECTED["redirect"]
    ringing = sample("redirect")
    del ringing["answerTime"]
    assert event(ringing) == msgspec.structs.replace(EXPECTED["redirect"], answered=False)


@pytest.mark.parametrize(
    "time", [None, 5, "", "yesterday", "2026-03-05T14:02:13", "9999-12-31T23:59:59-23:00"]
)
def test_a_time_that_cannot_be_read_is_no_time(time: object) -> None:
    told = event(sample("redirect", eventTime=time))
    assert isinstance(told, Redirected)
    assert told.event_time in {0, 253402383599.0}
