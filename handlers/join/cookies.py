"""Writes and reads the cookie that holds a visit."""

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from service.invitations import VISIT_LIFETIME

COOKIE: Final = "pstn_visit"
"""The cookie's name."""


def set_visit_cookie(response: Response, text: str, *, room: str, base_url: str) -> None:
    """Give the browser the signed `text` of its visit, for the paths of this room. Raises nothing.

    `base_url`: where pages are. The cookie is sent over TLS only if that is https.
    """
    response.set_cookie(
        COOKIE,
        text,
        max_age=int(VISIT_LIFETIME),
        path=f"/join/{room}",
        secure=urlsplit(base_url).scheme == "https",
        httponly=True,
        samesite="lax",
    )


def read_visit_cookie(request: Request) -> str:
    """The signed text that the browser sends, as it is; empty where there is none. Raises nothing.

    Read by hand: the standard library takes quadratic time for quoted values.
    """
    for one in request.headers.get("cookie", "").split(";"):
        name, _, value = one.partition("=")
        if name.strip() == COOKIE:
            return value.strip()
    return ""
