"""One path of the API: sees to method, key and scope, makes what goes wrong a problem, logs the request."""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from handlers.http.context import Asked
from handlers.http.api_key_auth import holder, require
from handlers.http.problems import Problem
from handlers.http.services import bridge_of
from handlers.http.state import Edge, edge_of
from handlers.http.request_guard import INCOMPLETE, TOO_SLOW, Refused
from handlers.http.rate_limits import PROBLEM as TOO_MANY
from handlers.http.concurrency import Places
from service.logs import bound
from service.store.errors import StoreError

log = structlog.get_logger()

_STORE_PAUSE: Final = 1.0
"""Seconds after which somebody who met a store that was away may try again."""
_BUSY_PAUSE: Final = 2.0
"""The same for somebody who found no place."""
_COUNTED: Final = {401: "unauthorized", 403: "forbidden"}
_REFUSALS: Final = {INCOMPLETE: "malformed", TOO_SLOW: "too-slow"}


class Operation(NamedTuple):
    handle: Callable[[Asked], Awaitable[Response]]
    scope: str = ""
    """What a key needs; empty where no key is needed."""
    query: frozenset[str] = frozenset()
    """The query parameters that there are."""
    quiet: bool = False
    """Asked for so often that the log has it at its lowest level only."""


class Resource:
    """An ASGI application for all methods of a path. HEAD goes with GET; the server leaves its body out."""

    def __init__(self, template: str, operations: dict[str, Operation]) -> None:
        self.template = template
        self.operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        asked = Asked(request=request, bridge=bridge_of(request))
        clock = asked.bridge.clock
        begun = clock.monotonic()
        response, problem = await self._respond(asked)
        if response.status_code in _COUNTED:
            asked.bridge.metrics.api_refused(_COUNTED[response.status_code])
        # Personal data, and good for this moment only.
        response.headers["Cache-Control"] = "no-store"
        with bound(ref=asked.ref, room=asked.room):
            quiet = self._is_quiet(asked, response.status_code, problem)
            write = log.debug if quiet else log.warning if response.status_code >= 500 else log.info
            write(
                "api.answered",
                method=request.method,
                route=self.template,
                status=response.status_code,
                problem=problem,
                key_name=asked.key_name,
                key_entry=asked.key.entry if asked.key else None,
                ms=round((clock.monotonic() - begun) * 1000, 1),
            )
        await response(scope, receive, send)

    async def _respond(self, asked: Asked) -> tuple[Response, str]:
        """The second value is the kind of problem that it is, empty for none."""
        try:
            return await self._perform(asked), ""
        except Problem as problem:
            return problem.response(), problem.kind
        except Exception as error:
            found = _unforeseen(error)
            if found.status == 500:
                log.exception("api.failed", route=self.template, error=repr(error))
            return found.response(), found.kind

    async def _perform(self, asked: Asked) -> Response:
        operation = self._operation(asked.request.method)
        if operation.scope:
            self.authorize(asked, operation)
        for name in asked.request.query_params:
            if name not in operation.query:
                raise Problem("invalid", "there is no such query parameter", field=name[:100])
        if not operation.scope:
            return await operation.handle(asked)
        edge = edge_of(asked.request)
        with self.places(edge).one() as free:
            # Callers come first: while there is no place for them, there is none for operators.
            if not free or edge.webhooks.full:
                raise Problem("overloaded", "nothing has been done", retry_after=_BUSY_PAUSE)
            await self.check(asked)
            return await operation.handle(asked)

    async def check(self, asked: Asked) -> None:
        """What the store has to say before anything is done. Raises Problem and StoreError."""

    def places(self, edge: Edge) -> Places:
        return edge.requests

    def authorize(self, asked: Asked, operation: Operation) -> None:
        """Raises Problem."""
        limits = edge_of(asked.request).limits
        try:
            # Valid keys come first: nobody else's guesses are in their way.
            asked.key = holder(asked.request, asked.bridge.api_keys)
        except Problem:
            limits.wrong_key()
            raise
        limits.key(asked.key.name)
        require(asked.key, operation.scope)

    def _is_quiet(self, asked: Asked, status: int, problem: str) -> bool:
        if problem == TOO_MANY:
            return True  # said once for all of them: `api.limited`
        if not asked.key_name:
            return not edge_of(asked.request).spells.begins(f"api.answered {problem or status}")
        operation = self.operations.get(asked.request.method)
        return status < 400 and operation is not None and operation.quiet

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


def _unforeseen(error: Exception) -> Problem:
    match error:
        case StoreError():
            return Problem("store-unavailable", "nothing is known to be done", retry_after=_STORE_PAUSE)
        case Refused():
            return Problem(_REFUSALS.get(error.status, "too-large"), str(error), headers=error.headers)
        case _:
            return Problem("internal-error", "the log has the details")


class Unknown(Resource):
    """Every path that there is not."""

    def __init__(self) -> None:
        super().__init__("", {})

    def _operation(self, method: str) -> Operation:
        raise Problem("not-found", f"there is nothing to {method} here; the paths are in openapi.json")
