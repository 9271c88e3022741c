"""The running service as the endpoints see it."""

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from handlers.http.request_guard import CallbackCredentials
from handlers.http.visitor_access import Door
from service.bandwidth.reply_renderer import Renderer
from service.api_keys import ApiKey
from service.bandwidth.auth import Credentials
from service.bandwidth.circuit import Circuit
from service.called_numbers import CalledNumbers
from service.calls.policy import Policy
from service.clock import Clock
from service.cursors import Cursors
from service.dial_plan import DialPlan
from service.engine.outbox.wakeup import Alarm
from service.bandwidth.callback_urls import Callbacks
from service.engine.event_handler import Engine
from service.engine.change_feed import Live
from service.engine.operators import Operators
from service.engine.browsers import Participants
from service.engine.pause import Pause
from service.engine.replica_reporter import Doings
from service.engine.standby import Standby
from service.metrics import Metrics
from service.store.calls import Calls
from service.store.redis.client import Client
from service.store.replicas import Replicas
from service.store.rooms import Rooms
from service.tasks import Tasks


@dataclass(frozen=True, kw_only=True)
class Bridge:
    account_id: str
    number: str | None
    """Ours, from which is called unless another is named."""
    policy: Policy
    dial_plan: DialPlan
    called_numbers: CalledNumbers
    callers: frozenset[str]
    """Numbers that calls may be placed from, beside `number`; empty for whatever Bandwidth takes."""
    api_keys: tuple[ApiKey, ...]
    engine: Engine
    operators: Operators
    participants: Participants
    calls: Calls
    rooms: Rooms
    live: Live
    cursors: Cursors
    pause: Pause
    standby: Standby
    alarm: Alarm
    renderer: Renderer
    callbacks: Callbacks
    door: Door
    callback_credentials: CallbackCredentials
    bandwidth_credentials: tuple[Credentials, ...]
    circuits: tuple[Circuit, ...]
    """The breakers of Bandwidth's APIs, one for each kind of work."""
    doings: Doings
    replicas: Replicas
    store: Client
    metrics: Metrics
    clock: Clock
    tasks: Tasks


def bridge_of(request: Request) -> Bridge:
    """What the application's lifespan has put together."""
    return cast("Bridge", request.state.bridge)
