"""Refuses requests that a browser sends from a page that is not ours."""

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from handlers.http.problems import Problem
from handlers.http.request_guard import HEADER_LIMIT

_PORTS: Final = {"http": 80, "https": 443}
"""The port of a URL that names none, by its scheme."""


def check_origin(request: Request, base_url: str) -> None:
    """A request with a foreign `Origin` is refused, whatever cookie comes with it. Raises Problem.

    `base_url`: where our pages are.
    """
    origin = request.headers.get("origin")
    if origin is None:
        return
    # The second is that of a browser that reaches us without a proxy.
    own = {_origin(base_url), _origin(f"http://{request.headers.get('host', '')}")}
    if (found := _origin(origin)) is None or found not in own:
        raise Problem("foreign-origin", "the request comes from a page that is not ours")


def _origin(url: str) -> tuple[str, str | None, int | None] | None:
    """Scheme, host and port. None for what is no URL."""
    if len(url) > HEADER_LIMIT:
        return None
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
