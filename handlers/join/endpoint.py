"""One path of a visitor's page: whose request it is says the cookie, not a key."""

from typing import Final

from handlers.api.bodies import is_room_name
from handlers.http.concurrency import ConcurrencyLimit
from handlers.http.context import RequestContext
from handlers.http.problems import Problem, not_found
from handlers.http.resource import Operation, Resource
from handlers.http.state import HttpState, http_state_of
from handlers.join.cookies import read_visit_cookie
from handlers.join.origin import check_origin

NO_COOKIE: Final = "open"
"""For what takes no cookie yet, in the place of a scope."""


class VisitorResource(Resource):
    """Scopes are those of visits; every answer is for this visitor alone.

    `ended_problem`: the kind of problem that it is when the visit was ended; empty where that makes no
    difference.
    """

    def __init__(
        self, template: str, operations: dict[str, Operation], ended_problem: str = "invitation-needed"
    ) -> None:
        super().__init__(template, operations)
        self._ended_problem = ended_problem

    async def check(self, context: RequestContext) -> None:
        if (
            self._ended_problem
            and context.visit
            and await context.services.visitor_access.has_ended(context.visit)
        ):
            raise visit_ended(self._ended_problem)

    def concurrency_limit(self, state: HttpState) -> ConcurrencyLimit:
        return state.visitors

    def authorize(self, context: RequestContext, operation: Operation) -> None:
        room: str = context.request.path_params["room"]
        if not is_room_name(room):
            raise not_found("room")
        context.room = room
        if context.request.method not in {"GET", "HEAD"}:
            check_origin(context.request, context.services.base_url)
        if operation.scope == NO_COOKIE:
            return
        visit = context.services.visitor_access.read_visit(read_visit_cookie(context.request), room)
        if visit is None:
            raise visit_ended()
        context.visit = visit
        http_state_of(context.request).rate_limits.check_visit(visit.id, visit.issued_by)
        if operation.scope not in visit.scopes:
            raise Problem("forbidden", "the invitation does not grant it", scope=operation.scope)


def visit_ended(kind: str = "invitation-needed") -> Problem:
    """In the same words for a visit that never was and one that was ended."""
    return Problem(kind, "this browser has no visit to the room, or it is over")
