"""What is ready for a caller after hours in which nobody called: connections, and a token."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from service.bandwidth.api_client import HttpClient
from service.bandwidth.auth import Basic, OAuth
from service.bandwidth.keepalive import KeepAlive
from service.clock import SystemClock
from service.metrics import Metrics
from tests.bandwidth.support import Loopback, Reply
from tests.waiting import wait_until

IDLE = 0.5
"""Seconds after which the server below closes a connection on which nothing comes."""


class ClosingServer:
    """A server that closes idle connections, as load balancers do."""

    def __init__(self) -> None:
        self.connections = 0
        self.heads: list[bytes] = []
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with server:
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.heads.append(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), IDLE))
                # Slow enough for requests that are sent at the same time to need a connection each.
                await asyncio.sleep(0.05)
                writer.write(b"HTTP/1.1 404 x\r\ncontent-length: 0\r\n\r\n")
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def keep_alive(
    http: HttpClient, url: str, connections: int, *, every: float = 0.2
) -> AsyncIterator[None]:
    warmth = KeepAlive(
        http=http, credentials=(), url=url, connections=connections, clock=SystemClock(), every=every
    )
    running = asyncio.get_running_loop().create_task(warmth.run())
    yield
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def ask(http: HttpClient, url: str) -> None:
    with pytest.raises(Exception, match="misrouted"):
        await http.send("ask", "GET", url, credentials=Basic("u", "secret"), timeout=5)


@pytest.mark.parametrize(("connections", "new"), [(2, 0), (0, 2)])
async def test_after_a_quiet_while_two_requests_need_no_new_connection(connections: int, new: int) -> None:
    http, server = HttpClient(), ClosingServer()
    async with server.serving():
        async with keep_alive(http, server.url, connections):
            await asyncio.gather(ask(http, server.url), ask(http, server.url))
            await asyncio.sleep(3 * IDLE)
            # Between two knocks: while one is under way its connection is not free.
            knocks = len(server.heads)
            await wait_until(lambda: len(server.heads) == knocks + connections)
            await asyncio.sleep(0.1)
            before = server.connections
            await asyncio.gather(ask(http, server.url), ask(http, server.url))
            assert server.connections - before == new
        await http.close()
        await asyncio.sleep(0.05)


async def test_what_keeps_a_connection_says_nothing_of_us_and_is_not_counted() -> None:
    metrics = Metrics()
    http, server = HttpClient(metrics=metrics), ClosingServer()
    async with server.serving():
        async with keep_alive(http, server.url, 1):
            await wait_until(lambda: len(server.heads) > 1)
        await http.close()
        await asyncio.sleep(0.05)
    assert all(head.startswith(b"HEAD /v1 ") for head in server.heads)
    assert b"authorization" not in b"".join(server.heads).lower()
    page, _ = metrics.render("", None)
    assert b"pstn_bandwidth_requests_total{" not in page


async def test_a_server_that_is_away_is_knocked_at_again() -> None:
    http, server = HttpClient(), ClosingServer()
    async with server.serving():
        url = server.url
    async with keep_alive(http, url, 1, every=0.05):
        await asyncio.sleep(0.2)
    assert server.connections == 0
    await http.close()
    await http.open_connection(url)  # closed, and still no error


@asynccontextmanager
async def tended(bandwidth: Loopback) -> AsyncIterator[OAuth]:
    http = HttpClient()
    oauth = OAuth(client_id="id", client_secret="s", token_url=bandwidth.url, http=http, clock=SystemClock())
    warmth = KeepAlive(http=http, credentials=(oauth,), url="", connections=0, clock=SystemClock())
    running = asyncio.get_running_loop().create_task(warmth.run())
    yield oauth
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await http.close()


def grant(number: int, lifetime: float) -> Reply:
    return Reply(200, {"access_token": f"token-{number}", "expires_in": lifetime})


async def test_a_token_is_replaced_while_nobody_needs_it() -> None:
    async with Loopback().serving() as bandwidth:
        bandwidth.answers(grant(1, 1.5), grant(2, 3600))
        async with tended(bandwidth) as oauth:
            await wait_until(lambda: len(bandwidth.seen) == 2, seconds=10)
            await wait_until(lambda: oauth.current == "Bearer token-2")
            await asyncio.sleep(1.2)
            assert len(bandwidth.seen) == 2, "that one is good for an hour"


class FaultyCredentials(Basic):
    """Fails in a way that nobody has thought of."""

    tended = 0

    async def refresh_if_due(self) -> None:
        self.tended += 1
        raise LookupError


class FaultyApiClient(HttpClient):
    knocked = 0

    async def open_connection(self, url: str) -> None:
        self.knocked += 1
        raise LookupError(url)


async def test_a_fault_of_ours_ends_neither_loop() -> None:
    http, credentials = FaultyApiClient(), FaultyCredentials("user", "password")
    warmth = KeepAlive(
        http=http, credentials=(credentials,), url="", connections=1, clock=SystemClock(), every=0.01
    )
    running = asyncio.get_running_loop().create_task(warmth.run())
    await wait_until(lambda: http.knocked > 3 and credentials.tended > 3)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await http.close()


async def test_one_that_lasts_a_moment_is_no_reason_to_ask_without_end() -> None:
    async with Loopback().serving() as bandwidth:
        bandwidth.answers(grant(1, 0.01))
        async with tended(bandwidth):
            await asyncio.sleep(1.5)
            assert len(bandwidth.seen) <= 3


async def test_after_a_failure_it_pauses() -> None:
    async with Loopback().serving() as bandwidth:
        bandwidth.answers(Reply(500))
        async with tended(bandwidth) as oauth:
            await asyncio.sleep(1.0)
            assert len(bandwidth.seen) == 1
            assert oauth.current == ""
            assert await oauth.refresh_if_due() > 3
