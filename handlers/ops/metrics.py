"""`GET /metrics`, for Prometheus: from the inside, so that it asks for no key (docs/edge.md)."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from handlers.http.request_guard import HEADER_LIMIT
from handlers.http.services import Services, services_of
from service.metrics import StoreGauges
from service.store.errors import StoreError
from service.store.gauges import read_gauges

_STORE_TIMEOUT: Final = 1.0
"""Seconds for the store: without it the page has what this process knows, which is wanted most just then."""


async def metrics(request: Request) -> Response:
    """In OpenMetrics where that is accepted, otherwise as text."""
    services = services_of(request)
    accepted = request.headers.get("accept", "")[:HEADER_LIMIT]
    services.metrics.tasks(len(asyncio.all_tasks()))
    page, content_type = services.metrics.render(accepted, await _read_gauges(services))
    return Response(page, headers={"content-type": content_type})


async def _read_gauges(services: Services) -> StoreGauges | None:
    try:
        async with asyncio.timeout(_STORE_TIMEOUT):
            return await read_gauges(services.store, now=services.clock.now())
    except (StoreError, TimeoutError):
        return None
