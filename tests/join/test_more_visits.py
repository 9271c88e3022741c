"""What a visitor sees and hears of, what is kept of it, and what it may not reach."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
from redis.asyncio import Redis

from service.clock import SystemClock
from service.tasks import Tasks
from tests.event_listener import EventListener, open_stream
from tests.harness import CALLEE, LOG, ORIGIN, RunningService, nothing_left, serving
from tests.join.visitors import ApiVisitor, invited, new_visitor, problem_kind, visitor
from tests.operators import Json, Operator, bridged
from tests.simulator.simulator import Simulator
from tests.store.repeating import contents
from tests.store_servers import OPTIONS, RedisServer, running
from tests.waiting import wait_until

CALLER = "+15550001111"
ELSEWHERE = "+15557650000"


@asynccontextmanager
async def watching(ada: ApiVisitor, *, last: str = "") -> AsyncIterator[EventListener]:
    """The events that her page gets."""
    headers = {"cookie": ada.cookie, **({"last-event-id": last} if last else {})}
    url = f"/join/{ada.room}/events"
    async with ada.client.stream("GET", url, headers=headers, timeout=60) as response:
        assert response.status_code == 200
        listener = EventListener(response, last)
        reading = Tasks().start(listener.read(), name="listener")
        try:
            yield listener
        finally:
            reading.cancel()
            await asyncio.wait({reading})


async def alone_in(operator: Operator, seat: Json, room: str = "sales") -> None:
    """Until nobody but this participant is in the room."""

    async def only() -> bool:
        answer = await operator.send("GET", f"/rooms/{room}")
        members = answer.json()["members"] if answer.is_success else []
        return [one["participantId"] for one in members] == [seat["participantId"]]

    await wait_until(only, what="somebody else is there")


# Live -------------------------------------------------------------------------------------------------------


async def test_a_visitor_is_told_what_happens_in_the_room(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    async with visitor(service, operator, name="Ada", scopes=["dial", "hangup"]) as ada:
        seat = await ada.sit()
        async with watching(ada) as heard:
            snapshot = await heard.until("snapshot")
            assert [one["name"] for one in snapshot["participants"]] == ["Ada"]
            assert heard.response.headers["content-type"] == "text/event-stream"
            assert heard.response.headers["cache-control"] == "no-store"

            elsewhere = await operator.place(ELSEWHERE, room="support")
            call = (await ada.send("POST", "/calls", {"to": CALLEE})).json()
            phone = await simulator.called(CALLEE)
            await phone.until("bridged")
            told = await heard.until("call", id=call["id"], state="bridged")
            assert told["to"] == call["to"] != CALLEE
            await heard.until("participant", call=call["id"], state="in")

            assert (await ada.send("POST", f"/calls/{call['id']}/hangup", {})).status_code == 202
            await heard.until("call", id=call["id"], state="ended")
            await heard.until("participant", call=call["id"], state="left")
            everything = json.dumps([one.data for one in heard.heard])
            assert CALLEE not in everything
            assert elsewhere["id"] not in everything, "other rooms are none of a visitor's business"
        await ada.leave(seat)
    await (await simulator.called(ELSEWHERE)).hang_up()


async def test_a_stream_goes_on_where_it_was_cut(service: RunningService, operator: Operator) -> None:
    async with visitor(service, operator) as ada, visitor(service, operator, name="Bob") as bob:
        seat = await ada.sit()
        async with watching(ada) as heard:
            await heard.until("snapshot")
            last = heard.last_event_id
        other = await bob.sit()
        async with watching(ada, last=last) as again:
            await again.until("participant", name="Bob", state="in")
            assert not again.events_of("snapshot")
        await ada.leave(seat)
        await bob.leave(other)


async def test_a_visitor_is_not_told_what_was_before(service: RunningService, operator: Operator) -> None:
    """Whatever place it names: of its own making, of a visit before it, of another room, of an operator."""
    async with visitor(service, operator) as bob, open_stream(service.url, "sales") as seen:
        await seen.until("snapshot")
        async with watching(bob) as heard, watching(bob, last="nonsense") as again:
            await heard.until("snapshot")
            await again.until("snapshot")
        early = [heard.last_event_id, seen.last_event_id, made_up()]
        whistle = await operator.ask("POST", "/rooms/sales/participants", {"name": "Whistle Blower"})
        path = f"/rooms/sales/participants/{whistle['participantId']}"
        await operator.ask("DELETE", path)
        await seen.until("participant", state="left", participantId=whistle["participantId"])
        async with watching(bob, last=heard.last_event_id) as again:
            await again.until("participant", name="Whistle Blower", state="left")
    async with visitor(service, operator) as ada, visitor(service, operator, "support") as cleo:
        async with watching(cleo) as elsewhere:
            await elsewhere.until("snapshot")
        for last in (*early, elsewhere.last_event_id):
            seat = await operator.ask("POST", "/rooms/sales/participants", {"name": "Later"})
            async with watching(ada, last=last) as heard:
                await heard.until("snapshot")
                await operator.ask("DELETE", f"/rooms/sales/participants/{seat['participantId']}")
                await heard.until("participant", participantId=seat["participantId"], state="left")
            assert [one.kind for one in heard.heard][:2] == ["reset", "snapshot"]
            assert "Whistle" not in str(heard.heard)
    assert not service.log("api.failed")


def made_up() -> str:
    """As ids were before they were signed: everything of the hour before."""
    flat = [round(SystemClock().now() * 1000), *[None, 0] * 16]
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(flat)).decode().rstrip("=")


async def test_head_of_a_stream_ends(service: RunningService, operator: Operator) -> None:
    async with visitor(service, operator) as ada:
        for _ in range(2):
            assert (await ada.send("HEAD", "/events")).status_code == 200
        assert (await ada.send("GET", "/visit")).status_code == 200


async def test_what_an_operator_takes_away_is_gone_for_the_page(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    async with visitor(service, operator) as ada:
        seat = await ada.sit()
        assert (await ada.beat(seat)).status_code == 204
        participant = seat["participantId"]
        await operator.ask("DELETE", f"/rooms/sales/participants/{participant}")
        gone = await ada.beat(seat)
        assert (gone.status_code, problem_kind(gone)) == (410, "gone")
        await wait_until(lambda: participant not in simulator.sessions.participants, what="it is still there")


async def test_a_closed_room_is_gone_for_the_page(service: RunningService, operator: Operator) -> None:
    async with visitor(service, operator) as ada:
        seat = await ada.sit()
        await operator.ask("DELETE", "/rooms/sales")
        assert (await ada.beat(seat)).status_code == 410
        await ada.leave(seat)


# Whose ------------------------------------------------------------------------------------------------------


async def test_a_participant_that_is_no_visitors(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    """A company's own browser, and a phone: no page beats for them, none takes them away."""
    own = await operator.ask("POST", "/rooms/sales/participants", {"name": "Desk"})
    placed = await operator.place(room="sales")
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    call = await operator.until(placed["id"], "bridged")
    async with visitor(service, operator) as eve:
        for participant in (own["participantId"], call["participantId"], "x"):
            seat = {"participantId": participant}
            assert (await eve.beat(seat)).status_code == 410
            await eve.leave(seat)
    members = (await operator.room("sales"))["members"]
    assert sorted(one["state"] for one in members) == ["in", "in"]
    await operator.ask("DELETE", f"/rooms/sales/participants/{own['participantId']}")
    await phone.hang_up()


async def test_a_call_is_a_rooms_for_as_long_as_it_is_there(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, call = await bridged(simulator, operator)
    async with visitor(service, operator, scopes=["hangup"]) as ada:
        path = f"/calls/{call['id']}/hangup"
        assert (await ada.send("POST", path, {})).status_code == 404
        for room in ("sales", "support"):
            await operator.order(call["id"], "join", room=room)
            await operator.arrives(call["id"], room)
        assert (await ada.send("POST", path, {})).status_code == 404
        assert phone.stage == "bridged"
        await operator.order(call["id"], "join", room="sales")
        await operator.arrives(call["id"], "sales")
        # By Bandwidth's id as well, like everywhere.
        assert (await ada.send("POST", f"/calls/{phone.call_id}/hangup", {})).status_code == 202
        await operator.until(call["id"], "ended")


async def test_an_answer_does_not_tell_whether_there_is_such_a_call(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, call = await bridged(simulator, operator)
    async with visitor(service, operator, scopes=["hangup"]) as ada:
        there = (call["id"], phone.call_id)
        not_there = ("p01-aaaaaaaaaaaaaaaaaaaa", f"{phone.call_id}0")
        answers = [(await ada.send("POST", f"/calls/{id_}/hangup", {})).text for id_ in (*there, *not_there)]
        assert len(set(answers)) == 1
    await phone.hang_up()


async def test_numbers_are_not_repeated(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone = await simulator.dial(from_=CALLER)
    await phone.until("bridged")
    await operator.order(phone.call_id, "join", room="sales")
    call = await operator.call(phone.call_id)
    await operator.arrives(call["id"], "sales")
    async with visitor(service, operator, scopes=["dial"]) as ada:
        async with watching(ada) as heard:
            await heard.until("snapshot")
            assert CALLER not in json.dumps(heard.events_of("snapshot"))
        for number in ("+19005551234", "+442071838750", "+1911"):
            refused = await ada.send("POST", "/calls", {"to": number})
            assert refused.status_code == 422
            assert number not in refused.text
    await phone.hang_up()


# Taking a seat again ----------------------------------------------------------------------------------------


async def test_who_comes_back_after_a_lost_answer(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    """The first answer never reached the page, which knows of no seat and asks for one again."""
    async with visitor(service, operator) as ada:
        with pytest.raises(httpx.ReadTimeout):
            await ada.client.post(
                "/join/sales/participant",
                json={},
                headers={"cookie": ada.cookie},
                timeout=httpx.Timeout(5, read=0.001),
            )
        seat = await ada.sit()
        await alone_in(operator, seat)
        assert (await ada.beat(seat)).status_code == 204
        await wait_until(lambda: list(simulator.sessions.participants) == [seat["participantId"]])
        await ada.leave(seat)


async def test_at_another_replica_it_is_the_same_visit(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with serving(simulator, store_url) as one, serving(simulator, store_url) as other:
        async with Operator.of(one) as operator, visitor(one, operator) as here, new_visitor(other) as there:
            there.cookie = here.cookie
            first = await here.sit()
            assert (await there.beat(first)).status_code == 204
            second = await there.sit()
            assert (await here.beat(first)).status_code == 410
            await alone_in(operator, second)
            await here.leave(second)
        await nothing_left(simulator, redis)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [("application/json", 204), ("application/json;charset=UTF-8", 204), ("text/plain;charset=UTF-8", 415)],
)
async def test_a_beacon(service: RunningService, operator: Operator, content_type: str, status: int) -> None:
    """As navigator.sendBeacon sends a Blob: with the cookie and our origin."""
    async with visitor(service, operator) as ada:
        seat = await ada.sit()
        answer = await ada.client.post(
            "/join/sales/leave",
            content=json.dumps({"participantId": seat["participantId"]}),
            headers={"cookie": ada.cookie, "content-type": content_type, "origin": ORIGIN},
        )
        assert answer.status_code == status
        assert (await ada.beat(seat)).status_code == (410 if status == 204 else 204)
        await ada.leave(seat)


async def test_nothing_may_be_kept_by_a_cache(service: RunningService, operator: Operator) -> None:
    async with visitor(service, operator) as ada:
        seat = await ada.send("POST", "/participant", {})
        answers = [
            seat,
            await ada.send("GET", "/visit"),
            await ada.beat(seat.json()),
            await ada.send("POST", "/calls", {"to": CALLEE}),
            await ada.send("PUT", "/visit"),
            await ada.send("POST", "/leave", {"participantId": seat.json()["participantId"]}),
        ]
        assert [one.status_code for one in answers] == [201, 200, 204, 403, 405, 204]
        assert {one.headers["cache-control"] for one in answers} == {"no-store"}


# What must not be found -------------------------------------------------------------------------------------


async def test_no_value_in_the_store_lets_anybody_in(
    simulator: Simulator, service: RunningService, operator: Operator, redis: Redis
) -> None:
    """Values as they are read, since a dump of them is compressed."""
    written = len(LOG.written)
    invitation = await invited(operator, name="Ada Lovelace", scopes=["dial", "hangup"])
    async with new_visitor(service) as ada:
        await ada.open(invitation)
        seats = [await ada.sit(), await ada.sit()]
        call = (await ada.send("POST", "/calls", {"to": CALLEE})).json()
        phone = await simulator.called(CALLEE)
        await phone.until("bridged")
        async with watching(ada) as heard:
            await heard.until("snapshot")
            stored, told = repr(await contents(redis)), json.dumps([one.data for one in heard.heard])
        assert seats[1]["participantId"] in stored
        assert "Ada Lovelace" in stored
        cookie = ada.cookie.partition("=")[2]
        hidden = [invitation, cookie, *(seat["token"] for seat in seats)]
        hidden += [text.partition(".")[2] for text in (invitation, cookie)]
        for secret in hidden:
            assert secret not in stored
            assert secret not in told
        keys = [key async for key in redis.scan_iter("*")]
        lasting = [key for key in keys if await redis.ttl(key) < 0 and b":agenda" not in key]
        assert not [key for key in lasting if b":owed:" not in key], "each expires, but for owed work"
        await ada.send("POST", f"/calls/{call['id']}/hangup", {})
        await operator.until(call["id"], "ended")
        await ada.leave(seats[1])
    for secret in (*hidden, "Ada Lovelace", CALLEE):
        assert not [line for line in LOG.written[written:] if secret in line]


# Without the store ------------------------------------------------------------------------------------------


async def test_each_path_without_the_store(simulator: Simulator, tmp_path: Path) -> None:
    async with (
        running(RedisServer(tmp_path, *OPTIONS, "--appendfsync", "always")) as store,
        serving(simulator, store.url) as service,
    ):
        async with (
            Operator.of(service) as operator,
            visitor(service, operator, scopes=["dial", "hangup"]) as ada,
            new_visitor(service) as bob,
        ):
            invitation = await invited(operator)
            store.kill()
            paths = {
                "/participant": {},
                "/heartbeat": {"participantId": "x"},
                "/leave": {"participantId": "x"},
                "/calls": {"to": CALLEE},
                "/calls/p01-aaaaaaaaaaaaaaaaaaaa/hangup": {},
            }
            answers = [await ada.send("POST", path, body) for path, body in paths.items()]
            answers += [await ada.send("GET", "/events"), await bob.open(invitation)]
            for answer in answers:
                assert (answer.status_code, problem_kind(answer)) == (503, "store-unavailable")
                assert int(answer.headers["retry-after"]) >= 1
            assert "set-cookie" not in answers[-1].headers
            # What a cookie says needs no store: a page that is open keeps what it shows.
            assert (await ada.send("GET", "/visit")).status_code == 200
            await store.start()

            async def opens() -> bool:
                return (await bob.open(invitation)).status_code == 200

            await wait_until(opens, seconds=10, what="the invitation is lost")
        await nothing_left(simulator, store.redis, seconds=20)
