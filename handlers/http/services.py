"""Names the parts of the running service that endpoints use."""

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from handlers.http.request_guard import CallbackCredentials
from service.api_keys import ApiKey
from service.bandwidth.auth import ApiCredentials
from service.bandwidth.callback_urls import CallbackUrls
from service.bandwidth.circuit import Circuit
from service.bandwidth.reply_renderer import ReplyRenderer
from service.called_numbers import CalledNumbers
from service.calls.policy import Policy
from service.clock import Clock
from service.cursors import CursorSigner
from service.dial_plan import DialPlan
from service.engine.browsers import Browsers
from service.engine.change_feed import FeedReader
from service.engine.event_handler import EventHandler
from service.engine.operators import Operators
from service.engine.outbox.wakeup import WorkerSignal
from service.engine.pause import PauseWatch
from service.engine.replica_reporter import WebhookCounts
from service.engine.standby import Standby
from service.engine.visitors import VisitorAccess
from service.metrics import Metrics
from service.store.calls import Calls
from service.store.redis.client import Client
from service.store.replicas import Replicas
from service.store.rooms import Rooms
from service.tasks import Tasks


@dataclass(frozen=True, kw_only=True)
class Services:
    account_id: str
    number: str | None
    """Ours, from which calls are placed unless another is named."""
    policy: Policy
    dial_plan: DialPlan
    called_numbers: CalledNumbers
    caller_ids: frozenset[str]
    """Numbers that calls may be placed from, beside `number`; empty for whatever Bandwidth takes."""
    api_keys: tuple[ApiKey, ...]
    event_handler: EventHandler
    operators: Operators
    browsers: Browsers
    calls: Calls
    rooms: Rooms
    feed: FeedReader
    cursor_signer: CursorSigner
    pause: PauseWatch
    standby: Standby
    signal: WorkerSignal
    renderer: ReplyRenderer
    callback_urls: CallbackUrls
    visitor_access: VisitorAccess
    base_url: str
    """Where our pages are."""
    device_url: str
    """Where Bandwidth's browser SDK connects to."""
    callback_credentials: CallbackCredentials
    bandwidth_credentials: tuple[ApiCredentials, ...]
    circuits: tuple[Circuit, ...]
    """The circuit breakers of Bandwidth's APIs, one for each kind of request."""
    webhook_counts: WebhookCounts
    replicas: Replicas
    store: Client
    metrics: Metrics
    clock: Clock
    tasks: Tasks


def services_of(request: Request) -> Services:
    """The services that the application's lifespan has put together. Raises nothing."""
    return cast("Services", request.state.services)
