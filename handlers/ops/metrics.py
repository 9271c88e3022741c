"""`GET /metrics`, for Prometheus: from the inside, so that it asks for no key (docs/edge.md)."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from handlers.http.services import Bridge, bridge_of
from handlers.http.request_guard import HEADER_LIMIT
from service.metrics import Survey
from service.store.errors import StoreError
from service.store.gauges import survey

_PATIENCE: Final = 1.0
"""Seconds for the store: without it the page has what this process knows, which is wanted most just then."""


async def metrics(request: Request) -> Response:
    """In OpenMetrics where that is accepted, otherwise as text."""
    bridge = bridge_of(request)
    accepted = request.headers.get("accept", "")[:HEADER_LIMIT]
    bridge.metrics.running(len(asyncio.all_tasks()))
    page, content_type = bridge.metrics.exposed(accepted, await _surveyed(bridge))
    return Response(page, headers={"content-type": content_type})


async def _surveyed(bridge: Bridge) -> Survey | None:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await survey(bridge.store, now=bridge.clock.now())
    except (StoreError, TimeoutError):
        return None
