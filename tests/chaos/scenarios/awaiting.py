"""Waits for what an order is to bring about, or for what explains that it does not, and records it."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.chaos.records import AwaitedOrder
from tests.chaos.scenarios.shared import ScenarioContext
from tests.simulator.clock import monotonic

LONGEST = 12.0
"""Seconds for which an operator waits."""
PAUSE = 0.2
"""Seconds between two looks."""
Came = Callable[[], Awaitable[bool]]
Explained = Callable[[], Awaitable[str]]
"""Empty where nothing explains it."""


async def wait_for(
    shared: ScenarioContext,
    method: str,
    path: str,
    body: object,
    asked_at: float,
    came: Came,
    explained: Explained,
) -> None:
    ends = monotonic() + LONGEST
    while True:
        seen = await came()
        why = "" if seen else await explained()
        if seen or why or monotonic() > ends:
            break
        await asyncio.sleep(PAUSE)
    now = monotonic()
    shared.records.awaited.append(
        AwaitedOrder(
            method=method,
            path=path,
            body=body,
            asked_at=asked_at,
            over=now,
            came=now if seen else None,
            explained=why,
        )
    )


def rival(shared: ScenarioContext, since: int, own: tuple[str, str, object], *prefixes: str) -> str:
    """The first other order to one of these paths that was not answered before ours was sent.

    `since`: how many had been answered by then; `own`: method, path and body of ours.
    """
    for one in shared.api.requests[since:]:
        if (one.method, one.path, one.body) != own and any(one.path.startswith(path) for path in prefixes):
            return f"overtaken by {one.method} {one.path} {one.body}"
    return ""
