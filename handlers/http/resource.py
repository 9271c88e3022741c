"""Answers one path of the API: checks method, key and scope, turns errors into problems, logs the request."""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from handlers.http.api_key_auth import authenticate, require_scope
from handlers.http.concurrency import ConcurrencyLimit
from handlers.http.context import RequestContext
from handlers.http.problems import Problem
from handlers.http.rate_limits import PROBLEM_KIND as TOO_MANY
from handlers.http.request_guard import INCOMPLETE, TOO_SLOW, HttpError
from handlers.http.services import services_of
from handlers.http.state import HttpState, http_state_of
from handlers.http.visitor_problems import visitor_problem
from service.engine.visitors import VisitorError
from service.logs import log_context
from service.store.errors import StoreError

log = structlog.get_logger()

_STORE_PAUSE: Final = 1.0
"""Seconds after which a client may try again when the store was away."""
_BUSY_PAUSE: Final = 2.0
"""The same when there was no free slot."""
_COUNTED: Final = {401: "unauthorized", 403: "forbidden"}
"""Statuses that the metrics count, with the label."""
_REFUSALS: Final = {INCOMPLETE: "malformed", TOO_SLOW: "too-slow"}
"""The kind of problem for the status of an HttpError; all others are `too-large`."""


class Operation(NamedTuple):
    """One method of a path.

    `handle` raises Problem, HttpError, VisitorError and StoreError: the resource answers them. What else it
    raises is answered with 500 and logged.
    """

    handle: Callable[[RequestContext], Awaitable[Response]]
    scope: str = ""
    """What a key needs; empty where no key is needed."""
    query_parameters: frozenset[str] = frozenset()
    """Names of query parameters; others are refused."""
    is_quiet: bool = False
    """Whether it is asked for so often that the log has it at its lowest level only."""


class Resource:
    """An ASGI application for all methods of a path. HEAD goes with GET; the server leaves its body out."""

    def __init__(self, template: str, operations: dict[str, Operation]) -> None:
        self.template = template
        self.operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        context = RequestContext(request=request, services=services_of(request))
        clock = context.services.clock
        begun = clock.monotonic()
        response, problem = await self._respond(context)
        if response.status_code in _COUNTED:
            context.services.metrics.api_refused(_COUNTED[response.status_code])
        # Personal data, and good for this moment only.
        response.headers["Cache-Control"] = "no-store"
        with log_context(ref=context.ref, room=context.room):
            quiet = self._is_quiet(context, response.status_code, problem)
            write = log.debug if quiet else log.warning if response.status_code >= 500 else log.info
            write(
                "api.answered",
                method=request.method,
                route=self.template,
                status=response.status_code,
                problem=problem,
                key_name=context.key_name,
                key_entry=context.key.entry if context.key else None,
                ms=round((clock.monotonic() - begun) * 1000, 1),
            )
        await response(scope, receive, send)

    async def _respond(self, context: RequestContext) -> tuple[Response, str]:
        """The second value is the kind of problem, empty for none."""
        try:
            return await self._handle(context), ""
        except Problem as problem:
            return problem.response(), problem.kind
        except Exception as error:
            found = _problem_of(error)
            if found.status == 500:
                log.exception("api.failed", route=self.template, error=repr(error))
            return found.response(), found.kind

    async def _handle(self, context: RequestContext) -> Response:
        operation = self._operation(context.request.method)
        if operation.scope:
            self.authorize(context, operation)
        for name in context.request.query_params:
            if name not in operation.query_parameters:
                raise Problem("invalid", "there is no such query parameter", field=name[:100])
        if not operation.scope:
            return await operation.handle(context)
        state = http_state_of(context.request)
        with self.concurrency_limit(state).slot() as free:
            # Callers come first: while there is no place for them, there is none for operators.
            if not free or state.webhooks.is_full:
                raise Problem("overloaded", "nothing has been done", retry_after=_BUSY_PAUSE)
            await self.check(context)
            return await operation.handle(context)

    async def check(self, context: RequestContext) -> None:
        """Ask the store before anything is done. Raises Problem and StoreError."""

    def concurrency_limit(self, state: HttpState) -> ConcurrencyLimit:
        """The limit that its requests count against."""
        return state.requests

    def authorize(self, context: RequestContext, operation: Operation) -> None:
        """Check the key and its scope. Raises Problem `unauthorized`, `forbidden`, `too-many-requests`."""
        limits = http_state_of(context.request).rate_limits
        try:
            # Valid keys come first: the guesses of others do not limit them.
            context.key = authenticate(context.request, context.services.api_keys)
        except Problem:
            limits.check_wrong_key()
            raise
        limits.check_key(context.key.name)
        require_scope(context.key, operation.scope)

    def _is_quiet(self, context: RequestContext, status: int, problem: str) -> bool:
        if problem == TOO_MANY:
            return True  # said once for all of them: `api.limited`
        if not context.key_name:
            return not http_state_of(context.request).log_throttle.allows(f"api.answered {problem or status}")
        operation = self.operations.get(context.request.method)
        return status < 400 and operation is not None and operation.is_quiet

    def _operation(self, method: str) -> Operation:
        operation = self.operations.get("GET" if method == "HEAD" else method)
        if operation is None:
            allowed = [*self.operations, *(["HEAD"] if "GET" in self.operations else [])]
            raise Problem(
                "method-not-allowed",
                f"{self.template} takes {', '.join(allowed)}",
                headers={"Allow": ", ".join(allowed)},
            )
        return operation


def _problem_of(error: Exception) -> Problem:
    match error:
        case StoreError():
            return Problem("store-unavailable", "nothing is known to be done", retry_after=_STORE_PAUSE)
        case VisitorError():
            return visitor_problem(error)
        case HttpError():
            return Problem(_REFUSALS.get(error.status, "too-large"), str(error), headers=error.headers)
        case _:
            return Problem("internal-error", "the log has the details")


class UnknownPath(Resource):
    """Answers every path that does not exist."""

    def __init__(self) -> None:
        super().__init__("", {})

    def _operation(self, method: str) -> Operation:
        raise Problem("not-found", f"there is nothing to {method} here; the paths are in openapi.json")
