"""Calls and legs as Bandwidth keeps them, and how they begin and end."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

import msgspec

from tests.simulator.background import Background, Changes
from tests.simulator.clock import monotonic, timestamp
from tests.simulator.events import build
from tests.simulator.journal import Journal
from tests.simulator.settings import Application, Farewell, SimulatorSettings
from tests.simulator.webhooks import Target, WebhookRequest, Webhooks

Stage = Literal["ringing", "answered", "transferring", "bridged", "ended"]
# A kind ("ring", "play", "speak") and what of: nothing, the URL, the text.
Sound = tuple[str, ...]


class CallbackTargets(msgspec.Struct, frozen=True, kw_only=True):
    """Where a call's own events go. Leg: `first` is transferAnswer, `last` transferDisconnect."""

    first: Target | None
    first_fallback: Target | None = None
    last: Target | None = None
    timeout: float


@dataclass(eq=False, kw_only=True)
class Call:
    """An A leg, or with a `parent` the B leg of its transfer."""

    to: str
    from_: str
    application_id: str
    direction: Literal["inbound", "outbound"]
    callbacks: CallbackTargets
    account_id: str
    call_url: str
    call_id: str
    parent: "Call | None" = None
    transfer_caller_id: str | None = None
    transfer_to: str | None = None
    uui: str | None = None
    tag: str | None = None
    ring_seconds: float = 30.0
    stage: Stage = "ringing"
    enqueued_time: str | None = None
    start_time: str = field(default_factory=timestamp)
    answer_time: str | None = None
    end_time: str | None = None
    last_update: str = field(default_factory=timestamp)
    cause: str | None = None
    hung_up: bool = False
    """Whether its end was brought about at the phone itself, or at the far end of a leg."""
    error_message: str | None = None
    error_id: str | None = None
    sip_response_code: int | None = None
    stir_shaken: dict[str, str] | None = None
    diversion: dict[str, str] | None = None
    sip_call_id: str = field(default_factory=lambda: secrets.token_hex(16))
    began: float = field(default_factory=monotonic)
    asked_at: float | None = None
    first_bxml_ms: float | None = None
    document: str | None = None
    heard: list[str] = field(default_factory=list)
    sounds: list[Sound] = field(default_factory=list)
    legs: list["Call"] = field(default_factory=list)
    peer: "Call | None" = None
    bridge_exit: Callable[[], None] | None = None
    participant_id: str | None = None
    keys: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    picked_up: asyncio.Event = field(default_factory=asyncio.Event)
    changes: Changes = field(default_factory=Changes)
    runner: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        return self.stage == "ended"

    @property
    def live_legs(self) -> list["Call"]:
        return [leg for leg in self.legs if not leg.ended]


class CallEngine:
    """Creates and ends calls; what runs in between is handed to `run`."""

    def __init__(
        self,
        settings: SimulatorSettings,
        application: Application,
        journal: Journal,
        background: Background,
        webhooks: Webhooks,
    ) -> None:
        self.calls: dict[str, Call] = {}
        self.live: dict[str, Call] = {}
        self.voice_url = ""
        self._settings = settings
        self._application = application
        self._journal = journal
        self._background = background
        self._webhooks = webhooks

    def create(self, **values: Any) -> Call:
        call_id = f"c-{secrets.token_hex(4)}-{uuid4()}"
        url = f"{self.voice_url}/accounts/{self._settings.account_id}/calls/{call_id}"
        call = Call(call_id=call_id, call_url=url, account_id=self._settings.account_id, **values)
        self.calls[call_id] = self.live[call_id] = call
        if call.parent is not None:
            call.parent.legs.append(call)
        self._announce(call)
        return call

    def inbound(self, to: str, from_: str, *, uui: str | None, diversion: dict[str, str] | None) -> Call:
        app = self._application
        fallback = app.initiate_fallback_url
        return self.create(
            to=to,
            from_=from_,
            uui=uui,
            diversion=diversion,
            application_id=self._settings.application_id,
            direction="inbound",
            stir_shaken={"verstat": "TN-Validation-Passed", "attestationIndicator": "A"},
            callbacks=CallbackTargets(
                first=Target(app.initiate_url, app.username, app.password),
                first_fallback=Target(fallback, app.fallback_username, app.fallback_password)
                if fallback
                else None,
                last=Target(app.status_url, app.username, app.password) if app.status_url else None,
                timeout=app.callback_timeout,
            ),
        )

    def run(self, call: Call, work: Callable[[], Any]) -> None:
        """Replace what the call is doing by `work()`."""
        self._cancel(call)
        call.runner = self._background.start(work(), name=f"call {call.call_id}")

    def to_stage(self, call: Call, stage: Stage) -> None:
        if call.stage not in {stage, "ended"}:
            call.stage = stage
            call.last_update = timestamp()
            self._announce(call)

    def answer(self, call: Call) -> None:
        if call.answer_time is None and not call.ended:
            call.answer_time = timestamp()
            self.to_stage(call, "answered")

    def speak(self, call: Call, text: str) -> None:
        call.heard.append(text)
        call.sounds.append(("speak", text))
        self._journal.spoke(call.call_id, text)
        call.changes.notify()

    def sound(self, call: Call, *sound: str, seconds: float) -> None:
        """What is heard besides speech. `seconds`: how long it lasts here."""
        call.sounds.append(sound)
        self._journal.sounded(call.call_id, sound[0], seconds)
        call.changes.notify()

    def end(self, call: Call, cause: str, message: str | None = None) -> None:
        """End a call with its legs, or one leg, at once; the notifications go out by themselves."""
        if call.ended:
            return
        legs = self._finish_legs(call)
        own = self._finish(call, cause, message)
        self._background.start(self._farewell(legs, own), name=f"farewell {call.call_id}")
        self._leave_bridge(call)

    def interrupt(self, call: Call) -> None:
        """Cut off what runs, for new BXML: out of transfers and bridges (voice API, updateCall)."""
        self._cancel(call)
        hooks = self._finish_legs(call)
        self._background.start(self._farewell(hooks, None), name=f"farewell {call.call_id}")
        self._leave_bridge(call)
        self.to_stage(call, "answered")

    def cancel_legs(self, legs: list[Call]) -> None:
        """The other destinations of a transfer, once one has answered."""
        for leg in legs:
            self.end(leg, "cancel")

    def _finish_legs(self, call: Call) -> list[WebhookRequest]:
        hooks = [self._finish(leg, "hangup" if leg.answer_time else "cancel", None) for leg in call.live_legs]
        return [hook for hook in hooks if hook is not None]

    def _finish(self, call: Call, cause: str, message: str | None) -> WebhookRequest | None:
        self._cancel(call)
        call.cause = cause
        call.error_message = message
        call.error_id = str(uuid4()) if message else None
        call.end_time = call.last_update = timestamp()
        if call.parent is not None and call.parent.peer is call:
            call.parent.peer = None
        call.peer = None
        call.stage = "ended"
        del self.live[call.call_id]
        self._announce(call)
        target = call.callbacks.last
        if target is None:
            return None
        event = "disconnect" if call.parent is None else "transferDisconnect"
        return WebhookRequest(event, call.call_id, build(event, call), target, None, call.callbacks.timeout)

    async def _farewell(self, legs: list[WebhookRequest], own: WebhookRequest | None) -> None:
        """The order of transferDisconnect and disconnect is undocumented, so it is a setting."""
        owns = [own] if own is not None else []
        orders: dict[Farewell, list[list[WebhookRequest]]] = {
            "together": [[*legs, *owns]],
            "leg-first": [legs, owns],
            "call-first": [owns, legs],
        }
        for group in orders[self._settings.farewell]:
            await asyncio.gather(*(self._webhooks.deliver(hook) for hook in group))

    def _leave_bridge(self, call: Call) -> None:
        leave, call.bridge_exit = call.bridge_exit, None
        if leave is not None:
            leave()

    def _cancel(self, call: Call) -> None:
        runner, call.runner = call.runner, None
        if runner is not None and runner is not asyncio.current_task():
            runner.cancel()

    def _announce(self, call: Call) -> None:
        parent = call.parent
        peer = call.peer
        connected = call.participant_id or (peer.participant_id if peer is not None else None)
        self._journal.stage(
            call.call_id,
            parent.call_id if parent else None,
            call.stage,
            call.cause,
            connected if call.stage == "bridged" else None,
        )
        call.changes.notify()
        if parent is not None:
            parent.changes.notify()
