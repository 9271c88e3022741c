import asyncio
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest

from service.bandwidth.api_client import HttpClient
from service.bandwidth.auth import Basic
from service.bandwidth.breaker import MIN_PAUSE
from service.bandwidth.circuit import HINT, Circuit, RequestKind
from service.bandwidth.create_call import CreateCallRequest
from service.bandwidth.errors import BandwidthError
from service.bandwidth.request_log import RequestLog, record_requests
from service.bandwidth.upstream import REQUEST_KINDS
from service.bandwidth.voice import VoiceApi
from service.bandwidth.webrtc import WebRtcApi
from service.tasks import Tasks
from tests.bandwidth.support import BASIC, Loopback, RawServer, Reply, reset
from tests.clocks import SetClock
from tests.waiting import wait_until

GONE = Reply(404, {"error": "not found", "requestId": "r"})
DOWN = Reply(503)
CREATED = Reply(200, {"id": "s-1"})


class NoToken(Basic):
    """Credentials that cannot be had: the token endpoint is down."""

    current = ""

    async def header(self) -> str:
        raise BandwidthError("obtain-token", "no-token", status=503, retryable=True)


def circuit_of(clock: SetClock, *, patience: float = 60, probe_wait: float = 60) -> Circuit:
    return Circuit("webrtc", RequestKind.QUESTIONS, clock=clock, hang_timeout=patience, probe_wait=probe_wait)


def webrtc(http: HttpClient, url: str, circuit: Circuit, credentials: Basic = BASIC) -> WebRtcApi:
    return WebRtcApi(http, f"{url}/v1", "55555", credentials, circuits={RequestKind.QUESTIONS: circuit})


async def ask(api: WebRtcApi, *, seconds: float = 5.0) -> str:
    """What comes of one request: `there`, `gone`, or the error's code."""
    try:
        return "there" if await api.has_session("s", timeout=seconds) else "gone"
    except BandwidthError as error:
        return error.code


async def asked(api: WebRtcApi, times: int, *, seconds: float = 5.0) -> list[str]:
    return [await ask(api, seconds=seconds) for _ in range(times)]


async def paused(api: WebRtcApi) -> BandwidthError:
    with pytest.raises(BandwidthError, match="paused") as caught:
        await api.has_session("s", timeout=5)
    return caught.value


async def test_after_five_failures_nothing_is_sent(
    http: HttpClient, bandwidth: Loopback, clock: SetClock, logs: list[MutableMapping[str, Any]]
) -> None:
    api = webrtc(http, bandwidth.url, circuit_of(clock))
    bandwidth.answers(DOWN)
    assert await asked(api, 5) == ["overloaded"] * 5
    clock.advance(0.5)
    with record_requests() as tally:
        error = await paused(api)
    assert (error.operation, error.status, error.retryable) == ("get-session", None, True)
    assert (error.retry_after, error.may_have_happened) == (1.5, False)
    assert (len(bandwidth.seen), tally) == (5, RequestLog())
    assert logs[-1] == {
        "event": "breaker.opened",
        "log_level": "warning",
        "api": "webrtc",
        "kind": "questions",
        "error": "overloaded",
        "hint": HINT,
    }


async def test_the_probe_closes_it(
    http: HttpClient, bandwidth: Loopback, clock: SetClock, logs: list[MutableMapping[str, Any]]
) -> None:
    api = webrtc(http, bandwidth.url, circuit_of(clock))
    bandwidth.answers(*[DOWN] * 6, CREATED)
    await asked(api, 5)
    clock.advance(MIN_PAUSE)
    assert await asked(api, 2) == ["overloaded", "paused"]
    clock.advance(2 * MIN_PAUSE)
    assert await asked(api, 3) == ["there"] * 3
    lines = [line for line in logs if line["event"].startswith("breaker.")]
    assert [line["event"] for line in lines] == ["breaker.opened", "breaker.closed"]
    assert (lines[1]["api"], lines[1]["open_s"]) == ("webrtc", 3 * MIN_PAUSE)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 408, 409, 429, 307])
async def test_what_bandwidth_answers_is_no_failure(
    http: HttpClient, bandwidth: Loopback, clock: SetClock, status: int
) -> None:
    api = webrtc(http, bandwidth.url, circuit_of(clock))
    bandwidth.answers(Reply(status))
    assert "paused" not in await asked(api, 12)
    assert len(bandwidth.seen) == 12


async def test_such_an_answer_ends_a_row_of_failures(
    http: HttpClient, bandwidth: Loopback, clock: SetClock
) -> None:
    api = webrtc(http, bandwidth.url, circuit_of(clock))
    bandwidth.answers(*([DOWN] * 4 + [GONE]) * 3)
    assert await asked(api, 15) == (["overloaded"] * 4 + ["gone"]) * 3


async def test_no_connection_is_a_failure(http: HttpClient, clock: SetClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    api = webrtc(http, f"http://127.0.0.1:{port}", circuit_of(clock))
    assert await asked(api, 7) == ["unreachable"] * 5 + ["paused"] * 2


@pytest.mark.parametrize(
    ("answer", "code"), [(b"", "unreachable"), (b"220 mail\r\n\r\n", "invalid-response")]
)
async def test_what_breaks_or_is_not_http_is_a_failure(
    http: HttpClient, clock: SetClock, answer: bytes, code: str
) -> None:
    async def answer_badly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(answer)
        if not answer:
            reset(writer)

    async with RawServer(answer_badly).serving() as server:
        api = webrtc(http, server.url, circuit_of(clock))
        assert await asked(api, 7) == [code] * 5 + ["paused"] * 2


async def test_timeouts_of_requests_that_had_no_time_are_no_failures(
    http: HttpClient, bandwidth: Loopback, clock: SetClock
) -> None:
    gate = asyncio.Event()
    api = webrtc(http, bandwidth.url, circuit_of(clock))
    bandwidth.answers(Reply(gate=gate))
    assert await asked(api, 8, seconds=0.02) == ["timeout"] * 8
    gate.set()
    assert await ask(api) == "there"


async def test_hanging_requests_are_failures_before_they_are_given_up(
    http: HttpClient, bandwidth: Loopback, clock: SetClock, logs: list[MutableMapping[str, Any]]
) -> None:
    """And once each; an answer that comes after all says that Bandwidth is back."""
    gate = asyncio.Event()
    api = webrtc(http, bandwidth.url, circuit_of(clock, patience=0.05))
    bandwidth.answers(Reply(gate=gate))
    tasks = Tasks()
    hanging = [tasks.start(ask(api, seconds=60), name="hangs") for _ in range(4)]
    await wait_until(lambda: len(bandwidth.seen) == 4)
    assert await ask(api, seconds=0.3) == "timeout"
    assert await ask(api) == "paused"
    assert [line["error"] for line in logs if line["event"] == "breaker.opened"] == ["timeout"]
    gate.set()
    assert await asyncio.gather(*hanging) == ["there"] * 4
    assert await ask(api) == "there"


async def test_a_request_that_hangs_and_then_fails_is_one_failure(
    http: HttpClient, bandwidth: Loopback, clock: SetClock
) -> None:
    gate = asyncio.Event()
    circuit = circuit_of(clock, patience=0.02)
    api = webrtc(http, bandwidth.url, circuit)
    bandwidth.answers(*[Reply(503, gate=gate)] * 3, DOWN, CREATED)
    tasks = [Tasks().start(ask(api), name="hangs") for _ in range(3)]
    await wait_until(lambda: len(bandwidth.seen) == 3)
    loop = asyncio.get_running_loop()
    since = loop.time()
    await wait_until(lambda: loop.time() > since + 0.1)
    gate.set()
    assert await asyncio.gather(*tasks) == ["overloaded"] * 3
    assert await asked(api, 2) == ["overloaded", "there"]


async def test_requests_that_were_answered_do_not_hang(
    http: HttpClient, bandwidth: Loopback, clock: SetClock
) -> None:
    api = webrtc(http, bandwidth.url, circuit_of(clock, patience=0.05))
    assert await asked(api, 6) == ["there"] * 6
    loop = asyncio.get_running_loop()
    since = loop.time()
    await wait_until(lambda: loop.time() > since + 0.1)
    assert await ask(api) == "there"


async def test_waiting_for_a_token_says_nothing_about_the_api(
    http: HttpClient, bandwidth: Loopback, clock: SetClock
) -> None:
    circuit = circuit_of(clock)
    without = webrtc(http, bandwidth.url, circuit, NoToken("user", "password"))
    assert await asked(without, 8) == ["no-token"] * 8
    assert await ask(webrtc(http, bandwidth.url, circuit)) == "there"


# The probe


async def opened(api: WebRtcApi, bandwidth: Loopback, clock: SetClock, *after: Reply) -> None:
    """It is open, and a probe is due; what is answered from now on."""
    bandwidth.answers(DOWN)
    await asked(api, 5)
    clock.advance(MIN_PAUSE)
    bandwidth.seen.clear()
    bandwidth.answers(*after)


async def probing(api: WebRtcApi, bandwidth: Loopback) -> asyncio.Task[str]:
    """One that is with Bandwidth now."""
    probe = Tasks().start(ask(api), name="probe")
    await wait_until(lambda: len(bandwidth.seen) == 1)
    return probe


async def test_others_wait_for_the_probe_and_follow_it(
    http: HttpClient, bandwidth: Loopback, clock: SetClock
) -> None:
    gate = asyncio.Event()
    api = webrtc(http, bandwidth.url, circuit_of(clock))
    await opened(api, bandwidth, clock, Reply(gate=gate), CREATED)
    probe = await probing(api, bandwidth)
    others = [Tasks().start(ask(api), name="waits") for _ in range(30)]
    await asyncio.sleep(0)
    assert len(bandwidth.seen) == 1
    gate.set()
    assert await asyncio.gather(probe, *others) == ["there"] * 31


async def test_others_are_refused_as_soon_as_the_probe_has_failed(
    http: HttpClient, bandwidth: Loopback, clock: SetClock
) -> None:
    gate = asyncio.Event()
    api = webrtc(http, bandwidth.url, circuit_of(clock))
    await opened(api, bandwidth, clock, Reply(503, gate=gate), CREATED)
    probe = await probing(api, bandwidth)
    others = [Tasks().start(ask(api), name="waits") for _ in range(30)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(probe, *others) == ["overloaded"] + ["paused"] * 30
    assert len(bandwidth.seen) == 1


@pytest.mark.parametrize("waits", ["its deadline", "long enough"])
async def test_nobody_waits_for_a_probe_for_long(
    http: HttpClient, bandwidth: Loopback, clock: SetClock, waits: str
) -> None:
    gate = asyncio.Event()
    circuit = circuit_of(clock, probe_wait=0.02 if waits == "long enough" else 60)
    api = webrtc(http, bandwidth.url, circuit)
    await opened(api, bandwidth, clock, Reply(gate=gate))
    probe = await probing(api, bandwidth)
    assert await ask(api, seconds=60 if waits == "long enough" else 0.02) == "paused"
    assert len(bandwidth.seen) == 1
    gate.set()
    assert await probe == "there"


async def test_a_probe_that_hangs_holds_nobody_up_after_that(
    http: HttpClient, bandwidth: Loopback, clock: SetClock
) -> None:
    gate = asyncio.Event()
    api = webrtc(http, bandwidth.url, circuit_of(clock, patience=0.05))
    await opened(api, bandwidth, clock, Reply(gate=gate))
    probe = await probing(api, bandwidth)
    assert await ask(api) == "paused"
    gate.set()
    assert await probe == "there"


async def test_a_cancelled_probe_is_followed_by_another(
    http: HttpClient, bandwidth: Loopback, clock: SetClock
) -> None:
    gate = asyncio.Event()
    api = webrtc(http, bandwidth.url, circuit_of(clock))
    await opened(api, bandwidth, clock, Reply(gate=gate), CREATED)
    probe = await probing(api, bandwidth)
    other = Tasks().start(ask(api), name="waits")
    await asyncio.sleep(0)
    probe.cancel()
    assert await other == "paused"
    clock.advance(2 * MIN_PAUSE)
    assert await asked(api, 2) == ["there"] * 2
    gate.set()


async def test_any_answer_says_that_it_can_be_reached(http: HttpClient, bandwidth: Loopback) -> None:
    clock = SetClock()
    circuit = circuit_of(clock)
    for reply in (DOWN, Reply(401), GONE):
        circuit.reachability.mark_unreachable(clock.monotonic())
        bandwidth.answers(reply)
        await ask(webrtc(http, bandwidth.url, circuit))
        assert circuit.reachability.unreachable_since is None, reply
    assert circuit.succeeded_at == clock.now(), "that there is none answers a question"


async def test_an_api_that_answers_one_kind_of_work_can_be_reached(
    http: HttpClient, bandwidth: Loopback
) -> None:
    api = WebRtcApi(http, f"{bandwidth.url}/v1", "55555", BASIC)
    creates = next(one for one in api.circuits if one.kind is RequestKind.CREATES)
    creates.reachability.mark_unreachable(0)
    bandwidth.answers(GONE)
    assert await ask(api) == "gone"
    assert creates.reachability.unreachable_since is None
    voice = VoiceApi(http, f"{bandwidth.url}/v2", "55555", BASIC)
    assert voice.circuits[0].reachability is not creates.reachability, "the other may be cut off alone"


async def test_what_finds_no_way_says_since_when(http: HttpClient, bandwidth: Loopback) -> None:
    clock = SetClock()
    circuit = circuit_of(clock, patience=0.05)
    begun = clock.now()
    assert await ask(webrtc(http, "http://127.0.0.1:9", circuit)) == "unreachable"
    clock.advance(1)
    assert await ask(webrtc(http, "http://127.0.0.1:9", circuit)) == "unreachable"
    assert circuit.reachability.unreachable_since == begun, "the first of them"

    circuit.reachability.mark_reached()
    bandwidth.answers(Reply(gate=asyncio.Event()))
    assert await ask(webrtc(http, bandwidth.url, circuit), seconds=0.2) == "timeout"
    assert circuit.reachability.unreachable_since == clock.now(), "silence is no answer"
    circuit.reachability.mark_reached()
    assert await ask(webrtc(http, bandwidth.url, circuit), seconds=0.01) == "timeout"
    assert circuit.reachability.unreachable_since is None, "who had no time left knows nothing"


@pytest.mark.parametrize("code", ["unreachable", "timeout", "no-token", "paused"])
async def test_without_a_token_nothing_is_known_of_the_api(
    http: HttpClient, bandwidth: Loopback, code: str
) -> None:
    class Far(NoToken):
        async def header(self) -> str:
            raise BandwidthError("obtain-token", code, retryable=True)

    circuit = circuit_of(SetClock())
    assert await ask(webrtc(http, bandwidth.url, circuit, Far("me", "secret"))) == code
    assert circuit.reachability.unreachable_since is None


async def test_each_api_has_its_own(http: HttpClient, bandwidth: Loopback) -> None:
    """Also where they share a host."""
    sessions = WebRtcApi(http, bandwidth.url, "55555", BASIC)
    calls = VoiceApi(http, bandwidth.url, "55555", BASIC)
    bandwidth.answers(*[DOWN] * 5, GONE)
    assert await asked(sessions, 6) == ["overloaded"] * 5 + ["paused"]
    assert await calls.get_call("c-1", timeout=5) is None
    assert await ask(sessions) == "paused"
    bandwidth.answers(DOWN)
    for code in ["overloaded"] * 5 + ["paused"]:
        with pytest.raises(BandwidthError, match=code):
            await calls.get_call("c-1", timeout=5)


# Kinds of work, and whose failures they are


PERFORM: dict[str, Callable[[VoiceApi, WebRtcApi, int], Awaitable[object]]] = {
    "create-session": lambda _, sessions, n: sessions.create_session(tag=f"{n}", timeout=5),
    "create-participant": lambda _, sessions, n: sessions.create_participant(
        tag=f"{n}", callback_url=None, timeout=5
    ),
    "add-participant": lambda _, sessions, n: sessions.add_participant(f"s-{n}", "p", timeout=5),
    "update-subscriptions": lambda _, sessions, n: sessions.subscribe(f"s-{n}", "p", hears=None, timeout=5),
    "remove-participant": lambda _, sessions, n: sessions.remove_participant(f"s-{n}", "p", timeout=5),
    "delete-participant": lambda _, sessions, n: sessions.delete_participant(f"p-{n}", timeout=5),
    "delete-session": lambda _, sessions, n: sessions.delete_session(f"s-{n}", timeout=5),
    "get-session": lambda _, sessions, n: sessions.has_session(f"s-{n}", timeout=5),
    "get-participant": lambda _, sessions, n: sessions.has_participant(f"p-{n}", timeout=5),
    "list-participants": lambda _, sessions, n: sessions.list_participants(f"s-{n}", timeout=5),
    "create-call": lambda calls, _, n: calls.create_call(
        CreateCallRequest(
            to="+15550100",
            from_="+15550101",
            application_id="a",
            answer_url=f"https://a/{n}",
            disconnect_url="https://a/",
            username="u",
            password="p",
        ),
        timeout=5,
    ),
    "redirect-call": lambda calls, _, n: calls.redirect(
        f"c-{n}", url="https://a/", username="u", password="p", timeout=5
    ),
    "hang-up": lambda calls, _, n: calls.hang_up(f"c-{n}", timeout=5),
    "get-call": lambda calls, _, n: calls.get_call(f"c-{n}", timeout=5),
    "list-calls": lambda calls, _, n: calls.list_calls(to="+1", from_=f"+{n}", since=0, timeout=5),
}
OF_CALLS = {"create-call", "redirect-call", "hang-up", "get-call", "list-calls"}


async def code_of(request: Awaitable[object]) -> str:
    try:
        await request
    except BandwidthError as error:
        return error.code
    return "fine"


@pytest.mark.parametrize("operation", sorted(REQUEST_KINDS))
async def test_what_fails_stops_its_own_kind_of_work_alone(
    http: HttpClient, bandwidth: Loopback, logs: list[MutableMapping[str, Any]], operation: str
) -> None:
    sessions = WebRtcApi(http, bandwidth.url, "55555", BASIC)
    calls = VoiceApi(http, bandwidth.url, "55555", BASIC)
    bandwidth.answers(DOWN)
    codes = [await code_of(PERFORM[operation](calls, sessions, n)) for n in range(6)]
    assert codes == ["overloaded"] * 5 + ["paused"]
    api, kind = "voice" if operation in OF_CALLS else "webrtc", REQUEST_KINDS[operation]
    assert [(line["api"], line["kind"]) for line in logs if line["event"] == "breaker.opened"] == [
        (api, kind)
    ]
    assert [(one.api, one.kind) for one in (*calls.circuits, *sessions.circuits) if one.open] == [(api, kind)]
    bandwidth.answers(GONE)
    for other, perform in PERFORM.items():
        code = await code_of(perform(calls, sessions, 7))
        assert (code == "paused") == (
            REQUEST_KINDS[other] == kind and (other in OF_CALLS) == (api == "voice")
        ), other


async def test_one_piece_of_work_fails_once_however_often_it_is_tried(
    http: HttpClient, bandwidth: Loopback
) -> None:
    """And so five of them open it."""
    api = WebRtcApi(http, bandwidth.url, "55555", BASIC)
    bandwidth.answers(DOWN)

    async def tried(piece: str, times: int) -> list[str]:
        found = []
        for _ in range(times):
            with record_requests(piece):
                found.append(await code_of(api.delete_session("s", timeout=5)))
        return found

    for piece in ("room:a/1", "room:a/2", "room:b/1", "room:c/1"):
        assert await tried(piece, 12) == ["overloaded"] * 12
    assert await tried("room:d/1", 2) == ["overloaded", "paused"]


async def test_one_session_into_which_nobody_can_be_put_is_one_failure(
    http: HttpClient, bandwidth: Loopback
) -> None:
    """Whoever asks: twenty are put into the one that replaces another. Other rooms have others."""
    api = WebRtcApi(http, bandwidth.url, "55555", BASIC)
    bandwidth.answers(DOWN)
    for member in range(20):
        with record_requests(f"room:lobby/{member}"):
            assert await code_of(api.add_participant("s", f"p-{member}", timeout=5)) == "overloaded"
    codes = [await code_of(api.add_participant(f"s-{n}", "p", timeout=5)) for n in range(5)]
    assert codes == ["overloaded"] * 4 + ["paused"]
