"""Waiting for what is to become true, instead of sleeping."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def wait_until(
    predicate: Callable[[], object],
    *,
    seconds: float = 20.0,
    what: str | Callable[[], object] = "it never became true",
) -> None:
    """Raises AssertionError with `what` when it takes longer than `seconds`; a predicate may be awaitable."""
    ends, pause = time.monotonic() + seconds, 0.005
    while True:
        found = predicate()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return
        if time.monotonic() > ends:
            raise AssertionError(what() if callable(what) else what)
        await asyncio.sleep(pause)
        # What takes long is asked for less often: many a predicate is a request.
        pause = min(1.2 * pause, 0.05)
