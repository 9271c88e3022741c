"""Serves the OpenAPI document that lies beside this module."""

from importlib.resources import files
from typing import Final

from starlette.responses import Response

from handlers.http.context import RequestContext

DOCUMENT: Final = files("handlers.api").joinpath("openapi.json").read_bytes()


async def document(_asked: RequestContext) -> Response:
    return Response(DOCUMENT, media_type="application/json")
