"""Every path of a visitor's page, and what a visit has to grant for each."""

from typing import Final

from starlette.routing import BaseRoute, Route

from handlers.http.resource import Operation
from handlers.join import calls, visits
from handlers.join.endpoint import OPEN, Visited
from handlers.join.page import page
from service.invitations import Scope

_ROOM: Final = "/join/{room}"

RESOURCES: Final = (
    Visited(
        f"{_ROOM}/visit",
        {"POST": Operation(visits.open_, OPEN), "GET": Operation(visits.show, Scope.TALK)},
        over="",  # it looks for itself
    ),
    Visited(f"{_ROOM}/participant", {"POST": Operation(visits.sit, Scope.TALK)}),
    # Pages take this for having been removed.
    Visited(f"{_ROOM}/heartbeat", {"POST": Operation(visits.beat, Scope.TALK, quiet=True)}, over="gone"),
    # What is given back is welcome.
    Visited(f"{_ROOM}/leave", {"POST": Operation(visits.leave, Scope.TALK)}, over=""),
    Visited(f"{_ROOM}/events", {"GET": Operation(visits.events, Scope.TALK)}),
    Visited(f"{_ROOM}/calls", {"POST": Operation(calls.dial, Scope.DIAL)}),
    Visited(f"{_ROOM}/calls/{{id}}/hangup", {"POST": Operation(calls.hang_up, Scope.HANGUP)}),
)

ROUTES: Final[list[BaseRoute]] = [
    Route(_ROOM, page, methods=["GET"]),
    *(Route(resource.template, resource) for resource in RESOURCES),
]
