"""One path of a visitor's page: whose request it is says the cookie, not a key."""

from typing import Final

from handlers.api.asked import Asked
from handlers.api.bodies import is_room_name
from handlers.api.endpoint import Operation, Resource
from handlers.api.problems import Problem, not_found
from handlers.edge import Edge, edge_of
from handlers.places import Places

OPEN: Final = "open"
"""For what takes no cookie yet, in the place of a scope."""


class Visited(Resource):
    """Scopes are those of visits; every answer is for this visitor alone."""

    def places(self, edge: Edge) -> Places:
        return edge.visitors

    def authorize(self, asked: Asked, operation: Operation) -> None:
        room: str = asked.request.path_params["room"]
        if not is_room_name(room):
            raise not_found("room")
        asked.room = room
        door = asked.bridge.door
        if asked.request.method not in {"GET", "HEAD"}:
            door.check_origin(asked.request)
        if operation.scope == OPEN:
            return
        visit = door.visit(asked.request, room)
        if visit is None:
            raise Problem("invitation-needed", "this browser has no visit to the room, or it is over")
        asked.visit = visit
        edge_of(asked.request).limits.visit(visit.id, visit.issued_by)
        if operation.scope not in visit.scopes:
            raise Problem("forbidden", "the invitation does not grant it", scope=operation.scope)
