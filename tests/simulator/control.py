"""The simulator by HTTP, under /simulator: what a demo or another process needs of it."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.simulator.phones import Script

if TYPE_CHECKING:
    from tests.simulator.phones import Phone
    from tests.simulator.simulator import Simulator

Endpoint = Callable[[Request], Awaitable[Response]]


class DialPhoneBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    to: str | None = None
    from_: str = msgspec.field(name="from", default="+15557654321")
    count: int = 1
    script: Script = "tone"


class HangUpBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`far_end` ends the B leg instead of the phone."""

    cause: str = "hangup"
    far_end: bool = False


class AddFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    operation: str
    status: int | None = None
    times: int | None = 1
    hang: bool = False
    reset: bool = False
    delay: float = 0.0
    executed: bool = False
    retry_after: str | None = None


class Latency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seconds: float


class Control:
    def __init__(self, simulator: "Simulator") -> None:
        self._simulator = simulator

    def routes(self) -> list[Route]:
        table: list[tuple[str, str, Endpoint]] = [
            ("POST", "/dial", self._dial),
            ("GET", "/phones", self._phones),
            ("GET", "/phones/{callId}", self._phone),
            ("POST", "/phones/{callId}/hangup", self._hang_up),
            ("GET", "/ledger", self._ledger),
            ("GET", "/complaints", self._complaints),
            ("GET", "/deliveries", self._deliveries),
            ("GET", "/requests", self._requests),
            ("POST", "/faults", self._add_fault),
            ("DELETE", "/faults", self._clear_faults),
            ("POST", "/latency", self._latency),
        ]
        return [
            Route(f"/simulator{path}", _guarded(endpoint), methods=[method])
            for method, path, endpoint in table
        ]

    async def _dial(self, request: Request) -> Response:
        order = msgspec.json.decode(await request.body() or b"{}", type=DialPhoneBody)
        phones = [await self._simulator.dial(to=order.to, from_=order.from_) for _ in range(order.count)]
        for phone in phones:
            phone.script = order.script
        return _json({"callIds": [phone.call_id for phone in phones]})

    async def _phones(self, _request: Request) -> Response:
        return _json([self._view(phone) for phone in self._simulator.phones])

    async def _phone(self, request: Request) -> Response:
        return _json(self._view(self._simulator.phone(request.path_params["callId"])))

    async def _hang_up(self, request: Request) -> Response:
        order = msgspec.json.decode(await request.body() or b"{}", type=HangUpBody)
        phone = self._simulator.phone(request.path_params["callId"])
        if order.far_end:
            await phone.far_end_hangs_up(order.cause)
        else:
            await phone.hang_up(order.cause)
        return _json(self._view(phone))

    async def _ledger(self, _request: Request) -> Response:
        ledger = self._simulator.ledger
        return _json({"alive": ledger.alive(), "empty": ledger.empty, "unreceived": ledger.unreceived})

    async def _complaints(self, _request: Request) -> Response:
        return _json(self._simulator.complaints)

    async def _deliveries(self, _request: Request) -> Response:
        return _json(
            [
                {
                    "eventType": one.event_type,
                    "callId": one.call_id,
                    "url": one.url,
                    "status": one.status,
                    "ms": one.ms,
                    "error": one.error,
                }
                for one in self._simulator.deliveries
            ]
        )

    async def _requests(self, _request: Request) -> Response:
        return _json(self._simulator.requests)

    async def _add_fault(self, request: Request) -> Response:
        order = msgspec.json.decode(await request.body(), type=AddFault)
        self._simulator.faults.add(**msgspec.structs.asdict(order))
        return _json({})

    async def _clear_faults(self, _request: Request) -> Response:
        self._simulator.faults.clear()
        return _json({})

    async def _latency(self, request: Request) -> Response:
        self._simulator.latency = msgspec.json.decode(await request.body(), type=Latency).seconds
        return _json({"seconds": self._simulator.latency})

    def _view(self, phone: "Phone") -> dict[str, Any]:
        return {
            "callId": phone.call_id,
            "direction": phone.call.direction,
            "from": phone.call.from_,
            "to": phone.call.to,
            "state": phone.state,
            "stage": phone.stage,
            "cause": phone.cause,
            "error": phone.error,
            "heard": phone.heard,
            "sounds": phone.sounds,
            "firstBxmlMs": phone.first_bxml_ms,
            "participantId": phone.participant_id,
            "sessionId": phone.session_id,
            "hears": sorted(self._simulator.hears(phone)),
            "tone": phone.tone,
            "script": phone.script,
        }


def _guarded(endpoint: Endpoint) -> Endpoint:
    async def guarded(request: Request) -> Response:
        try:
            return await endpoint(request)
        except KeyError as unknown:
            return _json({"error": f"no such call: {unknown}"}, 404)
        except (msgspec.DecodeError, ValueError, AssertionError) as error:
            return _json({"error": str(error)}, 400)

    return guarded


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")
