"""Inbound calls over loopback HTTP, from the first webhook to the last request."""

import asyncio
import xml.etree.ElementTree as ET

import pytest
from redis.asyncio import Redis

from service.store import keys
from tests.harness import PASSWORD, USERNAME, RunningService, nothing_left, serving
from tests.operators import Operator
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until


def operations(simulator: Simulator) -> list[str]:
    return [request.operation for request in simulator.requests]


async def test_a_call_is_bridged_and_leaves_nothing(
    simulator: Simulator, service: RunningService, redis: Redis
) -> None:
    phone = await simulator.dial()
    await phone.until("bridged")
    assert phone.session_id in simulator.ledger.alive().sessions

    await phone.hang_up()
    await nothing_left(simulator, redis)

    assert sorted(operations(simulator)[1:3]) == ["createParticipant", "createSession"]
    assert operations(simulator)[3:] == [
        "addParticipantToSession",
        "removeParticipantFromSession",
        "deleteParticipant",
        "deleteSession",
    ]
    assert service.log(event="call.ended", blame="nobody", reason="completed", requests=3, retries=0)


async def test_what_is_said_to_bandwidth(simulator: Simulator, service: RunningService) -> None:
    phone = await simulator.dial()
    await phone.until("bridged")

    bodies = {request.operation: request.body for request in simulator.requests}
    participant = bodies["createParticipant"]
    seat = participant["tag"]
    assert participant == {
        "publishPermissions": ["AUDIO"],
        "deviceApiVersion": "V3",
        "callbackUrl": participant["callbackUrl"],
        "tag": seat,
    }
    assert participant["callbackUrl"].startswith(f"https://bridge.test/callbacks/participants/{seat}/")
    assert bodies["addParticipantToSession"] == {"sessionId": phone.session_id}
    assert len(bodies["createSession"]["tag"]) <= 50
    assert phone.call.to not in str(bodies)

    document = ET.fromstring(phone.document or "")
    transfer = document.find("Transfer")
    assert transfer is not None
    target = transfer.find("SipUri")
    assert target is not None
    urls = [
        transfer.get("transferCompleteUrl"),
        target.get("transferAnswerUrl"),
        target.get("transferDisconnectUrl"),
    ]
    assert all(url and url.startswith("https://bridge.test/callbacks/voice/p") for url in urls)
    for verb in (transfer, target):
        assert (verb.get("username"), verb.get("password")) == (USERNAME, PASSWORD)
    digits = "".join(phone.call_id.split("-")[1:])
    assert (target.get("uui") or "").startswith(f"{digits};encoding=base64,ey")
    await phone.hang_up()


async def test_the_far_end_leaves_first(simulator: Simulator, service: RunningService) -> None:
    phone = await simulator.dial()
    await phone.until("bridged")

    await phone.far_end_hangs_up()

    await phone.until("ended")
    assert phone.cause == "hangup"
    assert phone.heard == []


async def test_an_announcement_is_spoken_before_the_transfer(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    words = 'Calls are recorded. <Transfer>& "more"'
    async with serving(simulator, store_url, ANNOUNCEMENT=words):
        phone = await simulator.dial()
        await phone.until("bridged")
        assert phone.heard == [words]
        await phone.hang_up()
        await nothing_left(simulator, redis)


@pytest.mark.parametrize(("policy", "shared"), [("per-call", False), ("per-number", True), ("lobby", True)])
async def test_who_shares_a_room(
    simulator: Simulator, store_url: str, redis: Redis, policy: str, shared: bool
) -> None:
    async with serving(simulator, store_url, ROOM_POLICY=policy) as service:
        first, second = await simulator.dial(), await simulator.dial(from_="+15559998888")
        await first.until("bridged")
        await second.until("bridged")
        assert (first.session_id == second.session_id) is shared
        if shared:
            assert simulator.hears(first) == {second.participant_id}
            assert simulator.hears(second) == {first.participant_id}
            await first.hang_up()
            await simulator.until(lambda: len(simulator.ledger.alive().participants) == 1)
            assert len(simulator.ledger.alive().sessions) == 1
        await first.hang_up()
        await second.hang_up()
        await nothing_left(simulator, redis)
        assert service.log()
        assert first.call.to not in str(service.log())
        assert first.call.from_ not in str(service.log())


async def test_numbers_have_rooms_of_their_own(simulator: Simulator, store_url: str, redis: Redis) -> None:
    rooms = '{"+15551110001": "sales", "+15551110002": "support"}'
    async with serving(simulator, store_url, ROOM_MAP=rooms) as service:
        phones = [await simulator.dial(to=f"+1555111000{last}") for last in (1, 2, 1)]
        for phone in phones:
            await phone.until("bridged")
        assert phones[0].session_id == phones[2].session_id != phones[1].session_id
        assert {line["room"] for line in service.log(event="call.changed")} == {"sales", "support"}
        for phone in phones:
            await phone.hang_up()
        await nothing_left(simulator, redis)


async def test_first_callers_at_the_same_instant(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with serving(simulator, store_url, ROOM_POLICY="lobby"):
        gate = simulator.gates.hold("createSession")
        phones = await asyncio.gather(*(simulator.dial(from_=f"+1555000{n:04}") for n in range(5)))
        await gate.reached(count=5)
        gate.release()
        for phone in phones:
            await phone.until("bridged")
        assert len({phone.session_id for phone in phones}) == 1
        await simulator.until(lambda: len(simulator.ledger.alive().sessions) == 1, what="one session is left")
        for phone in phones:
            assert len(simulator.hears(phone)) == 4
        await asyncio.gather(*(phone.hang_up() for phone in phones))
        await nothing_left(simulator, redis)


async def _members(redis: Redis, room: str, number: int) -> bool:
    return int(await redis.hget(keys.room(room), "members") or 0) == number


async def test_the_twenty_first_hears_that_the_room_is_full(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with serving(simulator, store_url, ROOM_POLICY="lobby") as service:
        members = [await simulator.dial(from_=f"+1555000{n:04}") for n in range(20)]
        for member in members:
            await member.until("bridged")

        late = await simulator.dial(from_="+15550009999")
        await late.until("ended")

        assert "full" in late.heard[0]
        assert service.log(event="join.failed", reason="room-full")
        await wait_until(lambda: service.log(event="call.ended", blame="limit", reason="room-full"))
        await members[0].hang_up()
        # The seat is free when Bandwidth has let the participant go, and a moment after that.
        await wait_until(lambda: _members(redis, "lobby", 19), what="a seat is free")
        in_time = await simulator.dial(from_="+15550008888")
        await in_time.until("bridged")
        for member in [*members, in_time]:
            await member.hang_up()
        await nothing_left(simulator, redis)


async def test_a_callers_name_has_no_marks_that_are_not_seen(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone = await simulator.dial(from_="Ada \u202egnp.\u200bexe")
    await phone.until("bridged")
    assert (await operator.call(phone.call_id))["from"] == "Ada gnp.exe"
    await phone.hang_up()
