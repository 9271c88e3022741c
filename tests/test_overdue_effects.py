"""Hours of owed work, all of it due: those who live do not wait for it."""

import time
from uuid import UUID

from redis.asyncio import Redis

from service.calls.effects import DeleteSession
from service.clock import SystemClock
from service.store import keys
from service.store.outbox import encode_effect
from tests.harness import serving
from tests.operators import Operator, bridged
from tests.outbound import operations
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

OLD = 4_000


async def owe(redis: Redis) -> None:
    """The deletion of sessions, each of a room of its own, due for an hour."""
    due = int(SystemClock().now() * 1000) - 3_600_000
    pipe = redis.pipeline(transaction=False)
    for n in range(OLD):
        owner, session = keys.owner_room(f"old-{n}"), str(UUID(int=n))
        id_, effect = encode_effect(DeleteSession(session), session)
        pipe.hset(keys.owed(owner), mapping={".seq": 1, id_: f"1 {due} {session} 0 {due} {effect}"})
        pipe.zadd(keys.agenda(keys.partition_of_owner(owner)), {owner: due})
    await pipe.execute()


async def test_a_full_room_frees_up_beside_a_backlog(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with (
        serving(simulator, store_url, ROOM_POLICY="lobby", SHUTDOWN_GRACE="1") as service,
        Operator.of(service) as operator,
    ):
        await operator.set_room("lobby", limit=2)
        phones = [(await bridged(simulator, operator))[0] for _ in range(2)]
        # All places of a backlog are taken for a minute.
        simulator.faults.add("deleteSession", delay=3, times=None)
        await owe(redis)
        await wait_until(lambda: operations(simulator).count("deleteSession") >= 128)
        begun = time.monotonic()
        await phones[0].hang_up()

        async def is_free() -> bool:
            return len((await operator.room("lobby"))["members"]) == 1

        await wait_until(is_free, seconds=5)
        assert time.monotonic() - begun < 3
        late, _ = await bridged(simulator, operator)
        # Somebody calls while another leaves.
        gate = simulator.gates.hold("removeParticipantFromSession")
        await late.hang_up()
        await gate.reached()
        next_ = await simulator.dial()
        await wait_until(lambda: service.log(event="join.put_off", reason="room-full"))
        gate.release()
        await next_.until("bridged")
        assert next_.heard == []
        assert await redis.exists(*(keys.owed(keys.owner_room(f"old-{n}")) for n in range(OLD))) > OLD / 2
        for phone in (phones[1], next_):
            await phone.hang_up()
        await redis.flushall()
        simulator.faults.clear()
