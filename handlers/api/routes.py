"""Lists every path of the API, its methods, and the scope that each of them needs."""

from typing import Final

from starlette.routing import BaseRoute, Route

from handlers.api import calls, dialing, events, invitations, orders, participants, queries, rooms
from handlers.api.document import document
from handlers.http.deprecation import DeprecatedResource
from handlers.http.resource import Operation, Resource, UnknownPath

PREFIX: Final = "/api/v1"
"""What every path begins with."""
_ROOM: Final = f"{PREFIX}/rooms/{{room}}"
_HOLD: Final = Resource(f"{PREFIX}/calls/{{id}}/hold", {"POST": Operation(orders.hold, "control")})

RESOURCES: Final = (
    Resource(f"{PREFIX}/openapi.json", {"GET": Operation(document)}),
    Resource(
        f"{PREFIX}/calls",
        {
            "GET": Operation(calls.list_calls, "read", queries.PARAMETERS),
            "POST": Operation(dialing.dial, "dial"),
        },
    ),
    Resource(
        f"{PREFIX}/calls/{{id}}",
        {"GET": Operation(calls.show_call, "read"), "DELETE": Operation(calls.erase_call, "control")},
    ),
    _HOLD,
    Resource(f"{PREFIX}/calls/{{id}}/join", {"POST": Operation(orders.join, "control")}),
    Resource(f"{PREFIX}/calls/{{id}}/transfer", {"POST": Operation(orders.transfer, "control")}),
    Resource(f"{PREFIX}/calls/{{id}}/hangup", {"POST": Operation(orders.hang_up, "control")}),
    Resource(f"{PREFIX}/calls/{{id}}/subscriptions", {"PUT": Operation(orders.subscribe, "control")}),
    Resource(f"{PREFIX}/rooms", {"GET": Operation(rooms.list_rooms, "read", rooms.PARAMETERS)}),
    Resource(
        _ROOM,
        {
            "GET": Operation(rooms.show_room, "read"),
            "PUT": Operation(rooms.configure_room, "control"),
            "DELETE": Operation(rooms.close_room, "control"),
        },
    ),
    Resource(f"{_ROOM}/events", {"GET": Operation(events.room_events, "read")}),
    Resource(f"{PREFIX}/events", {"GET": Operation(events.all_events, "read")}),
    Resource(
        f"{_ROOM}/invitations",
        {
            "GET": Operation(invitations.list_invitations, "read"),
            "POST": Operation(invitations.invite, "control"),
        },
    ),
    Resource(f"{_ROOM}/invitations/{{id}}", {"DELETE": Operation(invitations.end_invitation, "control")}),
    Resource(f"{_ROOM}/visits", {"GET": Operation(invitations.list_visits, "read")}),
    Resource(f"{_ROOM}/visits/{{id}}", {"DELETE": Operation(invitations.end_visit, "control")}),
    Resource(f"{_ROOM}/participants", {"POST": Operation(participants.add_participant, "control")}),
    Resource(
        f"{_ROOM}/participants/{{participant}}",
        {
            "GET": Operation(participants.show_participant, "read"),
            "DELETE": Operation(participants.remove_participant, "control"),
        },
    ),
    Resource(
        f"{_ROOM}/participants/{{participant}}/heartbeat",
        {"POST": Operation(participants.heartbeat, "control")},
    ),
    Resource(
        f"{_ROOM}/participants/{{participant}}/subscriptions",
        {"PUT": Operation(participants.subscribe, "control")},
    ),
)

DEPRECATED: Final = (DeprecatedResource(f"{PREFIX}/calls/{{id}}/remove", _HOLD),)
"""Old paths, until release 0.3.0. They are not in openapi.json."""

_REST: Final = (f"{PREFIX}", f"{PREFIX}/{{path:path}}")
"""All other paths."""

ROUTES: Final[list[BaseRoute]] = [
    *(Route(resource.template, resource) for resource in (*RESOURCES, *DEPRECATED)),
    *(Route(path, UnknownPath()) for path in _REST),
]
