"""One request over the library that sends it: aiohttp over kept connections, httpx over fresh ones."""

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
from aiohttp.connector import Connection
from httpx_aiohttp import AiohttpTransport

from service.bandwidth.circuit import Circuit

BODY_LIMIT: Final = 1_000_000
"""Bytes."""
HEADERS: Final = {
    "user-agent": "pstn-bridge",
    "accept": "application/json",
    "accept-encoding": "identity",
}
_DNS_CACHE: Final = 60
"""Seconds."""


class Request(NamedTuple):
    """`connect`: seconds for the connection alone. `deadline`: of the event loop's clock.

    `about`: the one thing at Bandwidth with which it may fail although the API is well.
    """

    operation: str
    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None
    connect: float
    deadline: float
    circuit: Circuit | None
    engine: "Engine"
    about: str = ""


class Answer(NamedTuple):
    """Whatever came back. `body` is None when it is too large to be an answer to anything we ask."""

    status: int
    body: bytes | None
    headers: Mapping[str, str]


class Engine(Protocol):
    """Sends requests. Raises its library's exceptions, for `Http` to tell apart."""

    async def exchange(self, request: Request, authorization: str) -> Answer: ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class Progress:
    """How often one request has been sent: aiohttp repeats idempotent ones by itself, once."""

    sent: int = 0


progress: ContextVar[Progress | None] = ContextVar("request_progress", default=None)


class _Counted(aiohttp.ClientRequest):
    """Tells how often it is sent. A trace, aiohttp's own way to see that, costs a quarter of a request."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if (counted := progress.get()) is not None:
            counted.sent += 1
        return await super().send(conn)


class _Connections(aiohttp.TCPConnector):
    """What was used last is used first: it is the least likely to be closed by now, and the rest may go.

    aiohttp takes what has been idle for longest, so that after a busy minute all of its connections are kept
    in turn; each is a cold start for this side and the other.
    """

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        super()._release(key, protocol, should_close=should_close)
        if idle := self._conns.get(key):
            idle.rotate(1)


@cache
def _authorities() -> ssl.SSLContext:
    """Whom we trust, read once in a process: that takes some 40 ms of processor time."""
    return httpx.create_ssl_context()


class Pooled:
    """aiohttp itself, over connections that are kept: httpx above it costs three times as much."""

    def __init__(self, connections: int, keep_alive: float) -> None:
        """The session comes into being with the first request, inside the running loop."""
        self._make = partial(_session, limit=connections, keepalive_timeout=keep_alive)
        self._session: aiohttp.ClientSession | None = None

    async def knock(self, url: str) -> None:
        async with self._connected.head(url, headers=HEADERS, allow_redirects=False):
            pass

    @property
    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self._make()
        return self._session

    async def exchange(self, request: Request, authorization: str) -> Answer:
        async with self._connected.request(
            request.method,
            request.url,
            headers={**request.headers, "authorization": authorization},
            data=request.content,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(sock_connect=request.connect),
        ) as response:
            body = await (response.read() if _small(response) else _bounded(response.content.iter_any()))
            return Answer(response.status, body, response.headers)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class Unpooled:
    """httpx, over a connection for each request."""

    def __init__(self, connections: int) -> None:
        """The session comes into being with the first request, inside the running loop."""
        # httpx writes a line with the URL for each request; `request.sent` says what is worth saying.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._client = httpx.AsyncClient(
            transport=AiohttpTransport(
                verify=_authorities(), client=partial(_session, limit=connections, force_close=True)
            ),
            # An empty list of domains refuses every cookie; httpx has no switch for that.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"connection": "close"},
            trust_env=False,
            follow_redirects=False,
        )

    async def exchange(self, request: Request, authorization: str) -> Answer:
        async with self._client.stream(
            request.method,
            request.url,
            headers={**request.headers, "authorization": authorization},
            content=request.content,
            timeout=httpx.Timeout(None, connect=request.connect),
        ) as response:
            return Answer(response.status_code, await _bounded(response.aiter_bytes()), response.headers)

    async def close(self) -> None:
        await self._client.aclose()


def _session(*, limit: int, **kept: Any) -> aiohttp.ClientSession:
    """`kept`: for how long, or not at all; aiohttp takes one or the other."""
    return aiohttp.ClientSession(
        connector=_Connections(limit=limit, ttl_dns_cache=_DNS_CACHE, ssl=_authorities(), **kept),
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=_Counted,
        trust_env=False,
    )


def _small(response: aiohttp.ClientResponse) -> bool:
    """Whether it says so itself, and is not packed. Most are, and are read in one piece."""
    length = response.content_length
    return length is not None and length <= BODY_LIMIT and "content-encoding" not in response.headers


async def _bounded(pieces: AsyncIterator[bytes]) -> bytes | None:
    """The body, or None when it is too large to be an answer to anything we ask."""
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > BODY_LIMIT:
            return None
    return bytes(body)
