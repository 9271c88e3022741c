"""Live events over HTTP: of real calls, on at another replica, through trouble, to the end of the service."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from service.clock import SystemClock
from service.cursors import CursorHolder, CursorSigner
from service.engine.timeouts import Timeouts
from service.store import keys
from service.store.change_feed import ChangeFeed, Cursor
from service.store.redis.client import Client as Store
from tests.api.clients import ALL, API, KEYS, THEIRS, Client, client_of, problem, serving_api
from tests.api.schema_check import SCHEMAS, check
from tests.event_listener import EventListener, open_stream
from tests.harness import API_KEY, API_KEYS, PASSWORD, RunningService, serving
from tests.operators import Operator
from tests.processes import environment, replica
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.store_servers import OPTIONS, RedisServer, running
from tests.test_stopping import point_at
from tests.waiting import wait_until

KINDS = {
    "snapshot": "Snapshot",
    "participant": "ParticipantEvent",
    "call": "CallEvent",
    "room": "RoomEvent",
}


STATES = ["dialing", "joining", "transferring", "bridged", "ended"]


def states(*listeners: EventListener) -> list[str]:
    """That calls have come to, in order; which leg is over first when a phone hangs up is not said."""
    found = [one["state"] for listener in listeners for one in listener.events_of("call")]
    return [state for state in dict.fromkeys(found) if state != "detached"]


def described(listener: EventListener) -> None:
    """Everything that was heard is as openapi.json says."""
    for one in listener.heard:
        if one.kind != "reset":
            check(SCHEMAS[KINDS[one.kind]], one.data)
        assert one.kind == "reset" or one.id


def hear(service: RunningService, room: str | None = None, **more: Any) -> Any:
    return open_stream(service.url, room, **{"key": ALL, **more})


async def dialed(simulator: Simulator, client: Client, room: str = "sales") -> tuple[Phone, str]:
    """A call that is in the room, and its id."""
    id_: str = (await client.dial(room=room)).json()["id"]
    phone = await simulator.called(THEIRS)
    await phone.until("bridged")
    return phone, id_


# What is told ----------------------------------------------------------------------------------------------


async def test_a_call_from_its_beginning_to_its_end(
    simulator: Simulator, service: RunningService, client: Client
) -> None:
    async with hear(service, "sales") as room, hear(service, "other") as other, hear(service) as all_:
        assert (await room.until("snapshot")) == {"room": "sales", "participants": [], "calls": []}
        phone, id_ = await dialed(simulator, client)
        joined = await room.until("participant", state="in")
        assert joined == {
            "at": joined["at"],
            "room": "sales",
            "participantId": phone.participant_id,
            "kind": "phone",
            "call": id_,
            "name": None,
            "state": "in",
        }
        bridged = await room.until("call", state="bridged")
        assert bridged["participantId"] == phone.participant_id
        await phone.hang_up()
        left = await room.until("participant", state="left")
        assert left == {**joined, "at": left["at"], "state": "left"}
        ended = await room.until("call", state="ended")
        assert ended["outcome"] == {"blame": "nobody", "reason": "completed"}
        assert (ended["id"], ended["room"], ended["direction"]) == (id_, "sales", "outbound")
        assert (ended["from"], ended["to"]) == ("+1********11", "+1********22")
        assert states(room) == STATES

        await all_.until("call", state="ended")
        assert all_.events_of("snapshot") == []
        assert all_.events_of("call") == room.events_of("call")
        assert all_.events_of("participant") == room.events_of("participant")
        for one in (room, other, all_):
            described(one)
        assert [one.kind for one in other.heard] == ["snapshot"]
        assert THEIRS not in str(all_.heard)
        assert (room.retry, all_.retry) == (1000, 1000)


async def test_what_many_hear_with_one_key_is_signed_once(
    simulator: Simulator, service: RunningService, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ids of events are signatures, and hundreds may listen: callers would wait for all of them."""
    text, signed = CursorSigner.sign, list[Cursor]()

    def counted(cursors: CursorSigner, cursor: Cursor, holder: CursorHolder) -> str:
        signed.append(cursor)
        return text(cursors, cursor, holder)

    async with AsyncExitStack() as stack:
        every = [await stack.enter_async_context(hear(service)) for _ in range(10)]

        async def call_that_all_hear(ended: int) -> int:
            phone, _ = await dialed(simulator, client)
            await phone.hang_up()
            await wait_until(lambda: all(len(one.events_of("call", state="ended")) == ended for one in every))
            return len(every[0].heard)

        before = await call_that_all_hear(1)  # with it they find the place where all others are
        monkeypatch.setattr(CursorSigner, "sign", counted)
        more = await call_that_all_hear(2) - before
    assert more > 5
    assert len(signed) <= more + 2


async def test_a_call_that_goes_to_another_room(
    simulator: Simulator, service: RunningService, client: Client
) -> None:
    _, id_ = await dialed(simulator, client)
    async with hear(service, "sales") as sales, hear(service, "support") as support:
        await client.post(f"/calls/{id_}/join", {"room": "support"})
        assert await sales.until("participant", state="left", call=id_)
        assert await support.until("participant", state="in", call=id_)
        told = await sales.until("call", room="support", id=id_)
        assert await support.until("call", room="support", id=id_) == told
        described(sales)
        described(support)


async def test_a_room_that_is_closed(simulator: Simulator, service: RunningService, client: Client) -> None:
    await dialed(simulator, client)
    async with hear(service, "sales") as room:
        await room.until("snapshot")
        await client.send("DELETE", "/rooms/sales")
        closed = await room.until("room")
        assert closed == {"at": closed["at"], "room": "sales", "state": "closed"}
        assert await room.until("participant", state="left")
        described(room)


async def test_the_snapshot_is_who_is_there_and_which_calls_come(
    simulator: Simulator, service: RunningService, client: Client
) -> None:
    phone, id_ = await dialed(simulator, client)
    gate = simulator.gates.hold("webhook:answer")
    ringing = (await client.dial(to="+15550100133")).json()["id"]
    await gate.reached()
    async with hear(service, "sales") as room:
        snapshot = await room.until("snapshot")
        described(room)
        assert snapshot["participants"] == [
            {
                "participantId": phone.participant_id,
                "kind": "phone",
                "call": id_,
                "name": None,
                "state": "in",
            }
        ]
        assert {one["id"]: (one["state"], one["to"]) for one in snapshot["calls"]} == {
            id_: ("bridged", "+1********22"),
            ringing: ("dialing", "+1********33"),
        }
        gate.release()
        await room.until("call", id=ringing, state="bridged")


async def test_a_browser_has_its_name(service: RunningService, client: Client) -> None:
    async with hear(service, "sales") as room:
        await room.until("snapshot")
        made = await client.post("/rooms/sales/participants", {"name": "Ada"})
        came = await room.until("participant", state="in")
        assert (came["kind"], came["name"], came["call"]) == ("browser", "Ada", None)
        assert came["participantId"] == made["participantId"]
        async with hear(service, "sales") as later:
            [there] = (await later.until("snapshot"))["participants"]
            described(later)
        assert there == {name: came[name] for name in there}
        await client.send("DELETE", f"/rooms/sales/participants/{made['participantId']}")
        assert await room.until("participant", state="left", participantId=made["participantId"])
        assert made["token"] not in str(room.heard)
        described(room)


async def test_a_sign_of_life_and_a_fresh_id_when_nothing_happens(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    patience = Timeouts(feed_heartbeat=0.2)
    async with serving(simulator, store_url, patience) as service, Operator.of(service) as operator:
        async with open_stream(service.url, "quiet") as listener:
            await listener.until("snapshot")
            before = listener.last_event_id
            # What happens elsewhere need not be looked through again by whoever comes back.
            await operator.place(room="busy")
            await wait_until(lambda: len(listener.marks) > 4 and listener.last_event_id != before)
            assert [one.kind for one in listener.heard] == ["snapshot"]
        async with open_stream(service.url, "quiet", last=listener.last_event_id) as later:
            await wait_until(lambda: len(later.marks) > 1)
            assert not {"reset", "snapshot"} & {one.kind for one in later.heard}
        phone = await simulator.called("+15557654321")
        await phone.hang_up()


# Who may, and how ------------------------------------------------------------------------------------------


async def test_who_may_listen(service: RunningService) -> None:
    for path in ("/events", "/rooms/sales/events"):
        async with client_of(service, "dialer") as dialer:
            assert problem(await dialer.send("GET", path), 403)["scope"] == "read"
        anybody = Client(service, key=None)
        async with anybody.http:
            problem(await anybody.send("GET", path), 401)
    async with hear(service, "sales", key=KEYS["reader"][1]) as reader:
        await reader.until("snapshot")


async def test_wrong_requests(client: Client) -> None:
    for path in ("/events", "/rooms/sales/events"):
        assert problem(await client.send("GET", path, params={"room": "x"}), 422)["field"] == "room"
        problem(await client.send("POST", path), 405)
    assert problem(await client.send("GET", "/rooms/Sales/events"), 422)["field"] == "room"


async def test_headers(service: RunningService, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hear(service, "sales") as room:
        headers = room.response.headers
    assert headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    assert "content-length" not in headers
    head = await client.http.head("/events")
    assert (head.status_code, head.headers["content-type"], head.content) == (200, "text/event-stream", b"")
    monkeypatch.setattr("handlers.http.sse.LIMIT", 1)
    async with hear(service) as listener:
        await wait_until(lambda: listener.last_event_id, what="HEAD has begun to listen")


async def test_no_more_than_there_are_places_for(
    service: RunningService, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handlers.http.sse.LIMIT", 2)
    async with hear(service, "sales") as first:
        async with hear(service):
            answer = await client.send("GET", "/events")
            assert problem(answer, 503)["type"].endswith("overloaded")
            assert int(answer.headers["retry-after"]) >= 1
        await wait_until(lambda: service.log("stream.ended", reason="left"))
        async with hear(service) as second:
            await wait_until(lambda: second.last_event_id)
        await first.until("snapshot")


async def test_listeners_take_no_places_of_requests(simulator: Simulator, store_url: str) -> None:
    async with (
        serving_api(simulator, store_url, MAX_WEBHOOKS="2") as service,
        client_of(service) as client,
        hear(service),
        hear(service),
        hear(service, "sales"),
    ):
        await client.get("/rooms")


# Going on --------------------------------------------------------------------------------------------------


class Steady:
    """Calls that come and go, until there have been so many."""

    def __init__(self, simulator: Simulator, count: int) -> None:
        self._simulator = simulator
        self._count = count

    async def go(self) -> None:
        for _ in range(self._count):
            phone = await self._simulator.dial()
            await phone.until("bridged")
            await phone.hang_up()


async def test_on_at_another_replica_without_a_gap_or_a_repetition(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    """Over and over, while calls go on: what one unbroken listener hears, the other hears in pieces."""
    async with (
        serving(simulator, store_url) as first,
        serving(simulator, store_url) as second,
        open_stream(second.url) as whole,
    ):
        await wait_until(lambda: whole.last_event_id)
        last, pieces = whole.last_event_id, []
        calls = asyncio.gather(*(Steady(simulator, 6).go() for _ in range(4)))
        urls = [first.url, second.url]
        while not calls.done():
            urls.reverse()
            async with open_stream(urls[0], last=last) as piece:
                await wait_until(lambda: len(piece.heard) > 5 or calls.done())
            last = piece.last_event_id
            pieces += piece.heard
        await calls
        await wait_until(lambda: len(whole.events_of("call", state="ended")) == 24)
        await wait_until(lambda: len(whole.events_of("participant", state="left")) == 24)
        async with open_stream(first.url, last=last) as piece:
            await wait_until(lambda: len(pieces) + len(piece.heard) >= len(whole.heard))
        pieces += piece.heard

        def in_order(heard: list[Any]) -> list[str]:
            return sorted(json.dumps([one.kind, one.data]) for one in heard)

        assert in_order(pieces) == in_order(whole.heard)
        assert "reset" not in {one.kind for one in whole.heard}
        for id_ in {one["id"] for one in whole.events_of("call")}:
            told = [one.data for one in pieces if one.kind == "call" and one.data["id"] == id_]
            assert told == whole.events_of("call", id=id_), "those of one call are in order"


async def test_a_replica_that_is_stopped_in_the_middle(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with serving(simulator, store_url) as staying:
        async with serving(simulator, store_url) as leaving:
            simulator.webhooks.map_origin("https://bridge.test", staying.url)
            async with open_stream(leaving.url, "sales") as before:
                await before.until("snapshot")
                async with Operator.of(staying) as operator:
                    call = await operator.place(room="sales")
                await before.until("call", id=call["id"])
                await leaving.stop()
                await before.ended()
                assert leaving.log("stream.ended", reason="stopping")
        phone = await simulator.called("+15557654321")
        await phone.until("bridged")
        await phone.hang_up()
        async with open_stream(staying.url, "sales", last=before.last_event_id) as after:
            await after.until("call", state="ended")
            await after.until("participant", state="left")
        assert after.events_of("snapshot") == []
        assert states(before, after) == STATES
        told = [json.dumps(one.data) for one in before.heard + after.heard]
        assert len(told) == len(set(told))


@pytest.mark.parametrize("last", ["nonsense", "trimmed"])
async def test_an_id_that_nobody_can_go_on_from(
    service: RunningService, redis: Redis, store_url: str, client: Client, simulator: Simulator, last: str
) -> None:
    if last == "trimmed":
        last = await before_all_that_is_kept(store_url)
        phone, _ = await dialed(simulator, client)
        await phone.hang_up()
        await wait_until(lambda: service.log("call.ended"))
        for partition in range(16):
            await redis.xtrim(keys.news(partition), maxlen=1, approximate=False)
    async with hear(service, "sales", last=last) as room, hear(service, last=last) as all_:
        await room.until("snapshot")
        assert [one.kind for one in room.heard] == ["reset", "snapshot"]
        assert room.heard[0].id == last, "whoever loses the connection here is told again"
        await wait_until(lambda: all_.heard)
        assert [one.kind for one in all_.heard] == ["reset"]
        assert all_.last_event_id not in {"", last}
        described(room)
    async with (
        hear(service, "sales", last=room.last_event_id) as later,
        hear(service, last=all_.last_event_id) as later_all,
    ):
        phone, _ = await dialed(simulator, client)
        await later.until("call", state="bridged")
        await later_all.until("call", state="bridged")
        for one in (later, later_all):
            assert not {"reset", "snapshot"} & {heard.kind for heard in one.heard}


async def before_all_that_is_kept(store_url: str) -> str:
    store = Store(store_url)
    cursor = await ChangeFeed(store).end(now=SystemClock().now())
    await store.close()
    return CursorSigner(PASSWORD).sign(cursor, CursorHolder("key", "all", "sales"))


# Trouble ---------------------------------------------------------------------------------------------------


async def test_a_store_that_is_restarted(simulator: Simulator, tmp_path: Path) -> None:
    async with (
        running(RedisServer(tmp_path, *OPTIONS, "--appendfsync", "always")) as server,
        serving(simulator, server.url) as service,
        Operator.of(service) as operator,
        open_stream(service.url, "sales") as room,
    ):
        await room.until("snapshot")
        await operator.place(room="sales")
        phone = await simulator.called("+15557654321")
        await phone.until("bridged")
        await room.until("call", state="bridged")
        server.kill()
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {API_KEY}"}) as client:
            answer = await client.get(f"{service.url}{API}/rooms/sales/events")
            assert problem(answer, 503)["type"].endswith("store-unavailable")
        await server.start()
        await phone.hang_up()
        await room.until("call", state="ended", seconds=20)
        await room.until("participant", state="left")
        assert [one.kind for one in room.heard].count("snapshot") == 1
        assert not room.over


async def test_a_client_that_takes_nothing_is_ended(
    service: RunningService, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its socket is full, so that it is not even told so; nobody else notices."""
    host, port = service.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), limit=1024)
    lines = [f"GET {API}/events HTTP/1.1", "Host: x", f"Authorization: Bearer {ALL}", "", ""]
    writer.write("\r\n".join(lines).encode())
    async with hear(service) as other:
        await wait_until(lambda: other.last_event_id)
        fields: dict[Any, Any] = {
            "kind": "room",
            "at": 1,
            "rooms": "x",
            "data": json.dumps({"x": "x" * 4000}),
        }

        async def stuck() -> bool:
            for partition in range(16):
                for _ in range(20):
                    await redis.xadd(keys.news(partition), fields)
            await asyncio.sleep(0.3)
            return bool(service.log("stream.ended", reason="slow"))

        await wait_until(stuck, seconds=60)
        assert not other.over
    writer.transport.abort()


@pytest.fixture
async def process(simulator: Simulator, store_url: str, redis: Redis) -> AsyncIterator[Any]:
    settings = environment(simulator, REDIS_URL=store_url, API_KEYS=API_KEYS)
    async with replica(settings) as process:
        point_at(simulator, process.url)
        yield process


async def test_sigterm_ends_streams_and_does_not_wait_for_them(process: Any) -> None:
    async with open_stream(process.url, "sales") as room, open_stream(process.url) as all_:
        await room.until("snapshot")
        process.signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            assert await process.ended() == 0
        await room.ended()
        await all_.ended()
    assert [line["reason"] for line in process.log("stream.ended")] == ["stopping", "stopping"]
    assert not process.log("service.cut_off")
    assert not process.log("ASGI callable returned without completing response.")
