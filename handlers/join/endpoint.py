"""One path of a visitor's page: whose request it is says the cookie, not a key."""

from typing import Final

from handlers.http.context import Asked
from handlers.api.bodies import is_room_name
from handlers.http.resource import Operation, Resource
from handlers.http.problems import Problem, not_found
from handlers.http.state import Edge, edge_of
from handlers.http.concurrency import Places

OPEN: Final = "open"
"""For what takes no cookie yet, in the place of a scope."""


class Visited(Resource):
    """Scopes are those of visits; every answer is for this visitor alone.

    `over`: the kind of problem that it is when the visit was ended; empty where that makes no difference.
    """

    def __init__(
        self, template: str, operations: dict[str, Operation], over: str = "invitation-needed"
    ) -> None:
        super().__init__(template, operations)
        self._over = over

    async def check(self, asked: Asked) -> None:
        if self._over and asked.visit and await asked.bridge.door.is_over(asked.visit):
            raise over(self._over)

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
            raise over()
        asked.visit = visit
        edge_of(asked.request).limits.visit(visit.id, visit.issued_by)
        if operation.scope not in visit.scopes:
            raise Problem("forbidden", "the invitation does not grant it", scope=operation.scope)


def over(kind: str = "invitation-needed") -> Problem:
    """In the same words for a visit that never was and one that was ended."""
    return Problem(kind, "this browser has no visit to the room, or it is over")
