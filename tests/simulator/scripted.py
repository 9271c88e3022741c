"""A service that answers webhooks by script, and API clients: for the tests of the simulator itself."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.simulator.auth import basic
from tests.simulator.background import Background
from tests.simulator.phones import Phone
from tests.simulator.server import HttpServer
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator

# Loading the system's certificates for every client would take longer than most tests.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ORIGIN = "https://bridge.test"
Answer = str | int | Callable[[dict[str, Any]], Awaitable[Response]]


class Received(msgspec.Struct, frozen=True):
    event_type: str
    payload: dict[str, Any]
    path: str
    credentials: tuple[str, str] | None


class ScriptedService:
    """`script[eventType]` are its answers in turn, the last one for ever: BXML, a status or a function."""

    def __init__(self) -> None:
        self.script: dict[str, list[Answer]] = {}
        self.received: list[Received] = []
        self.challenges = False
        self.failures: list[str] = []
        self._background = Background(self.failures.append)
        self._server = HttpServer(
            Starlette(routes=[Route("/{path:path}", self._answer, methods=["POST"])]), 0
        )

    async def start(self) -> None:
        await self._server.start(self._background)

    async def stop(self) -> None:
        await self._server.stop()
        await self._background.stop()

    @property
    def url(self) -> str:
        return self._server.url

    def on(self, event_type: str, *answers: Answer) -> None:
        self.script[event_type] = list(answers)

    def types(self) -> list[str]:
        return [one.event_type for one in self.received]

    def payload(self, event_type: str) -> dict[str, Any]:
        return next(one.payload for one in self.received if one.event_type == event_type)

    async def _answer(self, request: Request) -> Response:
        payload = msgspec.json.decode(await request.body())
        header = request.headers.get("authorization", "")
        event_type = payload.get("eventType") or payload["event"]
        self.received.append(Received(event_type, payload, request.url.path, basic(header)))
        if self.challenges and not header:
            return Response(status_code=401, headers={"WWW-Authenticate": 'Basic realm="webhooks"'})
        answers = self.script.get(event_type, [204])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, str):
            return Response(answer, media_type="application/xml")
        if isinstance(answer, int):
            return Response(status_code=answer)
        return await answer(payload)


class JoinedParticipant(msgspec.Struct, frozen=True):
    """A participant in a session."""

    session_id: str
    participant_id: str
    token: str


class ScriptedScene:
    """A simulator, a scripted service it calls, and a client of its APIs that uses Basic."""

    def __init__(self, sim: Simulator, service: ScriptedService, client: httpx.AsyncClient) -> None:
        self.sim = sim
        self.service = service
        self.client = client
        self.webrtc = f"/v1/accounts/{sim.account_id}"
        self.voice = f"/api/v2/accounts/{sim.account_id}/calls"

    async def session(self) -> str:
        created = await self.client.post(f"{self.webrtc}/sessions", json={})
        return str(created.json()["id"])

    async def participant(self) -> tuple[str, str]:
        body = {"publishPermissions": ["AUDIO"]}
        created = (await self.client.post(f"{self.webrtc}/participants", json=body)).json()
        return created["participant"]["id"], created["token"]

    async def seat(self, session_id: str | None = None, *, subscribe: bool = True) -> JoinedParticipant:
        session_id = session_id or await self.session()
        participant_id, token = await self.participant()
        added = await self.add(session_id, participant_id, subscribe=subscribe)
        added.raise_for_status()
        return JoinedParticipant(session_id, participant_id, token)

    async def add(self, session_id: str, participant_id: str, *, subscribe: bool = True) -> httpx.Response:
        path = f"{self.webrtc}/sessions/{session_id}/participants/{participant_id}"
        return await self.client.put(path, json={"sessionId": session_id} if subscribe else {})

    async def bridged(self, *, complete: bool = True) -> Phone:
        """A phone in a session of its own."""
        seat = await self.seat()
        self.service.on("initiate", transfer(uui(seat.token), complete=complete))
        phone = await self.sim.dial()
        await phone.until("bridged")
        return phone

    def order(self, **fields: Any) -> dict[str, Any]:
        """The body of createCall, to a number unless `fields` say otherwise."""
        return {
            "to": "+15550002222",
            "from": self.sim.settings.number,
            "applicationId": self.sim.application_id,
            "answerUrl": f"{ORIGIN}/answer",
            "disconnectUrl": f"{ORIGIN}/over",
            "username": "call",
            "password": "secret",
        } | fields

    async def place(self, **fields: Any) -> Phone:
        """Create a call and return at once."""
        created = await self.client.post(self.voice, json=self.order(**fields))
        created.raise_for_status()
        return self.sim.phone(created.json()["callId"])

    async def into_webrtc(self, token: str, **fields: Any) -> Phone:
        """Place a call of its own to the interconnect."""
        return await self.place(to=self.sim.interconnect.uri, uui=uui(token), **fields)

    async def told(self, *event_types: str) -> None:
        """Wait until webhooks of all these types have been answered."""
        await self.sim.until(
            lambda: set(event_types) <= {one.event_type for one in self.sim.deliveries},
            what=f"{event_types} delivered",
        )


def uui(token: str) -> str:
    return f"{token};encoding=jwt"


def transfer(uui: str, *, complete: bool = True, answer: bool = False, disconnect: bool = True) -> str:
    """BXML of a transfer into WebRTC, with the URLs that are asked for."""
    urls = 'transferAnswerUrl="/answered" ' if answer else ""
    urls += 'transferDisconnectUrl="/leg-gone" username="leg" password="secret" ' if disconnect else ""
    completion = 'transferCompleteUrl="/complete" username="verb" password="secret" tag="a-leg"'
    return (
        f"<Response><Transfer {completion if complete else ''}>"
        f'<SipUri tag="b-leg" {urls}uui="{uui}">sip:sipx.webrtc.bandwidth.com:5060</SipUri>'
        "</Transfer><SpeakSentence>after the transfer</SpeakSentence></Response>"
    )


@asynccontextmanager
async def scene(settings: SimulatorSettings | None = None) -> AsyncIterator[ScriptedScene]:
    async with Simulator(settings) as sim:
        service = ScriptedService()
        await service.start()
        sim.map_origin(ORIGIN, service.url)
        app = sim.application
        app.initiate_url, app.status_url = f"{ORIGIN}/initiate", f"{ORIGIN}/status"
        app.username, app.password = "application", "secret"
        try:
            async with httpx.AsyncClient(
                base_url=sim.url, auth=(sim.username, sim.password), verify=NO_TLS
            ) as client:
                yield ScriptedScene(sim, service, client)
        finally:
            await service.stop()
        assert service.failures == []
