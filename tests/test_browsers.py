"""Browsers in rooms, without a page: tokens and seats, how they are known to be there, and how they go."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from service.calls.browser import Browser
from service.clock import SystemClock
from service.engine.timeouts import Timeouts
from service.store.redis.client import Client
from service.store.rooms import Rooms
from tests.harness import ORIGIN, RunningService
from tests.operators import NO_TLS, Json, Operator, bridged, operator_for
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

HASTY = Timeouts(
    unused_seat=0.8,
    browser_absence=0.8,
    idle_check=0.2,
    orphan_grace=0.2,
    vanished_grace=0.2,
    old_session_grace=0.2,
)
"""For tests of what happens when nothing happens."""


async def admitted(operator: Operator, room: str = "sales", **body: Any) -> Json:
    return await operator.ask("POST", f"/rooms/{room}/participants", body)


async def seen(operator: Operator, browser: Json) -> Json:
    return await operator.ask("GET", f"/rooms/{browser['room']}/participants/{browser['participantId']}")


async def left(operator: Operator, browser: Json) -> None:
    path = f"/rooms/{browser['room']}/participants/{browser['participantId']}"
    assert (await operator.send("DELETE", path)).status_code == 204


async def members(operator: Operator, room: str = "sales") -> list[Json]:
    answer = await operator.send("GET", f"/rooms/{room}")
    found: list[Json] = answer.json()["members"] if answer.is_success else []
    return found


async def nobody_in(operator: Operator, room: str = "sales") -> None:
    async def empty() -> bool:
        return not await members(operator, room)

    await wait_until(empty, what="a seat was kept")


async def gone(operator: Operator, browser: Json) -> None:
    """Wait until its seat is free."""

    async def away() -> bool:
        there = await members(operator, browser["room"])
        return browser["participantId"] not in {one["participantId"] for one in there}

    await wait_until(away, seconds=5, what="the browser still has its seat")


async def tell(simulator: Simulator, service: RunningService, browser: Json, event: str, **more: Any) -> int:
    """A participant event, as Bandwidth posts it to the address that was registered."""
    participant = simulator.sessions.participants[browser["participantId"]]
    assert participant.callback_url
    url = participant.callback_url.replace(ORIGIN, service.url)
    body = {"event": event, "timestamp": "1795694400123", "participantId": participant.id, **more}
    async with httpx.AsyncClient(verify=NO_TLS) as client:
        return (await client.post(url, json=body)).status_code


@pytest.fixture
async def hasty(
    simulator: Simulator, store_url: str, redis: Redis
) -> AsyncIterator[tuple[RunningService, Operator]]:
    async with operator_for(simulator, store_url, redis, HASTY, ROOM_POLICY="sales") as (service, operator):
        yield service, operator


async def test_a_browser_gets_a_token_and_is_in_the_session(simulator: Simulator, operator: Operator) -> None:
    browser = await admitted(operator, name="Ada")
    participant = simulator.sessions.participants[browser["participantId"]]
    assert browser == {
        "participantId": participant.id,
        "room": "sales",
        "name": "Ada",
        "token": participant.token,
        "expiresAt": None,
    }
    assert participant.publish_permissions == ["AUDIO"]
    assert participant.session_id == (await operator.room("sales"))["sessionId"]
    found = await seen(operator, browser)
    assert (found["name"], found["connected"], found["hears"]) == ("Ada", False, "everyone")
    assert await members(operator) == [
        {"kind": "browser", "call": None, "name": "Ada", "participantId": participant.id, "state": "in"}
    ]
    operations = {one.operation for one in simulator.requests}
    assert "updateParticipantSubscriptions" not in operations, "the subscription goes with the adding"
    await left(operator, browser)
    await gone(operator, browser)


async def test_what_it_may_publish_is_asked_for(simulator: Simulator, operator: Operator) -> None:
    for permissions in ([], ["VIDEO", "AUDIO"]):
        browser = await admitted(operator, permissions=permissions)
        participant = simulator.sessions.participants[browser["participantId"]]
        assert participant.publish_permissions == permissions
        assert (await seen(operator, browser))["permissions"] == permissions
        await left(operator, browser)


async def test_the_last_one_out_deletes_the_session(
    simulator: Simulator, hasty: tuple[RunningService, Operator]
) -> None:
    """A browser and a phone, in either order."""
    _, operator = hasty
    for phone_first in (True, False):
        browser = await admitted(operator)
        await tell(simulator, hasty[0], browser, "onConnect")
        phone, call = await bridged(simulator, operator)
        assert simulator.hears(phone) == {browser["participantId"]}
        assert len(simulator.sessions.sessions) == 1
        if phone_first:
            await phone.hang_up()
            await operator.until(call["id"], "ended")
            await left(operator, browser)
        else:
            await left(operator, browser)
            await gone(operator, browser)
            await phone.hang_up()
        await wait_until(lambda: simulator.ledger.empty, what=lambda: str(simulator.ledger.alive()))


async def test_leaving_twice_is_leaving_once(operator: Operator) -> None:
    browser = await admitted(operator)
    await left(operator, browser)
    path = f"/rooms/sales/participants/{browser['participantId']}"
    assert (await operator.send("DELETE", path)).status_code == 404
    assert (await operator.send("POST", f"{path}/heartbeat")).status_code == 404
    assert (await operator.send("GET", path)).status_code == 404


async def test_a_full_room(simulator: Simulator, operator: Operator) -> None:
    browsers = [await admitted(operator, name=f"B{n}") for n in range(20)]
    refused = await operator.send("POST", "/rooms/sales/participants", {})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:pstn-bridge:problem:room-full")
    assert len(simulator.sessions.participants) == 20
    for browser in browsers:
        await left(operator, browser)


# Whether somebody is there ----------------------------------------------------------------------------------


async def test_a_token_that_is_never_used_frees_its_seat(hasty: tuple[RunningService, Operator]) -> None:
    service, operator = hasty
    browser = await admitted(operator)
    await gone(operator, browser)
    assert [line["why"] for line in service.log("participant.left")] == ["absent"]


async def test_who_beats_stays_and_who_stops_goes(hasty: tuple[RunningService, Operator]) -> None:
    _, operator = hasty
    browser = await admitted(operator)
    path = f"/rooms/sales/participants/{browser['participantId']}/heartbeat"
    for _ in range(14):
        assert (await operator.send("POST", path)).status_code == 204
        await asyncio.sleep(0.1)
    assert (await seen(operator, browser))["connected"]
    await gone(operator, browser)


async def test_who_has_connected_needs_no_heartbeat(
    simulator: Simulator, hasty: tuple[RunningService, Operator]
) -> None:
    service, operator = hasty
    browser = await admitted(operator)
    assert await tell(simulator, service, browser, "onConnect") == 200
    assert (await seen(operator, browser))["connected"]
    await asyncio.sleep(1.5)
    assert (await seen(operator, browser))["connected"]
    assert await tell(simulator, service, browser, "onDisconnect") == 200
    assert not (await seen(operator, browser))["connected"]
    await gone(operator, browser)


async def test_who_comes_back_in_time_stays(
    simulator: Simulator, hasty: tuple[RunningService, Operator]
) -> None:
    service, operator = hasty
    browser = await admitted(operator)
    for event in ("onConnect", "onDisconnect", "onConnect"):
        await tell(simulator, service, browser, event)
    await asyncio.sleep(1.5)
    assert (await seen(operator, browser))["connected"]
    await tell(simulator, service, browser, "onLeave")
    await gone(operator, browser)
    assert [line["why"] for line in service.log("participant.left")] == ["reported"]


async def test_events_of_others_change_nothing(
    simulator: Simulator, hasty: tuple[RunningService, Operator]
) -> None:
    service, operator = hasty
    browser = await admitted(operator)
    await tell(simulator, service, browser, "onConnect")
    assert await tell(simulator, service, browser, "onLeave", participantId="somebody-else") == 200
    assert await tell(simulator, service, browser, "onWhatever") == 200
    assert await seen(operator, browser)
    participant = simulator.sessions.participants[browser["participantId"]]
    assert participant.callback_url
    participant.callback_url = participant.callback_url[:-1] + "x"
    assert await tell(simulator, service, browser, "onLeave") == 401
    assert await seen(operator, browser)
    await left(operator, browser)


async def test_who_is_not_at_bandwidth_any_more_is_not_in_the_room(
    simulator: Simulator, hasty: tuple[RunningService, Operator]
) -> None:
    """The media server deletes participants whose device has gone; here nobody tells us."""
    service, operator = hasty
    browser, other = await admitted(operator), await admitted(operator)
    for one in (browser, other):
        await tell(simulator, service, one, "onConnect")
    simulator.sessions.delete_participant(simulator.sessions.participants[browser["participantId"]])
    await gone(operator, browser)
    assert await seen(operator, other)
    await left(operator, other)


async def test_who_has_yet_to_be_put_into_a_new_session_keeps_the_seat(
    simulator: Simulator, hasty: tuple[RunningService, Operator]
) -> None:
    """Bandwidth does not let it in for longer than a device that has gone is looked for."""
    service, operator = hasty
    browser = await admitted(operator)
    await tell(simulator, service, browser, "onConnect")
    fault = simulator.faults.add("addParticipantToSession", status=429, times=None)
    [session] = simulator.sessions.sessions.values()
    simulator.sessions.delete_session(session)

    def looks() -> int:
        new = simulator.sessions.sessions
        asked = [one for one in simulator.requests if one.operation == "listSessionParticipants"]
        return sum(one.ids["sessionId"] in new for one in asked)

    await wait_until(
        lambda: fault.hit_count > 0 and looks() >= 4, seconds=10, what="looked for again and again"
    )
    assert await seen(operator, browser)
    simulator.faults.clear()
    participant = simulator.sessions.participants[browser["participantId"]]
    await wait_until(lambda: participant.session_id in simulator.sessions.sessions, seconds=10)
    assert service.log("participant.left") == []
    await left(operator, browser)


# Whom it hears ----------------------------------------------------------------------------------------------


def hears(simulator: Simulator, browser: Json) -> set[str]:
    participant = simulator.sessions.participants[browser["participantId"]]
    return simulator.sessions.heard_by(participant)


async def subscribe(operator: Operator, browser: Json, whom: Any) -> tuple[int, Json]:
    path = f"/rooms/{browser['room']}/participants/{browser['participantId']}/subscriptions"
    answer = await operator.send("PUT", path, {"hears": whom})
    return answer.status_code, answer.json()


async def test_subscriptions(simulator: Simulator, operator: Operator) -> None:
    one, other, third = [await admitted(operator) for _ in range(3)]
    ids = [browser["participantId"] for browser in (one, other, third)]
    assert hears(simulator, one) == set(ids[1:])
    for whom, heard in (([ids[1]], {ids[1]}), ("nobody", set()), ("everyone", set(ids[1:]))):
        status, view = await subscribe(operator, one, whom)
        assert (status, view["hears"]) == (202, whom)
        await wait_until(lambda heard=heard: hears(simulator, one) == heard, what=str(whom))  # type: ignore[misc]
    streams = [{"participantId": ids[2], "streamAliases": ["microphone"]}, ids[1]]
    assert (await subscribe(operator, one, streams))[1]["hears"] == streams
    participant = simulator.sessions.participants[ids[0]]
    await wait_until(lambda: len(participant.subscriptions.participants or []) == 2)
    assert [
        (wanted.participant_id, wanted.stream_aliases)
        for wanted in participant.subscriptions.participants or []
    ] == [(ids[2], ["microphone"]), (ids[1], [])]
    for browser in (one, other, third):
        await left(operator, browser)


async def test_a_subscription_to_somebody_elsewhere(operator: Operator) -> None:
    here, there = await admitted(operator), await admitted(operator, "support")
    status, problem = await subscribe(operator, here, [here["participantId"], there["participantId"]])
    assert (status, problem["field"]) == (422, "hears.1")
    status, problem = await subscribe(operator, {**here, "room": "support"}, "nobody")
    assert status == 404
    for browser in (here, there):
        await left(operator, browser)


async def test_a_phones_participant_belongs_to_its_call(
    simulator: Simulator, hasty: tuple[RunningService, Operator]
) -> None:
    _, operator = hasty
    phone, call = await bridged(simulator, operator)
    path = f"/rooms/sales/participants/{phone.participant_id}"
    for method, more in (("GET", ""), ("DELETE", ""), ("POST", "/heartbeat")):
        refused = await operator.send(method, path + more)
        assert refused.status_code == 409
        assert call["id"] in refused.json()["detail"]
    await phone.hang_up()


# Rooms ------------------------------------------------------------------------------------------------------


async def test_who_waits_outside_is_let_in_by_a_browser(
    simulator: Simulator, hasty: tuple[RunningService, Operator]
) -> None:
    service, operator = hasty
    await operator.set_room("sales", waiting={"sound": "ring"})
    phone = await simulator.dial()
    await simulator.until(lambda: phone.sounds != [], what="it hears something")
    browser = await admitted(operator)
    await tell(simulator, service, browser, "onConnect")
    await phone.until("bridged")
    assert hears(simulator, browser) == {phone.participant_id}
    await phone.hang_up()
    await left(operator, browser)


async def test_a_phone_that_the_browsers_have_left_is_told(
    simulator: Simulator, hasty: tuple[RunningService, Operator]
) -> None:
    service, operator = hasty
    await operator.set_room("sales", alone={"after": 1, "then": "hangup"})
    browser, other = await admitted(operator), await admitted(operator)
    for one in (browser, other):
        await tell(simulator, service, one, "onConnect")
    phone, call = await bridged(simulator, operator)
    await left(operator, browser)
    await asyncio.sleep(1.6)
    assert (await operator.call(call["id"]))["state"] == "bridged", "one browser is still there"
    await left(operator, other)
    ended = await operator.until(call["id"], "ended")
    assert ended["outcome"]["reason"] == "left-alone"
    assert phone.stage == "ended"


async def test_a_browser_that_is_left_alone_stays(
    simulator: Simulator, hasty: tuple[RunningService, Operator]
) -> None:
    service, operator = hasty
    await operator.set_room("sales", alone={"after": 1, "then": "hangup"})
    browser = await admitted(operator)
    await tell(simulator, service, browser, "onConnect")
    phone, call = await bridged(simulator, operator)
    await phone.hang_up()
    await operator.until(call["id"], "ended")
    await asyncio.sleep(1.6)
    assert await seen(operator, browser)
    await left(operator, browser)


async def test_a_room_that_is_closed(simulator: Simulator, hasty: tuple[RunningService, Operator]) -> None:
    _, operator = hasty
    browser = await admitted(operator)
    phone, call = await bridged(simulator, operator)
    assert (await operator.send("DELETE", "/rooms/sales")).status_code == 202
    await gone(operator, browser)
    await operator.until(call["id"], "ended")
    assert phone.stage == "ended"
    assert (await operator.send("DELETE", "/rooms/sales")).status_code == 404


async def test_a_session_that_has_vanished(
    simulator: Simulator, hasty: tuple[RunningService, Operator]
) -> None:
    """Whoever notices replaces it for all; a browser keeps its subscriptions."""
    service, operator = hasty
    phone, _ = await bridged(simulator, operator)
    browser = await admitted(operator)
    await tell(simulator, service, browser, "onConnect")
    await subscribe(operator, browser, [phone.participant_id])
    await wait_until(
        lambda: simulator.sessions.participants[browser["participantId"]].subscriptions.participants
    )
    [session] = simulator.sessions.sessions.values()
    simulator.sessions.delete_session(session)
    other = await admitted(operator)
    await wait_until(lambda: hears(simulator, browser) == {phone.participant_id}, what="put back")
    for one in (browser, other):
        await left(operator, one)
    await phone.hang_up()


async def test_a_participant_that_vanished_with_its_session(
    simulator: Simulator, hasty: tuple[RunningService, Operator]
) -> None:
    service, operator = hasty
    browser = await admitted(operator)
    await tell(simulator, service, browser, "onConnect")
    [session] = simulator.sessions.sessions.values()
    simulator.sessions.delete_session(session)
    simulator.sessions.delete_participant(simulator.sessions.participants[browser["participantId"]])
    other = await admitted(operator)
    await tell(simulator, service, other, "onConnect")
    await gone(operator, browser)
    await left(operator, other)


# Trouble ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["createParticipant", "createSession", "addParticipantToSession"])
async def test_bandwidth_fails(simulator: Simulator, operator: Operator, operation: str) -> None:
    # A create that failed is sent once more.
    simulator.faults.add(operation, status=500, times=1 if operation == "addParticipantToSession" else 2)
    refused = await operator.send("POST", "/rooms/sales/participants", {})
    assert (refused.status_code, refused.json()["type"]) == (502, "urn:pstn-bridge:problem:bandwidth-error")
    await wait_until(lambda: simulator.ledger.empty, what=lambda: str(simulator.ledger.alive()))
    # Nothing may have been made at Bandwidth at all, and the seat still be on its way out.
    await nobody_in(operator)
    await left(operator, await admitted(operator))


@pytest.mark.parametrize("operation", ["createParticipant", "createSession"])
async def test_what_is_made_too_late_is_taken_down(
    simulator: Simulator, store_url: str, redis: Redis, operation: str
) -> None:
    async with operator_for(simulator, store_url, redis, WEBHOOK_BUDGET="1") as (_, operator):
        simulator.faults.add(operation, delay=1.5)
        refused = await operator.send("POST", "/rooms/sales/participants", {})
        assert (refused.status_code, refused.json()["type"]) == (
            504,
            "urn:pstn-bridge:problem:bandwidth-timeout",
        )
        await asyncio.sleep(1)


async def test_a_seat_whose_replica_died_before_it_asked_for_anything(
    hasty: tuple[RunningService, Operator], store_url: str
) -> None:
    _, operator = hasty
    client = Client(store_url)
    await Rooms(client, unused_timeout=0.3).reserve(
        "sales",
        "web-aaaaaaaaaaaaaaaa.1",
        wait_if_empty=False,
        limit=20,
        now=SystemClock().now(),
        browser=Browser("Ada"),
    )
    await client.close()
    assert [one["state"] for one in await members(operator)] == ["reserved"]

    async def free() -> bool:
        return not await members(operator)

    await wait_until(free, seconds=5, what="its seat is kept")
