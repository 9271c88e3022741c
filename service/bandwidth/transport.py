"""Sends one request: aiohttp over kept connections, httpx over fresh ones."""

import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, NamedTuple, Protocol

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from httpx_aiohttp import AiohttpTransport

from service.bandwidth.circuit import Circuit

BODY_LIMIT: Final = 1_000_000
"""Bytes."""
HEADERS: Final = {
    "user-agent": "pstn-bridge",
    "accept": "application/json",
    "accept-encoding": "identity",
}
_DNS_CACHE_TTL: Final = 60
"""Seconds."""
_INTERIM: Final = frozenset({100, *range(102, 200)})
"""101 is an end of HTTP, and one of the answer."""
_INTERIM_LIMIT: Final = 20
"""Before one answer. We ask for none, and a gateway may send a few."""


class HttpRequest(NamedTuple):
    """`connect_timeout`: seconds for the connection alone. `deadline`: of the event loop's clock.

    `failure_key`: the one thing at Bandwidth with which it may fail although the API is well.
    """

    operation: str
    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None
    connect_timeout: float
    deadline: float
    circuit: Circuit | None
    transport: "Transport"
    failure_key: str = ""


class RawResponse(NamedTuple):
    """Whatever came back.

    `body` is None when it cannot be an answer to what we ask: `body_error` says why.
    """

    status: int
    body: bytes | None
    headers: Mapping[str, str]
    body_error: str = ""


class Transport(Protocol):
    """Sends requests. Raises its library's exceptions, for `HttpClient` to tell apart."""

    async def exchange(self, request: HttpRequest, authorization: str) -> RawResponse: ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class SendCounter:
    """How often one request has been sent: aiohttp repeats idempotent ones by itself, once."""

    sent: int = 0


current_send_counter: ContextVar[SendCounter | None] = ContextVar("request_progress", default=None)


class _CountingRequest(aiohttp.ClientRequest):
    """Tells how often it is sent. A trace, aiohttp's own way to see that, costs a quarter of a request."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if (counted := current_send_counter.get()) is not None:
            counted.sent += 1
        return await super().send(conn)


class _BoundedResponseHandler(ResponseHandler):
    """Bounds what comes before an answer: aiohttp passes over interim ones (1xx) without an end."""

    interim = 0

    def feed_data(self, data: Any, size: int = 0) -> None:
        message, _ = data
        if message.code not in _INTERIM:
            self.interim = 0
            super().feed_data(data, size)
        elif self.interim < _INTERIM_LIMIT:
            self.interim += 1
        elif self.transport is not None and self.exception() is None:
            self.set_exception(HttpProcessingError(message="interim responses without end"))
            self.transport.close()


class _RecentFirstConnector(aiohttp.TCPConnector):
    """What was used last is used first: it is the least likely to be closed by now, and the rest may go.

    aiohttp takes what has been idle for longest, so that after a busy minute all of its connections are kept
    in turn; each is a cold start for this side and the other.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(_BoundedResponseHandler, loop=self._loop)  # type: ignore[assignment] # it is a handler

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        super()._release(key, protocol, should_close=should_close)
        if idle := self._conns.get(key):
            idle.rotate(1)


@cache
def _ssl_context() -> ssl.SSLContext:
    """Whom we trust, read once in a process: that takes some 40 ms of processor time."""
    return httpx.create_ssl_context()


class PooledTransport:
    """aiohttp itself, over connections that are kept: httpx above it costs three times as much."""

    def __init__(self, connections: int, keep_alive: float) -> None:
        """The session comes into being with the first request, inside the running loop."""
        self._make = partial(_session, limit=connections, keepalive_timeout=keep_alive)
        self._session: aiohttp.ClientSession | None = None

    async def open_connection(self, url: str) -> None:
        async with self._connected.head(url, headers=HEADERS, allow_redirects=False):
            pass

    @property
    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self._make()
        return self._session

    async def exchange(self, request: HttpRequest, authorization: str) -> RawResponse:
        async with self._connected.request(
            request.method,
            request.url,
            headers={**request.headers, "authorization": authorization},
            data=request.content,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(sock_connect=request.connect_timeout),
        ) as response:
            if _small(response):
                return RawResponse(response.status, await response.read(), response.headers)
            return await _read_bounded(response.status, response.headers, response.content.iter_any())

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class FreshTransport:
    """httpx, over a connection for each request."""

    def __init__(self, connections: int) -> None:
        """The session comes into being with the first request, inside the running loop."""
        # httpx writes a line with the URL for each request; `request.sent` says what is worth saying.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._client = httpx.AsyncClient(
            transport=AiohttpTransport(
                verify=_ssl_context(), client=partial(_session, limit=connections, force_close=True)
            ),
            # An empty list of domains refuses every cookie; httpx has no switch for that.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"connection": "close"},
            trust_env=False,
            follow_redirects=False,
        )

    async def exchange(self, request: HttpRequest, authorization: str) -> RawResponse:
        async with self._client.stream(
            request.method,
            request.url,
            headers={**request.headers, "authorization": authorization},
            content=request.content,
            timeout=httpx.Timeout(None, connect=request.connect_timeout),
        ) as response:
            return await _read_bounded(response.status_code, response.headers, response.aiter_raw())

    async def close(self) -> None:
        await self._client.aclose()


def _session(*, limit: int, **kept: Any) -> aiohttp.ClientSession:
    """`kept`: for how long, or not at all; aiohttp takes one or the other."""
    return aiohttp.ClientSession(
        connector=_RecentFirstConnector(
            limit=limit, ttl_dns_cache=_DNS_CACHE_TTL, ssl=_ssl_context(), **kept
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=_CountingRequest,
        # A body is packed by whoever does as we did not ask: unpacking it has no bound.
        auto_decompress=False,
        trust_env=False,
    )


def _small(response: aiohttp.ClientResponse) -> bool:
    """Whether it says so itself, and is not packed. Most are, and are read in one piece."""
    length = response.content_length
    return length is not None and length <= BODY_LIMIT and "content-encoding" not in response.headers


async def _read_bounded(status: int, headers: Mapping[str, str], pieces: AsyncIterator[bytes]) -> RawResponse:
    if headers.get("content-encoding", "").strip().lower() not in {"", "identity"}:
        return RawResponse(status, None, headers, "packed, and we ask for what is not")
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > BODY_LIMIT:
            return RawResponse(status, None, headers, f"body over {BODY_LIMIT} bytes")
    return RawResponse(status, bytes(body), headers)
