# ruff: noqa: ASYNC109 - each request has its deadline: `send` logs and classifies what ran out of it
"""Sends every request to Bandwidth: credentials, deadlines, one log line and one kind of error for each."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple, Protocol
from urllib.parse import urlencode

import aiohttp
import httpx
import structlog

from service.bandwidth.circuit import Circuit
from service.bandwidth.errors import BandwidthError, error_for_status, invalid_response, parse_http_date
from service.bandwidth.request_log import RequestEntry, count_requests, track_request, work_key
from service.bandwidth.transport import (
    HEADERS,
    FreshTransport,
    HttpRequest,
    PooledTransport,
    SendCounter,
    Transport,
    current_send_counter,
)
from service.clock import Clock, SystemClock
from service.metrics import UNKNOWN, Metrics

CONNECT_TIMEOUT = 5.0
# Enough for 200 requests of callers who wait while as many are made for those who have left.
CONNECTIONS = 400
# Seconds: less may be the way of an answer, and the whole seconds of its date.
_DATE_TOLERANCE = 10.0
# aiohttp drops idle connections after 15 s. Calls come in bursts, and a TLS handshake costs what a caller
# hears as silence. Below 350 s, after which the NAT gateways of large clouds forget a connection silently.
KEEP_ALIVE = 300.0

log = structlog.get_logger()


class ApiCredentials(Protocol):
    """What goes into the Authorization header of a request."""

    @property
    def current(self) -> str:
        """The header's value where it is there already; empty where it has to be asked for."""
        ...

    async def header(self) -> str:
        """The header's value. Raises BandwidthError, `no-token` where we are refused one."""
        ...

    def invalidate(self, header: str) -> bool:
        """A request with this header got a 401. True when asking for the header again may help."""
        ...

    @property
    def obtained(self) -> bool:
        """Whether there is something to show: a probe asks for it."""
        ...

    @property
    def age(self) -> float | None:
        """Seconds since it was obtained; None where there is nothing that ends."""
        ...

    @property
    def unreachable_since(self) -> float | None:
        """As in `Reach`: of who gives it out, while there is nothing to show. None where there is."""
        ...

    @property
    def circuits(self) -> tuple[Circuit, ...]:
        """Of the requests that it makes."""
        ...

    async def prefetch(self) -> None:
        """Have it ready before the first request needs it. Raises BandwidthError as `header` does."""
        ...

    async def refresh_if_due(self) -> float | None:
        """Replace it if it is about to end; in how many seconds to look again, None for never."""
        ...


class Response(NamedTuple):
    """A 2xx response, read to its end. `next_page`: what its Link header gives as that, as it came."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    next_page: str | None = None


class HttpClient:
    """Sends requests over one pool of connections, which comes into being with the first of them.

    A server may close an idle connection at the moment we use it, and then nobody knows what became of the
    request. One that must not be repeated is therefore sent over a fresh connection, outside the pool. That
    costs the round trips of two handshakes, TCP and TLS, and a lookup of the name in each minute besides the
    pool's.

    Nothing of the environment's proxies, `.netrc` or cookies is used and no redirect is followed: each of
    them could carry credentials elsewhere. `SSL_CERT_FILE` and `SSL_CERT_DIR` are obeyed.
    """

    def __init__(
        self,
        *,
        connections: int = CONNECTIONS,
        keep_alive: float = KEEP_ALIVE,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """`connections`: how many at the same time, all hosts together. `keep_alive`: idle seconds."""
        self.clock = clock or SystemClock()
        self.metrics = metrics or Metrics()
        self.last_server_date: tuple[float, str] | None = None
        """When the latest answer came, in seconds since the epoch, and what its Date header says."""
        self._closed = False
        self._pooled_transport = PooledTransport(connections, keep_alive)
        self._fresh_transport: Transport = FreshTransport(connections)

    def to_bandwidth_time(self, at: float) -> float:
        """A moment of ours as Bandwidth's clock has it, as far as the latest answer tells."""
        came, date = self.last_server_date or (0.0, "")
        then = parse_http_date(date)
        return at if then is None or abs(came - then) < _DATE_TOLERANCE else at - (came - then)

    async def close(self) -> None:
        """Closes all connections. A request sent afterwards is `unreachable`."""
        self._closed = True
        await self._pooled_transport.close()
        await self._fresh_transport.close()

    async def open_connection(self, url: str) -> None:
        """A request for the sake of its connection, which is open when another needs it.

        It has no credentials, is in no count and in no log, and whatever comes of it is fine.
        """
        with suppress(aiohttp.ClientError, OSError):
            async with asyncio.timeout(CONNECT_TIMEOUT):
                if not self._closed:
                    await self._pooled_transport.open_connection(url)

    async def send(
        self,
        operation: str,
        method: str,
        url: str,
        *,
        credentials: ApiCredentials,
        circuit: Circuit | None = None,
        json: bytes | None = None,
        form: Mapping[str, str] | None = None,
        timeout: float,
        attempt: int = 1,
        fresh_connection: bool = False,
        failure_key: str = "",
    ) -> Response:
        """Sends one request and gives its 2xx response.

        `timeout`: seconds for all of it, the token and the connection included. `circuit`: refuses it while
        the API is down, and learns how it fared. `json`: an encoded body. `attempt`: the how-manieth time
        this is sent, for the log and the tally. `fresh_connection`: over a connection of its own.
        `failure_key`: the one thing that it may be about; all failures with that are one to the circuit, and
        otherwise all of one piece of work. A 401 is followed by one repeat where other credentials may help.
        A connection that breaks before any byte of the response (a server may close an idle one at the moment
        we use it) is followed by one repeat at once for GET, PUT and DELETE: aiohttp does that. Raises
        BandwidthError for everything else that is not a 2xx.
        """
        content = json if form is None else urlencode(form).encode()
        kind = "application/json" if form is None else "application/x-www-form-urlencoded"
        headers = HEADERS if content is None else HEADERS | {"content-type": kind}
        request = HttpRequest(
            operation,
            method,
            url,
            headers,
            content,
            connect_timeout=min(timeout, CONNECT_TIMEOUT),
            deadline=asyncio.get_running_loop().time() + timeout,
            transport=self._fresh_transport if fresh_connection else self._pooled_transport,
            circuit=circuit,
            failure_key=failure_key,
        )
        entry = track_request(operation, self.clock.monotonic())
        try:
            response = await self._send_authorized(request, credentials, entry, attempt)
        except BandwidthError as error:
            entry.status, entry.error = error.status, error.code
            raise
        finally:
            entry.seconds = self.clock.monotonic() - entry.started
        entry.status, entry.error = response.status, ""
        return response

    async def _send_authorized(
        self, request: HttpRequest, credentials: ApiCredentials, entry: RequestEntry, attempt: int
    ) -> Response:
        authorization = credentials.current or await _get_authorization(request, credentials)
        try:
            return await self._send_through_circuit(request, authorization, entry, attempt)
        except BandwidthError as error:
            if error.status != 401 or not credentials.invalidate(authorization):
                raise
        authorization = await _get_authorization(request, credentials)
        return await self._send_through_circuit(request, authorization, entry, attempt + 1)

    async def _send_through_circuit(
        self, request: HttpRequest, authorization: str, entry: RequestEntry, attempt: int
    ) -> Response:
        circuit = request.circuit
        if circuit is None:
            return await self._send_once(request, authorization, entry, attempt)
        await circuit.admit(request.operation, request.deadline)
        with circuit.observe(request.failure_key or work_key(request.operation)):
            return await self._send_once(request, authorization, entry, attempt)

    async def _send_once(
        self, request: HttpRequest, authorization: str, entry: RequestEntry, attempt: int
    ) -> Response:
        """One request: counted and logged whatever becomes of it."""
        operation, counted = request.operation, SendCounter()
        reset = current_send_counter.set(counted)
        started = self.clock.monotonic()
        outcome: dict[str, int | str | None] = {"error": "cancelled"}
        try:
            async with asyncio.timeout_at(request.deadline):
                response = await self._exchange(request, authorization)
            outcome = {"status": response.status}
        except BandwidthError as error:
            outcome = {"status": error.status, "error": error.code}
            raise
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            failure = _connection_error(operation, error, was_sent=counted.sent > 0)
            outcome = {"error": failure.code}
            raise failure from error
        finally:
            current_send_counter.reset(reset)
            seconds = self.clock.monotonic() - started
            times = max(counted.sent, 1)
            entry.send_count += times
            retries = count_requests(requests=times, attempt=attempt)
            api = request.circuit.api if request.circuit else UNKNOWN
            self.metrics.request(api, operation, _status(outcome), seconds, retries=retries)
            ms = round(1000 * seconds, 1)
            write = log.warning if "error" in outcome else log.info
            write("request.sent", operation=operation, ms=ms, attempt=attempt, **outcome)
        return response

    async def _exchange(self, request: HttpRequest, authorization: str) -> Response:
        operation = request.operation
        if self._closed:
            raise BandwidthError(operation, "unreachable", retryable=True, detail="our HTTP client is closed")
        status, body, headers, unfit = await request.transport.exchange(request, authorization)
        if date := headers.get("date"):
            self.last_server_date = self.clock.now(), date
        if not 200 <= status < 300:
            raise error_for_status(operation, status, body=body or b"", headers=headers, now=self.clock.now())
        if body is None:
            raise invalid_response(operation, unfit, status=status)
        return Response(status, body, headers, _next_page(headers))


def _status(outcome: Mapping[str, int | str | None]) -> str:
    """The status, unless that was fine and what came with it was not."""
    status, error = outcome.get("status"), outcome.get("error")
    fine = status is None or (isinstance(status, int) and status < 300)
    return str(error if error and fine else status)


async def _get_authorization(request: HttpRequest, credentials: ApiCredentials) -> str:
    try:
        async with asyncio.timeout_at(request.deadline):
            return await credentials.header()
    except TimeoutError as error:
        raise BandwidthError(
            request.operation, "timeout", retryable=True, detail="waited for a token"
        ) from error


def _next_page(headers: Mapping[str, str]) -> str | None:
    """As it came: neither completed nor followed. `<URL>; rel="next"` and others (RFC 8288), read once."""
    links, at = headers.get("link", ""), 0
    while (start := links.find("<", at)) >= 0 and (end := links.find(">", start)) >= 0:
        at = links.find("<", end)
        parameters = links[end + 1 : at if at >= 0 else None]
        for one in parameters.split(";"):
            name, _, value = one.partition("=")
            if name.strip().lower() == "rel" and value.strip(" ,\"'").lower() == "next":
                return links[start + 1 : end]
        if at < 0:
            break
    return None


def _connection_error(operation: str, error: Exception, *, was_sent: bool) -> BandwidthError:
    """No response, or not all of one.

    `was_sent`: the request went out, so that Bandwidth may have acted on it.

    The transport calls every broken connection a connect timeout, so aiohttp's own exception decides.
    """
    cause = error.__cause__ if isinstance(error, httpx.HTTPError) and error.__cause__ else error
    if isinstance(cause, TimeoutError):
        code, retry = "timeout", True
    elif isinstance(cause, aiohttp.ClientResponseError):
        code, retry = "invalid-response", False
    else:
        code, retry = "unreachable", True
    return BandwidthError(
        operation, code, retryable=retry, detail=type(cause).__name__, may_have_happened=was_sent
    )
