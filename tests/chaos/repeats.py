"""Sends some webhooks once more, a while after they were answered, as a proxy on the way may do."""

import asyncio
import random  # noqa: TID251 - seeded, so that a storm can be had again
from contextlib import suppress

from tests.chaos.site import Site
from tests.simulator.journal import Delivery, Happening, WebhookDelivered
from tests.simulator.webhooks import DROPPED

LATEST = 3.0
"""Seconds after the answer."""


async def repeat_some(site: Site, share: float, over: asyncio.Event) -> None:
    """Until `over`. `share`: of all webhooks."""
    dice = random.Random(f"{site.turn.seed} repeats")
    repeated: set[bytes] = set()

    async with asyncio.TaskGroup() as group:

        def heed(happening: Happening) -> None:
            if not isinstance(happening, WebhookDelivered) or over.is_set():
                return
            delivery = happening.delivery
            if dice.random() < share and delivery.body not in repeated and delivery.error != DROPPED:
                repeated.add(delivery.body)
                group.create_task(_again(site, delivery, dice.uniform(0, LATEST)))

        site.simulator.observe(heed)
        try:
            await over.wait()
        finally:
            # Webhooks also end while a turn that was interrupted is taken down: the group takes no more then.
            over.set()


async def _again(site: Site, delivery: Delivery, seconds: float) -> None:
    await asyncio.sleep(seconds)
    # Nobody is there: that is seen, and judged, like any other delivery.
    with suppress(AssertionError):
        await site.simulator.repeat(delivery)
