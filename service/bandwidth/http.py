# ruff: noqa: ASYNC109 - each request has its deadline: `send` logs and classifies what ran out of it
"""The one HTTP client: connections, deadlines, one log line for each request. All of httpx stays in here."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import SimpleNamespace
from typing import NamedTuple, Protocol
from urllib.parse import urlencode

import aiohttp
import httpx
import structlog
from httpx_aiohttp import AiohttpTransport

from service.bandwidth.circuit import Circuit
from service.bandwidth.errors import BandwidthError, invalid_response, refused
from service.bandwidth.tally import Sent, begin, count
from service.clock import Clock, SystemClock
from service.metrics import UNKNOWN, Metrics

BODY_LIMIT = 1_000_000
CONNECT_TIMEOUT = 5.0
DNS_CACHE = 60
# aiohttp drops idle connections after 15 s. Calls come in bursts, and a TLS handshake costs what a caller
# hears as silence. Below 350 s, after which the NAT gateways of large clouds forget a connection silently.
KEEP_ALIVE = 300.0

log = structlog.get_logger()


class Credentials(Protocol):
    """What goes into the Authorization header of a request."""

    async def header(self) -> str:
        """The header's value. Raises BandwidthError, `no-token` where we are refused one."""
        ...

    def rejected(self, header: str) -> bool:
        """A request with this header got a 401. True when asking for the header again may help."""
        ...

    @property
    def obtained(self) -> bool:
        """Whether there is something to show: a probe asks for it."""
        ...

    async def warm(self) -> None:
        """Have it ready before the first request needs it. Raises BandwidthError as `header` does."""
        ...


class Response(NamedTuple):
    """A 2xx response, read to its end. `next_page`: what its Link header gives as that, as it came."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    next_page: str | None = None


@dataclass(slots=True)
class _Progress:
    """How often the head of one request has gone out: aiohttp repeats idempotent ones by itself, once."""

    sent: int = 0


_progress: ContextVar[_Progress | None] = ContextVar("request_progress", default=None)


@cache
def _authorities() -> ssl.SSLContext:
    """Whom we trust, read once in a process: that takes some 40 ms of processor time."""
    return httpx.create_ssl_context()


class Http:
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
        connections: int = 200,
        keep_alive: float = KEEP_ALIVE,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """`connections`: how many at the same time, all hosts together. `keep_alive`: idle seconds."""
        self._connections = connections
        self._keep_alive = keep_alive
        self.clock = clock or SystemClock()
        self.metrics = metrics or Metrics()
        self.heard: tuple[float, str] | None = None
        """When the latest answer came, in seconds since the epoch, and what its Date header says."""
        self._closed = False
        # httpx writes a line with the URL for each request; `request.sent` says what is worth saying.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._tls = _authorities()
        self._pooled = self._client(fresh=False)
        self._unpooled = self._client(fresh=True)

    def _client(self, *, fresh: bool) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=AiohttpTransport(verify=self._tls, client=lambda: self._session(fresh=fresh)),
            # An empty list of domains refuses every cookie; httpx has no switch for that.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={
                "user-agent": "pstn-bridge",
                "accept": "application/json",
                "accept-encoding": "identity",
                "connection": "close" if fresh else "keep-alive",
            },
            trust_env=False,
            follow_redirects=False,
        )

    def _session(self, *, fresh: bool) -> aiohttp.ClientSession:
        """Called by the transport with the first request, inside the running loop."""
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_head_sent)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections,
                # aiohttp takes one or the other.
                **({"force_close": True} if fresh else {"keepalive_timeout": self._keep_alive}),
                ttl_dns_cache=DNS_CACHE,
                ssl=self._tls,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
            trust_env=False,
        )

    async def close(self) -> None:
        """Closes all connections. A request sent afterwards is `unreachable`."""
        self._closed = True
        await self._pooled.aclose()
        await self._unpooled.aclose()

    async def send(
        self,
        operation: str,
        method: str,
        url: str,
        *,
        credentials: Credentials,
        circuit: Circuit | None = None,
        json: bytes | None = None,
        form: Mapping[str, str] | None = None,
        timeout: float,
        attempt: int = 1,
        fresh: bool = False,
    ) -> Response:
        """Sends one request and gives its 2xx response.

        `timeout`: seconds for all of it, the token and the connection included. `circuit`: refuses it while
        the API is down, and learns how it fared. `json`: an encoded body. `attempt`: the how-manieth time
        this is sent, for the log and the tally. `fresh`: over a connection of its own. A 401 is followed by
        one repeat where other credentials may help. A connection that breaks before any byte of the response
        (a server may close an idle one at the moment we use it) is followed by one repeat at once for GET,
        PUT and DELETE: aiohttp does that. Raises BandwidthError for everything else that is not a 2xx.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        content = json if form is None else urlencode(form).encode()
        headers = {
            "content-type": "application/json" if form is None else "application/x-www-form-urlencoded"
        }
        client = self._unpooled if fresh else self._pooled
        connect = httpx.Timeout(None, connect=min(timeout, CONNECT_TIMEOUT))

        async def once(authorization: str, attempt: int) -> Response:
            request = client.build_request(
                method,
                url,
                headers={"authorization": authorization} | (headers if content is not None else {}),
                content=content,
                timeout=connect,
            )
            api = circuit.name if circuit else UNKNOWN
            async with circuit.passing(operation, deadline) if circuit else nullcontext():
                return await self._once(api, sent, client, request, deadline, attempt)

        with self._noted(operation) as sent:
            response = await self._authorized(operation, credentials, deadline, attempt, once)
            sent.status, sent.error = response.status, ""
        return response

    @contextmanager
    def _noted(self, operation: str) -> Iterator[Sent]:
        """In the tally of whoever is counting, whatever becomes of it, and also while it is under way."""
        sent = begin(operation, self.clock.monotonic())
        try:
            yield sent
        except BandwidthError as error:
            sent.status, sent.error = error.status, error.code
            raise
        finally:
            sent.seconds = self.clock.monotonic() - sent.began

    async def _authorized(
        self,
        operation: str,
        credentials: Credentials,
        deadline: float,
        attempt: int,
        once: Callable[[str, int], Awaitable[Response]],
    ) -> Response:

        authorization = await _authorization(operation, credentials, deadline)
        try:
            return await once(authorization, attempt)
        except BandwidthError as error:
            if error.status != 401 or not credentials.rejected(authorization):
                raise
        return await once(await _authorization(operation, credentials, deadline), attempt + 1)

    async def _once(
        self,
        api: str,
        sent: Sent,
        client: httpx.AsyncClient,
        request: httpx.Request,
        deadline: float,
        attempt: int,
    ) -> Response:
        """One request: counted and logged whatever becomes of it."""
        operation, progress = sent.operation, _Progress()
        reset = _progress.set(progress)
        started = self.clock.monotonic()
        outcome: dict[str, int | str | None] = {"error": "cancelled"}
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._exchange(operation, client, request)
            outcome = {"status": response.status}
        except BandwidthError as error:
            outcome = {"status": error.status, "error": error.code}
            raise
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            failure = _broken(operation, error, sent=progress.sent > 0)
            outcome = {"error": failure.code}
            raise failure from error
        finally:
            _progress.reset(reset)
            seconds = self.clock.monotonic() - started
            times = max(progress.sent, 1)
            sent.times += times
            retries = count(requests=times, attempt=attempt)
            self.metrics.request(api, operation, _status(outcome), seconds, retries=retries)
            ms = round(1000 * seconds, 1)
            write = log.warning if "error" in outcome else log.info
            write("request.sent", operation=operation, ms=ms, attempt=attempt, **outcome)
        return response

    async def _exchange(self, operation: str, client: httpx.AsyncClient, request: httpx.Request) -> Response:
        if self._closed:
            raise BandwidthError(operation, "unreachable", retry=True, detail="our HTTP client is closed")
        response = await client.send(request, stream=True)
        try:
            body = await _bounded(response)
        finally:
            await response.aclose()
        if date := response.headers.get("date"):
            self.heard = self.clock.now(), date
        if not response.is_success:
            status, now = response.status_code, self.clock.now()
            raise refused(operation, status, body=body or b"", headers=response.headers, now=now)
        if body is None:
            raise invalid_response(operation, f"body over {BODY_LIMIT} bytes", status=response.status_code)
        next_page = response.links.get("next", {}).get("url")
        return Response(response.status_code, body, response.headers, next_page)


def _status(outcome: Mapping[str, int | str | None]) -> str:
    """The status, unless that was fine and what came with it was not."""
    status, error = outcome.get("status"), outcome.get("error")
    fine = status is None or (isinstance(status, int) and status < 300)
    return str(error if error and fine else status)


async def _authorization(operation: str, credentials: Credentials, deadline: float) -> str:
    try:
        async with asyncio.timeout_at(deadline):
            return await credentials.header()
    except TimeoutError as error:
        raise BandwidthError(operation, "timeout", retry=True, detail="waited for a token") from error


async def _head_sent(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, _sent: aiohttp.TraceRequestHeadersSentParams
) -> None:
    if (progress := _progress.get()) is not None:
        progress.sent += 1


async def _bounded(response: httpx.Response) -> bytes | None:
    """The body, or None when it is too large to be an answer to anything we ask."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > BODY_LIMIT:
            return None
    return bytes(body)


def _broken(operation: str, error: Exception, *, sent: bool) -> BandwidthError:
    """No response, or not all of one. `sent`: the request went out, so that Bandwidth may have acted on it.

    The transport calls every broken connection a connect timeout, so aiohttp's own exception decides.
    """
    cause = error.__cause__ if isinstance(error, httpx.HTTPError) and error.__cause__ else error
    if isinstance(cause, TimeoutError):
        code, retry = "timeout", True
    elif isinstance(error, httpx.DecodingError) or isinstance(cause, aiohttp.ClientResponseError):
        code, retry = "invalid-response", False
    else:
        code, retry = "unreachable", True
    return BandwidthError(operation, code, retry=retry, detail=type(cause).__name__, may_have_happened=sent)
