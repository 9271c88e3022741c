"""The running service as the endpoints see it."""

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from handlers.guard import CallbackCredentials
from handlers.voice.replies import Renderer
from service.bandwidth.auth import Credentials
from service.calls.policy import Policy
from service.clock import Clock
from service.engine.callbacks import Callbacks
from service.engine.engine import Engine
from service.store.client import Client
from service.tasks import Tasks


@dataclass(frozen=True, kw_only=True)
class Bridge:
    account_id: str
    policy: Policy
    engine: Engine
    renderer: Renderer
    callbacks: Callbacks
    callback_credentials: CallbackCredentials
    bandwidth_credentials: tuple[Credentials, ...]
    store: Client
    clock: Clock
    tasks: Tasks


def bridge_of(request: Request) -> Bridge:
    """What the application's lifespan has put together."""
    return cast("Bridge", request.state.bridge)
