"""A turn of a storm as a test makes it up: phones, participants, orders, and looks at what is owed."""

from typing import Any

from tests.chaos.api import OperatorRequest
from tests.chaos.snapshots import Snapshot
from tests.chaos.turn_history import PhoneCall, TurnHistory
from tests.simulator.journal import Delivery, Happening, MemberChanged, PhoneChanged, Request, SpeechHeard

ROOM_A, ROOM_B = "+15551110000", "+15551110001"
"""Numbers of ours that lead into rooms a and b."""


class TurnHistoryBuilder:
    """Each method is something that happens, one second after what happened before."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[PhoneCall] = []
        self.happenings: list[Happening] = []
        self.asked: list[OperatorRequest] = []
        self.requests: list[Request] = []
        self.deliveries: list[Delivery] = []
        self.stills: list[Snapshot] = []
        self.rejections: list[str] = []
        self.failed_moves: dict[str, int] = {}
        self.ends: list[tuple[str, float]] = []
        """Of processes, by the host of each; operators ask the one without a name."""
        self.calls: dict[str, dict[str, Any]] = {}

    def history(self) -> TurnHistory:
        return TurnHistory(
            lines=self.lines,
            happenings=self.happenings,
            started=0.0,
            asked=self.asked,
            deliveries=self.deliveries,
            requests=self.requests,
            stills=self.stills,
            refs={id_: f"ref-{id_}" for id_ in self.calls},
            rejections=self.rejections,
            failed_moves=self.failed_moves,
            ends=self.ends,
        )

    def dials(self, id_: str, to: str, *, direction: str = "inbound") -> None:
        self.lines.append(PhoneCall(id_, to, direction))
        self.calls[id_] = {"id": f"ref-{id_}", "timeline": []}
        self.phone(id_, "ringing")

    def phone(self, id_: str, stage: str, participant: str | None = None) -> None:
        self.happenings.append(PhoneChanged(self._tick() * 1000, id_, None, stage, None, participant))

    def hears(self, id_: str, text: str) -> None:
        self.happenings.append(SpeechHeard(self._tick() * 1000, id_, text))

    def webhook(self, id_: str, event_type: str = "redirect") -> None:
        """It asks what to do, and has the answer half a second later."""
        self.deliveries.append(
            Delivery(
                event_type=event_type,
                call_id=id_,
                payload={},
                url="",
                body=b"",
                username=None,
                password=None,
                status=200,
                ms=500.0,
                content_type="",
                reply=b"",
                error=None,
                sent_at=self._tick(),
                synchronous=True,
            )
        )

    def member(self, participant: str, session: str | None, hears: tuple[str, ...] | None = ()) -> None:
        self.happenings.append(MemberChanged(self._tick() * 1000, participant, session, hears))

    def talks(self, id_: str, to: str, session: str) -> None:
        """It dials, and is in the session with a participant of the same name in capitals."""
        self.dials(id_, to)
        self.member(id_.upper(), session)
        self.phone(id_, "bridged", id_.upper())

    def asks(
        self,
        method: str,
        path: str,
        body: Any = None,
        status: int | None = 202,
        *,
        entry: str = "",
        host: str = "",
        **more: Any,
    ) -> None:
        """`entry`: what the call's timeline says of it."""
        sent_at = self._tick()
        self.asked.append(
            OperatorRequest(
                method=method,
                path=path,
                body=body,
                host=host,
                sent_at=sent_at,
                answered_at=self._tick(),
                status=status,
                **more,
            )
        )
        if entry:
            self.calls[path.split("/")[2]]["timeline"].append({"event": entry})

    def request(
        self,
        operation: str,
        status: int = 204,
        fault: str | None = None,
        *,
        body: Any = None,
        created: str | None = None,
        **ids: str,
    ) -> None:
        at = self._tick()
        self.requests.append(
            Request(
                operation=operation,
                method="",
                path="",
                ids=ids,
                status=status,
                at=at,
                ms=500.0,
                scheme=None,
                body=body,
                received=True,
                created=created,
                fault=fault,
            )
        )

    def looks(self, *owing: str, since: float | None = None) -> None:
        """`since`: when the look began, if it has lasted."""
        at = self._tick()
        self.stills.append(Snapshot(at if since is None else since, at + 0.1, frozenset(owing)))

    def _tick(self) -> float:
        self.now += 1.0
        return self.now
