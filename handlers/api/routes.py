"""Every path of the API, its methods, and the scope that each of them needs."""

from typing import Final

from starlette.routing import BaseRoute, Route

from handlers.api import calls, dialing, orders, queries, rooms
from handlers.api.document import document
from handlers.api.endpoint import Operation, Resource, Unknown

PREFIX: Final = "/api/v1"

RESOURCES: Final = (
    Resource(f"{PREFIX}/openapi.json", {"GET": Operation(document)}),
    Resource(
        f"{PREFIX}/calls",
        {"GET": Operation(calls.listing, "read", queries.NAMES), "POST": Operation(dialing.dial, "dial")},
    ),
    Resource(
        f"{PREFIX}/calls/{{id}}",
        {"GET": Operation(calls.one, "read"), "DELETE": Operation(calls.erase, "control")},
    ),
    Resource(f"{PREFIX}/calls/{{id}}/remove", {"POST": Operation(orders.remove, "control")}),
    Resource(f"{PREFIX}/calls/{{id}}/join", {"POST": Operation(orders.join, "control")}),
    Resource(f"{PREFIX}/calls/{{id}}/transfer", {"POST": Operation(orders.transfer, "control")}),
    Resource(f"{PREFIX}/calls/{{id}}/hangup", {"POST": Operation(orders.hang_up, "control")}),
    Resource(f"{PREFIX}/calls/{{id}}/subscriptions", {"PUT": Operation(orders.subscribe, "control")}),
    Resource(f"{PREFIX}/rooms", {"GET": Operation(rooms.listing, "read")}),
    Resource(
        f"{PREFIX}/rooms/{{room}}",
        {
            "GET": Operation(rooms.one, "read"),
            "PUT": Operation(rooms.configure, "control"),
            "DELETE": Operation(rooms.close, "control"),
        },
    ),
)

_REST: Final = (f"{PREFIX}", f"{PREFIX}/{{path:path}}")

ROUTES: Final[list[BaseRoute]] = [
    *(Route(resource.template, resource) for resource in RESOURCES),
    *(Route(path, Unknown()) for path in _REST),
]
