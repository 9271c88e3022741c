"""What a newer release has written: it is read or left to others, and nothing of it is lost."""

import json
from typing import Any

import httpx
from redis.asyncio import Redis

from service import __version__
from service.calls.model import SCHEMA
from service.store import keys
from tests.browsers import add_browser
from tests.harness import RunningService
from tests.operators import Operator, bridged
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until


async def state(redis: Redis, ref: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await redis.hget(keys.call(ref), "state"))  # type: ignore[arg-type] # it is there
    return found


async def rewrite(redis: Redis, ref: str, **fields: Any) -> None:
    """The call as a release would have written it that has these fields."""
    await redis.hset(keys.call(ref), "state", json.dumps({**await state(redis, ref), **fields}))


async def owe(redis: Redis, owner: str, id_: str, lane: str, seq: int, effect: dict[str, Any]) -> None:
    """As `owed.lua` describes it; due at once."""
    value = f"{seq} 0 {lane} 0 {int((await redis.time())[0]) * 1000} {json.dumps(effect)}"
    await redis.hset(keys.owed(owner), id_, value)
    await redis.zadd(keys.agenda(keys.partition_of_owner(owner)), {owner: 0})


async def test_a_call_of_a_newer_schema_is_left_as_it_is(
    simulator: Simulator, service: RunningService, operator: Operator, redis: Redis
) -> None:
    phone, call = await bridged(simulator, operator)
    ref = call["id"]
    await rewrite(redis, ref, schema=SCHEMA + 1, whispers=["to", "somebody"])
    before = await redis.hgetall(keys.call(ref))

    shown = await operator.call(ref)
    assert (shown["state"], shown["room"]) == ("bridged", call["room"]), "it can be looked at"
    assert ref in {one["id"] for one in (await operator.ask("GET", "/calls"))["calls"]}
    refused = await operator.send("POST", f"/calls/{ref}/hangup")
    assert refused.status_code == 503, "another replica may do it"
    again = simulator.gates.hold("webhook:redirect")
    old = phone.participant_id
    await phone.far_end_hangs_up()
    await again.reached()
    assert await redis.hgetall(keys.call(ref)) == before

    # It has been told to hold, and asks a replica that knows it next.
    await rewrite(redis, ref, schema=SCHEMA)
    again.release()
    await phone.until("bridged")
    assert phone.participant_id != old
    await phone.hang_up()
    await operator.until(ref, "ended")


async def test_unknown_fields_of_a_call_are_kept(
    simulator: Simulator, service: RunningService, operator: Operator, redis: Redis
) -> None:
    phone, call = await bridged(simulator, operator)
    whispers = {"to": ["somebody", None], "since": 1.5}
    await rewrite(redis, call["id"], whispers=whispers, hidden=[])
    assert (await operator.call(call["id"]))["state"] == "bridged"
    await operator.order(call["id"], "hold")
    await phone.hears("Please hold")
    await operator.until(call["id"], "detached")
    await phone.hang_up()
    await operator.until(call["id"], "ended")
    kept = await state(redis, call["id"])
    assert (kept["whispers"], kept["hidden"]) == (whispers, [])
    assert kept["ended_at"] > 0


async def test_an_unknown_reply_is_none_to_be_repeated(
    simulator: Simulator, service: RunningService, operator: Operator, redis: Redis
) -> None:
    """Who asks again is not cut off: the phone comes back in a moment, a leg that has answered goes on."""
    phone, call = await bridged(simulator, operator)
    events = keys.CallKeys.of(call["id"]).events
    for key in await redis.hkeys(events):
        await redis.hset(events, key, json.dumps({"type": "whisper", "to": "somebody"}))
    said = {}
    for one in [one for one in simulator.deliveries if one.synchronous]:
        status, body = await simulator.repeat(one)
        assert status == 200
        said[one.event_type] = body.decode()
    assert "<Redirect" in said["initiate"]
    assert "<Tag>" in said["transferAnswer"]
    assert (await operator.call(call["id"]))["state"] == "bridged"

    # What it has not been told before, it is told.
    await operator.order(call["id"], "hold")
    await phone.hears("Please hold")
    await phone.hang_up()
    await operator.until(call["id"], "ended")


async def test_unknown_fields_of_a_reply_are_read_over(
    simulator: Simulator, service: RunningService, operator: Operator, redis: Redis
) -> None:
    phone, call = await bridged(simulator, operator)
    events = keys.CallKeys.of(call["id"]).events
    for key, value in (await redis.hgetall(events)).items():
        await redis.hset(events, key, json.dumps({**json.loads(value), "whispers": "somebody"}))
    first = next(one for one in simulator.deliveries if one.event_type == "initiate")
    status, body = await simulator.repeat(first)
    assert (status, b"<Transfer" in body or b"<Redirect" in body) == (200, True)
    await phone.hang_up()


async def test_unknown_fields_of_a_browser_are_kept(
    simulator: Simulator, service: RunningService, operator: Operator, redis: Redis
) -> None:
    browser = await add_browser(simulator, operator)
    room = keys.room("sales")
    [field] = [one for one in await redis.hkeys(room) if str(one, "utf-8").startswith("web:")]  # type: ignore[arg-type] # bytes
    kept = json.loads(await redis.hget(room, field))  # type: ignore[arg-type] # it is there
    await redis.hset(room, field, json.dumps({**kept, "whispers": {"to": []}}))
    assert len((await operator.room("sales"))["members"]) == 1
    assert await browser.subscribe([browser.id]) == 202
    after = json.loads(await redis.hget(room, field))  # type: ignore[arg-type] # it is there
    assert (after["hears"], after["whispers"]) == ([browser.id], {"to": []})
    await browser.leave()
    await browser.gone()


async def test_unknown_fields_of_a_report_are_read_over(service: RunningService, redis: Redis) -> None:
    report = {"id": "newer", "at": 4e9, "host": "next", "version": "9.9.9", "whispers": {"to": "somebody"}}
    await redis.set(keys.replica("newer"), json.dumps(report), px=20_000)
    await redis.zadd(keys.replicas(), {"newer": int((await redis.time())[0]) * 1000})

    async def told() -> bool:
        async with httpx.AsyncClient(base_url=service.url) as client:
            replicas = (await client.get("/readyz")).json()["replicas"]
        return {"9.9.9", __version__} <= {one.get("version") for one in replicas}

    await wait_until(told)


async def test_work_with_unknown_fields_is_done(
    simulator: Simulator, service: RunningService, operator: Operator, redis: Redis
) -> None:
    phone, call = await bridged(simulator, operator)
    hang_up = {"type": "hang-up", "call_id": phone.call_id, "whispers": "somebody"}
    await owe(redis, keys.owner_call(call["id"]), "hang-up", "hang-up", 1, hang_up)
    await phone.until("ended")
    await operator.until(call["id"], "ended")
    assert service.log(event="effect.not_known") == []


async def test_unknown_work_is_left_to_others_and_what_is_behind_it_waits(
    simulator: Simulator, service: RunningService, operator: Operator, redis: Redis
) -> None:
    """It keeps its place and its tries; other lanes do not wait for it."""
    phone, call = await bridged(simulator, operator)
    ref, owner = call["id"], keys.owner_call(call["id"])
    await owe(redis, owner, "whisper", "whisper", 1, {"type": "whisper", "to": "somebody"})
    hang_up = {"type": "hang-up-leg", "call_id": phone.call_id}
    behind = f"hang-up-leg:{phone.call_id}"
    await owe(redis, owner, behind, "whisper", 2, hang_up)
    await wait_until(lambda: service.log(event="effect.not_known"))
    assert service.log(event="effect.not_known")[0]["effect"] == "whisper"

    await operator.order(ref, "hold")
    await phone.hears("Please hold")
    await wait_until(lambda: service.log(event="effect.done", effect="leave-room"))
    kept = await redis.hmget(keys.owed(owner), ["whisper", behind])
    assert all(kept), "both are still owed"
    _, _, _, tries, _, effect = str(kept[0], "utf-8").split(" ", 5)  # type: ignore[arg-type] # it is there, as bytes
    assert (tries, json.loads(effect)) == ("0", {"type": "whisper", "to": "somebody"})
    assert phone.stage != "ended"

    # One that knows it has done it.
    await redis.hdel(keys.owed(owner), "whisper")
    await redis.zadd(keys.agenda(keys.partition_of_owner(owner)), {owner: 0})
    await phone.until("ended")


async def test_unknown_settings_of_a_room_are_read_over(
    simulator: Simulator, service: RunningService, operator: Operator, redis: Redis
) -> None:
    await operator.set_room("sales", limit=2, announcement="Welcome.")
    key = keys.room_settings("sales")
    kept = json.loads(await redis.get(key))  # type: ignore[arg-type] # it is there
    newer = json.dumps({**kept, "whispers": {"to": "somebody"}})
    await redis.set(key, newer)
    assert (await operator.room("sales"))["settings"]["limit"] == 2
    phone, call = await bridged(simulator, operator)
    await operator.order(call["id"], "join", room="sales")
    await operator.arrives(call["id"], "sales")
    assert await redis.get(key) == newer.encode(), "nobody writes them but an operator"
    await phone.hang_up()
