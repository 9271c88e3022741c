"""Ends all calls, and waits until nothing that is known lives, nothing is owed, or time is up."""

import asyncio

from tests.chaos.orphans import orphans_of
from tests.chaos.site import Site
from tests.simulator.clock import monotonic

SETTLING = 90.0
"""Seconds for what is owed: leases of replicas that were killed, and retries, the longest after a minute."""
STILL = 6.0
"""Seconds without a request, in which a replica would have seen to what it alone knows of."""


async def settle(site: Site, seconds: float = SETTLING) -> None:
    """Also returns when something lives that nobody owes the end of any more: waiting would not help it."""
    ends = monotonic() + seconds
    asked, since = -1, 0.0
    while monotonic() < ends:
        await _hang_up(site)
        alive = site.simulator.ledger.alive()
        if alive.calls or alive.legs or await owed(site):
            asked = -1
        elif not (lives := await leaked(site)):
            return
        elif lives - {one.created for one in site.simulator.requests}:
            # Bandwidth has made it, and the answer that says so is still to come.
            asked = -1
        elif asked != len(site.simulator.requests):
            asked, since = len(site.simulator.requests), monotonic()
        elif monotonic() - since > STILL:
            return
        await asyncio.sleep(0.2)


async def _hang_up(site: Site) -> None:
    """Whoever is up, or rings: a call that was ordered in the storm may be placed after it."""
    for phone in site.simulator.phones:
        if not phone.call.ended:
            phone.pick_up()
            await phone.hang_up()


async def owed(site: Site) -> list[str]:
    """Owners that are in an agenda."""
    return [
        str(owner)
        async for key in site.redis.scan_iter("*:agenda", count=1000)
        for owner in await site.redis.zrange(key, 0, -1)
    ]


async def leaked(site: Site) -> set[str]:
    """Ids of participants and sessions that live, and that somebody can have known of."""
    alive = site.simulator.ledger.alive()
    made = {*alive.participants, *alive.sessions}
    if not made:
        return made
    # In a thread: replicas still ask the simulator, which is in this event loop.
    return made - (await asyncio.to_thread(orphans_of, site.simulator, site.fleet, made)).keys()
