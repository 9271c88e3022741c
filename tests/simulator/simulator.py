"""Bandwidth on loopback, composed."""

import asyncio
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from starlette.applications import Starlette

from tests.simulator import bxml
from tests.simulator.auth import AccessTokens, Authenticator
from tests.simulator.background import Background, Predicate
from tests.simulator.calls import Call, CallEngine
from tests.simulator.calls_api import CallsApi
from tests.simulator.clock import monotonic
from tests.simulator.control import Control
from tests.simulator.detection import Detection, Detector, Value
from tests.simulator.events import ParticipantEvent, participant_payload
from tests.simulator.faults import Faults, Gates
from tests.simulator.gateway import Gateway
from tests.simulator.interconnect import Behaviour, Destinations, SipInterconnect
from tests.simulator.interpreter import Interpreter
from tests.simulator.journal import Delivery, Journal, Observer, Request
from tests.simulator.ledger import Alive, Ledger
from tests.simulator.phones import Phone
from tests.simulator.server import HttpServer
from tests.simulator.sessions import Participant, Sessions
from tests.simulator.sessions_api import SessionsApi
from tests.simulator.settings import Application, SimulatorSettings
from tests.simulator.steps import Fetch
from tests.simulator.token_api import PATH as TOKEN_PATH
from tests.simulator.token_api import TokenApi
from tests.simulator.transfers import Transfers
from tests.simulator.verbs import SIP_URI
from tests.simulator.webhooks import Target, WebhookRequest, Webhooks

if TYPE_CHECKING:
    from tests.simulator.media.plane import MediaPlane

# Hertz of the phones, one after the other.
TONES = range(440, 2640, 110)


class Simulator:
    """Use it as an async context manager; leaving it ends whatever still runs."""

    def __init__(self, settings: SimulatorSettings | None = None) -> None:
        self.settings = settings or SimulatorSettings()
        self.application = Application(callback_timeout=self.settings.callback_timeout)
        self.faults = Faults()
        self.gates = Gates()
        self._journal = Journal()
        self._background = Background(self._journal.complain)
        self.tokens = AccessTokens(self.settings.token_lifetime, monotonic)
        self.sessions = Sessions(self._journal.changes, self.settings.device_token_length)
        self.webhooks = Webhooks(self._journal, self.gates, self._background)
        self.engine = CallEngine(
            self.settings, self.application, self._journal, self._background, self.webhooks
        )
        self.interconnect = SipInterconnect(self.settings, self.sessions, self._journal, self._live)
        self.destinations = Destinations(
            self.interconnect, self.settings.number_answer_delay, self.settings.time_scale
        )
        self._detector = Detector(self.settings, self.numbers, self.webhooks, self._background)
        self._interpreter = Interpreter(
            self.engine,
            self.webhooks,
            self._journal,
            self._background,
            bxml.Rules(self.settings.uui_limit, self.webhooks.may_send_credentials),
            self.settings.time_scale,
        )
        self._interpreter.transfers = Transfers(self.engine, self.destinations, self._interpreter)
        self.sessions.left = self._participant_left
        self.sessions.moved = self._participant_moved
        self.ledger = Ledger(self._alive)
        self._phones: dict[str, Phone] = {}
        self._tones = 0
        self._media = self._media_plane()
        self._gateway, app = self._api()
        self._server = HttpServer(app, self.settings.port, self._web_sockets())

    def _api(self) -> tuple[Gateway, Starlette]:
        authenticator = Authenticator(self.settings, self.tokens)
        gateway = Gateway(
            self._journal,
            self.faults,
            self.gates,
            authenticator,
            self.ledger,
            self.settings.account_id,
            self.settings.latency,
        )
        calls = CallsApi(
            self.settings, self.engine, self.webhooks.may_send_credentials, self._place, self._redirect
        )
        token = TokenApi(self.tokens, authenticator)
        sessions = SessionsApi(self.sessions, self.settings.webrtc_auth)
        routes = [
            *(self._media.routes() if self._media is not None else []),
            *token.routes(gateway),
            *sessions.routes(gateway),
            *calls.routes(gateway),
            *Control(self).routes(),
            gateway.unknown(token, "/{path:path}"),
        ]
        return gateway, Starlette(routes=routes)

    def _media_plane(self) -> "MediaPlane | None":
        if not self.settings.media:
            return None
        from tests.simulator.media.plane import MediaPlane  # noqa: PLC0415 - aiortc is for those who want media

        media = MediaPlane(
            self.sessions,
            self._live,
            self.phone,
            self._device_event,
            self._background,
            grace=self.settings.device_grace,
            refusal=self.settings.device_refusal,
        )
        self._journal.changes.watchers.append(media.changed)
        return media

    def _web_sockets(self) -> type[asyncio.Protocol] | None:
        if not self.settings.media:
            return None
        from tests.simulator.media.socket import WebSockets  # noqa: PLC0415 - as above

        return WebSockets

    def _device_event(self, participant: Participant, event: ParticipantEvent, device_id: str) -> None:
        if self.settings.participant_events and participant.callback_url is not None:
            telling = self._tell_event(participant, event, Target(participant.callback_url), device_id)
            self._background.start(telling, name=f"{event} of {participant.id}")

    async def __aenter__(self) -> Self:
        await self.webhooks.start()
        await self._server.start(self._background)
        self.engine.voice_url = self.voice_url
        if self._media is not None:
            self._media.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gates.release_all()
        self.faults.clear()
        self._gateway.close()
        if self._media is not None:
            await self._media.stop()
        await self._server.stop()
        await self._background.stop()
        await self.webhooks.stop()

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def voice_url(self) -> str:
        return f"{self.url}/api/v2"

    @property
    def webrtc_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def token_url(self) -> str:
        return f"{self.url}{TOKEN_PATH}"

    @property
    def device_url(self) -> str:
        """What the browsers' SDK takes as `websocketUrl`; it appends /v3/."""
        return self.url.replace("http://", "ws://", 1)

    @property
    def media(self) -> "MediaPlane":
        """Who hears what, and what may happen to browsers; only with `SimulatorSettings(media=True)`."""
        if self._media is None:
            raise RuntimeError("the simulator was started without media")
        return self._media

    @property
    def account_id(self) -> str:
        return self.settings.account_id

    @property
    def client_id(self) -> str:
        return self.settings.client_id

    @property
    def client_secret(self) -> str:
        return self.settings.client_secret

    @property
    def username(self) -> str:
        return self.settings.username

    @property
    def password(self) -> str:
        return self.settings.password

    @property
    def application_id(self) -> str:
        return self.settings.application_id

    @property
    def started(self) -> float:
        """Monotonic seconds; what happens is counted from then on."""
        return self._journal.started

    @property
    def complaints(self) -> list[str]:
        return self._journal.complaints

    @property
    def requests(self) -> list[Request]:
        return self._journal.requests

    @property
    def deliveries(self) -> list[Delivery]:
        return self._journal.deliveries

    @property
    def numbers(self) -> dict[str, Behaviour]:
        return self.destinations.numbers

    @property
    def detections(self) -> dict[str, Value]:
        """Results of machine detection that a test wants, by number, whoever answers there."""
        return self._detector.forced

    @property
    def latency(self) -> float:
        return self._gateway.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._gateway.latency = seconds

    @property
    def phones(self) -> list[Phone]:
        """Every call's phone, inbound and outbound, oldest first; calls out to a SIP URI have none."""
        return [one for one in self._handles() if not _to_sip(one.call)]

    def legs_into_webrtc(self) -> list[Phone]:
        """Live calls that createCall placed to the interconnect, oldest first, ringing ones too."""
        return [one for one in self._handles() if one.call.to == self.interconnect.uri and not one.call.ended]

    def _handles(self) -> list[Phone]:
        return [self.phone(call_id) for call_id, call in self.engine.calls.items() if call.parent is None]

    def phone(self, call_id: str) -> Phone:
        """The handle of any call or leg, KeyError if there is none; always the same object."""
        if call_id not in self._phones:
            call = self.engine.calls[call_id]
            self._phones[call_id] = Phone(call, self.engine, self.sessions, self._next_tone(call))
        return self._phones[call_id]

    async def dial(
        self,
        *,
        to: str | None = None,
        from_: str = "+15557654321",
        uui: str | None = None,
        diversion: dict[str, str] | None = None,
    ) -> Phone:
        """A phone calls `to`; returns at once, the initiate webhook is on its way."""
        if not self.application.initiate_url:
            raise ValueError("application.initiate_url is not set")
        call = self.engine.inbound(to or self.settings.number, from_, uui=uui, diversion=diversion)
        target = call.callbacks.first
        if target is not None:
            fetch = Fetch("initiate", target, call.callbacks.first_fallback)
            self.engine.run(call, partial(self._interpreter.run, call, fetch))
            # One turn of the loop: the webhook is under way even if the caller hangs up in the next line.
            await asyncio.sleep(0)
        return self.phone(call.call_id)

    async def called(self, to: str, timeout: float = 5.0) -> Phone:  # noqa: ASYNC109 - a test's limit
        """Wait for createCall to `to`, a number or a SIP URI; the newest such call's phone."""

        def found() -> list[Phone]:
            return [one for one in self._handles() if one.call.to == to and one.call.direction == "outbound"]

        await self.until(lambda: bool(found()), timeout=timeout, what=f"createCall to {to}")
        return found()[-1]

    def map_origin(self, origin: str, *targets: str) -> None:
        """Deliver what goes to `origin` to `targets`, in turn; without targets only trust it."""
        self.webhooks.map_origin(origin, *targets)

    def revoke_tokens(self) -> None:
        self.tokens.revoke()

    def expire_session(self, session_id: str) -> None:
        """What the 9 hours do: the session vanishes with its memberships, its participants remain."""
        self.sessions.delete_session(self.sessions.sessions[session_id])

    def hears(self, phone: Phone) -> set[str]:
        """Ids of the participants whose audio the phone receives through its own participant."""
        participant = self.sessions.participants.get(phone.participant_id or "")
        return self.sessions.heard_by(participant) if participant is not None else set()

    def observe(self, callback: Observer) -> None:
        self._journal.observers.append(callback)

    async def participant_event(self, participant_id: str, event: ParticipantEvent) -> None:
        """Send a participant event (WebRTC webhooks page, beta) to the participant's callbackUrl."""
        participant = self.sessions.participants[participant_id]
        if participant.callback_url is None:
            raise ValueError(f"participant {participant_id} has no callbackUrl")
        await self._tell_event(participant, event, Target(participant.callback_url))

    async def _tell_event(
        self, participant: Participant, event: ParticipantEvent, target: Target, device_id: str | None = None
    ) -> None:
        payload = participant_payload(event, participant, device_id)
        await self.webhooks.deliver(
            WebhookRequest(event, participant.id, payload, target, None, self.settings.callback_timeout)
        )

    async def repeat(self, delivery: Delivery) -> tuple[int, bytes]:
        """POST a delivered webhook's bytes again; the reply is returned and not executed."""
        return await self.webhooks.repeat(delivery)

    async def until(self, predicate: Predicate, timeout: float = 5.0, what: str = "condition") -> None:  # noqa: ASYNC109 - a test's limit
        """Wait until `predicate` holds; tested whenever something happens here, and every 20 ms."""
        await self._journal.changes.until(
            predicate, timeout=timeout, what=lambda: f"{what}; {self._alive()}", poll=0.02
        )

    async def settled(self, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - a test's limit
        """Wait until nothing is alive; otherwise an AssertionError names what is."""
        await self.until(lambda: self.ledger.empty, timeout=timeout, what="nothing alive")

    def _next_tone(self, call: Call) -> int:
        """Legs and calls out to a SIP URI say nothing."""
        if call.parent is not None or _to_sip(call):
            return 0
        self._tones += 1
        return TONES[(self._tones - 1) % len(TONES)]

    def _live(self) -> list[Call]:
        return list(self.engine.live.values())

    def _alive(self) -> Alive:
        live = self._live()
        return Alive(
            calls=[call.call_id for call in live if call.parent is None],
            legs=[call.call_id for call in live if call.parent is not None],
            sessions=list(self.sessions.sessions),
            participants=list(self.sessions.participants),
            devices=[device.id for device in self._media.devices] if self._media is not None else [],
        )

    def _participant_left(self, participant: Participant, deleted: bool) -> None:
        ends = self.settings.delete_ends_leg if deleted else self.settings.removal_ends_leg
        if ends:
            for call in self._live():
                if call.participant_id == participant.id:
                    self.engine.end(call, "hangup")

    def _participant_moved(self, participant: Participant) -> None:
        subscriptions = participant.subscriptions
        heard = tuple(one.participant_id for one in subscriptions.participants or [])
        self._journal.member(participant.id, participant.session_id, None if subscriptions.empty else heard)

    def _place(self, call: Call, fetch: Fetch, detection: Detection | None) -> None:
        self.engine.run(call, partial(self._dial_out, call, fetch, detection))

    async def _dial_out(self, call: Call, fetch: Fetch, detection: Detection | None) -> None:
        cause = await self.destinations.ring(call, call.to, call.uui)
        if cause is not None:
            self.engine.end(call, cause, call.error_message)
            return
        self.engine.answer(call)
        if detection is not None:
            fetch = await self._detector.detect(call, detection, fetch)
        await self._interpreter.run(call, fetch)

    def _redirect(self, call: Call, fetch: Fetch) -> None:
        self.engine.interrupt(call)
        self.engine.run(call, partial(self._interpreter.run, call, fetch))


def _to_sip(call: Call) -> bool:
    return call.direction == "outbound" and SIP_URI.fullmatch(call.to) is not None
