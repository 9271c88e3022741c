"""Answers one path of a visitor's page. The cookie, and no key, says whose request it is."""

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
"""The scope of an operation that needs no cookie."""


class VisitorResource(Resource):
    """A resource whose scopes are those of visits. Each response is for this visitor alone.

    `ended_problem`: the kind of problem when the visit was ended; empty where that makes no difference.
    """

    def __init__(
        self, template: str, operations: dict[str, Operation], ended_problem: str = "invitation-needed"
    ) -> None:
        super().__init__(template, operations)
        self._ended_problem = ended_problem

    async def check(self, context: RequestContext) -> None:
        """Raises Problem when the visit was ended, and StoreError."""
        visit, services = context.visit, context.services
        if self._ended_problem and visit and await services.visitor_access.has_ended(visit):
            # A replica of a release that knows no marks may have let it in since.
            await services.browsers.leave_visit(visit.room, visit.id)
            raise visit_ended(self._ended_problem)

    def concurrency_limit(self, state: HttpState) -> ConcurrencyLimit:
        return state.visitors

    def authorize(self, context: RequestContext, operation: Operation) -> None:
        """Find the visit of the request and check its scope.

        Raises Problem `not-found`, `foreign-origin`, `invitation-needed`, `too-many-requests` and
        `forbidden`.
        """
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
    """The problem of a visit that was ended, in the same words as of one that never was."""
    return Problem(kind, "this browser has no visit to the room, or it is over")
