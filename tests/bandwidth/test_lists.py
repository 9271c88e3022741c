"""What is asked of Bandwidth to find something again: the calls between two numbers, who is in a session."""

import asyncio
import json
from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.bandwidth.api_client import HttpClient
from service.bandwidth.auth import Basic
from service.bandwidth.errors import BandwidthError, NotFound
from service.bandwidth.voice import PAGES, FoundCall, TooManyCalls, VoiceApi
from service.bandwidth.webrtc import WebRtcApi
from tests.bandwidth.support import BASIC, Loopback, Reply
from tests.clocks import SetClock
from tests.simulator.scripted import ScriptedScene, scene
from tests.simulator.settings import SimulatorSettings
from tests.waiting import wait_until

CALLEE = "+15550002222"
OURS = "+15551234567"
SINCE = 1_800_000_000.123
PARK = '<Response><Pause duration="86400"/></Response>'


def voice(http: HttpClient, bandwidth: Loopback) -> VoiceApi:
    return VoiceApi(http, f"{bandwidth.url}/api/v2", "55555", BASIC)


def webrtc(http: HttpClient, bandwidth: Loopback) -> WebRtcApi:
    return WebRtcApi(http, f"{bandwidth.url}/v1", "55555", BASIC)


async def found(api: VoiceApi, since: float = SINCE) -> list[str]:
    return [one.call_id for one in await api.list_calls(to=CALLEE, from_=OURS, since=since, timeout=5)]


def page(*call_ids: str, then: str | None = None) -> Reply:
    return Reply(200, json.dumps([{"callId": one} for one in call_ids]).encode(), links(then))


def links(then: str | None) -> dict[str, str]:
    return {"link": f'<{then}>; rel="next"'} if then else {}


async def test_calls_are_read_as_documented(
    http: HttpClient, bandwidth: Loopback, logs: list[MutableMapping[str, Any]]
) -> None:
    queued = b'{"callId": "c-2", "state": "queued", "startTime": null, "to": null, "colour": "red"}'
    bandwidth.answers(
        Reply(
            200,
            b'[{"callId": "c-1", "state": "answered", "direction": "outbound", "to": "+15550002222",'
            b' "from": "+15551234567", "applicationId": "app-1", "parentCallId": null, "accountId": "55555",'
            b' "enqueuedTime": "2026-11-01T10:00:00Z", "startTime": "2026-11-01T10:00:01Z", "endTime": null},'
            + queued
            + b"]",
        )
    )
    calls = await voice(http, bandwidth).list_calls(to=CALLEE, from_=OURS, since=SINCE, timeout=5, attempt=3)
    assert calls == (
        FoundCall(
            call_id="c-1",
            state="answered",
            direction="outbound",
            to=CALLEE,
            from_=OURS,
            application_id="app-1",
            enqueued_time="2026-11-01T10:00:00Z",
            start_time="2026-11-01T10:00:01Z",
        ),
        FoundCall(call_id="c-2", state="queued"),
    )
    [seen] = bandwidth.seen
    assert (seen.method, seen.path) == ("GET", "/api/v2/accounts/55555/calls")
    assert seen.query == "to=%2B15550002222&from=%2B15551234567&minStartTime=2027-01-15T08:00:00.123Z"
    assert [(line["operation"], line["attempt"]) for line in logs] == [("list-calls", 3)]
    for number in (CALLEE, OURS):
        assert number[1:] not in repr(calls) + repr(logs)


@pytest.mark.parametrize("body", [b"[]", b""])
async def test_no_calls(http: HttpClient, bandwidth: Loopback, body: bytes) -> None:
    bandwidth.answers(Reply(200, body))
    assert await found(voice(http, bandwidth)) == []


@pytest.mark.parametrize("ahead", [-7200, -60, 0, 5, 3600])
async def test_calls_are_looked_for_by_bandwidths_clock(bandwidth: Loopback, ahead: float) -> None:
    """Ours may be wrong by hours where the store's is, and nothing would be found."""
    clock = SetClock(datetime(2027, 1, 15, 8, tzinfo=UTC).timestamp() + ahead)
    http = HttpClient(clock=clock)
    date = {"date": "Fri, 15 Jan 2027 08:00:00 GMT"}
    bandwidth.answers(Reply(200, b"[]", date), Reply(200, b"[]", date))
    for _ in range(2):
        await found(voice(http, bandwidth), clock.now())
    asked = [seen.query.rpartition("minStartTime=2027-01-15T")[2] for seen in bandwidth.seen]
    assert asked[1] == ("08:00:05.000Z" if ahead == 5 else "08:00:00.000Z")
    await http.close()


async def test_pages_are_followed(http: HttpClient, bandwidth: Loopback) -> None:
    here = f"{bandwidth.url}/api/v2/accounts/55555/calls"
    bandwidth.answers(
        page("c-1", "c-2", then=f"{here}?to=%2B1555&pageToken=a%3D"),
        page("c-3", then="?pageToken=3"),
        page(),
    )
    assert await found(voice(http, bandwidth)) == ["c-1", "c-2", "c-3"]
    assert [(seen.path, seen.query) for seen in bandwidth.seen[1:]] == [
        ("/api/v2/accounts/55555/calls", "to=%2B1555&pageToken=a%3D"),
        ("/api/v2/accounts/55555/calls", "pageToken=3"),
    ]


@pytest.mark.parametrize(
    "elsewhere",
    [
        "http://evil.example/api/v2/accounts/55555/calls?pageToken=1",
        "//evil.example/api/v2/accounts/55555/calls?pageToken=1",
        "{origin}.evil.example/api/v2/accounts/55555/calls?pageToken=1",
        "{origin}@evil.example/api/v2/accounts/55555/calls?pageToken=1",
        "https{rest}/api/v2/accounts/55555/calls?pageToken=1",
        "{origin}/api/v2/accounts/66666/calls?pageToken=1",
        "/api/v2/accounts/55555/calls/../../66666/calls?pageToken=1",
        "{origin}/api/v2/accounts/55555/calls",
        "http://[?pageToken=1",
        "{origin}:port/api/v2/accounts/55555/calls?pageToken=1",
        "?pageToken=ä",
    ],
)
async def test_credentials_follow_no_link_elsewhere(
    http: HttpClient, bandwidth: Loopback, elsewhere: str
) -> None:
    origin = bandwidth.url
    link = elsewhere.format(origin=origin, rest=origin.removeprefix("http"))
    bandwidth.answers(page("c-1", then=link), page("c-2"))
    with pytest.raises(BandwidthError, match="next page is elsewhere") as caught:
        await found(voice(http, bandwidth))
    assert (caught.value.code, caught.value.retryable) == ("invalid-response", False)
    assert len(bandwidth.seen) == 1


async def test_pages_without_end_are_no_list(http: HttpClient, bandwidth: Loopback) -> None:
    bandwidth.answers(page("c-1", then="?pageToken=1"))
    with pytest.raises(TooManyCalls, match="over 10 pages"):
        await found(voice(http, bandwidth))
    assert len(bandwidth.seen) == PAGES


class Slow(Basic):
    """Credentials that take a while to come."""

    current = ""

    async def header(self) -> str:
        loop = asyncio.get_running_loop()
        since = loop.time()
        await wait_until(lambda: loop.time() > since + 0.1)
        return await super().header()


async def test_all_pages_share_the_time(http: HttpClient, bandwidth: Loopback) -> None:
    bandwidth.answers(page("c-1", then="?pageToken=1"))
    api = VoiceApi(http, f"{bandwidth.url}/api/v2", "55555", Slow("user", "password"))
    with pytest.raises(BandwidthError, match="timeout"):
        await api.list_calls(to=CALLEE, from_=OURS, since=SINCE, timeout=0.35)
    assert len(bandwidth.seen) < 4


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"null",
        b"<html>",
        b"[{}]",
        b'[{"callId": ".."}]',
        b'[{"callId": "../x"}]',
        b'[{"callId": "c-1", "parentCallId": "../x"}]',
        b'[{"callId": 5}]',
    ],
)
async def test_what_is_no_list_of_calls(http: HttpClient, bandwidth: Loopback, body: bytes) -> None:
    """A call without an id could be the one that is looked for."""
    bandwidth.answers(Reply(200, body))
    with pytest.raises(BandwidthError, match="invalid-response"):
        await found(voice(http, bandwidth))


# Who is in a session


async def test_participants(http: HttpClient, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(200, b'[{"id": "p-1", "tag": "x"}, {"id": "p-2", "sessions": ["s"]}]'))
    assert await webrtc(http, bandwidth).list_participants("s", timeout=5) == ("p-1", "p-2")
    [seen] = bandwidth.seen
    assert (seen.method, seen.path) == ("GET", "/v1/accounts/55555/sessions/s/participants")


@pytest.mark.parametrize("reply", [Reply(204), Reply(200, b""), Reply(200, b"[]")])
async def test_nobody_is_there(http: HttpClient, bandwidth: Loopback, reply: Reply) -> None:
    bandwidth.answers(reply)
    assert await webrtc(http, bandwidth).list_participants("s", timeout=5) == ()


async def test_a_session_that_is_gone_has_no_list(http: HttpClient, bandwidth: Loopback) -> None:
    unusable = [Reply(200, body) for body in (b'[{"id": ".."}]', b'[{"id": "../x"}]', b"{}")]
    bandwidth.answers(Reply(404, {"error": "not found"}), *unusable)
    with pytest.raises(NotFound):
        await webrtc(http, bandwidth).list_participants("s", timeout=5)
    for _ in unusable:
        with pytest.raises(BandwidthError, match="invalid-response"):
            await webrtc(http, bandwidth).list_participants("s", timeout=5)


# At the simulator


def simulated(http: HttpClient, stage: ScriptedScene) -> tuple[VoiceApi, WebRtcApi]:
    simulator = stage.sim
    credentials = Basic(simulator.username, simulator.password)
    return (
        VoiceApi(http, simulator.voice_url, simulator.account_id, credentials),
        WebRtcApi(http, simulator.webrtc_url, simulator.account_id, credentials),
    )


async def test_calls_are_found_at_bandwidth(http: HttpClient) -> None:
    async with scene() as stage:
        stage.service.on("answer", PARK)
        begun = datetime.now(UTC)  # noqa: TID251 - of the simulator, which has a clock of its own
        phones = [await stage.place(to=to) for to in (CALLEE, "+15550003333", CALLEE)]
        calls, _ = simulated(http, stage)
        both = [phones[0].call_id, phones[2].call_id]
        assert await found(calls, begun.timestamp() - 1) == both
        assert await found(calls, begun.timestamp() + 60) == []
        await phones[0].hang_up()
        assert await found(calls, begun.timestamp() - 1) == both
        phones[0].call.end_time = (begun - timedelta(days=7, seconds=1)).isoformat()
        assert await found(calls, begun.timestamp() - 1) == both[1:]
        assert await calls.get_call(both[0], timeout=5) is None
        assert stage.sim.complaints == []


async def test_all_of_a_time_are_found_at_bandwidth(http: HttpClient) -> None:
    async with scene() as stage:
        stage.service.on("answer", PARK)
        phones = [await stage.place(to=to) for to in (CALLEE, "+15550003333")]
        calls, _ = simulated(http, stage)
        now = datetime.now(UTC).timestamp()  # noqa: TID251 - of the simulator
        for until, expected in ((now + 1, phones), (now - 60, [])):
            listed = await calls.list_calls(since=now - 120, until=until, timeout=5)
            assert [one.call_id for one in listed] == [phone.call_id for phone in expected]
        assert stage.sim.complaints == []


async def test_a_call_is_not_in_the_list_at_once(http: HttpClient) -> None:
    async with scene(SimulatorSettings(call_visible_after=0.3)) as stage:
        stage.service.on("answer", PARK)
        phone = await stage.place(to=CALLEE)
        calls, _ = simulated(http, stage)
        assert await found(calls, 0) == []

        async def there() -> bool:
            return await found(calls, 0) == [phone.call_id]

        await wait_until(there)


async def test_members_are_found_at_bandwidth(http: HttpClient) -> None:
    async with scene() as stage:
        _, sessions = simulated(http, stage)
        seats = [await stage.seat()]
        session_id = seats[0].session_id
        seats.append(await stage.seat(session_id))
        assert set(await sessions.list_participants(session_id, timeout=5)) == {
            seat.participant_id for seat in seats
        }
        for seat in seats:
            await sessions.remove_participant(session_id, seat.participant_id, timeout=5)
        assert await sessions.list_participants(session_id, timeout=5) == ()
        await sessions.delete_session(session_id, timeout=5)
        with pytest.raises(NotFound):
            await sessions.list_participants(session_id, timeout=5)
