"""`doctor`: all well beside a service that works, and with each thing broken the line that says so."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from handlers.cli.health.bandwidth import check_bandwidth
from handlers.cli.health.finding import clock_finding
from handlers.cli.health.store import _memory, _persistence, _server
from service.settings import load
from service.store import keys
from service.store.health import ServerHealth
from tests.cli.certificates import certificate
from tests.cli.shell import Shell
from tests.clocks import SetClock
from tests.harness import RunningService, nothing_left, serving
from tests.operators import Operator, bridged
from tests.processes import environment
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

Lines = dict[str, dict[str, Any]]


async def examined(shell: Shell, *, code: int = 0, **more: str) -> Lines:
    return {one["check"]: one for one in (await shell.run("doctor", "--json", code=code, **more)).objects}


async def test_all_is_well(simulator: Simulator, service: RunningService, shell: Shell) -> None:
    found = await examined(shell)
    [replica] = [check for check in found if check.startswith("replica ")]
    assert " 0 webhooks taken, 0 refused" in found[replica]["found"]
    assert {
        check: one["result"] for check, one in found.items() if one["result"] != "ok" and check != "page"
    } == {"settings": "warn"}, "the callback URL of this test is plain http"
    assert list(found) == [
        "settings",
        "store",
        "store version",
        "store disk",
        "store memory",
        "store clock",
        "shared clock",
        "calls",
        "owed work",
        "replicas",
        replica,
        "token",
        "voice api",
        "sessions api",
        "bandwidth clock",
        "callback url",
        "page",
    ]
    assert all(set(one) == {"check", "result", "found", "do"} for one in found.values())
    assert all((one["do"] is None) == (one["result"] == "ok") for one in found.values())
    lines = (await shell.run("doctor", COLUMNS="80")).lines
    assert "ok    store disk       the append-only file is on" in lines


async def test_the_stores_clock_has_jumped_and_all_go_on_without_it(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    shell = Shell.beside(simulator, store_url)
    for ms, result, words in (
        (
            -3_600_000,
            "warn",
            "behind that of the store, which has jumped; our clock is 1h00m ahead of that",
        ),
        (-3000, "ok", "as we do"),
    ):
        server, micros = await redis.time()
        now = server * 1000 + micros // 1000
        await redis.set(keys.clock(), f"{ms} {now} {now}")
        found = (await shell.run("doctor", "--json", code=None)).objects
        [line] = [one for one in found if one["check"] == "shared clock"]
        assert (line["result"], line["do"] is None) == (result, result == "ok")
        assert words in line["found"]


async def test_settings_are_wrong(shell: Shell) -> None:
    found = await shell.run("doctor", code=1, BW_ACCOUNT_ID="", UUI_LIMIT="9")
    assert [line.split()[:3] for line in found.lines if line.startswith("fail")] == [
        ["fail", "settings", "BW_ACCOUNT_ID"],
        ["fail", "settings", "UUI_LIMIT"],
    ]
    assert "-> wants the id of your Bandwidth account" in found.out


async def test_each_secret_that_may_be_guessed_is_a_line(shell: Shell) -> None:
    weak = {"CALLBACK_PASSWORD": "x", "CALLBACK_PASSWORD_PREVIOUS": "bandwidth", "API_KEYS": "a" * 16}
    found = (await shell.run("doctor", "--json", code=None, **weak)).objects
    lines = {one["found"].split()[0]: one["result"] for one in found if one["check"] == "settings"}
    assert {name: lines.get(name) for name in weak} == dict.fromkeys(weak, "warn")


async def test_the_store_is_away_and_its_password_is_not_shown(shell: Shell) -> None:
    found = await examined(shell, code=1, REDIS_URL="redis://me:hunter2@127.0.0.1:1/0?x=hunter2")
    assert found["store"]["result"] == "fail"
    assert found["store"]["found"].startswith("redis://127.0.0.1:1/0: ")
    assert "hunter2" not in str(found)
    assert found["token"]["result"] == "ok", "everything else is looked at all the same"


async def test_the_store_forgets(shell: Shell, redis: Redis) -> None:
    await redis.config_set("appendonly", "no")
    try:
        found = await examined(shell)
        assert found["store disk"]["result"] == "warn"
        assert "appendonly yes" in found["store disk"]["do"]
    finally:
        await redis.config_set("appendonly", "yes")


async def test_more_replicas_are_asked_for_than_there_are(shell: Shell) -> None:
    found = await examined(shell, code=1, STORE_REPLICAS="2")
    assert "0 of 2 replicas have confirmed" in found["store"]["found"]
    assert found["store"]["do"] == "it runs; start a replica of it, or lower STORE_REPLICAS"


async def test_the_store_evicts(shell: Shell, redis: Redis) -> None:
    await redis.config_set("maxmemory", "1gb")
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        found = await examined(shell, code=1)
        assert found["store memory"]["result"] == "fail"
        assert "noeviction" in found["store memory"]["do"]
    finally:
        await redis.config_set("maxmemory-policy", "noeviction")
        await redis.config_set("maxmemory", "0")


def store(**more: Any) -> ServerHealth:
    return ServerHealth(
        **{
            "product": "Valkey",
            "version": "9.1.2",
            "append_only": True,
            "write_error": "",
            "used_memory": 10_000_000,
            "max_memory": 0,
            "evicted_keys": 0,
            "eviction_policy": "noeviction",
            "time": 1000.0,
            **more,
        }
    )


@pytest.mark.parametrize(
    ("found", "result"),
    [
        (_memory(store(max_memory=100_000_000)), "ok"),
        (_memory(store(used_memory=85_000_000, max_memory=100_000_000)), "warn"),
        (_memory(store(used_memory=96_000_000, max_memory=100_000_000)), "fail"),
        (_memory(store(evicted_keys=3)), "warn"),
        (_persistence(store(write_error="aof_last_write_status")), "fail"),
        (next(_server(store(product="Redis", version="6.2.1"), 1000.0)), "fail"),
        (next(_server(store(product="Redis", version="7.0.0"), 1000.0)), "ok"),
        (next(_server(store(version="7.2.4"), 1000.0)), "fail"),
        (clock_finding("store clock", 1.9, "the store's"), "ok"),
        (clock_finding("store clock", -3.0, "the store's"), "warn"),
        (clock_finding("store clock", 3600.0, "the store's"), "warn"),
    ],
)
def test_what_is_too_much(found: Any, result: str) -> None:
    assert found.result == result
    assert bool(found.do) == (result != "ok")


def test_what_helps_a_full_store_now() -> None:
    assert "only for calls that end from now on" in _memory(store(used_memory=90, max_memory=100)).do


async def test_our_secret_is_wrong(shell: Shell) -> None:
    found = await examined(shell, code=1, BW_CLIENT_SECRET="nobody-knows")
    assert found["token"]["result"] == "fail"
    assert found["token"]["found"].startswith("none obtained: 401 no-token")
    assert "BW_CLIENT_SECRET" in found["token"]["do"]
    assert found["voice api"]["do"] == "see the token above"
    assert "nobody-knows" not in str(found)


@pytest.mark.parametrize(
    ("now", "result", "words"),
    [
        ("2026-12-01T23:59:59+00:00", "warn", "Bandwidth ends Basic on 2 December 2026"),
        ("2026-12-02T00:00:00+00:00", "fail", "Bandwidth ended Basic on 2 December 2026"),
    ],
)
@pytest.mark.parametrize("names", [["BW_WEBRTC_AUTH"], ["BW_VOICE_AUTH", "BW_WEBRTC_AUTH"]])
async def test_basic_ends(
    simulator: Simulator, store_url: str, names: list[str], now: str, result: str, words: str
) -> None:
    user = {"BW_USERNAME": simulator.username, "BW_PASSWORD": simulator.password}
    settings = load(environment(simulator, REDIS_URL=store_url, **user, **dict.fromkeys(names, "basic")))
    clock = SetClock(datetime.fromisoformat(now).timestamp())
    found = {one.check: one for one in await check_bandwidth(settings, clock)}
    assert (found["basic auth"].result, words in found["basic auth"].found) == (result, True)
    assert found["basic auth"].found.startswith(f"{' and '.join(names)}: ")
    assert "BW_CLIENT_ID" in found["basic auth"].do
    assert ("token" in found) == (len(names) == 1), "no token is needed with Basic alone"


async def test_an_api_that_refuses_us_is_not_tried_with_basic(simulator: Simulator, shell: Shell) -> None:
    simulator.faults.add("getCall", status=403, times=None)
    found = await examined(shell, code=1)
    assert "role" in found["voice api"]["do"]
    assert "AUTH" not in found["voice api"]["do"]


async def test_bandwidth_cannot_be_reached(shell: Shell) -> None:
    found = await examined(shell, code=1, BW_TOKEN_URL="http://127.0.0.1:1/token")
    assert "unreachable" in found["token"]["found"]
    assert "http://127.0.0.1:1/token" in found["token"]["do"]
    apis = [found[name] for name in ("voice api", "sessions api")]
    assert {one["do"] for one in apis} == {"see the token above"}, "and not to Bandwidth's status page"
    assert all("was not asked, for want of a token" in one["found"] for one in apis)
    assert "our own circuit breaker holds requests back" in str(apis), "of two who ask, the first opens it"
    assert "paused" not in str(found)


async def test_one_api_fails(simulator: Simulator, shell: Shell) -> None:
    found = await examined(shell, code=1, BW_WEBRTC_URL="http://127.0.0.1:1/v1")
    assert (found["voice api"]["result"], found["sessions api"]["result"]) == ("ok", "fail")
    assert "unreachable" in found["sessions api"]["found"]


async def test_the_account_is_another(simulator: Simulator, store_url: str) -> None:
    found = await examined(Shell.beside(simulator, store_url), code=1, BW_ACCOUNT_ID="1234567")
    assert {found[name]["result"] for name in ("voice api", "sessions api")} == {"fail"}
    assert "BW_ACCOUNT_ID" in found["voice api"]["do"]


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@asynccontextmanager
async def answering(answer: bytes, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that answers everything the same; its port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def answer(status: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", "Content-Length: 0", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode()


US = 'WWW-Authenticate: Basic realm="callbacks"'


@pytest.mark.parametrize(
    ("said", "words", "do"),
    [
        (answer(401, 'WWW-Authenticate: Basic realm="proxy"'), "answers 401", "let /callbacks/ through"),
        (answer(404), "answers 404", "something else answers there"),
        (answer(502), "answers 502", "no service behind it"),
        (b"nonsense\r\n\r\n", "cannot be reached", "is the proxy running"),
    ],
)
async def test_somebody_else_is_at_the_callback_url(shell: Shell, said: bytes, words: str, do: str) -> None:
    async with answering(said) as port:
        found = await examined(shell, code=1, BASE_CALLBACK_URL=f"http://127.0.0.1:{port}/base")
    assert found["callback url"]["result"] == "fail"
    assert words in found["callback url"]["found"]
    assert do in found["callback url"]["do"]


async def test_nobody_is_at_the_callback_url(shell: Shell) -> None:
    found = await examined(shell, code=1, BASE_CALLBACK_URL="http://127.0.0.1:1")
    assert "cannot be reached" in found["callback url"]["found"]
    found = await examined(shell, code=1, BASE_CALLBACK_URL="https://nowhere.invalid")
    assert "nowhere.invalid does not resolve" in found["callback url"]["found"]


@pytest.mark.parametrize(
    ("days", "trusted", "result", "words"),
    [
        (90, True, "ok", "valid for 89 days"),
        (10, True, "warn", "valid for 9 days"),
        (-1, True, "fail", "certificate has expired"),
        (90, False, "fail", "self-signed certificate"),
    ],
)
async def test_the_certificate(
    shell: Shell, tmp_path: Path, days: int, trusted: bool, result: str, words: str
) -> None:
    made = certificate(tmp_path, timedelta(days=days))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    more = {"SSL_CERT_FILE": str(made.certificate)} if trusted else {}
    async with answering(answer(401, US), context) as port:
        code = 1 if result == "fail" else 0
        found = await examined(shell, code=code, BASE_CALLBACK_URL=f"https://localhost:{port}", **more)
    assert found["callback url TLS"]["result"] == result
    assert words in found["callback url TLS"]["found"]
    assert ("callback url" in found) == (result != "fail")


async def test_dead_letters_are_told(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with (
        serving(simulator, store_url, OWED_HOURS="0.0001") as service,
        Operator.of(service) as operator,
    ):
        simulator.faults.add("deleteSession", status=500, times=None)
        phone, _ = await bridged(simulator, operator)
        await phone.hang_up()
        shell = Shell.at(simulator, service, store_url)

        async def told() -> bool:
            return "1 dead letters" in (await examined(shell))["owed work"]["found"]

        await wait_until(told, seconds=30)
        simulator.faults.clear()
        await shell.run("owed", "replay", "--all")
        await nothing_left(simulator, redis)
