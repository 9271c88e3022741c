import asyncio
import base64
import traceback
from collections.abc import MutableMapping
from typing import Any

import pytest

from service.bandwidth.api_client import HttpClient
from service.bandwidth.auth import EXPIRY_MARGIN, PAUSE_AFTER_FAILURE, TOKEN_FAILURE_THRESHOLD, Basic, OAuth
from service.bandwidth.errors import BandwidthError
from service.bandwidth.request_log import RequestLog, record_requests
from service.tasks import Tasks
from tests.bandwidth.support import Loopback, Reply
from tests.clocks import SetClock
from tests.waiting import wait_until

CLIENT_SECRET = "client-secret"


def grant(number: int, expires_in: object = 3600) -> Reply:
    return Reply(200, {"access_token": f"token-{number}", "expires_in": expires_in, "token_type": "bearer"})


def oauth_at(url: str, http: HttpClient, clock: SetClock) -> OAuth:
    return OAuth(
        client_id="CLI-1",
        client_secret=CLIENT_SECRET,
        token_url=url,
        http=http,
        clock=clock,
        timeout=2,
    )


@pytest.fixture
def oauth(http: HttpClient, bandwidth: Loopback, clock: SetClock) -> OAuth:
    bandwidth.answers(*(grant(number) for number in range(1, 9)))
    return oauth_at(f"{bandwidth.url}/oauth2/token", http, clock)


async def test_basic() -> None:
    basic = Basic("user", "pässword")
    header = await basic.header()
    assert base64.b64decode(header.removeprefix("Basic ")).decode() == "user:pässword"
    assert not basic.invalidate(header)
    await basic.prefetch()
    assert basic.obtained
    assert repr(basic) == "Basic(username='user', password=***)"
    with pytest.raises(ValueError, match="username"):
        Basic("us:er", "password")


async def test_asks_as_the_official_clients_do(oauth: OAuth, bandwidth: Loopback) -> None:
    before = oauth.obtained
    await oauth.prefetch()
    assert (before, oauth.obtained) == (False, True)
    assert await oauth.header() == "Bearer token-1"
    [seen] = bandwidth.seen
    assert (seen.method, seen.path, seen.body) == ("POST", "/oauth2/token", b"grant_type=client_credentials")
    assert seen.headers["content-type"] == "application/x-www-form-urlencoded"
    assert seen.headers["authorization"] == await Basic("CLI-1", CLIENT_SECRET).header()


async def test_fifty_callers_share_one_request(oauth: OAuth, bandwidth: Loopback) -> None:
    headers = await asyncio.gather(*(oauth.header() for _ in range(50)))
    assert set(headers) == {"Bearer token-1"}
    assert len(bandwidth.seen) == 1


async def test_fifty_callers_share_one_failure(oauth: OAuth, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(503, b"", {"retry-after": "3"}))
    errors = await asyncio.gather(*(oauth.header() for _ in range(50)), return_exceptions=True)
    assert len(bandwidth.seen) == 1
    assert len({id(error) for error in errors}) == 50
    for error in errors:
        assert isinstance(error, BandwidthError)
        assert (error.code, error.status, error.retryable, error.retry_after) == (
            "overloaded",
            503,
            True,
            3.0,
        )
        assert not error.may_have_happened


async def test_fifty_requests_with_a_revoked_token_share_one_new_one(
    oauth: OAuth, bandwidth: Loopback, http: HttpClient
) -> None:
    await oauth.prefetch()
    async with Loopback().serving() as api:
        gate = asyncio.Event()
        api.answers(*[Reply(401, gate=gate)] * 50, Reply(200))
        tasks = [
            Tasks().start(http.send("ask", "GET", api.url, credentials=oauth, timeout=5), name="asks")
            for _ in range(50)
        ]
        await wait_until(lambda: len(api.seen) == 50)
        gate.set()
        assert {response.status for response in await asyncio.gather(*tasks)} == {200}
        assert {seen.headers["authorization"] for seen in api.seen[50:]} == {"Bearer token-2"}
    assert len(bandwidth.seen) == 2


async def test_an_api_that_refuses_every_token_costs_one_new_one(
    oauth: OAuth, bandwidth: Loopback, clock: SetClock, http: HttpClient
) -> None:
    """In five seconds, however many ask, at the same time or one after the other."""

    async def asked() -> int | None:
        with pytest.raises(BandwidthError) as caught:
            await http.send("ask", "GET", api.url, credentials=oauth, timeout=5)
        return caught.value.status

    await oauth.prefetch()
    async with Loopback().serving() as api:
        api.answers(Reply(401))
        assert set(await asyncio.gather(*(asked() for _ in range(50)))) == {401}
        assert [await asked() for _ in range(10)] == [401] * 10
        assert len(bandwidth.seen) == 2
        clock.advance(PAUSE_AFTER_FAILURE)
        assert [await asked() for _ in range(10)] == [401] * 10
        assert len(bandwidth.seen) == 3
        api.answers(Reply(200))
        assert (await http.send("ask", "GET", api.url, credentials=oauth, timeout=5)).status == 200
    assert len(bandwidth.seen) == 3


async def test_late_401_does_not_forget_the_newer_token(oauth: OAuth, bandwidth: Loopback) -> None:
    old = await oauth.header()
    assert oauth.invalidate(old)
    assert await oauth.header() == "Bearer token-2"
    assert oauth.invalidate(old)
    assert await oauth.header() == "Bearer token-2"
    assert len(bandwidth.seen) == 2


@pytest.mark.parametrize(
    ("expires_in", "fresh_for", "good_for"),
    [
        (3600, 3540, 3600),
        (600, 540, 600),
        (100, 90, 100),
        (7.5, 6.75, 7.5),
        ("100", 90, 100),
        (0, 3540, 3600),
        (-1, 3540, 3600),
        (None, 3540, 3600),
        (True, 3540, 3600),
        ("soon", 3540, 3600),
    ],
)
async def test_lifetime(
    oauth: OAuth,
    bandwidth: Loopback,
    clock: SetClock,
    expires_in: object,
    fresh_for: float,
    good_for: float,
) -> None:
    gate = asyncio.Event()
    late = grant(2)
    late.gate = gate
    bandwidth.answers(grant(1, expires_in), late)
    await oauth.prefetch()
    clock.advance(fresh_for - 0.01)
    assert await oauth.header() == "Bearer token-1"
    assert len(bandwidth.seen) == 1
    clock.advance(0.02)
    # Used at once, while the refresh runs behind it.
    assert await oauth.header() == "Bearer token-1"
    await wait_until(lambda: len(bandwidth.seen) == 2)
    assert await oauth.header() == "Bearer token-1"
    clock.advance(good_for - fresh_for)
    waiting = Tasks().start(oauth.header(), name="waits")
    gate.set()
    assert await waiting == "Bearer token-2"
    assert len(bandwidth.seen) == 2


async def test_refresh_ahead_happens_once_for_many(
    oauth: OAuth, bandwidth: Loopback, clock: SetClock
) -> None:
    await oauth.prefetch()
    clock.advance(3550)
    assert {await oauth.header() for _ in range(50)} == {"Bearer token-1"}
    await wait_until(lambda: len(bandwidth.seen) == 2)

    async def renewed() -> bool:
        return await oauth.header() == "Bearer token-2"

    await wait_until(renewed)
    assert len(bandwidth.seen) == 2


async def test_failed_refresh_ahead_fails_nobody_and_is_not_repeated_at_once(
    oauth: OAuth, bandwidth: Loopback, clock: SetClock, logs: list[MutableMapping[str, Any]]
) -> None:
    def failures() -> int:
        return sum(line["event"] == "token.refresh_failed" for line in logs)

    bandwidth.answers(grant(1), Reply(500, {"message": "no"}), Reply(500), grant(2))
    await oauth.prefetch()
    clock.advance(3545)
    assert await oauth.header() == "Bearer token-1"
    await wait_until(lambda: failures() == 1)
    assert {await oauth.header() for _ in range(20)} == {"Bearer token-1"}
    assert len(bandwidth.seen) == 2
    clock.advance(6)
    assert await oauth.header() == "Bearer token-1"
    await wait_until(lambda: failures() == 2)
    clock.advance(60)
    assert await oauth.header() == "Bearer token-2"
    assert oauth.obtained
    [first, _] = [line for line in logs if line["event"] == "token.refresh_failed"]
    assert (first["error"], first["status"], first["detail"]) == ("server-error", 500, "no")


async def test_a_refresh_ahead_obeys_retry_after_while_the_old_token_lasts(
    oauth: OAuth, bandwidth: Loopback, clock: SetClock, logs: list[MutableMapping[str, Any]]
) -> None:
    bandwidth.answers(grant(1), Reply(503, b"", {"retry-after": "30"}), grant(2))
    await oauth.prefetch()
    clock.advance(3545)
    assert await oauth.header() == "Bearer token-1"
    await wait_until(lambda: any(line["event"] == "token.refresh_failed" for line in logs))
    clock.advance(29)
    assert await oauth.header() == "Bearer token-1"
    assert "bandwidth.obtain_token" not in {task.get_name() for task in asyncio.all_tasks()}
    assert len(bandwidth.seen) == 2
    # Without any token it is asked for all the same: there is nothing to be lost.
    clock.advance(28)
    assert await oauth.header() == "Bearer token-2"


async def test_an_hour_is_not_obeyed(
    oauth: OAuth, bandwidth: Loopback, clock: SetClock, logs: list[MutableMapping[str, Any]]
) -> None:
    """There is another try before the old token ends, and the next look comes in time where there is none."""
    bandwidth.answers(grant(1), Reply(429, b"", {"retry-after": "3600"}), grant(2))
    await oauth.prefetch()
    clock.advance(3545)
    assert await oauth.header() == "Bearer token-1"
    await wait_until(lambda: any(line["event"] == "token.refresh_failed" for line in logs))
    assert await oauth.refresh_if_due() == 30
    clock.advance(30)
    await oauth.refresh_if_due()
    assert oauth.current == "Bearer token-2"


async def test_a_token_endpoint_that_is_down_is_left_alone(
    oauth: OAuth, bandwidth: Loopback, clock: SetClock, logs: list[MutableMapping[str, Any]]
) -> None:
    """Whoever needs a token hears at once that there is none, and when one will be asked for again."""
    bandwidth.answers(Reply(503))
    errors = []
    for _ in range(100):
        with pytest.raises(BandwidthError) as caught:
            await oauth.header()
        errors.append(caught.value)
    assert len(bandwidth.seen) == 2
    assert [error.code for error in errors] == ["overloaded"] * 2 + ["paused"] * 98
    assert {(error.operation, error.retryable, error.may_have_happened) for error in errors} == {
        ("obtain-token", True, False)
    }
    assert [error.retry_after for error in errors] == [None, None] + [2.0] * 98
    events = [line["event"] for line in logs]
    assert (events.count("token.refresh_failed"), events.count("breaker.opened")) == (2, 1)
    bandwidth.answers(grant(1))
    clock.advance(2)
    assert await oauth.header() == "Bearer token-1"
    assert {
        "event": "breaker.closed",
        "log_level": "info",
        "api": "token",
        "kind": "tokens",
        "open_s": 2.0,
    } in logs


async def test_who_gives_tokens_is_lost_until_it_answers(
    http: HttpClient, bandwidth: Loopback, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With whatever status, and also where that is no token."""
    far = oauth_at("http://127.0.0.1:9", http, clock)
    begun = clock.monotonic()
    lost = [far.unreachable_since]
    for _ in range(TOKEN_FAILURE_THRESHOLD):
        with pytest.raises(BandwidthError, match="unreachable"):
            await far.header()
        clock.advance(1)
    with pytest.raises(BandwidthError, match="paused"):
        await far.header()
    lost.append(far.unreachable_since)
    monkeypatch.setattr(far, "_token_url", f"{bandwidth.url}/oauth2/token")
    bandwidth.answers(Reply(503))
    clock.advance(2)
    with pytest.raises(BandwidthError, match="overloaded"):
        await far.header()
    lost.append(far.unreachable_since)
    assert lost == [None, begun, None], "since the first of them; a pause says nothing"


async def test_who_gives_tokens_is_not_missed_while_there_is_one(
    http: HttpClient, bandwidth: Loopback, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bandwidth.answers(grant(1))
    oauth = oauth_at(f"{bandwidth.url}/oauth2/token", http, clock)
    await oauth.prefetch()
    monkeypatch.setattr(oauth, "_token_url", "http://127.0.0.1:9")
    clock.advance(3600 - EXPIRY_MARGIN)
    begun = clock.monotonic()
    await oauth.refresh_if_due()
    assert (await oauth.header(), oauth.unreachable_since) == ("Bearer token-1", None)
    clock.advance(EXPIRY_MARGIN)
    assert oauth.unreachable_since == begun


async def test_who_gives_up_waiting_does_not_stop_the_refresh(oauth: OAuth, bandwidth: Loopback) -> None:
    gate = asyncio.Event()
    late = grant(1)
    late.gate = gate
    bandwidth.answers(late)
    waiting = [Tasks().start(oauth.header(), name="waits") for _ in range(2)]
    await wait_until(lambda: len(bandwidth.seen) == 1)
    waiting[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    gate.set()
    assert await waiting[1] == "Bearer token-1"
    assert len(bandwidth.seen) == 1


async def test_expired_token_is_not_used_however_the_refresh_goes(
    oauth: OAuth, bandwidth: Loopback, clock: SetClock
) -> None:
    bandwidth.answers(grant(1), Reply(500))
    await oauth.prefetch()
    clock.advance(3600)
    with pytest.raises(BandwidthError, match="server-error"):
        await oauth.header()
    assert oauth.obtained


@pytest.mark.parametrize(
    ("reply", "code", "status", "retry"),
    [
        (Reply(401, {"error": "invalid_client"}), "no-token", 401, False),
        (Reply(400), "no-token", 400, False),
        (Reply(403), "no-token", 403, False),
        (Reply(429), "rate-limited", 429, True),
        (Reply(503), "overloaded", 503, True),
        (Reply(200, b"<html>"), "no-token", None, False),
        (Reply(200, b"[" * 5000), "no-token", None, False),
        (Reply(200, b'{"access_token": "\xff"}'), "no-token", None, False),
        (Reply(200, {"expires_in": 3600}), "no-token", None, False),
        (Reply(200, {"access_token": ""}), "no-token", None, False),
        (Reply(200, {"access_token": "a\r\nx-evil: 1"}), "no-token", None, False),
        (Reply(200, {"access_token": 5}), "no-token", None, False),
    ],
)
async def test_no_token(
    oauth: OAuth,
    bandwidth: Loopback,
    reply: Reply,
    code: str,
    status: int | None,
    retry: bool,
) -> None:
    bandwidth.answers(reply)
    with pytest.raises(BandwidthError) as caught:
        await oauth.prefetch()
    error = caught.value
    assert (error.operation, error.code, error.status, error.retryable) == (
        "obtain-token",
        code,
        status,
        retry,
    )
    assert not oauth.obtained
    assert len(bandwidth.seen) == 1


async def test_waiting_for_a_token_is_bounded(http: HttpClient, bandwidth: Loopback, clock: SetClock) -> None:
    gate = asyncio.Event()
    bandwidth.answers(Reply(gate=gate))
    oauth = OAuth(
        client_id="a", client_secret="b", token_url=bandwidth.url, http=http, clock=clock, timeout=0.05
    )
    with pytest.raises(BandwidthError) as caught:
        await oauth.header()
    assert (caught.value.code, caught.value.status, caught.value.retryable) == ("timeout", None, True)
    assert not caught.value.may_have_happened
    gate.set()


async def test_token_requests_belong_to_no_tally(oauth: OAuth, http: HttpClient) -> None:
    async with Loopback().serving() as api:
        with record_requests() as tally:
            await http.send("ask", "GET", api.url, credentials=oauth, timeout=5)
    assert tally == RequestLog(requests=1, retries=0)


async def test_secrets_are_not_shown(
    oauth: OAuth, bandwidth: Loopback, logs: list[MutableMapping[str, Any]]
) -> None:
    await oauth.prefetch()
    bandwidth.answers(Reply(200, b'{"access_token": "secret-token" oops'))
    assert oauth.invalidate("Bearer token-1")
    with pytest.raises(BandwidthError) as caught:
        await oauth.prefetch()
    trace = "".join(traceback.format_exception(caught.value))
    for text in (repr(logs), repr(oauth), str(caught.value), trace):
        assert CLIENT_SECRET not in text
        assert "token-1" not in text
        assert "secret-token" not in text
