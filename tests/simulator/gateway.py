"""The way of every API request: gate, fault, credentials, operation, latency, answer."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tests.simulator.auth import Authenticator
from tests.simulator.clock import monotonic
from tests.simulator.faults import Fault, Faults, Gates
from tests.simulator.journal import Journal
from tests.simulator.journal import Request as Recorded
from tests.simulator.ledger import Ledger, Unreceived
from tests.simulator.settings import Auth

# Key of the connection's transport in the ASGI scope, put there by the server's protocol.
TRANSPORT = "simulator.transport"
_PAGE = b"<html><body><h1>404 Not Found</h1></body></html>"


class ApiAnswer(msgspec.Struct, frozen=True):
    """`created` names what the request made, if it made something."""

    status: int
    content: Any = None
    headers: dict[str, str] = {}
    created: str | None = None


class IncomingRequest(msgspec.Struct, frozen=True):
    """A request as operations see it."""

    ids: Mapping[str, str]
    query: Mapping[str, str]
    content_type: str
    authorization: str
    body: bytes


class RefusedRequest(Exception):
    """An error answer. `complaint` marks what the documents forbid, as opposed to what just happens."""

    def __init__(self, status: int, message: str, *, complaint: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.complaint = complaint


Operation = Callable[[IncomingRequest], ApiAnswer]


class SimulatedApi(Protocol):
    """What differs between the two APIs and the token endpoint."""

    auth: Auth | None

    def error(self, status: int, message: str) -> ApiAnswer: ...


class Gateway:
    def __init__(
        self,
        journal: Journal,
        faults: Faults,
        gates: Gates,
        authenticator: Authenticator,
        ledger: Ledger,
        account_id: str,
        latency: float,
    ) -> None:
        self.latency = latency
        self._journal = journal
        self._faults = faults
        self._gates = gates
        self._authenticator = authenticator
        self._ledger = ledger
        self._account_id = account_id
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Cut short whatever is being delayed."""
        self._closing.set()

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def route(self, api: SimulatedApi, method: str, path: str, name: str, operation: Operation) -> Route:
        async def endpoint(request: Request) -> Response:
            return await self._serve(request, api, name, operation)

        return Route(path, endpoint, methods=[method], name=name)

    def unknown(self, api: SimulatedApi, path: str) -> Route:
        """Whatever else is asked for below `path`: refused, and complained about."""

        def operation(_inquiry: IncomingRequest) -> ApiAnswer:
            raise RefusedRequest(404, "unknown or not simulated")

        async def endpoint(request: Request) -> Response:
            if request.method == "HEAD":
                # For the sake of the connection (assumed: nothing is documented, and nothing asked for).
                return Response(status_code=404)
            # Whoever asks, with credentials or without.
            self._journal.complain(f"{request.method} {request.url.path}: unknown or not simulated")
            return await self._serve(request, api, "unknown", operation)

        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        return Route(path, endpoint, methods=methods, name="unknown")

    async def _serve(self, request: Request, api: SimulatedApi, name: str, operation: Operation) -> Response:
        at = monotonic()
        try:
            body = await request.body()
        except ClientDisconnect:
            return Response(status_code=400)
        held = await self._gates.pass_through(name)
        fault = self._faults.take(name)
        answer: ApiAnswer | None = None
        if fault is None or fault.executed:
            answer = self._perform(request, api, body, operation)
        made = answer.created if answer is not None else None
        if fault is not None:
            answer = await self._strike(request, api, fault, answer)
        if answer is None:
            answer = self._perform(request, api, body, operation)
            made = answer.created
        if held or fault is not None:
            # A client that gave up meanwhile: its end of the connection has to be read first.
            await asyncio.sleep(0.002)
        if self.latency:
            # Of the whole request, unless it was held up: what serving it took so far is part of it.
            spent = 0.0 if held or fault is not None else monotonic() - at
            await self._wait(self.latency - spent)
        received = not await request.is_disconnected()
        if made is not None and (answer.created is None or not received):
            self._ledger.unreceived.append(Unreceived(name, made))
        self._record(
            request,
            name,
            at,
            body,
            answer,
            received=received,
            created=made,
            fault=None if fault is None else str(fault),
            told=made is None or _names(answer, made),
        )
        return _response(answer)

    def _perform(self, request: Request, api: SimulatedApi, body: bytes, operation: Operation) -> ApiAnswer:
        try:
            self._admit(request, api)
            return operation(
                IncomingRequest(
                    ids=request.path_params,
                    query=request.query_params,
                    content_type=request.headers.get("content-type", ""),
                    authorization=request.headers.get("authorization", ""),
                    body=body,
                )
            )
        except RefusedRequest as refusal:
            if refusal.complaint:
                self._journal.complain(
                    f"{request.method} {request.url.path}: {refusal} ({body.decode(errors='replace')})"
                )
            return api.error(refusal.status, str(refusal))

    def _admit(self, request: Request, api: SimulatedApi) -> None:
        if api.auth is None:
            return
        header = request.headers.get("authorization", "")
        if not self._authenticator.allows(header, api.auth):
            raise RefusedRequest(401, "Unauthorized")
        if request.path_params.get("accountId", self._account_id) != self._account_id:
            raise RefusedRequest(403, "Access is denied", complaint=True)

    async def _strike(
        self, request: Request, api: SimulatedApi, fault: Fault, answer: ApiAnswer | None
    ) -> ApiAnswer | None:
        """The answer as the fault leaves it; None means that the request is still to be performed."""
        if fault.delay:
            await self._wait(fault.delay)
        if fault.hang:
            await fault.released()
            if not fault.reset:
                return answer
        if fault.reset:
            request.scope["extensions"][TRANSPORT].abort()
            while (await request.receive())["type"] != "http.disconnect":
                pass
            return ApiAnswer(500)
        if fault.rewrite is not None and answer is not None:
            return _rewritten(answer, fault.rewrite, fault.status)
        if fault.status is None:
            return answer
        headers = {"Retry-After": fault.retry_after} if fault.retry_after is not None else {}
        if fault.page:
            return ApiAnswer(fault.status, _PAGE, {"Content-Type": "text/html", **headers})
        return msgspec.structs.replace(api.error(fault.status, fault.words), headers=headers)

    def _record(
        self,
        request: Request,
        name: str,
        at: float,
        body: bytes,
        answer: ApiAnswer,
        *,
        received: bool,
        created: str | None,
        fault: str | None,
        told: bool,
    ) -> None:
        scheme = request.headers.get("authorization", "").partition(" ")[0].lower()
        self._journal.answered(
            Recorded(
                operation=name,
                method=request.method,
                path=request.url.path,
                ids=dict(request.path_params),
                status=answer.status if received else None,
                at=at,
                ms=(monotonic() - at) * 1000,
                scheme=scheme or None,
                body=_json(body),
                received=received,
                created=created,
                host=request.url.hostname or "",
                fault=fault,
                told=told,
            )
        )


def read(inquiry: IncomingRequest, kind: type[Any]) -> Any:
    """The JSON body as `kind`, strictly; an absent body is an empty object."""
    if not inquiry.body:
        return msgspec.convert({}, kind)
    if inquiry.content_type.partition(";")[0].strip().lower() != "application/json":
        raise RefusedRequest(415, f"content type {inquiry.content_type!r} is not supported", complaint=True)
    try:
        return msgspec.json.decode(inquiry.body, type=kind)
    except msgspec.DecodeError as error:
        raise RefusedRequest(400, str(error), complaint=True) from None


def _rewritten(answer: ApiAnswer, rewrite: Callable[[Any], Any], status: int | None) -> ApiAnswer:
    """A refusal stays as it is: to say that it was carried out would be a lie that nobody can see through."""
    if answer.status >= 300:
        return answer
    content = rewrite(answer.content)
    status = status or answer.status
    return msgspec.structs.replace(
        answer, content=content, status=200 if status == 204 and content is not None else status
    )


def _names(answer: ApiAnswer, made: str) -> bool:
    """Whether the id of what was made is in the answer."""
    content = answer.content
    return made.encode() in (content if isinstance(content, bytes) else msgspec.json.encode(content))


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body) if body else None
    except msgspec.DecodeError:
        return body.decode(errors="replace")


def _response(answer: ApiAnswer) -> Response:
    if answer.content is None:
        return Response(status_code=answer.status, headers=answer.headers)
    if isinstance(answer.content, bytes):
        return Response(answer.content, status_code=answer.status, headers=answer.headers)
    return Response(
        msgspec.json.encode(answer.content),
        status_code=answer.status,
        headers=answer.headers,
        media_type="application/json;charset=UTF-8",
    )
