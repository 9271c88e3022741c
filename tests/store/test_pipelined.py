"""The connection that everybody shares: who gets what, and what becomes of all when it breaks."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout

from service.clock import SystemClock
from service.store.redis.pipelined import SharedConnection
from service.tasks import Tasks
from tests.waiting import wait_until

LIMIT = 0.4
"""Seconds."""


def link_to(url: str, lost: Callable[[], None] = lambda: None) -> SharedConnection:
    pool = ConnectionPool.from_url(
        url, socket_timeout=None, retry=Retry(NoBackoff(), 0), client_name="shared"
    )
    return SharedConnection(pool.make_connection, LIMIT, lost)


@pytest.fixture
async def link(store_url: str) -> AsyncIterator[SharedConnection]:
    link = link_to(store_url)
    yield link
    link.drop()


async def connections(redis: Redis) -> list[str]:
    """Those of the link, by their ids."""
    return [one["id"] for one in await redis.client_list() if one["name"] == "shared"]


async def reads(redis: Redis) -> int:
    return int((await redis.info("stats"))["total_reads_processed"])


async def test_everybody_gets_their_own_answers_over_one_connection(
    link: SharedConnection, redis: Redis
) -> None:
    asked = [link.send([("SET", f"k{n}", n), ("GET", f"k{n}")]) for n in range(200)]
    assert await asyncio.gather(*asked) == [[b"OK", str(n).encode()] for n in range(200)]
    assert len(await connections(redis)) == 1


async def test_what_is_sent_at_once_is_one_write(link: SharedConnection, redis: Redis) -> None:
    await link.send([("PING",)])
    await reads(redis)
    before = await reads(redis)
    await asyncio.gather(*(link.send([("PING",)]) for _ in range(50)))
    assert await reads(redis) - before == 2, "its own, and the fifty"


async def test_what_the_server_refuses_is_an_answer(link: SharedConnection, redis: Redis) -> None:
    first, wrong, last = await link.send([("SET", "a", 1), ("HGET", "a", "x"), ("GET", "a")])
    assert (first, last) == (b"OK", b"1")
    assert isinstance(wrong, ResponseError)
    assert await link.send([("GET", "a")]) == [b"1"]
    assert len(await connections(redis)) == 1


async def test_who_gives_up_waiting_takes_nothing_from_the_others(
    link: SharedConnection, redis: Redis
) -> None:
    await link.send([("SET", "a", 1)])
    held = await connections(redis)
    await redis.client_pause(200)
    impatient = Tasks().start(link.send([("GET", "none")]), name="impatient")
    patient = Tasks().start(link.send([("GET", "a")]), name="patient")
    await asyncio.sleep(0.05)
    impatient.cancel()
    assert await patient == [b"1"]
    assert impatient.cancelled()
    assert await connections(redis) == held


async def test_a_server_that_hangs_is_given_up_by_all_and_connected_to_anew(
    link: SharedConnection, redis: Redis
) -> None:
    await link.send([("PING",)])
    held = await connections(redis)
    await redis.client_pause(int(3000 * LIMIT))
    begun = time.monotonic()
    found = await asyncio.gather(*(link.send([("GET", "a")]) for _ in range(3)), return_exceptions=True)
    assert LIMIT <= time.monotonic() - begun < 2 * LIMIT
    assert [type(one) for one in found] == [RedisTimeout] * 3
    assert len({id(one) for one in found}) == 3, "one for each: tracebacks are written into them"
    await redis.client_unpause()
    assert await link.send([("PING",)]) == [b"PONG"]
    assert await connections(redis) != held


async def test_a_connection_that_the_server_has_closed_is_not_used_again(
    link: SharedConnection, redis: Redis
) -> None:
    await link.send([("PING",)])
    (held,) = await connections(redis)
    await redis.client_kill_filter(_id=held)
    await asyncio.sleep(0.1)
    assert await link.send([("PING",)]) == [b"PONG"], "without an error"
    assert await connections(redis) != [held]


async def test_who_waits_learns_that_the_connection_is_gone(link: SharedConnection, redis: Redis) -> None:
    await link.send([("PING",)])
    (held,) = await connections(redis)
    waiting = [Tasks().start(link.send([("BLPOP", "none", 1)]), name="waiting") for _ in range(2)]
    await asyncio.sleep(0.05)
    await redis.client_kill_filter(_id=held)
    for one in waiting:
        with pytest.raises(RedisConnectionError):
            await one


async def test_they_connect_together(store_url: str, redis: Redis) -> None:
    link = link_to(store_url)
    await asyncio.gather(*(link.send([("PING",)]) for _ in range(20)))
    assert len(await connections(redis)) == 1
    link.drop()
    await asyncio.sleep(0.05)
    assert await connections(redis) == []


async def test_a_connection_that_was_being_made_when_it_was_given_up_is_used_by_nobody(
    store_url: str, redis: Redis
) -> None:
    """Who is master was asked before it changed."""
    made: list[Any] = []
    pool = ConnectionPool.from_url(
        store_url, socket_timeout=None, retry=Retry(NoBackoff(), 0), client_name="shared"
    )

    def make() -> Any:
        made.append(pool.make_connection())  # type: ignore[no-untyped-call]
        return made[-1]

    link = SharedConnection(make, LIMIT, lambda: None)
    early = Tasks().start(link.send([("PING",)]), name="early")
    for _ in range(3):
        await asyncio.sleep(0)
    link.drop()
    assert await early == [b"PONG"], "over one that was begun afterwards"
    assert await link.send([("PING",)]) == [b"PONG"]
    assert len(made) == 2
    await wait_until(lambda: _is_alone(redis))
    link.drop()
    await asyncio.sleep(0.05)


async def _is_alone(redis: Redis) -> bool:
    return len(await connections(redis)) == 1


async def test_one_that_is_given_up_again_and_again_is_not_tried_for_ever(store_url: str) -> None:
    pool = ConnectionPool.from_url(store_url, socket_timeout=None, retry=Retry(NoBackoff(), 0))
    made = 0

    def make() -> Any:
        nonlocal made
        made += 1
        connection = pool.make_connection()  # type: ignore[no-untyped-call]
        connect = connection.connect

        async def connected() -> None:
            await connect()
            mine.drop()

        connection.connect = connected
        return connection

    mine = SharedConnection(make, LIMIT, lambda: None)
    with pytest.raises(RedisConnectionError, match="given up"):
        await mine.send([("PING",)])
    assert made == 2
    await asyncio.sleep(0.05)


async def test_it_says_when_another_server_may_be_master(store_url: str, redis: Redis) -> None:
    losses: list[None] = []
    link = link_to(store_url, lambda: losses.append(None))
    await link.send([("PING",)])
    await redis.client_kill_filter(_id=(await connections(redis))[0])
    await asyncio.sleep(0.1)
    assert not losses, "it was idle: servers close those"
    waiting = Tasks().start(link.send([("BLPOP", "none", 1)]), name="waiting")
    await asyncio.sleep(0.05)
    await redis.client_kill_filter(_id=(await connections(redis))[0])
    with pytest.raises(RedisConnectionError):
        await waiting
    assert len(losses) == 1
    await link.send([("PING",)])
    held = await connections(redis)
    await redis.replicaof("127.0.0.1", 1)
    try:
        assert await link.send([("GET", "a")]) == [None]
        assert await connections(redis) == held, "reading says nothing of it"
        (answer,) = await link.send([("SET", "a", 1)])
        assert isinstance(answer, ReadOnlyError)
        await link.send([("PING",)])
        assert await connections(redis) != held
        assert len(losses) == 2
    finally:
        await redis.replicaof("NO", "ONE")
    link.drop()


async def test_a_server_that_is_not_there() -> None:
    with pytest.raises(RedisConnectionError):
        await link_to("redis://127.0.0.1:1").send([("PING",)])


async def test_a_server_that_takes_the_connection_and_says_nothing() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(100):
            pass
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        begun = time.monotonic()
        with pytest.raises(RedisTimeout):
            await link_to(f"redis://127.0.0.1:{port}").send([("PING",)])
        assert time.monotonic() - begun < 2 * LIMIT
        await asyncio.sleep(0.05)


async def test_all_who_wait_for_it_have_the_outcome_of_one_attempt() -> None:
    attempts = 0

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        while await reader.read(100):
            pass
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    link = link_to(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    begun = time.monotonic()
    impatient = Tasks().start(link.send([("PING",)]), name="impatient")
    asyncio.get_running_loop().call_later(LIMIT / 4, impatient.cancel)
    found = await asyncio.gather(*(link.send([("PING",)]) for _ in range(20)), return_exceptions=True)
    assert attempts == 1
    assert time.monotonic() - begun < 10 * LIMIT, "not one after the other"
    assert {type(one) for one in found} == {RedisTimeout}
    assert len({id(one) for one in found}) == 20, "one for each: tracebacks are written into them"
    await asyncio.sleep(0.05)
    server.close()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"?\r\n", RedisConnectionError),
        (b"-LOADING reading its data back\r\n", RedisConnectionError),
        (b"+OK\r\n+OK\r\n", list),
    ],
)
async def test_what_nobody_has_asked_for_is_the_end_of_the_connection(answer: bytes, outcome: type) -> None:
    connections: list[asyncio.StreamWriter] = []

    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while piece := await reader.read(1000):
            writer.write(answer if b"PING" in piece else piece.count(b"*") * b"+OK\r\n")
        writer.close()

    async with await asyncio.start_server(odd, "127.0.0.1", 0) as server:
        link = link_to(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}?protocol=2")
        for number in (1, 2):
            (found,) = await asyncio.gather(link.send([("PING",)]), return_exceptions=True)
            assert type(found) is outcome
            assert len(connections) == number
        await asyncio.sleep(0.05)


async def test_what_is_not_sent_when_it_is_given_up_is_never_sent() -> None:
    """A script that its caller has given up must not run minutes later."""
    released, heard = asyncio.Event(), asyncio.get_running_loop().create_future()
    large = 30_000_000

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(10):
            piece = await reader.read(1000)
            if b"ECHO" in piece:
                break
            writer.write(piece.count(b"*") * b"+OK\r\n")
        await released.wait()
        total = 0
        try:
            while piece := await reader.read(1_000_000):
                total += len(piece)
        except OSError:
            pass
        heard.set_result(total)
        writer.close()

    async with await asyncio.start_server(deaf, "127.0.0.1", 0) as server:
        link = link_to(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}?protocol=2")
        with pytest.raises(RedisTimeout):
            await link.send([("ECHO", "x" * large)])
        released.set()
        assert await heard < large / 2


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_an_encrypted_connection(
    run: Callable[[Coroutine[Any, Any, None]], None], store_server: str, tmp_path: Path
) -> None:
    """The library makes it, with its certificates; what goes over it is ours."""
    certify(tmp_path)
    run(_encrypted(store_server, tmp_path))


async def _encrypted(store: str, folder: Path) -> None:
    connections: list[asyncio.StreamWriter] = []

    async def decrypted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await (
            asyncio.open_unix_connection(store.removeprefix("unix://"))
            if store.startswith("unix://")
            else asyncio.open_connection("127.0.0.1", int(store.rpartition(":")[2].partition("/")[0]))
        )
        connections.extend((writer, back))
        await asyncio.gather(_pump(reader, back), _pump(there, writer))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server = await asyncio.start_server(decrypted, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    link = link_to(f"rediss://127.0.0.1:{port}?ssl_ca_certs={folder / 'cert.pem'}")
    large = "x" * 200_000
    asked = [link.send([("SET", f"k{n}", f"{n}{large}"), ("GET", f"k{n}")]) for n in range(20)]
    assert await asyncio.gather(*asked) == [[b"OK", f"{n}{large}".encode()] for n in range(20)]
    for one in connections:
        one.close()
    await asyncio.sleep(0.05)
    assert await link.send([("GET", "none")]) == [None], "over a new connection"
    assert len(connections) == 4
    link.drop()
    await asyncio.sleep(0.05)
    server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


def certify(folder: Path) -> None:
    """Of 127.0.0.1, by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "store")])
    now = datetime.fromtimestamp(SystemClock().now(), UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


async def test_it_breaks_before_those_who_waited_for_it_have_their_turn(store_url: str) -> None:
    pool = ConnectionPool.from_url(store_url, socket_timeout=None, retry=Retry(NoBackoff(), 0))
    breaks = True

    def make() -> Any:
        connection = pool.make_connection()  # type: ignore[no-untyped-call]
        connect = connection.connect

        async def connected() -> None:
            await connect()
            if breaks:
                # Between the end of the attempt and the turn of those who wait for it.
                asyncio.get_running_loop().call_soon(mine.drop)

        connection.connect = connected
        return connection

    mine = SharedConnection(make, LIMIT, lambda: None)
    async with asyncio.timeout(5):
        found = await asyncio.gather(*(mine.send([("PING",)]) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(one, RedisConnectionError) for one in found), found
    breaks = False
    assert await mine.send([("PING",)]) == [b"PONG"]
    mine.drop()
