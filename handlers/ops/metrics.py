"""Answers `GET /metrics` for Prometheus, without a key: it is reached from the inside only (docs/edge.md)."""

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
"""Seconds for the store. Without it the page has what this process knows, which is wanted most then."""


async def metrics(request: Request) -> Response:
    """The page, in OpenMetrics where that is accepted and otherwise as text. Raises nothing."""
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
