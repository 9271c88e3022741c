"""Serves the built page and its files from memory. `make page` writes them, with a manifest.

Names change with what is in a file, so that a browser may keep each for ever. Nothing outside of the manifest
is served, whatever a request asks for.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_BUILT: Final = Path(__file__).parent / "built"
_FOR_EVER: Final = "public, max-age=31536000, immutable"

log = structlog.get_logger(__name__)


class _Manifest(msgspec.Struct):
    page: str
    assets: dict[str, str]
    """Content types by name."""


class Asset(NamedTuple):
    content: bytes
    media_type: str


class BuiltPage(NamedTuple):
    page: bytes
    assets: Mapping[str, Asset]


def read_build(folder: Path) -> BuiltPage | None:
    """None when there is no whole build: the manifest is written last."""
    try:
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=_Manifest)
        assets = {
            name: Asset((folder / name).read_bytes(), media_type)
            for name, media_type in manifest.assets.items()
        }
        return BuiltPage((folder / manifest.page).read_bytes(), assets)
    except FileNotFoundError:
        return None


@cache
def _built() -> BuiltPage | None:
    return read_build(_BUILT)


def page() -> bytes | None:
    """The page's HTML; None when it was not built."""
    built = _built()
    return built and built.page


def warn_if_missing() -> None:
    """Once, at the start: the service does all else without the page."""
    if page() is None:
        log.warning("page.missing", wanted="make page")


async def asset(request: Request) -> Response:
    return serve(_built(), request.path_params["name"])


def serve(built: BuiltPage | None, name: str) -> Response:
    found = built and built.assets.get(name)
    if not found:
        return Response("there is nothing here\n", 404, media_type="text/plain")
    headers = {
        "Content-Type": found.media_type,
        "Cache-Control": _FOR_EVER,
        "X-Content-Type-Options": "nosniff",
    }
    return Response(found.content, headers=headers)


ROUTE: Final = Route("/assets/{name}", asset, methods=["GET"])
