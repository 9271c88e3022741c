"""Hostile clients that dawdle, or go on and on: headers and bodies byte by byte, and bodies too large."""

import asyncio
import base64
from collections.abc import Awaitable
from typing import Final

from handlers.http.request_guard import BODY_LIMIT, VISITOR_LIMIT
from tests.attack.client import HostileClient
from tests.bench.callers import CALLBACKS
from tests.harness import PASSWORD, USERNAME

BASIC: Final = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
"""What Bandwidth shows: that it is Bandwidth does not make sense of what it sends."""
_DRIP: Final = 0.1
"""Seconds between two bytes."""


async def too_large(client: HostileClient) -> None:
    """Declared, or found out; by a byte, or by a megabyte."""
    path, limit = client.dice.choice(((CALLBACKS, BODY_LIMIT), ("/join/attack/visit", VISITOR_LIMIT)))
    size = client.dice.choice((limit + 1, 1_000_000))
    declared = client.dice.random() < 0.5
    line = await client.line()
    try:
        await client.begin(line, "POST", path, size if declared else None, Authorization=BASIC)
        piece = b" " * size
        answer = await client.heard(line, piece if declared else b"%x\r\n%s\r\n0\r\n\r\n" % (size, piece))
    except OSError:
        answer = None
        client.count("closed")
    if answer is not None:
        client.count(answer.label)
    client.leave(line)


async def slow_headers(client: HostileClient) -> None:
    """For some seconds byte by byte, and then the rest: that there is an answer shows that it was read."""
    line = await client.line()
    await client.turn()
    head = f"POST {CALLBACKS} HTTP/1.1\r\nHost: x\r\nX-Slow: aaaaaaaaaa".encode()
    await line.drip(head, _DRIP)
    answer = await client.heard(line, b"\r\nContent-Length: 0\r\n\r\n")
    if answer is not None:
        client.count(answer.label)
        client.leave(line)


async def slow_body(client: HostileClient) -> None:
    """Each byte in time, and never all of them."""
    line = await client.line()
    await client.begin(line, "POST", CALLBACKS, BODY_LIMIT, Authorization=BASIC)
    async with asyncio.TaskGroup() as group:
        dripping = group.create_task(_drip(line.drip(b" " * BODY_LIMIT, _DRIP)))
        answer = await client.heard(line)
        dripping.cancel()
    if answer is not None:
        client.count(answer.label)
        client.leave(line)


async def _drip(dripping: Awaitable[None]) -> None:
    """Until the other side closes."""
    try:
        await dripping
    except OSError:
        return
