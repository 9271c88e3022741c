"""The application: its routes, and what runs as long as it does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Route

from handlers.api.routes import ROUTES
from handlers.bridge import Bridge
from handlers.compose import running
from handlers.participants import participant
from handlers.probes import livez, readyz
from handlers.voice.endpoint import leg, voice
from service.engine.patience import PATIENCE, Patience
from service.settings import Settings


def create_app(settings: Settings, *, run_worker: bool = True, patience: Patience = PATIENCE) -> Starlette:
    """An ASGI application; its start raises StoreUnavailable when the store cannot be reached."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Bridge]]:
        async with running(settings, run_worker=run_worker, patience=patience) as bridge:
            yield {"bridge": bridge}

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/callbacks/voice", voice, methods=["POST"]),
            Route("/callbacks/voice/{ref}", voice, methods=["POST"]),
            Route("/callbacks/voice/{ref}/{attempt}", voice, methods=["POST"]),
            Route("/callbacks/legs/{ref}/{attempt}", leg, methods=["POST"]),
            Route("/callbacks/participants/{seat}/{mac}", participant, methods=["POST"]),
            *ROUTES,
            Route("/livez", livez, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
        ],
    )
