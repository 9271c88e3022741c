"""Reads the query of the list of calls."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from starlette.datastructures import QueryParams

from handlers.api import paging
from handlers.api.bodies import is_room_name
from handlers.http.problems import invalid
from service.calls.model import Call, Direction, Status
from service.calls.refs import is_ref

PARAMETERS: Final = frozenset({"state", "room", "direction", "since", "until", "limit", "cursor"})
"""Names of the query parameters."""
_LONG: Final = 256
"""Characters of a parameter that are looked at: more than any of them has."""
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_TIME: Final = re.compile(  # RFC 3339, which is stricter than what Python reads
    r"(\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:)(\d\d)(?:\.(\d{1,6})\d*)?(Z|[+-]\d\d:\d\d)", re.ASCII
)

ListPosition = tuple[Annotated[float, msgspec.Meta(ge=0, le=1e11)], str]
"""Of a call among all calls: when it began, and its ref."""
_decode: Final[Callable[[bytes], ListPosition]] = msgspec.json.Decoder(ListPosition).decode


class CallQuery(msgspec.Struct, frozen=True, kw_only=True):
    state: Status | None
    room: str | None
    direction: Direction | None
    since: float | None
    until: float | None
    """Like `since`: seconds since the epoch."""
    limit: int
    """Calls of a page."""
    before: ListPosition | None

    def matches(self, call: Call) -> bool:
        """Whether the call is wanted, whatever its time. Raises nothing."""
        return (
            self.state in {None, call.status}
            and self.room in {None, call.room}
            and self.direction in {None, call.direction}
        )

    @property
    def matches_all(self) -> bool:
        return self.state is None and self.room is None and self.direction is None


def parse(params: QueryParams) -> CallQuery:
    """The query as it is asked for. Raises Problem `invalid` with the parameter's name."""
    given = paging.unique_params(params)
    state, direction = given.get("state"), given.get("direction")
    return CallQuery(
        state=None if state is None else Status(_one_of("state", state, tuple(Status))),
        room=_room(given.get("room")),
        direction=None if direction is None else Direction(_one_of("direction", direction, tuple(Direction))),
        since=_time("since", given.get("since")),
        until=_time("until", given.get("until")),
        limit=paging.limit_of(given),
        before=_position(given),
    )


def _position(given: dict[str, str]) -> ListPosition | None:
    place = paging.position_of(given, _decode)
    if place is not None and not is_ref(place[1]):
        raise paging.invalid_cursor()
    return place


def _one_of(name: str, value: str, words: tuple[str, ...]) -> str:
    if value not in words:
        raise invalid(name, f"is none of {', '.join(words)}")
    return value


def _room(value: str | None) -> str | None:
    if value is not None and not is_room_name(value):
        raise invalid("room", "is no room's name: 1 to 64 of a-z 0-9 -")
    return value


def _time(name: str, value: str | None) -> float | None:
    """Seconds since the epoch."""
    if value is None:
        return None
    # In a query + stands for a space: a client may not know that it has to write %2B.
    match = _TIME.fullmatch(value.upper().replace(" ", "+")) if len(value) <= _LONG else None
    at = None if match is None else _read(*match.groups())
    if at is None:
        raise invalid(name, "is no time as RFC 3339 has it, such as 2026-01-31T12:00:00Z")
    return at


def _read(begin: str, seconds: str, fraction: str | None, zone: str) -> float | None:
    """None for the 30th of February. A leap second is one to RFC 3339, and none to Python."""
    leap = seconds == "60"
    try:
        at = datetime.fromisoformat(
            f"{begin}{59 if leap else seconds}.{(fraction or '0').ljust(6, '0')}{zone.replace('Z', '+00:00')}"
        )
    except ValueError:
        return None
    return (at - _EPOCH + timedelta(seconds=leap)).total_seconds()
