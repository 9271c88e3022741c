"""A turn of a storm that never was, for the eyes of its judge. Times are seconds from its beginning."""

import json
from types import SimpleNamespace
from typing import Any, cast

from tests.chaos.api import OperatorRequest
from tests.chaos.evidence import Evidence, ReplicaLogLine
from tests.chaos.fleet import Downtime, Kill, Stop
from tests.chaos.plan import Turn
from tests.chaos.records import BrowserSeat, Records
from tests.chaos.store_history import Step
from tests.chaos.troubles import Troubles
from tests.simulator.journal import (
    Delivery,
    Happening,
    MemberChanged,
    PhoneChanged,
    Request,
    SoundHeard,
    SpeechHeard,
)
from tests.simulator.ledger import Alive
from tests.simulator.settings import SimulatorSettings
from tests.simulator.webhooks import TIMED_OUT

A, B = "https://a.test/callbacks", "https://b.test/callbacks"
CALL, LEG, REF = "c-1", "c-2", "p00-" + "a" * 20
LEG_OF_OURS = "c-3"
INTO_WEBRTC = "sip:sipx.webrtc.bandwidth.com:5060"
HANGUP = "<Hangup/>"
SORRY = (
    "<SpeakSentence>We are sorry, your call cannot be connected right now. Goodbye.</SpeakSentence><Hangup/>"
)
CLOSED = "<SpeakSentence>This conference has been closed. Goodbye.</SpeakSentence><Hangup/>"
WAIT = f'<Pause duration="1"/><Redirect redirectUrl="{A}/voice/{REF}"/>'
PARK_LEG = f'<Pause duration="60"/><Redirect redirectUrl="{A}/legs/{REF}/1"/>'
BRIDGE = f'<Bridge bridgeCompleteUrl="{A}/voice/{REF}">{LEG_OF_OURS}</Bridge>'
COME_BACK = (
    f'<SpeakSentence>One moment, please.</SpeakSentence><Redirect redirectUrl="{A}/voice/{REF}?again=1"/>'
)
KEEP = "<Tag>seat</Tag>"


def transfer(token: str, attempt: int = 1) -> str:
    url = f"{A}/voice/{REF}/{attempt}"
    return (
        f'<Transfer transferCompleteUrl="{url}"><SipUri uui="{token};encoding=jwt" transferAnswerUrl="{url}">'
        f"{INTO_WEBRTC}</SipUri></Transfer>"
    )


class EvidenceBuilder:
    """`phone` first, then whatever happens to it, in order."""

    def __init__(self) -> None:
        self.troubles = Troubles()
        self.asked: list[OperatorRequest] = []
        self.requests: list[Request] = []
        self.deliveries: list[Delivery] = []
        self.lost: list[Delivery] = []
        self.kills: list[Kill] = []
        self.stops: list[Stop] = []
        self.outages: list[Downtime] = []
        self.calls: dict[str, dict[str, Any]] = {}
        self.logs: list[ReplicaLogLine] = []
        self.records = Records()
        self.written: list[Step] = []
        self._happenings: list[Happening] = []
        self._known: dict[str, SimpleNamespace] = {}
        self._phones: list[SimpleNamespace] = []

    def phone(self, call_id: str = CALL, *, to: str = "+15551110000", inbound: bool = True) -> None:
        call = SimpleNamespace(direction="inbound" if inbound else "outbound", to=to, hung_up=False)
        self._known[call_id] = call
        self._phones.append(SimpleNamespace(call_id=call_id, call=call))

    def leg(
        self,
        at: float,
        stage: str,
        cause: str | None = None,
        *,
        hung_up: bool = False,
        participant: str | None = None,
    ) -> None:
        """`participant`: whose token it came with."""
        known = self._known.setdefault(
            LEG, SimpleNamespace(transfer_to=INTO_WEBRTC, hung_up=False, participant_id=participant)
        )
        known.hung_up |= hung_up
        self._happenings.append(PhoneChanged(at * 1000, LEG, CALL, stage, cause))

    def our_leg(self, begun: float, ended: float, call_id: str) -> None:
        """One that is bridged with the phone, and from which the far end has gone."""
        self.webhook("answer", begun, KEEP, call_id=call_id, url=f"{A}/legs/{REF}/1")
        self._our_leg(begun, ended, call_id, "bridged")
        self._known[call_id].hung_up = True

    def parked_leg(
        self,
        begun: float,
        ended: float,
        *,
        cause: str = "hangup",
        address: str = A,
        status: int | None = 200,
    ) -> None:
        """One that has answered and is to wait for the phone."""
        url = f"{address}/legs/{REF}/1"
        self.webhook("answer", begun, PARK_LEG, status=status, error=TIMED_OUT, call_id=LEG_OF_OURS, url=url)
        self._our_leg(begun, ended, LEG_OF_OURS, "answered", cause)

    def _our_leg(self, begun: float, ended: float, call_id: str, up: str, why: str = "hangup") -> None:
        self._known[call_id] = SimpleNamespace(to=INTO_WEBRTC, hung_up=False, participant_id=None)
        for at, stage in ((begun, "ringing"), (begun, up), (ended, "ended")):
            cause = why if stage == "ended" else None
            self._happenings.append(PhoneChanged(at * 1000, call_id, None, stage, cause))

    def stage(
        self,
        at: float,
        stage: str,
        cause: str | None = None,
        *,
        hung_up: bool = False,
        participant: str | None = None,
    ) -> None:
        self._known[CALL].hung_up |= hung_up
        self._happenings.append(PhoneChanged(at * 1000, CALL, None, stage, cause, participant))

    def member(self, at: float, participant: str, session: str | None) -> None:
        self._happenings.append(MemberChanged(at * 1000, participant, session, ()))

    def browser(self, participant: str, room: str, at: float) -> None:
        self.records.browsers.append(
            BrowserSeat(number=1, kind="api", room=room, participant_id=participant, asked_at=at, given_at=at)
        )

    def hears(self, at: float, text: str) -> None:
        self._happenings.append(SpeechHeard(at * 1000, CALL, text))

    def rings(self, at: float, seconds: float) -> None:
        self._happenings.append(SoundHeard(at * 1000, CALL, "ring", seconds))

    def webhook(
        self,
        event_type: str,
        at: float,
        reply: str = "",
        *,
        seconds: float = 0.1,
        status: int | None = 200,
        url: str = f"{A}/voice/{REF}",
        call_id: str = CALL,
        number: int = 0,
        error: str = "ClientError",
        **payload: Any,
    ) -> None:
        """The same `number` is the same webhook. One of the leg names its parent. `error`: why no status."""
        payload |= {"eventType": event_type, "callId": call_id, "number": number}
        if call_id == LEG:
            payload["parentCallId"] = CALL
        synchronous = event_type not in {"disconnect", "transferDisconnect"}
        self.deliveries.append(
            Delivery(
                event_type=event_type,
                call_id=call_id,
                payload=payload,
                url=url,
                body=json.dumps(payload).encode(),
                username=None,
                password=None,
                status=status,
                ms=seconds * 1000,
                content_type="application/xml",
                reply=f"<Response>{reply}</Response>".encode() if synchronous and status == 200 else b"",
                error=None if status else error,
                sent_at=at,
                synchronous=synchronous,
            )
        )

    def request(
        self,
        operation: str,
        at: float,
        *,
        seconds: float = 0.01,
        status: int | None = 200,
        tag: str = "",
        fault: str | None = None,
        host: str = "127.0.0.1",
        created: str | None = None,
        body: Any = None,
        **ids: str,
    ) -> None:
        self.requests.append(
            Request(
                operation=operation,
                method="POST",
                path="/",
                ids=ids,
                status=status,
                at=at,
                ms=seconds * 1000,
                scheme=None,
                body={"tag": tag, **(body or {})},
                received=status is not None,
                created=created,
                host=host,
                fault=fault,
            )
        )

    def order(
        self,
        at: float,
        path: str,
        body: Any = None,
        *,
        method: str = "POST",
        status: int = 202,
        seconds: float = 0.1,
    ) -> None:
        answered_at = at + seconds
        self.asked.append(
            OperatorRequest(
                method=method,
                path=path,
                body=body,
                host="a",
                sent_at=at,
                answered_at=answered_at,
                status=status,
            )
        )

    def ended(self, blame: str, reason: str, cause: str, *, lines: int = 1, said: str = "") -> None:
        """As the API and the log have it; `said`: the reason that the log has instead."""
        outcome = {"blame": blame, "reason": reason, "cause": cause}
        self.calls[CALL] = {"id": REF, "state": "ended", "outcome": outcome}
        fields = {"event": "call.ended", "ref": REF, **outcome, "reason": said or reason}
        self.logs += [ReplicaLogLine("a", "replica-a0.log", json.dumps(fields), fields)] * lines

    def evidence(self) -> Evidence:
        simulator = SimpleNamespace(
            started=0.0,
            settings=SimulatorSettings(time_scale=0.2),
            phones=self._phones,
            phone=lambda call_id: next(one for one in self._phones if one.call_id == call_id),
            engine=SimpleNamespace(calls=self._known),
            deliveries=self.deliveries,
            requests=self.requests,
            complaints=[],
            webhooks=SimpleNamespace(may_send_credentials=lambda _url: True, failed=[], lost=self.lost),
        )
        names = {"a": "127.0.0.1", "b": "localhost"}
        addresses = [SimpleNamespace(name=name, host=host, settings={}) for name, host in names.items()]
        fleet = SimpleNamespace(
            addresses=addresses, kills=self.kills, stops=self.stops, outages=self.outages, exits=[]
        )
        nothing: dict[str, Any] = {
            name: [] for name in ("bad_answers", "noise", "keys", "due_owners", "dead_letters", "unended")
        }
        return Evidence(
            turn=Turn("calm", 1, 1),
            begun=0.0,
            over=100.0,
            simulator=cast("Any", simulator),
            alive=Alive(calls=[], legs=[], sessions=[], participants=[], devices=[]),
            happenings=sorted(self._happenings, key=lambda one: one.at_ms),
            fleet=cast("Any", fleet),
            troubles=self.troubles,
            operator_requests=self.asked,
            records=self.records,
            store_steps=self.written,
            logs=self.logs,
            owed={},
            calls=self.calls,
            metrics={},
            **nothing,
        )
