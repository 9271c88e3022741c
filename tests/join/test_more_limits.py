"""Visitors who want more than they may have: seats, streams, other people's places, a key's old rights."""

import asyncio
import re
from collections import Counter
from urllib.parse import urlsplit

import httpx
import pytest
from redis.asyncio import Redis

from handlers.http.sse import PER_VISITOR
from service.invitations import Pass, PassSigner
from tests.event_listener import open_stream
from tests.harness import API_KEYS, CALLEE, PASSWORD, RunningService
from tests.join.visitors import ApiVisitor, invited, new_visitor, problem_kind, visitor
from tests.operators import NO_TLS, Operator, operator_for
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

TEMPORARY = "temporary-key-0123456789"
FEW = 5
"""Tabs, more than anybody has who wants to talk."""
UNLIMITED = httpx.Limits(max_connections=None)


@pytest.mark.parametrize("origin", ["http://[", "https://[bridge.test", "", "null", "https://bridge.test:x"])
async def test_an_origin_that_is_none(service: RunningService, operator: Operator, origin: str) -> None:
    async with visitor(service, operator) as ada:
        refused = await ada.send("POST", "/participant", {}, origin=origin)
        assert (refused.status_code, problem_kind(refused)) == (403, "foreign-origin")
    assert not service.log("api.failed")


@pytest.mark.parametrize("base", ["HTTPS://bridge.test", "https://Bridge.test:443"])
async def test_other_spellings_of_our_address(
    simulator: Simulator, store_url: str, redis: Redis, base: str
) -> None:
    async with (
        operator_for(simulator, store_url, redis, BASE_CALLBACK_URL=base) as (service, operator),
        new_visitor(service) as ada,
    ):
        opened = await ada.open(await invited(operator))
        assert opened.status_code == 200
        assert "secure" in opened.headers["set-cookie"].lower()


# Keys that are taken back -----------------------------------------------------------------------------------


@pytest.mark.parametrize("now", ["", f"temp:read+dial:{TEMPORARY},"])
async def test_what_a_key_that_is_gone_has_granted(
    simulator: Simulator, store_url: str, redis: Redis, now: str
) -> None:
    """Taken out of API_KEYS, or not for inviting any more."""
    before = f"temp:control+dial:{TEMPORARY},{API_KEYS}"
    async with (
        operator_for(simulator, store_url, redis, API_KEYS=before) as (service, _),
        Operator.of(service, TEMPORARY) as operator,
        visitor(service, operator, scopes=["dial"]) as ada,
    ):
        left = await invited(operator, scopes=["dial"])
        cookie = ada.cookie
    async with operator_for(simulator, store_url, redis, API_KEYS=f"{now}{API_KEYS}") as (service, _):
        async with new_visitor(service) as ada:
            ada.cookie = cookie
            for method, path, body in (("GET", "/visit", None), ("POST", "/calls", {"to": CALLEE})):
                refused = await ada.send(method, path, body)
                assert (refused.status_code, problem_kind(refused)) == (403, "invitation-needed")
        async with new_visitor(service) as bob:
            assert problem_kind(await bob.open(left)) == "invitation-expired"
            assert "has run out" in (await bob.send("GET", f"?invitation={left}")).text


async def test_what_a_key_may_not_do_any_more(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, API_KEYS=f"temp:control:{TEMPORARY},{API_KEYS}") as (
        service,
        _,
    ):
        said = Pass("v", "sales", 4e9, "temp", scopes=("talk", "dial", "hangup"))  # type: ignore[arg-type] # as JSON
        async with new_visitor(service) as ada:
            ada.cookie = f"pstn_visit={PassSigner('visits', PASSWORD).sign(said)}"
            assert (await ada.send("GET", "/visit")).json()["scopes"] == ["talk", "hangup"]
            refused = await ada.send("POST", "/calls", {"to": CALLEE})
            assert (refused.status_code, refused.json()["scope"]) == (403, "dial")


# Too much of everything -------------------------------------------------------------------------------------


async def test_a_visit_takes_a_few_seats_at_a_time(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    async with visitor(service, operator) as ada:
        answers = await asyncio.gather(*(ada.send("POST", "/participant", {}) for _ in range(30)))
        found = Counter(answer.status_code for answer in answers)
        assert set(found) == {201, 429}
        assert found[201] <= FEW
        assert len(simulator.sessions.participants) <= FEW
        for answer in answers:
            if answer.status_code == 201:
                await ada.leave(answer.json())
            else:
                assert problem_kind(answer) == "rate-limited"
                assert answer.headers["retry-after"] == "1"
        # Who waits for each answer is not held up.
        for _ in range(FEW):
            await ada.leave(await ada.sit())


async def test_a_visit_has_a_few_streams(service: RunningService, operator: Operator) -> None:
    async with (
        visitor(service, operator) as ada,
        visitor(service, operator) as bob,
        httpx.AsyncClient(base_url=service.url, verify=NO_TLS, limits=UNLIMITED, timeout=30) as client,
    ):

        async def listen(who: ApiVisitor) -> httpx.Response:
            asked = client.build_request("GET", "/join/sales/events", headers={"cookie": who.cookie})
            return await client.send(asked, stream=True)

        opened = list(await asyncio.gather(*(listen(ada) for _ in range(30))))
        opened += [await listen(bob)]
        assert {one.status_code for one in opened} == {200}

        async def crowded() -> bool:
            return len(service.log("stream.ended", reason="crowded")) == 30 - PER_VISITOR

        await wait_until(crowded, what="the oldest have not ended")
        for one in opened:
            await one.aclose()

        async def left() -> bool:
            return len(service.log("stream.ended", reason="left")) == PER_VISITOR + 1

        await wait_until(left, what="the newest, and the other's, have ended before")


async def test_nobody_takes_the_places_of_operators(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, MAX_WEBHOOKS="2") as (service, operator):
        where = urlsplit(service.url)
        slow = [await asyncio.open_connection(where.hostname, where.port) for _ in range(2)]
        head = b"POST /join/sales/visit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        for _, writer in slow:
            writer.write(head + b"Content-Length: 50\r\n\r\n{")

        async def full() -> bool:
            async with new_visitor(service) as ada:
                return problem_kind(await ada.open("x")) == "overloaded"

        await wait_until(full, what="they hold no places")
        assert (await operator.send("GET", "/rooms")).status_code == 200
        for _, writer in slow:
            writer.close()


# What visitors leave to others ------------------------------------------------------------------------------


async def test_visitors_leave_calls_to_their_key(simulator: Simulator, store_url: str, redis: Redis) -> None:
    simulator.numbers[CALLEE] = "busy"
    body = {"to": CALLEE}
    async with (
        operator_for(simulator, store_url, redis, CALLS_PER_HOUR="4") as (service, operator),
        visitor(service, operator, scopes=["dial"]) as ada,
        visitor(service, operator, scopes=["dial"]) as bob,
        visitor(service, operator, scopes=["dial"]) as cleo,
    ):
        for who, statuses in ((ada, [201, 422]), (bob, [201, 422]), (cleo, [422])):
            for status in statuses:
                answer = await who.send("POST", "/calls", body)
                assert answer.status_code == status
            assert answer.json()["rule"] == "calls-per-hour"
            assert 0 < int(answer.headers["retry-after"]) <= 3600
            assert not re.search(r"\d|key", answer.json()["detail"]), "whose limit it is, and which"
        for _ in range(2):
            await operator.place()
        refused = await operator.send("POST", "/calls", {**body, "room": "sales"})
        assert (refused.status_code, refused.json()["rule"]) == (422, "calls-per-hour")


async def test_visitors_leave_room_for_calls_of_their_key(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    """Of the calls that are up at once, however many hours they last."""
    simulator.numbers[CALLEE] = "ring"
    body = {"to": CALLEE}
    async with (
        operator_for(simulator, store_url, redis, CALLS_PER_HOUR="4") as (service, operator),
        visitor(service, operator, scopes=["dial"]) as ada,
        visitor(service, operator, scopes=["dial"]) as bob,
    ):
        calls = []
        for who in (ada, bob):
            answer = await who.send("POST", "/calls", body)
            assert answer.status_code == 201
            calls.append(answer.json()["id"])
        await redis.delete(*[key async for key in redis.scan_iter("*:placed:*")])  # an hour passes
        refused = await ada.send("POST", "/calls", body)
        assert (refused.status_code, refused.json()["rule"]) == (429, "calls-at-once")
        assert not re.search(r"\d|key", refused.json()["detail"]), "whose limit it is, and which"
        calls += [(await operator.place())["id"] for _ in range(2)]
        refused = await operator.send("POST", "/calls", {**body, "room": "sales"})
        assert (refused.status_code, refused.json()["rule"]) == (429, "calls-at-once")
        assert "4 calls" in refused.json()["detail"]
        await operator.order(calls[0], "hangup")
        await operator.until(calls[0], "ended")
        answer = await bob.send("POST", "/calls", body)
        assert answer.status_code == 201, "one of theirs is over"
        for call in (*calls[1:], answer.json()["id"]):
            await operator.order(call, "hangup")
            await operator.until(call, "ended")


async def test_what_bandwidth_refuses_a_visitor_costs_the_key_nothing(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    simulator.numbers[CALLEE] = "busy"
    async with (
        operator_for(simulator, store_url, redis, CALLS_PER_HOUR="8") as (service, operator),
        visitor(service, operator, scopes=["dial"]) as ada,
    ):
        simulator.faults.add("createCall", status=400, times=None)
        answers = [await ada.send("POST", "/calls", {"to": CALLEE}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [502, 502, 422, 422], "her own tries count"
        simulator.faults.clear()
        for _ in range(8):
            await operator.place()


async def test_visitors_leave_streams_to_operators(
    service: RunningService, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together as well, and all at once."""
    monkeypatch.setattr("handlers.http.sse.VISITORS", 3)
    monkeypatch.setattr("handlers.http.sse.LIMIT", 4)
    async with (
        visitor(service, operator) as ada,
        visitor(service, operator) as bob,
        httpx.AsyncClient(base_url=service.url, verify=NO_TLS, limits=UNLIMITED, timeout=30) as client,
    ):

        async def listen(who: ApiVisitor) -> httpx.Response:
            asked = client.build_request("GET", "/join/sales/events", headers={"cookie": who.cookie})
            return await client.send(asked, stream=True)

        opened = await asyncio.gather(*(listen(who) for who in [ada, bob] * 10))
        assert Counter(one.status_code for one in opened) == {200: 3, 503: 17}
        async with open_stream(service.url, "sales") as heard:
            await heard.until("snapshot")
        for one in opened:
            await one.aclose()


# The rest of /join/ -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/a", "/visit/"])
async def test_a_slash_too_many_does_not_repeat_the_link(
    service: RunningService, operator: Operator, path: str
) -> None:
    """A redirect would: with the invitation in it, and to plain http where a proxy ends TLS."""
    invitation = await invited(operator)
    async with new_visitor(service) as ada:
        shown = await ada.send("GET", f"{path}?invitation={invitation}")
    assert shown.status_code == 404
    assert "location" not in shown.headers
    assert invitation not in shown.text
