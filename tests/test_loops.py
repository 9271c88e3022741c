"""Calls that would come back to this service: sent round in circles they cost money for ever."""

import pytest
from redis.asyncio import Redis

from tests.harness import NUMBER, nothing_left, serving
from tests.simulator.simulator import Simulator

FALLBACK = "+15550107777"
ANOTHER = "+15550001111"


@pytest.mark.parametrize(
    "settings",
    [
        {"FALLBACK_NUMBER": NUMBER},
        {"FALLBACK_NUMBER": ANOTHER, "ROOM_MAP": f'{{"{ANOTHER}": "sales"}}'},
        {"FALLBACK_NUMBER": ANOTHER, "PIN_NUMBERS": ANOTHER},
        {"FALLBACK_NUMBER": "+19005551234"},
    ],
)
async def test_a_fallback_that_may_not_be_called_is_an_apology(
    simulator: Simulator, store_url: str, redis: Redis, settings: dict[str, str]
) -> None:
    async with serving(simulator, store_url, **settings):
        simulator.faults.add("createSession", status=500, times=2)
        phone = await simulator.dial(to="+15550002222")
        await phone.until("ended")
        assert "cannot be connected" in phone.heard[-1]
        assert phone.call.legs == []
        await nothing_left(simulator, redis)


@pytest.mark.parametrize(
    ("to", "diverted"),
    [
        (FALLBACK, None),
        ("+15550002222", FALLBACK),
        ("+15550002222", NUMBER),
        ("+15550002222", f"sip:{NUMBER}@trunk.example;user=phone"),
        ("+15550002222", "+15550002222"),
    ],
)
async def test_a_call_that_came_by_way_of_the_fallback_is_not_sent_there_again(
    simulator: Simulator, store_url: str, redis: Redis, to: str, diverted: str | None
) -> None:
    async with serving(simulator, store_url, FALLBACK_NUMBER=FALLBACK):
        simulator.faults.add("createSession", status=500, times=2)
        diversion = {"origTo": diverted, "reason": "unknown"} if diverted else None
        phone = await simulator.dial(to=to, diversion=diversion)
        await phone.until("ended")
        assert "cannot be connected" in phone.heard[-1]
        assert phone.call.legs == []
        await nothing_left(simulator, redis)


async def test_the_fallback_is_told_which_number_the_call_was_meant_for(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    """So that a call that comes back shows it (voice API, `diversionTreatment` and `diversion`)."""
    async with serving(simulator, store_url, FALLBACK_NUMBER=FALLBACK):
        simulator.faults.add("createSession", status=500, times=2)
        phone = await simulator.dial(diversion={"origTo": "+15550109999", "reason": "unknown"})
        await phone.until("bridged")
        assert phone.leg is not None
        assert phone.leg.transfer_to == FALLBACK
        assert 'diversionTreatment="stack"' in (phone.document or "")
        await phone.far_end_hangs_up()
        await phone.until("ended")
        await nothing_left(simulator, redis)
