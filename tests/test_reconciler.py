"""What Bandwidth does not tell us is asked for: lost webhooks, and strangers in sessions."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

import httpx
import pytest
from redis.asyncio import Redis

from service.calls.refs import ref_of_call
from service.engine.timeouts import HOUR, Timeouts
from service.store import keys
from tests.harness import CALLEE, NUMBER, ORIGIN, nothing_left, serving
from tests.operators import Operator, bridged, operator_for
from tests.outbound import PATIENT, operations, ringing, start_placing
from tests.simulator.phones import Phone
from tests.simulator.sessions import Subscriptions
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

SOON = Timeouts(join_check=0.3, transfer_check=0.3, idle_check=0.3, idle_check_max=0.6, not_found_grace=1.0)
LOST = {"disconnect", "transferDisconnect", "transferComplete", "gather", "redirect"}
RINGS = 0.5
UNHEARD = Timeouts(dial_grace=RINGS - PATIENT)
"""A call is given up after half a second, however long it may ring."""


def asked(simulator: Simulator) -> int:
    return operations(simulator).count("getCall")


async def outcome(operator: Operator, call_id: str) -> tuple[str, str]:
    ended = await operator.until(call_id, "ended")
    return ended["outcome"]["reason"], ended["outcome"]["cause"]


# Nothing is owed any more -----------------------------------------------------------------------------------


async def forget(redis: Redis, owner: str) -> None:
    """What it owes, and that it owes something."""
    assert await redis.delete(keys.owed(owner)) == 1
    assert await redis.zrem(keys.agenda(keys.partition_of_owner(owner)), owner) == 1


async def test_a_call_that_nobody_would_ask_after_is_found_and_ended(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, Timeouts(unscheduled_scan=1.6)) as (
        service,
        operator,
    ):
        phone, _ = await bridged(simulator, operator)
        ref = ref_of_call(phone.call_id)
        await forget(redis, keys.owner_call(ref))
        simulator.webhooks.drop = LOST
        await phone.hang_up()
        assert await outcome(operator, phone.call_id) == ("completed", "hangup")
        assert len(service.log(event="call.found_ended", call_id=phone.call_id)) == 1
        found = service.log(event="owed.forgotten")
        assert [(one["ref"], one["effect"]) for one in found] == [(ref, "ask-after")]


async def test_a_seat_whose_leaving_was_forgotten_is_free_in_the_end(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    settings = {"ROOM_POLICY": "lobby"}
    async with operator_for(simulator, store_url, redis, Timeouts(unscheduled_scan=1.6), **settings) as (
        service,
        operator,
    ):
        phones = [(await bridged(simulator, operator))[0] for _ in range(2)]
        gate = simulator.gates.hold("removeParticipantFromSession")
        await phones[0].hang_up()
        await gate.reached()
        await forget(redis, keys.owner_room("lobby"))
        gate.release()

        async def is_alone() -> bool:
            return len((await operator.room("lobby"))["members"]) == 1

        await wait_until(is_alone, seconds=8)
        found = {one["effect"] for one in service.log(event="owed.forgotten", room="lobby")}
        assert {"free-seat", "check-room", "replace-session"} <= found
        assert phones[1].stage == "bridged"
        await phones[1].hang_up()


# The end of a call is not told ------------------------------------------------------------------------------


async def test_a_lost_disconnect(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, SOON) as (service, operator):
        phone, _ = await bridged(simulator, operator)
        simulator.webhooks.drop = LOST
        await phone.hang_up()
        assert await outcome(operator, phone.call_id) == ("completed", "hangup")
        timeline = (await operator.call(phone.call_id))["timeline"]
        assert [one["event"] for one in timeline if one.get("after") == "ended"] == ["foundEnded"]
        assert len(service.log(event="call.found_ended", call_id=phone.call_id)) == 1
        assert len(service.log(event="call.ended", call_id=phone.call_id)) == 1


@pytest.mark.parametrize("step", ["createSession", "webhook:transferAnswer", "reply:initiate"])
async def test_a_lost_disconnect_while_it_was_joining(
    simulator: Simulator, store_url: str, redis: Redis, step: str
) -> None:
    async with operator_for(simulator, store_url, redis, SOON) as (_, operator):
        simulator.webhooks.drop = {"disconnect", "transferDisconnect"}
        gate = simulator.gates.hold(step)
        phone = await simulator.dial()
        await gate.reached()
        await phone.hang_up()
        cause = "cancel" if step != "webhook:transferAnswer" else "hangup"
        assert await outcome(operator, phone.call_id) == ("abandoned", cause)
        gate.release()


@pytest.mark.parametrize("wish", ["hold", "wait", "pin", "transfer"])
async def test_a_lost_disconnect_of_a_phone_that_is_in_no_room(
    simulator: Simulator, store_url: str, redis: Redis, wish: str
) -> None:
    settings = {"PIN_NUMBERS": "+15551110000"} if wish == "pin" else {"ROOM_POLICY": "lobby"}
    async with operator_for(simulator, store_url, redis, SOON, **settings) as (_, operator):
        if wish == "wait":
            await operator.set_room("lobby", waiting={"sound": "ring"})
        if wish in {"wait", "pin"}:
            phone = await simulator.dial(to="+15551110000")
            await simulator.until(lambda: phone.sounds != [] or phone.heard != [], what="it hears something")
        else:
            phone, _ = await bridged(simulator, operator)
            await operator.order(phone.call_id, wish, **({"to": CALLEE} if wish == "transfer" else {}))
            await operator.until(phone.call_id, "detached")
        simulator.webhooks.drop = {
            "disconnect",
            "transferDisconnect",
            "transferComplete",
            "gather",
            "redirect",
        }
        await phone.hang_up()
        assert (await outcome(operator, phone.call_id))[1] == "hangup"


async def test_a_call_that_lives_is_asked_after_less_and_less(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    patience = Timeouts(idle_check=0.2, idle_check_max=1.6)
    async with operator_for(simulator, store_url, redis, patience) as (service, operator):
        phone, _ = await bridged(simulator, operator)
        begun = asyncio.get_running_loop().time()
        await wait_until(lambda: asked(simulator) == 3, seconds=10)
        assert asyncio.get_running_loop().time() - begun >= 0.2 + 0.4 + 0.8
        assert (await operator.call(phone.call_id))["state"] == "bridged"
        told = service.log(event="call.asked_after")
        assert [(one["state"], one["attempt"]) for one in told] == [("answered", n) for n in (1, 2, 3)]
        await phone.hang_up()


async def test_whoever_is_heard_of_is_not_asked_after(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis) as (_, operator):
        phones = [(await bridged(simulator, operator))[0] for _ in range(10)]
        agenda = [key async for key in redis.scan_iter("*:agenda")]
        # One look for each call and one for its session, a quarter of an hour away.
        assert sum([await redis.zcard(key) for key in agenda]) == 20
        for phone in phones:
            await phone.hang_up()
    assert asked(simulator) == 0
    assert "listSessionParticipants" not in operations(simulator)


@pytest.mark.parametrize("replicas", [1, 2])
async def test_no_call_is_asked_after_twice_at_once(
    simulator: Simulator, store_url: str, redis: Redis, replicas: int
) -> None:
    patience = Timeouts(idle_check=0.3, idle_check_max=HOUR)
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(serving(simulator, store_url, patience)) for _ in range(replicas)
        ]
        simulator.webhooks.map_origin(ORIGIN, *(service.url for service in services))
        operator = await stack.enter_async_context(Operator.of(services[0]))
        gate = simulator.gates.hold("getCall")
        phones = [(await bridged(simulator, operator))[0] for _ in range(12)]
        simulator.webhooks.drop = LOST
        for phone in phones:
            await phone.hang_up()
        await gate.reached(count=12)
        # Long enough for whoever would ask once more.
        await asyncio.sleep(1.5)
        assert gate.held == 12
        gate.release()
        for phone in phones:
            await operator.until(phone.call_id, "ended")
        assert asked(simulator) == 12
        await nothing_left(simulator, redis)


async def test_a_call_that_bandwidth_cannot_see_yet_is_not_over(store_url: str, redis: Redis) -> None:
    async with (
        Simulator(SimulatorSettings(call_visible_after=1.5)) as simulator,
        operator_for(simulator, store_url, redis, Timeouts(idle_check=0.2, not_found_grace=60)) as (
            service,
            operator,
        ),
    ):
        phone, _ = await bridged(simulator, operator)
        told = partial(service.log, event="call.asked_after")
        await wait_until(lambda: [one for one in told() if one["state"] == "answered"], seconds=5)
        assert told()[0]["state"] == "unknown"
        assert (await operator.call(phone.call_id))["state"] == "bridged"
        await phone.hang_up()


async def test_a_call_that_bandwidth_has_never_heard_of(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, SOON) as (service, operator):
        phone, _ = await bridged(simulator, operator)
        participant = simulator.sessions.participants[phone.participant_id or ""]
        simulator.webhooks.drop = LOST
        await phone.hang_up()
        phone.call.end_time = "2020-01-01T00:00:00.000Z"
        await wait_until(lambda: asked(simulator) >= 3, seconds=5)
        # As long as its participant is in the session the phone may be there.
        assert (await operator.call(phone.call_id))["state"] == "bridged"
        begun, before = asyncio.get_running_loop().time(), asked(simulator)
        simulator.sessions.delete_participant(participant)
        assert await outcome(operator, phone.call_id) == ("vanished", "not-found")
        assert asyncio.get_running_loop().time() - begun >= SOON.not_found_grace
        assert asked(simulator) - before >= 5
        assert service.log(event="call.found_ended", cause="not-found", call_id=phone.call_id)


@pytest.mark.parametrize("page", [False, True])
@pytest.mark.parametrize("times", [1, 4])
async def test_a_call_that_is_not_known_for_a_moment_goes_on(
    simulator: Simulator, store_url: str, redis: Redis, *, page: bool, times: int
) -> None:
    async with operator_for(simulator, store_url, redis, SOON) as (service, operator):
        phone, _ = await bridged(simulator, operator)
        # Nor does the list of its session show that it is there.
        simulator.faults.add("listSessionParticipants", status=404, times=None)
        simulator.faults.add("getCall", status=404, page=page, times=times)
        await wait_until(lambda: asked(simulator) >= times, seconds=10)
        await wait_until(lambda: service.log(event="call.asked_after", state="answered"), seconds=10)
        assert (await operator.call(phone.call_id))["state"] == phone.stage == "bridged"
        assert not service.log(event="call.found_ended")
        simulator.faults.clear()
        await phone.hang_up()


async def test_a_webhook_of_a_call_in_doubt_speaks_for_it(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    """A round of hold changes nothing in the call, and yet it is a sign of life."""
    async with operator_for(simulator, store_url, redis, SOON) as (service, operator):
        phone, _ = await bridged(simulator, operator)
        await operator.order(phone.call_id, "hold")
        await operator.until(phone.call_id, "detached")
        simulator.faults.add("getCall", status=404, times=None)
        await wait_until(lambda: asked(simulator) >= 7, seconds=20)
        assert (await operator.call(phone.call_id))["state"] == "detached"
        assert not service.log(event="call.found_ended")
        simulator.webhooks.drop = LOST
        await phone.hang_up()
        assert await outcome(operator, phone.call_id) == ("vanished", "not-found")
        simulator.faults.clear()


# Nobody knows what became of a createCall -------------------------------------------------------------------


async def test_the_end_of_a_called_phone_is_lost(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, UNHEARD) as (_, operator):
        simulator.webhooks.drop = {"disconnect"}
        phone, call = await ringing(simulator, operator)
        await phone.hang_up("rejected")
        ended = await operator.until(call["id"], "ended")
        assert (ended["outcome"]["blame"], ended["outcome"]["cause"]) == ("callee", "rejected")


async def test_a_cause_that_was_asked_for_is_told_without_numbers(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, UNHEARD) as (service, operator):
        simulator.webhooks.drop = {"disconnect"}
        phone, call = await ringing(simulator, operator)
        await phone.hang_up("no route to 9195550188")
        ended = await operator.until(call["id"], "ended")
        assert ended["outcome"]["cause"] == "no route to ********88"
        assert service.log(event="call.found_ended", cause="no route to ********88")


async def lost_call(simulator: Simulator, operator: Operator) -> tuple[Phone, str]:
    """It rings, and neither the response to createCall nor a webhook has come; and our id of it."""
    simulator.webhooks.drop = {"answer", "disconnect"}
    simulator.numbers[CALLEE] = "ring"
    simulator.faults.add("createCall", reset=True, executed=True)
    answer = await start_placing(operator)
    assert (answer.status_code, answer.json()["callId"]) == (202, None)
    return simulator.phones[-1], answer.json()["id"]


async def test_the_one_call_that_fits_is_ended(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, UNHEARD) as (_, operator):
        phone, ref = await lost_call(simulator, operator)
        await phone.until("ended", timeout=5)
        call = await operator.until(ref, "ended")
        assert (call["outcome"]["reason"], call["callId"]) == ("never-heard-of", phone.call_id)
        simulator.ledger.unreceived.clear()


async def test_one_that_is_known_does_not_fit(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, UNHEARD) as (_, operator):
        known, _ = await bridged_by_us(simulator, operator)
        phone, _ = await lost_call(simulator, operator)
        await phone.until("ended", timeout=5)
        assert known.stage == "bridged"
        simulator.webhooks.drop = set()
        await known.hang_up()
        simulator.ledger.unreceived.clear()


async def test_of_two_that_fit_none_is_taken(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, UNHEARD) as (_, operator):
        # Somebody else at the same account calls the same number, from the same one.
        foreign = await foreign_call(simulator)
        phone, ref = await lost_call(simulator, operator)
        ended = await operator.until(ref, "ended")
        assert (ended["outcome"]["reason"], ended["callId"]) == ("never-heard-of", None)
        assert (phone.stage, foreign.stage) == ("ringing", "ringing")
        await phone.hang_up("rejected")
        await foreign.hang_up()
        simulator.ledger.unreceived.clear()


async def foreign_call(simulator: Simulator) -> Phone:
    simulator.numbers[CALLEE] = "ring"
    body = {
        "applicationId": simulator.application_id,
        "to": CALLEE,
        "from": NUMBER,
        "answerUrl": "http://127.0.0.1:1/",
        "callTimeout": PATIENT,
    }
    url = f"{simulator.voice_url}/accounts/{simulator.account_id}/calls"
    async with httpx.AsyncClient(auth=(simulator.username, simulator.password)) as client:
        assert (await client.post(url, json=body)).status_code == 201
    return simulator.phones[-1]


async def bridged_by_us(simulator: Simulator, operator: Operator) -> tuple[Phone, dict[str, object]]:
    simulator.numbers[CALLEE] = "answer"
    call = await operator.place(callTimeout=PATIENT)
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    await operator.until(call["id"], "bridged")
    return phone, call


# Who is in a session ----------------------------------------------------------------------------------------

LOOKS = Timeouts(
    idle_check=0.3, idle_check_max=0.6, orphan_grace=0.5, old_session_grace=0.2, vanished_grace=0.4
)


async def test_a_stranger_is_taken_out_after_a_while(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, LOOKS, ROOM_POLICY="lobby") as (service, operator):
        phones = [(await bridged(simulator, operator))[0] for _ in range(2)]
        sessions = simulator.sessions
        stranger = sessions.create_participant("", None, ["AUDIO"], "V3")
        session = sessions.sessions[phones[0].session_id or ""]
        sessions.add(session, stranger, Subscriptions())
        appeared = asyncio.get_running_loop().time()
        await wait_until(lambda: stranger.id not in sessions.participants, seconds=5)
        assert asyncio.get_running_loop().time() - appeared >= LOOKS.orphan_grace
        assert set(session.members) == {phone.participant_id for phone in phones}
        await wait_until(lambda: service.log(event="participant.orphan_removed"))
        [line] = service.log(event="participant.orphan_removed")
        assert (line["participant_id"], line["session_id"]) == (stranger.id, session.id)
        for phone in phones:
            await phone.hang_up()


async def test_a_stranger_who_cannot_be_taken_out_keeps_no_other_in(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, LOOKS, ROOM_POLICY="lobby") as (service, operator):
        phone, _ = await bridged(simulator, operator)
        sessions = simulator.sessions
        session = sessions.sessions[phone.session_id or ""]
        simulator.faults.add("removeParticipantFromSession", status=400, times=1)
        for _ in range(2):
            sessions.add(session, sessions.create_participant("", None, ["AUDIO"], "V3"), Subscriptions())
        await wait_until(lambda: len(service.log(event="participant.orphan_removed")) == 2)
        # The phone is asked after meanwhile.
        sent = [one for one in operations(simulator) if one != "getCall"]
        refused = sent.index("removeParticipantFromSession")
        assert sent[refused : refused + 3] == [
            "removeParticipantFromSession",
            "removeParticipantFromSession",
            "deleteParticipant",
        ]
        assert set(session.members) == {phone.participant_id}
        await phone.hang_up()


async def test_who_leaves_by_themselves_is_let_go(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, LOOKS, ROOM_POLICY="lobby") as (service, operator):
        phone, _ = await bridged(simulator, operator)
        sessions = simulator.sessions
        session = sessions.sessions[phone.session_id or ""]
        stranger = sessions.create_participant("", None, ["AUDIO"], "V3")
        sessions.add(session, stranger, Subscriptions())
        await wait_until(lambda: operations(simulator).count("listSessionParticipants") == 1)
        sessions.delete_participant(stranger)
        await wait_until(lambda: operations(simulator).count("listSessionParticipants") == 3)
        assert not service.log(event="participant.orphan_removed")
        assert "removeParticipantFromSession" not in operations(simulator)
        await phone.hang_up()


async def test_a_session_that_has_vanished_under_its_members_is_replaced(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, LOOKS, ROOM_POLICY="lobby") as (_, operator):
        phones = [(await bridged(simulator, operator))[0] for _ in range(2)]
        vanished = phones[0].session_id or ""
        simulator.expire_session(vanished)

        async def again() -> bool:
            room = await operator.room("lobby")
            return room["sessionId"] != vanished and simulator.hears(phones[0]) == {phones[1].participant_id}

        await wait_until(again, seconds=5)
        for phone in phones:
            await phone.hang_up()
