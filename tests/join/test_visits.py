"""A visit: a seat with its token, heartbeats, leaving, calls, and what it may not do."""

import asyncio
import json
from pathlib import Path

import pytest
from redis.asyncio import Redis

from service.invitations import Pass, PassSigner, Scope
from tests.harness import CALLEE, LOG, RunningService, nothing_left, serving
from tests.join.visitors import invited, new_visitor, problem_kind, visitor
from tests.operators import Json, Operator, operator_for
from tests.simulator.simulator import Simulator
from tests.store_servers import OPTIONS, RedisServer, running
from tests.waiting import wait_until


async def people(operator: Operator, room: str = "sales") -> list[Json]:
    answer = await operator.send("GET", f"/rooms/{room}")
    found: list[Json] = answer.json()["members"] if answer.is_success else []
    return found


async def test_a_seat(simulator: Simulator, service: RunningService, operator: Operator) -> None:
    async with visitor(service, operator, name="Ada") as ada:
        seat = await ada.sit()
        participant = simulator.sessions.participants[seat["participantId"]]
        assert seat == {
            "participantId": participant.id,
            "token": participant.token,
            "expiresAt": None,
            "deviceUrl": "wss://device.webrtc.bandwidth.com",
        }
        [member] = await people(operator)
        assert (member["name"], member["kind"]) == ("Ada", "browser")
        assert (await ada.beat(seat)).status_code == 204
        await ada.leave(seat)
        await ada.leave(seat)
        gone = await ada.beat(seat)
        assert (gone.status_code, problem_kind(gone)) == (410, "gone")


async def test_who_joins_again_is_not_there_twice(service: RunningService, operator: Operator) -> None:
    async with visitor(service, operator) as ada:
        first = await ada.sit(name="Ada")
        await ada.beat(first)
        second = await ada.sit(name="Ada L.")
        assert (await ada.beat(first)).status_code == 410
        assert (await ada.beat(second)).status_code == 204

        async def alone() -> bool:
            return [one["name"] for one in await people(operator)] == ["Ada L."]

        await wait_until(alone, what="she is there twice")
        await ada.leave(second)


async def test_two_tabs_at_once_are_one_person(service: RunningService, operator: Operator) -> None:
    async with visitor(service, operator) as ada:
        seats = await asyncio.gather(*(ada.sit() for _ in range(3)))

        async def alone() -> bool:
            return len(await people(operator)) == 1

        await wait_until(alone, what="she is there more than once")
        beats = [await ada.beat(seat) for seat in seats]
        assert sorted(beat.status_code for beat in beats) == [204, 410, 410]
        for seat in seats:
            await ada.leave(seat)


async def test_a_full_room_has_a_place_for_who_comes_back(
    service: RunningService, operator: Operator
) -> None:
    await operator.set_room("sales", limit=2)
    async with visitor(service, operator) as ada, visitor(service, operator) as bob:
        seat, other = await ada.sit(), await bob.sit()
        async with visitor(service, operator) as eve:
            refused = await eve.send("POST", "/participant", {})
            assert (refused.status_code, problem_kind(refused)) == (409, "room-full")
        again = await ada.sit()
        assert again["participantId"] != seat["participantId"]
        for who, where in ((ada, again), (bob, other)):
            await who.leave(where)


async def test_a_seat_belongs_to_its_visit(service: RunningService, operator: Operator) -> None:
    async with visitor(service, operator) as ada, visitor(service, operator) as eve:
        seat = await ada.sit()
        assert (await eve.beat(seat)).status_code == 410
        await eve.leave(seat)
        assert (await ada.beat(seat)).status_code == 204
        await ada.leave(seat)


# What it needs ----------------------------------------------------------------------------------------------

PATHS = (
    ("GET", "/visit"),
    ("POST", "/participant"),
    ("POST", "/heartbeat"),
    ("POST", "/leave"),
    ("GET", "/events"),
    ("POST", "/calls"),
    ("POST", "/calls/p01-aaaaaaaaaaaaaaaaaaaa/hangup"),
)


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_nothing_is_done_without_a_visit(
    service: RunningService, operator: Operator, method: str, path: str
) -> None:
    body: Json | None = {} if method == "POST" else None
    async with visitor(service, operator, "support", scopes=["dial", "hangup"]) as elsewhere:
        cookie = elsewhere.cookie
    over = PassSigner("visits", "callback-password").sign(Pass("v", "sales", 1000.0, "key-1"))
    as_invitation = await invited(operator)
    async with new_visitor(service) as nobody:
        for value in ("", cookie, f"pstn_visit={over}", f"pstn_visit={as_invitation}", cookie[:-2] + "xx"):
            nobody.cookie = value
            refused = await nobody.send(method, path, body)
            assert (refused.status_code, problem_kind(refused)) == (403, "invitation-needed")


@pytest.mark.parametrize(("method", "path"), [one for one in PATHS if one[0] == "POST"])
async def test_other_peoples_pages_have_nothing_to_say(
    service: RunningService, operator: Operator, method: str, path: str
) -> None:
    async with visitor(service, operator, scopes=["dial", "hangup"]) as ada:
        for origin in ("https://evil.example", "null", "http://bridge.test"):
            refused = await ada.send(method, path, {}, origin=origin)
            assert (refused.status_code, problem_kind(refused)) == (403, "foreign-origin")
        # As a browser has it that is not behind the proxy.
        answer = await ada.send(method, path, {}, origin=service.url)
        assert answer.status_code != 403
        if answer.status_code == 201:
            await ada.leave(answer.json())


async def test_what_was_not_granted(service: RunningService, operator: Operator) -> None:
    async with visitor(service, operator) as ada:
        for path, scope in (("/calls", "dial"), ("/calls/x/hangup", "hangup")):
            refused = await ada.send("POST", path, {"to": CALLEE})
            assert (refused.status_code, refused.json()["scope"]) == (403, scope)


async def test_bodies_are_checked(service: RunningService, operator: Operator) -> None:
    async with visitor(service, operator, scopes=["dial"]) as ada:
        for path, body, field in (
            ("/participant", {"name": 1}, "name"),
            ("/heartbeat", {}, "participantId"),
            ("/leave", {"participantId": ""}, "participantId"),
            ("/calls", {"to": "12"}, "to"),
            ("/calls", {"to": CALLEE, "room": "x"}, "room"),
        ):
            refused = await ada.send("POST", path, body)
            assert (refused.status_code, refused.json()["field"]) == (422, field)
        assert (await ada.send("PUT", "/visit", {})).status_code == 405
        wrong = await ada.client.post(
            "/join/sales/heartbeat",
            content=b"{}",
            headers={"cookie": ada.cookie, "content-type": "text/plain"},
        )
        assert wrong.status_code == 415


# Calls ------------------------------------------------------------------------------------------------------


async def test_a_call_is_placed_and_hung_up(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    async with visitor(service, operator, scopes=["dial", "hangup"]) as ada:
        placed = await ada.send("POST", "/calls", {"to": CALLEE})
        assert placed.status_code == 201
        assert CALLEE not in placed.text
        call = placed.json()
        assert call["room"] == "sales"
        phone = await simulator.called(CALLEE)
        await phone.until("bridged")
        assert (await ada.send("POST", f"/calls/{call['id']}/hangup", {})).status_code == 202
        await operator.until(call["id"], "ended")
        again = await ada.send("POST", f"/calls/{call['id']}/hangup", {})
        assert again.status_code == 404


async def test_calls_elsewhere_are_none_of_a_visitors_business(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    call = await operator.place(room="support")
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    async with visitor(service, operator, scopes=["hangup"]) as ada:
        for id_ in (call["id"], phone.call_id, "p01-aaaaaaaaaaaaaaaaaaaa", "x"):
            assert (await ada.send("POST", f"/calls/{id_}/hangup", {})).status_code == 404
    assert phone.stage == "bridged"
    await phone.hang_up()


async def test_numbers_that_are_not_called(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with (
        operator_for(simulator, store_url, redis) as (service, operator),
        visitor(service, operator, scopes=["dial"]) as ada,
    ):
        for number, rule in (("+1911", "emergency"), ("9-1-1", "emergency"), ("+442071838750", "prefix")):
            refused = await ada.send("POST", "/calls", {"to": number})
            assert (refused.status_code, refused.json()["rule"]) == (422, rule)


async def test_bandwidths_words_are_not_for_visitors(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    said = "account 9900123: 15550100111 may not call (555) 010-0122"
    async with (
        operator_for(simulator, store_url, redis) as (service, operator),
        visitor(service, operator, scopes=["talk", "dial"]) as ada,
    ):
        simulator.faults.add("createCall", status=400, words=said)
        refused = await ada.send("POST", "/calls", {"to": CALLEE})
        assert (refused.status_code, refused.json()["detail"]) == (502, "create-call: bad-request")
        simulator.faults.add("createSession", status=400, words=said)
        refused = await ada.send("POST", "/participant", {})
        assert (refused.status_code, refused.json()["detail"]) == (502, "create-session: bad-request")
        simulator.faults.clear()


# What must not be found -------------------------------------------------------------------------------------


async def test_nobody_else_gets_to_see_what_lets_somebody_in(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    written = len(LOG.written)
    async with serving(simulator, store_url) as service:
        async with Operator.of(service) as operator:
            invitation = await invited(operator, name="Ada Lovelace")
            async with new_visitor(service) as ada:
                await ada.send("GET", f"?invitation={invitation}")
                await ada.open(invitation)
                seat = await ada.sit()
                await ada.beat(seat)
                secrets = (invitation, ada.cookie.partition("=")[2], seat["token"])
                stored = [await dump(redis, key) async for key in redis.scan_iter("*")]
                assert any(seat["participantId"] in one for one in stored), "the dump has what it should"
                assert not [one for one in stored if any(secret in one for secret in secrets)]
                await ada.leave(seat)
        await nothing_left(simulator, redis)
    lines = [line for line in LOG.written[written:] if json.loads(line).get("logger") != "uvicorn.access"]
    assert any('"page.opened"' in line for line in lines)
    for hidden in (*secrets, "Ada Lovelace"):
        assert not [line for line in lines if hidden in line]


async def dump(redis: Redis, key: bytes) -> str:
    return f"{key!r} {await redis.dump(key)!r}"


async def test_a_store_that_is_away(simulator: Simulator, tmp_path: Path) -> None:
    async with (
        running(RedisServer(tmp_path, *OPTIONS, "--appendfsync", "always")) as store,
        serving(simulator, store.url) as service,
    ):
        async with Operator.of(service) as operator:
            invitation = await invited(operator)
            async with visitor(service, operator, scopes=["dial"]) as ada, new_visitor(service) as bob:
                seat = await ada.sit()
                store.kill()
                for answer in (await ada.send("POST", "/participant", {}), await ada.beat(seat)):
                    assert (answer.status_code, problem_kind(answer)) == (503, "store-unavailable")
                shown = await bob.send("GET", f"?invitation={invitation}")
                assert (shown.status_code, "not available" in shown.text) == (503, True)
                await store.start()

                async def back() -> bool:
                    return (await ada.beat(seat)).status_code == 204

                await wait_until(back, seconds=10, what="it does not come back")
                await ada.leave(seat)
        await nothing_left(simulator, store.redis, seconds=20)


def test_scopes_are_those_of_the_page() -> None:
    assert [str(scope) for scope in Scope] == ["talk", "dial", "hangup"]


async def test_a_name_has_no_marks_that_are_not_seen(service: RunningService, operator: Operator) -> None:
    """By whichever way it comes: with an invitation, from the page, from an operator."""
    turned, room = "Ada \u202egnp.\u200bexe", "sales"
    async with new_visitor(service) as invited_, new_visitor(service) as named:
        await invited_.open(await invited(operator, room, name=turned))
        assert (await invited_.send("GET", "/visit")).json()["name"] == "Ada gnp.exe"
        await named.open(await invited(operator, room, name="\u200f"))
        assert (await named.send("GET", "/visit")).json()["name"] is None
        await named.open(await invited(operator, room, name="\u3164 \u2800"))
        assert (await named.send("GET", "/visit")).json()["name"] is None
        seats = [await invited_.sit(), await named.sit(name=turned)]
        other = await operator.ask("POST", f"/rooms/{room}/participants", {"name": turned})
        longer = await operator.ask("POST", f"/rooms/{room}/participants", {"name": "\ufdfa" * 10})
        shown = {member["name"] for member in (await operator.room(room))["members"]}
        assert other["name"] == "Ada gnp.exe"
        assert len(longer["name"]) <= 64
        assert shown == {"Ada gnp.exe", longer["name"]}
        await invited_.leave(seats[0])
        await named.leave(seats[1])
        for one in (other, longer):
            await operator.ask("DELETE", f"/rooms/{room}/participants/{one['participantId']}")
