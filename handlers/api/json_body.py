"""Turns the bytes of a body into its struct, and names the field where that fails."""

import hashlib
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request

from handlers.api.bodies import PATTERN_HINTS
from handlers.http.problems import Problem, invalid
from handlers.http.request_guard import BODY_LIMIT, HEADER_LIMIT, read_body

_PLACE: Final = " - at `$"
"""What msgspec writes before the place of an error."""
_NAMED: Final = ("Object missing required field `", "Object contains unknown field `")
"""Messages of msgspec that name a field."""
_END: Final = 200
"""Characters of each end of a message that are looked at; in between it may quote a name of any length."""
_FIELD: Final = 100
"""Characters of a field's name that are told; a client may send a name of any length."""

Body = TypeVar("Body", bound=msgspec.Struct)


async def read_json(
    request: Request,
    body_type: type[Body],
    *,
    optional: bool = False,
    limit: int = BODY_LIMIT,
    precheck: Callable[[Any], None] = lambda _: None,
) -> Body:
    """The body of a request. `limit`: bytes. `optional`: it may be empty.

    `precheck` gets the decoded body before its shape is checked, and may raise Problem.
    Raises Problem `malformed`, `unsupported-media-type` and `invalid`, and HttpError for a body that is too
    large, too slow or incomplete.
    """
    raw = await read_body(request, limit)
    if optional and not raw:
        return body_type()
    declared = request.headers.get("content-type", "")[:HEADER_LIMIT].partition(";")[0]
    if raw and declared.strip().lower() != "application/json":
        raise Problem("unsupported-media-type", "wants Content-Type: application/json")
    decoded = _decoded(raw)
    precheck(decoded)
    return convert_body(decoded, body_type)


def convert_body(value: Any, body_type: type[Body]) -> Body:
    """A decoded body as its struct. Raises Problem `invalid` with the field."""
    try:
        return msgspec.convert(value, body_type)
    except msgspec.ValidationError as error:
        detail, field = _detail_and_field(str(error))
        raise invalid(field, detail) from error


def body_digest(body: msgspec.Struct) -> str:
    """A hash: the same for bodies that ask for the same, in any order and spelling. Raises nothing."""
    return hashlib.sha256(msgspec.json.encode(body)).hexdigest()


def _decoded(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except RecursionError as error:
        raise Problem("malformed", "the body is nested too deeply") from error
    except ValueError as error:  # msgspec's DecodeError, and bytes that are no UTF-8
        raise Problem("malformed", f"the body is not JSON: {error}") from error


def _detail_and_field(message: str) -> tuple[str, str]:
    """The message without the place in it, and the place as a name with dots: `hears.0`."""
    if len(message) > 2 * _END:
        message = message[:_END] + message[-_END:]
    detail, found, place = message.rpartition(_PLACE)
    if not found:
        detail, place = message, ""
    for pattern, wants in PATTERN_HINTS.items():
        if detail.endswith(f"matching regex {pattern!r}"):
            detail = wants
    parts = [part for part in place.rstrip("`").replace("[", ".").replace("]", ".").split(".") if part]
    if prefix := next((one for one in _NAMED if detail.startswith(one)), None):
        parts.append(detail[len(prefix) :].removesuffix("`"))
    return detail, ".".join(parts)[:_FIELD] or "body"
