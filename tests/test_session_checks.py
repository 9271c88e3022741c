"""What Bandwidth does not find for a moment costs nobody a call: one answer is not the truth."""

import asyncio

import pytest
from redis.asyncio import Redis

from service.engine.timeouts import Timeouts
from tests.operators import bridged, operator_for
from tests.outbound import operations
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator
from tests.test_prepared import STOCKED, in_stock
from tests.waiting import wait_until

DOUBTS = Timeouts(vanished_grace=0.8, old_session_grace=0.2)
"""A round in which a caller waits takes half a second in the tests here, and two looks are 0.4 s apart."""
SLOWER = SimulatorSettings(time_scale=0.25)
ADD, GET, LIST = "addParticipantToSession", "getSession", "listSessionParticipants"


@pytest.mark.parametrize("page", [False, True], ids=["json", "page"])
@pytest.mark.parametrize(
    "struck", [(ADD,), (ADD, GET), ("createParticipant",)], ids=["put", "put+get", "create"]
)
async def test_a_moment_of_404_cuts_nobody_off(
    store_url: str, redis: Redis, struck: tuple[str, ...], *, page: bool
) -> None:
    async with (
        Simulator(SLOWER) as simulator,
        operator_for(simulator, store_url, redis, DOUBTS, ROOM_POLICY="lobby") as (service, operator),
    ):
        phones = [(await bridged(simulator, operator))[0] for _ in range(2)]
        session = phones[0].session_id
        for operation in struck:
            simulator.faults.add(operation, status=404, page=page)
        phones.append(await simulator.dial())
        await phones[-1].until("bridged", timeout=10)
        assert {phone.session_id for phone in phones} == {session}
        assert operations(simulator).count("createSession") == 1
        assert [phone.stage for phone in phones] == ["bridged"] * 3
        assert phones[-1].heard == []
        # A create that a gateway has answered is sent once more at once, which nobody has to wait for.
        sent_again = struck == ("createParticipant",) and page
        assert bool(service.log(event="join.put_off")) is not sent_again
        assert not service.log(event="join.failed")
        for phone in phones:
            await phone.hang_up()


async def test_callers_get_into_the_new_session_once_it_is_decided(store_url: str, redis: Redis) -> None:
    async with (
        Simulator(SLOWER) as simulator,
        operator_for(simulator, store_url, redis, DOUBTS, ROOM_POLICY="lobby") as (service, operator),
    ):
        phones = [(await bridged(simulator, operator))[0]]
        vanished = phones[0].session_id or ""
        simulator.expire_session(vanished)
        begun, asked = asyncio.get_running_loop().time(), operations(simulator).count(GET)
        phones += [await simulator.dial() for _ in range(3)]
        for phone in phones[1:]:
            await phone.until("bridged", timeout=10)
        assert asyncio.get_running_loop().time() - begun >= DOUBTS.vanished_grace
        await simulator.until(lambda: len({phone.session_id for phone in phones}) == 1)
        assert phones[0].session_id != vanished
        assert operations(simulator).count("createSession") == 2
        # The looks are the room's, however many wait: one by each who met the first 404, and two more.
        assert operations(simulator).count(GET) - asked <= 3 + 2
        assert len(service.log(event="session.vanished", looks=3)) == 1
        for phone in phones:
            await phone.hang_up()


async def test_a_caller_whose_participants_are_never_found_is_told_in_the_end(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, DOUBTS) as (service, operator):
        simulator.faults.add(ADD, status=404, times=None)
        phone = await simulator.dial()
        await phone.until("ended", timeout=10)
        ended = await operator.until(phone.call_id, "ended")
        assert ended["outcome"]["reason"] == "participant-vanished"
        assert "lost" in phone.heard[-1]
        assert (len(service.log(event="join.put_off")), len(service.log(event="join.failed"))) == (3, 1)
        simulator.faults.clear()


# Prepared participants --------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["session", "place", "nothing"])
async def test_a_prepared_participant_is_looked_at_beside_the_call(
    store_url: str, redis: Redis, lost: str
) -> None:
    """One request for both who took one, and what is not there is put right with the phones up."""
    async with (
        Simulator(SLOWER) as simulator,
        operator_for(simulator, store_url, redis, DOUBTS, **STOCKED) as (service, operator),
    ):
        first, _ = await bridged(simulator, operator)
        await in_stock(redis)
        session = simulator.sessions.sessions[first.session_id or ""]
        gate = simulator.gates.hold(LIST)
        second, _ = await bridged(simulator, operator)
        await gate.reached()
        if lost == "session":
            simulator.expire_session(session.id)
        if lost == "place":
            simulator.sessions.remove(simulator.sessions.participants[second.participant_id or ""])
        gate.release()
        phones = [first, second]

        def together() -> bool:
            # And both hear the next one that is made ahead, which is silent.
            return all(other.participant_id in simulator.hears(one) for one, other in (phones, phones[::-1]))

        await simulator.until(together)
        if lost != "nothing":
            await wait_until(
                lambda: service.log(event="session.vanished") or service.log(event="participant.put_back")
            )
        assert [phone.stage for phone in phones] == ["bridged", "bridged"]
        assert operations(simulator).count(LIST) <= 1 + (lost == "session")
        for phone in phones:
            await phone.hang_up()
