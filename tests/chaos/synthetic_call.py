"""Makes up what a turn leaves of one call: requests, webhooks, lines of logs, and what its phone did."""

import base64
import random  # noqa: TID251 - seeded, so that it is the same each time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from tests.chaos.api import OperatorRequest
from tests.chaos.store_history import Step
from tests.party_state import PLEASE_HOLD
from tests.simulator.journal import (
    Delivery,
    Happening,
    MemberChanged,
    PhoneChanged,
    Request,
    RequestAnswered,
    SpeechHeard,
    WebhookDelivered,
)
from tests.simulator.simulator import Simulator

CALLS_A_SECOND = 12
LINES = 24
"""Of logs, for each call."""
STEP = 0.3
"""Seconds between two things that happen to a call."""
TRANSFER = b"<Response><Transfer><SipUri>sip:sipx.webrtc.bandwidth.com:5060</SipUri></Transfer></Response>"


class SyntheticCall(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    call_id: str
    ref: str
    session: str
    participant: str
    requests: list[Request]
    deliveries: list[Delivery]
    happenings: list[Happening]
    asked: list[OperatorRequest]
    lines: list[dict[str, Any]]
    written: list[Step]
    """To the store."""
    shown: dict[str, Any]
    """What the API says of it."""


def call_of(
    number: int, simulator: Simulator, hosts: Sequence[str], id_of: Callable[[str], str]
) -> SyntheticCall:
    """The simulator gets its phone. `id_of`: what an id is made into."""
    dice = random.Random(number)
    at = number / CALLS_A_SECOND
    host, name = hosts[number % 2], "ab"[number % 2]
    call_id = id_of(f"c-{dice.getrandbits(32):08x}-{_uuid(dice)}")
    session, participant = id_of(_uuid(dice)), id_of(_uuid(dice))
    ref = id_of("p00-" + base64.b32encode(dice.randbytes(13)).decode().lower()[:20])
    _phone(simulator, call_id, participant)
    requests = [
        _request(host, operation, at + STEP * step, created, session, participant)
        for operation, step, created in (
            ("createParticipant", 0.1, participant),
            ("createSession", 0.1, session),
            ("addParticipantToSession", 0.2, None),
            ("getCall", 2, None),
            ("removeParticipantFromSession", 5, None),
            ("deleteParticipant", 5.1, None),
            ("deleteSession", 5.2, None),
        )
    ]
    deliveries = [
        _delivery(name, event, call_id, at + STEP * step, reply)
        for event, step, reply in (
            ("initiate", 0, TRANSFER),
            ("transferAnswer", 1, b"<Response/>"),
            ("transferDisconnect", 4, b""),
            ("disconnect", 5, b""),
        )
    ]
    body = {"room": "a"}
    return SyntheticCall(
        host=host,
        call_id=call_id,
        ref=ref,
        session=session,
        participant=participant,
        requests=requests,
        deliveries=deliveries,
        happenings=[
            *(RequestAnswered((one.at * 1000 + one.ms), one) for one in requests),
            *(WebhookDelivered((one.sent_at * 1000 + one.ms), one) for one in deliveries),
            PhoneChanged((at + STEP) * 1000, call_id, None, "bridged", None, participant),
            SpeechHeard((at + STEP * 3) * 1000, call_id, PLEASE_HOLD),
            PhoneChanged((at + STEP * 5) * 1000, call_id, None, "ended", "hangup"),
            MemberChanged((at + STEP) * 1000, participant, session, ()),
            MemberChanged((at + STEP * 5) * 1000, participant, None, None),
        ],
        asked=[
            OperatorRequest(
                method="POST",
                path=f"/calls/{call_id}/join",
                body=body,
                host=host,
                sent_at=at + STEP * 2,
                answered_at=at + STEP * 2 + 0.02,
                status=202,
                reply={"id": ref, "callId": call_id, "state": "live", **body},
            )
        ],
        lines=[
            {
                "timestamp": datetime.fromtimestamp(at + STEP * n / 4, UTC).isoformat(),
                "level": "info",
                "event": "request.sent",
                "ref": ref,
                "call_id": call_id,
                "participant_id": participant,
                "session_id": session,
            }
            for n in range(LINES)
        ],
        written=_written(ref, call_id),
        shown={
            "id": ref,
            "callId": call_id,
            "state": "ended",
            "outcome": {"blame": "nobody", "reason": "completed"},
            "room": "a",
            "timeline": [],
        },
    )


def _written(ref: str, call_id: str) -> list[Step]:
    """A redirect that is owed, and struck off."""
    owner = f"call:{ref}"
    call, owed = f"pstn:{{p00}}:{owner}", f"pstn:{{p00}}:owed:{owner}"
    effect = f'{{"type":"redirect-phone","call_id":"{call_id}","ref":"{ref}","attempt":1}}'
    begun = [
        ("HSET", call, "revision", "1", "state", '{"phone":"up"}'),
        ("PEXPIREAT", call, "9"),
        ("HSET", owed, "ask-after", "1", "redirect-phone", f"1 2 redirect-phone 0 3 {effect}"),
        ("ZADD", "pstn:{p00}:agenda", "5", owner),
    ]
    struck_off = [("HDEL", owed, "redirect-phone")]
    over = [("HSET", call, "revision", "2", "state", '{"phone":"gone"}'), ("DEL", owed)]
    return [[[word.encode() for word in one] for one in step] for step in (begun, struck_off, over)]


def _phone(simulator: Simulator, call_id: str, participant: str) -> None:
    """Of a call that is over."""
    engine = simulator.engine
    call = engine.inbound("+15551110000", "+15552220000", uui=None, diversion=None)
    del engine.calls[call.call_id], engine.live[call.call_id]
    call.call_id, call.stage, call.cause, call.participant_id = call_id, "ended", "hangup", participant
    engine.calls[call_id] = call


def _request(
    host: str, operation: str, at: float, created: str | None, session: str, participant: str
) -> Request:
    return Request(
        operation=operation,
        method="POST" if created else "DELETE",
        path=f"/v1/accounts/1/sessions/{session}",
        ids={"sessionId": session, "participantId": participant},
        status=200,
        at=at,
        ms=5.0,
        scheme="bearer",
        body={"tag": "seat"},
        received=True,
        created=created,
        host=host,
    )


def _delivery(name: str, event: str, call_id: str, at: float, reply: bytes) -> Delivery:
    payload = {"eventType": event, "callId": call_id}
    return Delivery(
        event_type=event,
        call_id=call_id,
        payload=payload,
        url=f"https://{name}.test/callbacks/voice/{event}",
        body=msgspec.json.encode({key: str(value) for key, value in payload.items()}),
        username="bandwidth",
        password="",
        status=200 if reply else 204,
        ms=8.0,
        content_type="application/xml",
        reply=reply,
        error=None,
        sent_at=at,
        synchronous=bool(reply),
    )


def _uuid(dice: random.Random) -> str:
    return str(uuid.UUID(int=dice.getrandbits(128), version=4))
