"""Sends the description of the API, which lies beside this module."""

from importlib.resources import files
from typing import Final

from starlette.responses import Response

from handlers.http.context import RequestContext

DOCUMENT: Final = files("handlers.api").joinpath("openapi.json").read_bytes()
"""OpenAPI, as JSON."""


async def document(_asked: RequestContext) -> Response:
    """Raises nothing."""
    return Response(DOCUMENT, media_type="application/json")
