"""Bandwidth fails, refuses or hangs: the caller is told within the budget, and nothing stays behind."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from service.engine.timeouts import DEFAULT_TIMEOUTS, Timeouts
from tests.harness import RunningService, nothing_left, serving
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

DOUBTS = Timeouts(vanished_grace=0.8, old_session_grace=0.2)
"""A round in which a caller waits takes half a second of theirs, and two looks are 0.4 s apart."""
CREATES = ["createSession", "createParticipant"]
STEPS = [*CREATES, "addParticipantToSession"]


@pytest.fixture
async def slower() -> AsyncIterator[Simulator]:
    """What phones hear takes a quarter of its time: rounds of waiting have to be longer than looks."""
    async with Simulator(SimulatorSettings(time_scale=0.25)) as simulator:
        yield simulator


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("status", [500, 429, 403, 400])
async def test_a_step_fails(simulator: Simulator, service: RunningService, step: str, status: int) -> None:
    # A create that failed on Bandwidth's side is sent once more.
    simulator.faults.add(step, status=status, times=2 if status == 500 and step in CREATES else 1)
    phone = await simulator.dial()
    await phone.until("ended")
    assert "sorry" in phone.heard[0]
    assert phone.cause == "hangup"
    await wait_until(lambda: service.log(event="call.ended"))
    assert service.log(event="call.ended")[0]["reason"] in {
        "bandwidth-error",
        "rate-limited",
        "credentials-refused",
        "request-refused",
    }


@pytest.mark.parametrize("step", CREATES)
@pytest.mark.parametrize("executed", [False, True])
async def test_a_create_that_failed_is_sent_once_more(
    simulator: Simulator, store_url: str, redis: Redis, step: str, *, executed: bool
) -> None:
    """At once. What the first may have made is counted; its id is known to nobody."""
    async with serving(simulator, store_url) as service:
        simulator.faults.add(step, status=500, executed=executed)
        phone = await simulator.dial()
        await phone.until("bridged")
        assert phone.heard == []
        assert len([one for one in simulator.requests if one.operation == step]) == 2
        (line,) = service.log(event="create.in_doubt")
        assert (line["error"], line["level"]) == ("server-error", "warning")
        await phone.hang_up()
        if executed:
            await wait_until(
                lambda: len([*simulator.ledger.alive().sessions, *simulator.ledger.alive().participants]) == 1
            )
        else:
            await nothing_left(simulator, redis)


@pytest.mark.parametrize("step", CREATES)
async def test_a_known_failure_does_not_wait_for_its_slow_neighbour(
    simulator: Simulator, store_url: str, redis: Redis, step: str
) -> None:
    """The other create hangs; the caller is told long before that ends, and what it makes is taken down."""
    (other,) = set(CREATES) - {step}
    async with serving(simulator, store_url) as service:
        simulator.faults.add(step, status=400)
        hanging = simulator.faults.add(other, hang=True)
        phone = await simulator.dial()
        await phone.until("ended")
        assert "sorry" in phone.heard[0]
        assert service.log(event="join.failed", reason="request-refused")
        assert not [one for one in simulator.requests if one.operation == other], "it was waited for"
        hanging.release()
        await simulator.until(lambda: any(one.operation == other for one in simulator.requests))
        await nothing_left(simulator, redis)


@pytest.mark.parametrize("step", STEPS)
async def test_a_step_hangs(simulator: Simulator, store_url: str, redis: Redis, step: str) -> None:
    """Answered within the budget; what the hanging request makes after all is taken down."""
    async with serving(simulator, store_url, WEBHOOK_BUDGET="1.5") as service:
        fault = simulator.faults.add(step, hang=True)
        phone = await simulator.dial()
        await phone.until("ended")
        assert "sorry" in phone.heard[0]
        assert simulator.deliveries[0].ms < 1500
        assert service.log(event="join.failed", reason="bandwidth-timeout")
        fault.release()
        if step != "addParticipantToSession":
            await simulator.until(lambda: any(r.operation == step for r in simulator.requests))
        await nothing_left(simulator, redis)


@pytest.mark.parametrize("step", ["removeParticipantFromSession", "deleteParticipant", "deleteSession"])
async def test_owed_work_is_tried_again(simulator: Simulator, service: RunningService, step: str) -> None:
    simulator.faults.add(step, status=500, times=2)
    phone = await simulator.dial()
    await phone.until("bridged")
    await phone.hang_up()
    await simulator.until(
        lambda: len([r for r in simulator.requests if r.operation == step]) == 3, timeout=10, what="third try"
    )
    assert len(service.log(event="effect.retried")) == 2


async def test_a_session_that_vanished_is_replaced_for_all(
    slower: Simulator, store_url: str, redis: Redis
) -> None:
    async with serving(slower, store_url, DOUBTS, ROOM_POLICY="lobby") as service:
        there = [await slower.dial(from_=f"+1555000000{n}") for n in range(2)]
        for phone in there:
            await phone.until("bridged", timeout=10)
        vanished = there[0].session_id
        assert vanished
        slower.expire_session(vanished)

        late = await slower.dial(from_="+15550009999")
        await late.until("bridged", timeout=10)

        assert late.session_id not in {None, vanished}
        await slower.until(
            lambda: {phone.session_id for phone in there} == {late.session_id}, what="the others are back"
        )
        assert slower.hears(late) == {phone.participant_id for phone in there}
        assert len(slower.ledger.alive().sessions) == 1
        assert late.heard == []
        assert service.log(event="session.replaced")
        for phone in [*there, late]:
            await phone.hang_up()
        await nothing_left(slower, redis)


async def test_two_find_at_once_that_the_session_vanished(
    slower: Simulator, store_url: str, redis: Redis
) -> None:
    async with serving(slower, store_url, DOUBTS, ROOM_POLICY="lobby"):
        first = await slower.dial()
        await first.until("bridged", timeout=10)
        slower.expire_session(str(first.session_id))
        gate = slower.gates.hold("addParticipantToSession")
        late = [await slower.dial(from_=f"+1555000{n:04}") for n in range(3)]
        await gate.reached(count=3)
        gate.release()
        for phone in late:
            await phone.until("bridged", timeout=10)
        everyone = [first, *late]
        await slower.until(lambda: len({phone.session_id for phone in everyone}) == 1)
        await slower.until(lambda: len(slower.ledger.alive().sessions) == 1)
        for phone in everyone:
            await phone.hang_up()
        await nothing_left(slower, redis)


async def test_a_session_that_is_made_too_late_to_replace_another_is_taken_down(
    slower: Simulator, store_url: str, redis: Redis
) -> None:
    async with serving(slower, store_url, DOUBTS, ROOM_POLICY="lobby", WEBHOOK_BUDGET="1.5"):
        first = await slower.dial()
        await first.until("bridged", timeout=10)
        slower.expire_session(str(first.session_id))
        fault = slower.faults.add("createSession", hang=True)
        late = await slower.dial(from_="+15550009999")
        await late.until("ended", timeout=10)
        assert "sorry" in late.heard[0]
        fault.release()
        await slower.until(lambda: len([r for r in slower.requests if r.operation == "createSession"]) == 2)
        await first.hang_up()
        await nothing_left(slower, redis)


async def test_whose_participant_vanished_is_told(slower: Simulator, store_url: str, redis: Redis) -> None:
    async with serving(slower, store_url, DOUBTS, ROOM_POLICY="lobby") as service:
        first = await slower.dial()
        await first.until("bridged", timeout=10)
        slower.expire_session(str(first.session_id))
        # The participant goes too, and its SIP leg stays up: silence, unless somebody says so.
        del slower.sessions.participants[str(first.participant_id)]

        second = await slower.dial(from_="+15550009999")
        await second.until("bridged", timeout=10)

        await first.until("ended", timeout=10)
        assert "lost" in first.heard[0]
        await wait_until(lambda: service.log(event="call.ended", reason="participant-vanished"))
        await second.hang_up()
        await nothing_left(slower, redis)


async def test_a_transfer_that_is_refused(simulator: Simulator, service: RunningService) -> None:
    simulator.interconnect.mode = "reject"
    phone = await simulator.dial()
    await phone.until("ended")
    assert "sorry" in phone.heard[0]
    await wait_until(lambda: service.log(event="call.ended", reason="transfer-failed", blame="bandwidth"))


@pytest.mark.parametrize("why", ["transfer", "join"])
async def test_the_fallback_number_is_tried_once(
    simulator: Simulator, store_url: str, redis: Redis, why: str
) -> None:
    async with serving(simulator, store_url, FALLBACK_NUMBER="+15550107777"):
        if why == "transfer":
            simulator.interconnect.mode = "reject"
        else:
            simulator.faults.add("createSession", status=500, times=2)
        phone = await simulator.dial()
        await phone.until("bridged")
        assert phone.leg is not None
        assert phone.leg.transfer_to == "+15550107777"
        assert "another number" in phone.heard[0]
        await simulator.until(lambda: not simulator.ledger.alive().participants)
        await phone.far_end_hangs_up()
        await phone.until("ended")
        assert len(phone.heard) == 1
        await nothing_left(simulator, redis)


async def test_an_expired_token_is_renewed_once(simulator: Simulator, service: RunningService) -> None:
    await wait_until(lambda: any(r.operation == "token" for r in simulator.requests))
    simulator.revoke_tokens()
    phone = await simulator.dial()
    await phone.until("bridged")
    assert len([r for r in simulator.requests if r.operation == "token"]) == 2
    await phone.hang_up()


async def test_basic_for_one_api_and_a_token_for_the_other(store_url: str, redis: Redis) -> None:
    async with (
        Simulator(SimulatorSettings(webrtc_auth="basic", voice_auth="oauth")) as simulator,
        serving(
            simulator,
            store_url,
            BW_WEBRTC_AUTH="basic",
            BW_USERNAME=simulator.username,
            BW_PASSWORD=simulator.password,
        ),
    ):
        phone = await simulator.dial()
        await phone.until("bridged")
        schemes = {r.scheme for r in simulator.requests if r.operation.startswith(("create", "add"))}
        assert schemes == {"basic"}
        await phone.hang_up()
        await nothing_left(simulator, redis)


async def test_wrong_credentials_are_told_apart(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with serving(simulator, store_url, BW_CLIENT_SECRET="wrong") as service:
        phone = await simulator.dial()
        await phone.until("ended")
        assert "sorry" in phone.heard[0]
        assert service.log(event="join.failed", reason="credentials-refused")
        await nothing_left(simulator, redis)


@pytest.mark.parametrize(
    ("length", "limit", "call_id_fits"), [(131, 256, True), (220, 256, False), (220, 350, True)]
)
async def test_long_tokens(
    store_url: str, redis: Redis, length: int, limit: int, *, call_id_fits: bool
) -> None:
    async with (
        Simulator(SimulatorSettings(device_token_length=length, uui_limit=limit)) as simulator,
        serving(simulator, store_url, UUI_LIMIT=str(limit)),
    ):
        phone = await simulator.dial()
        await phone.until("bridged")
        assert (";encoding=base64," in (phone.document or "")) is call_id_fits
        await phone.hang_up()
        await nothing_left(simulator, redis)


async def test_a_token_that_fits_nowhere(store_url: str, redis: Redis) -> None:
    async with (
        Simulator(SimulatorSettings(device_token_length=400)) as simulator,
        serving(simulator, store_url) as service,
    ):
        phone = await simulator.dial()
        await phone.until("ended")
        assert "sorry" in phone.heard[0]
        [failed] = service.log(event="join.failed", reason="token-unusable")
        assert "350" in failed["error"]
        await nothing_left(simulator, redis)


# A way in that breaks off -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", ["hangup", "error"])
@pytest.mark.parametrize("fallback", ["", "+15550107777"])
async def test_a_way_in_that_breaks_three_times(
    simulator: Simulator, store_url: str, redis: Redis, cause: str, fallback: str
) -> None:
    """It is joined again with a new participant, twice; then the caller is told, or sent elsewhere."""
    async with serving(simulator, store_url, DEFAULT_TIMEOUTS, FALLBACK_NUMBER=fallback) as service:
        phone = await simulator.dial()
        participants: list[str | None] = []

        def bridged_anew() -> bool:
            there = phone.leg is not None and not phone.leg.ended and phone.stage == "bridged"
            return there and phone.participant_id not in participants

        for _ in range(3):
            await simulator.until(bridged_anew)
            participants.append(phone.participant_id)
            await phone.far_end_hangs_up(cause)
        if fallback:
            await simulator.until(lambda: phone.leg is not None and phone.leg.transfer_to == fallback)
            await phone.until("bridged")
            await phone.far_end_hangs_up()
        else:
            await phone.until("ended")
            assert "sorry" in phone.heard[-1]
            await wait_until(
                lambda: service.log(event="call.ended", reason="transfer-failed", blame="bandwidth")
            )
        await nothing_left(simulator, redis)


async def test_a_way_in_that_breaks_once_costs_a_moment(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with serving(simulator, store_url, DEFAULT_TIMEOUTS) as service:
        phone = await simulator.dial()
        await phone.until("bridged")
        first = phone.participant_id
        await phone.far_end_hangs_up("error")
        await simulator.until(lambda: phone.stage == "bridged" and phone.participant_id != first)
        await phone.hang_up()
        await wait_until(lambda: service.log(event="call.ended", reason="completed", blame="nobody"))
        await nothing_left(simulator, redis)


@pytest.mark.parametrize(("times", "reason"), [(1, "completed"), (9, "room-full")])
async def test_a_session_that_is_full_at_bandwidth_is_a_room_that_is(
    simulator: Simulator, service: RunningService, times: int, reason: str
) -> None:
    """Some who have lost their seat are still to be taken out: the caller waits for two rounds at most."""
    simulator.faults.add("addParticipantToSession", status=409, times=times)
    phone = await simulator.dial()
    await phone.until("bridged" if times == 1 else "ended")
    if not phone.call.ended:
        await phone.hang_up()
    await wait_until(lambda: service.log(event="call.ended"))
    assert service.log(event="call.ended")[0]["reason"] == reason
    assert len(service.log(event="join.put_off")) == min(times, 2)
