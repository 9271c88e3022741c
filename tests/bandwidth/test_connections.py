import asyncio
import gzip
import socket

import pytest

from service.bandwidth.api_client import HttpClient
from service.bandwidth.auth import Basic
from service.bandwidth.errors import BandwidthError
from service.bandwidth.request_log import RequestLog, record_requests
from service.bandwidth.transport import BODY_LIMIT
from service.tasks import Tasks
from tests.bandwidth.support import BASIC, Loopback, RawServer, Reply, failed, get, reset
from tests.waiting import wait_until

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Never(Basic):
    """Credentials that do not come."""

    current = ""

    async def header(self) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    def invalidate(self, header: str) -> bool:
        raise AssertionError(header)


async def test_timeout_after_sending_may_have_happened(http: HttpClient, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(gate=asyncio.Event()))
    error = await failed(http, bandwidth.url, timeout=0.05)
    assert (error.code, error.status, error.retryable, error.may_have_happened) == (
        "timeout",
        None,
        True,
        True,
    )
    assert len(bandwidth.seen) == 1
    gate = bandwidth.replies[0].gate
    assert gate is not None
    gate.set()


async def test_body_that_drips_is_cut_off_by_the_deadline(http: HttpClient) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.01)

    async with RawServer(drip).serving() as server:
        error = await failed(http, server.url, timeout=0.1)
    assert (error.code, error.may_have_happened) == ("timeout", True)


async def test_waiting_for_credentials_counts_and_sends_nothing(
    http: HttpClient, bandwidth: Loopback
) -> None:
    with pytest.raises(BandwidthError) as caught:
        await http.send("ask", "GET", bandwidth.url, credentials=Never("user", "password"), timeout=0.05)
    assert (caught.value.code, caught.value.may_have_happened) == ("timeout", False)
    assert bandwidth.seen == []


async def test_waiting_for_a_connection_counts_and_sends_nothing(bandwidth: Loopback) -> None:
    gate = asyncio.Event()
    bandwidth.answers(Reply(gate=gate))
    http = HttpClient(connections=1)
    first = Tasks().start(get(http, bandwidth.url), name="first")
    await wait_until(lambda: len(bandwidth.seen) == 1)
    error = await failed(http, bandwidth.url, timeout=0.05)
    assert (error.code, error.may_have_happened) == ("timeout", False)
    gate.set()
    assert (await first).status == 200
    assert len(bandwidth.seen) == 1
    await http.close()


async def test_connection_that_is_not_accepted_counts_and_sends_nothing(http: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        address = listening.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        error = await failed(http, f"http://127.0.0.1:{address[1]}", "POST", timeout=0.05)
        for filler in fillers:
            filler.close()
    assert (error.code, error.retryable, error.may_have_happened) == ("timeout", True, False)


async def test_refused_connection_cannot_have_happened(http: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    error = await failed(http, f"http://127.0.0.1:{port}", "POST")
    assert (error.code, error.status, error.retryable) == ("unreachable", None, True)
    assert (error.may_have_happened, error.detail) == (False, "ClientConnectorError")


async def test_name_that_does_not_resolve_is_unreachable(http: HttpClient) -> None:
    error = await failed(http, "http://no-such-host.invalid")
    assert (error.code, error.may_have_happened) == ("unreachable", False)


@pytest.mark.parametrize(("method", "times"), [("POST", 1), ("GET", 2), ("PUT", 2), ("DELETE", 2)])
async def test_reset_after_the_request_may_have_happened(http: HttpClient, method: str, times: int) -> None:
    """What is idempotent has been repeated once by then, by aiohttp."""

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        reset(writer)

    async with RawServer(break_off).serving() as server:
        with record_requests() as tally:
            error = await failed(http, server.url, method)
    assert (error.code, error.retryable, error.may_have_happened) == ("unreachable", True, True)
    assert len(server.heads) == times
    assert tally == RequestLog(requests=times, retries=times - 1)


async def test_body_that_breaks_off_is_unreachable(http: HttpClient) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")

    async with RawServer(half).serving() as server:
        error = await failed(http, server.url)
    assert (error.code, error.retryable, error.may_have_happened) == ("unreachable", True, True)


async def test_what_is_not_http_is_invalid(http: HttpClient) -> None:
    async def noise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(b"220 mail.example ESMTP\r\n\r\n")

    async with RawServer(noise).serving() as server:
        error = await failed(http, server.url)
    assert (error.code, error.retryable, error.may_have_happened) == ("invalid-response", False, True)


async def test_body_limit(http: HttpClient, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(200, b"x" * BODY_LIMIT), Reply(200, b"x" * (BODY_LIMIT + 1)), Reply(200, b"{}"))
    assert len((await get(http, bandwidth.url)).body) == BODY_LIMIT
    error = await failed(http, bandwidth.url)
    assert (error.code, error.status, error.may_have_happened) == ("invalid-response", 200, True)
    assert (await get(http, bandwidth.url)).body == b"{}"


@pytest.mark.parametrize("fresh", [False, True], ids=["kept", "fresh"])
@pytest.mark.parametrize(
    "named", ["gzip", "GZIP", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip", "x"]
)
async def test_what_is_packed_is_not_unpacked(
    http: HttpClient, bandwidth: Loopback, named: str, *, fresh: bool
) -> None:
    """We ask for what is not, and the limit would be looked at too late; also not what is small."""
    bodies = (gzip.compress(bytes(2 * BODY_LIMIT)), gzip.compress(b'{"a":1}'), b"no gzip")
    bandwidth.answers(*(Reply(200, body, {"content-encoding": named}) for body in bodies))
    for _ in bodies:
        error = await failed(http, bandwidth.url, "POST", fresh=fresh)
        assert (error.code, error.status, error.may_have_happened) == ("invalid-response", 200, True)
        assert "packed" in error.detail
    assert {seen.headers["accept-encoding"] for seen in bandwidth.seen} == {"identity"}


@pytest.mark.parametrize("fresh", [False, True], ids=["kept", "fresh"])
async def test_what_says_that_it_is_not_packed_is_taken(
    http: HttpClient, bandwidth: Loopback, *, fresh: bool
) -> None:
    bandwidth.answers(Reply(200, b"{}", {"content-encoding": "Identity"}))
    assert (await get(http, bandwidth.url, fresh=fresh)).body == b"{}"


@pytest.mark.parametrize("fresh", [False, True], ids=["kept", "fresh"])
async def test_a_packed_refusal_keeps_its_status(
    http: HttpClient, bandwidth: Loopback, *, fresh: bool
) -> None:
    bandwidth.answers(Reply(429, gzip.compress(b"{}"), {"content-encoding": "gzip", "retry-after": "3"}))
    error = await failed(http, bandwidth.url, fresh=fresh)
    assert (error.code, error.retry_after) == ("rate-limited", 3.0)


@pytest.mark.parametrize("fresh", [False, True], ids=["kept", "fresh"])
async def test_interim_answers_have_an_end(http: HttpClient, *, fresh: bool) -> None:
    """A few are passed over, and without an end they would be until the deadline."""
    one = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"

    async def hint(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await server.head(reader):
            writer.write(15 * one + answer if len(server.heads) <= 2 else 100 * one)

    async with RawServer(hint).serving() as server:
        for _ in range(2):
            assert (await get(http, server.url, "POST", fresh=fresh)).body == b"{}"
        error = await failed(http, server.url, "POST", timeout=30, fresh=fresh)
    assert (error.code, error.may_have_happened) == ("invalid-response", True)


async def test_large_error_body_keeps_its_status(http: HttpClient, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(503, b"x" * (BODY_LIMIT + 1)))
    error = await failed(http, bandwidth.url)
    assert (error.code, error.detail) == ("overloaded", "")


# Connections


async def test_one_connection_for_requests_in_a_row(http: HttpClient, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(200), Reply(404), Reply(204), Reply(200, b"x" * 5000))
    await get(http, bandwidth.url)
    await failed(http, bandwidth.url, "DELETE")
    await get(http, bandwidth.url, "DELETE")
    await get(http, bandwidth.url)
    assert len({seen.port for seen in bandwidth.seen}) == 1


async def test_the_connection_that_was_used_last_is_used_first(http: HttpClient, bandwidth: Loopback) -> None:
    gate = asyncio.Event()
    bandwidth.answers(*(Reply(gate=gate) for _ in range(4)))
    together = [Tasks().start(get(http, bandwidth.url), name="one") for _ in range(4)]
    await wait_until(lambda: len(bandwidth.seen) == 4)
    gate.set()
    await asyncio.gather(*together)
    for _ in range(4):
        await get(http, bandwidth.url)
    ports = [seen.port for seen in bandwidth.seen]
    assert len(set(ports[:4])) == 4
    assert len(set(ports[4:])) == 1, "the others may go"


async def test_idle_connection_is_kept_for_so_long(bandwidth: Loopback) -> None:
    http = HttpClient(keep_alive=0.02)
    loop = asyncio.get_running_loop()
    await get(http, bandwidth.url)
    idle_since = loop.time()
    await wait_until(lambda: loop.time() > idle_since + 0.1)
    await get(http, bandwidth.url)
    assert len({seen.port for seen in bandwidth.seen}) == 2
    await http.close()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_connection_the_server_gave_up_is_replaced_at_once(http: HttpClient, method: str) -> None:
    async with RawServer(lambda r, w: drop_the_second(server, r, w)).serving() as server:
        with record_requests() as tally:
            await get(http, server.url)
            response = await http.send(
                "ask", method, server.url, credentials=BASIC, json=b'{"a":1}', timeout=5
            )
    assert response.status == 200
    assert (server.connections, len(server.heads)) == (2, 3)
    assert tally == RequestLog(requests=3, retries=1)


async def test_post_on_a_connection_the_server_gave_up_is_not_repeated(http: HttpClient) -> None:
    async with RawServer(lambda r, w: drop_the_second(server, r, w)).serving() as server:
        await get(http, server.url)
        error = await failed(http, server.url, "POST")
    assert (error.code, error.may_have_happened, len(server.heads)) == ("unreachable", True, 2)


async def drop_the_second(
    server: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answers the first request on a connection; the first connection ends with its second request."""
    number = server.connections
    await server.head(reader)
    writer.write(OK)
    if number == 1:
        await server.head(reader)
        reset(writer)
    else:
        await reader.read()


async def test_connection_closed_while_idle_costs_nothing(http: HttpClient) -> None:
    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(OK)
        writer.write_eof()
        await reader.read()  # until the client has closed its side too
        closed.set()

    closed = asyncio.Event()
    async with RawServer(answer_once).serving() as server:
        for _ in range(2):
            closed.clear()
            assert (await get(http, server.url, "POST")).status == 200
            await closed.wait()
    assert (server.connections, len(server.heads)) == (2, 2)


async def test_closed_client_is_unreachable(bandwidth: Loopback) -> None:
    http = HttpClient()
    await get(http, bandwidth.url)
    await http.close()
    error = await failed(http, bandwidth.url)
    assert (error.code, error.retryable, error.may_have_happened) == ("unreachable", True, False)
