"""Reads and writes the parameters that page a list: its limit and its cursor."""

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from starlette.datastructures import QueryParams

from handlers.http.problems import Problem, invalid

_PAGE: Final = 50
"""Entries of a page, unless the request says otherwise."""
_LARGEST: Final = 200
"""Entries of a page at most."""
_LONG: Final = 256
"""Characters of a cursor that are looked at: more than any has."""

Position = TypeVar("Position")


def unique_params(params: QueryParams) -> dict[str, str]:
    """Each parameter by its name. Raises Problem `invalid` for one that is there twice."""
    found: dict[str, str] = {}
    for name, value in params.multi_items():
        if name in found:
            raise invalid(name, "is there twice")
        found[name] = value
    return found


def limit_of(params: Mapping[str, str]) -> int:
    """How many entries the page has. Raises Problem `invalid`."""
    value = params.get("limit")
    if value is None:
        return _PAGE
    digits = value.isascii() and value.isdecimal() and len(value) < 10
    if not digits or not 1 <= int(value) <= _LARGEST:
        raise invalid("limit", f"is no whole number from 1 to {_LARGEST}")
    return int(value)


def cursor_of(position: Any) -> str:
    """The cursor that stands for a position. Raises nothing for what JSON can write."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def position_of(params: Mapping[str, str], decode: Callable[[bytes], Position]) -> Position | None:
    """What the cursor holds, None without one. Raises Problem `invalid` for what does not `decode`."""
    cursor = params.get("cursor")
    if cursor is None:
        return None
    if len(cursor) > _LONG:
        raise invalid_cursor()
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return decode(raw)
    except (ValueError, RecursionError) as error:
        raise invalid_cursor() from error


def invalid_cursor() -> Problem:
    """The problem of a cursor that we have not given out."""
    return invalid("cursor", "is none that this API has given out")
