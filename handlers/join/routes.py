"""Lists every path of a visitor's page, and the scope of a visit that each of them needs."""

from typing import Final

from starlette.routing import BaseRoute, Route

from handlers.http.resource import Operation
from handlers.join import calls, visits
from handlers.join.endpoint import NO_COOKIE, VisitorResource
from handlers.join.page import page
from service.invitations import Scope

_ROOM: Final = "/join/{room}"
"""The page's path."""

RESOURCES: Final = (
    VisitorResource(
        f"{_ROOM}/visit",
        {"POST": Operation(visits.redeem, NO_COOKIE), "GET": Operation(visits.show_visit, Scope.TALK)},
        ended_problem="",  # show_visit looks for itself
    ),
    VisitorResource(f"{_ROOM}/participant", {"POST": Operation(visits.take_seat, Scope.TALK)}),
    # A page takes `gone` as its removal from the room.
    VisitorResource(
        f"{_ROOM}/heartbeat",
        {"POST": Operation(visits.heartbeat, Scope.TALK, is_quiet=True)},
        ended_problem="gone",
    ),
    # A visit that was ended may still give its seat back.
    VisitorResource(f"{_ROOM}/leave", {"POST": Operation(visits.leave, Scope.TALK)}, ended_problem=""),
    VisitorResource(f"{_ROOM}/events", {"GET": Operation(visits.events, Scope.TALK)}),
    VisitorResource(f"{_ROOM}/calls", {"POST": Operation(calls.dial, Scope.DIAL)}),
    VisitorResource(f"{_ROOM}/calls/{{id}}/hangup", {"POST": Operation(calls.hang_up, Scope.HANGUP)}),
)

ROUTES: Final[list[BaseRoute]] = [
    Route(_ROOM, page, methods=["GET"]),
    *(Route(resource.template, resource) for resource in RESOURCES),
]
