"""Builds the ASGI application: its routes, and what runs for as long as it does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypedDict

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from handlers.api.routes import ROUTES
from handlers.app.container import running_services
from handlers.app.request_bounds import RequestBounds
from handlers.app.webhook_paths import WebhookPaths
from handlers.http.draining import Drain
from handlers.http.security_headers import SecurityHeaders
from handlers.http.services import Services
from handlers.http.state import HttpState, create_http_state
from handlers.join.routes import ROUTES as JOIN_ROUTES
from handlers.ops.metrics import metrics
from handlers.ops.probes import livez, readyz
from handlers.page import assets
from handlers.webhooks.endpoint import leg, voice
from handlers.webhooks.participant_events import participant_event
from service.engine.timeouts import DEFAULT_TIMEOUTS, Timeouts
from service.settings import Settings


class AppState(TypedDict):
    """What requests find in their state."""

    services: Services
    http: HttpState


class _Application(Starlette):
    """Starlette's, with headers around its own answers to errors as well, which middleware does not see."""

    def __init__(self, base_url: str, **parts: Any) -> None:
        self._base_url = base_url
        super().__init__(**parts)

    def build_middleware_stack(self) -> ASGIApp:
        return SecurityHeaders(RequestBounds(WebhookPaths(super().build_middleware_stack())), self._base_url)


def create_app(
    settings: Settings,
    *,
    run_worker: bool = True,
    timeouts: Timeouts = DEFAULT_TIMEOUTS,
    drain: Drain | None = None,
) -> Starlette:
    """An ASGI application; its start raises StoreUnavailable when the store cannot be reached."""
    drain = drain or Drain()

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[AppState]:
        assets.warn_if_missing()
        async with running_services(
            settings, run_worker=run_worker, timeouts=timeouts, draining=lambda: drain.has_begun
        ) as services:
            http = create_http_state(
                services,
                max_concurrent=settings.max_webhooks,
                per_minute=settings.api_rate_limit,
                drain=drain,
            )
            yield {"services": services, "http": http}

    app = _Application(
        settings.base_callback_url,
        lifespan=lifespan,
        routes=[
            Route("/callbacks/voice", voice, methods=["POST"]),
            Route("/callbacks/voice/{ref}", voice, methods=["POST"]),
            Route("/callbacks/voice/{ref}/{attempt}", voice, methods=["POST"]),
            Route("/callbacks/legs/{ref}/{attempt}", leg, methods=["POST"]),
            Route("/callbacks/participants/{seat}/{mac}", participant_event, methods=["POST"]),
            Route("/callbacks/participants/{room}/{seat}/{mac}", participant_event, methods=["POST"]),
            *ROUTES,
            *JOIN_ROUTES,
            assets.ROUTE,
            Route("/livez", livez, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
        ],
    )
    # Somebody's proxy may have ended TLS, of which Starlette's redirect would know nothing.
    app.router.redirect_slashes = False
    return app
