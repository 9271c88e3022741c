"""Hostile listeners: streams without end, streams of which nothing is taken, places that were never given."""

import asyncio
import base64
from typing import Final

from handlers.api.routes import PREFIX
from handlers.http.sse import LIMIT
from service.calls.refs import PARTITIONS
from service.clock import SystemClock
from service.cursors import CursorHolder, CursorSigner
from service.store.change_feed import Cursor
from tests.attack.client import HostileClient
from tests.attack.connection import HttpConnection, request
from tests.bench.processes import ROOMS
from tests.harness import PASSWORD, READER_KEY

_BEARER: Final = f"Bearer {READER_KEY}"
_EVERY: Final = f"{PREFIX}/events"
_WINDOW: Final = 4096
"""Bytes that wait at a client that takes nothing, at the most; the rest waits at the service."""
_STUCK: Final = 30.0
"""Seconds for which it does so."""
_FIRST: Final = b"\n\n"
"""Where the first event of a stream ends."""


async def crowd(port: int, seconds: float) -> None:
    """As many as there are places for come, none of them hostile, and are gone well before the time is over.

    A process keeps for the next listeners what so many have taken once (30 KB each): that is no growth.
    """
    lines: list[HttpConnection] = []
    async with asyncio.TaskGroup() as group:
        for _ in range(LIMIT):
            lines.append(await HttpConnection.to(port))
            await lines[-1].say(request("GET", _EVERY, {"Authorization": _BEARER}, 0))
            group.create_task(lines[-1].listen())
            await asyncio.sleep(seconds / 2 / LIMIT)
        await asyncio.sleep(seconds / 4)
        for line in lines:
            line.end()
    await asyncio.sleep(seconds / 8)


async def listen(client: HostileClient) -> None:
    """To everything, or to a room, until it is ended."""
    path = client.dice.choice((_EVERY, f"{PREFIX}/rooms/room-{client.dice.randrange(ROOMS)}/events"))
    if line := await _stream(client, path):
        client.tally.bytes_heard += await line.listen()
        client.leave(line)


async def take_nothing(client: HostileClient) -> None:
    if line := await _stream(client, _EVERY, window=_WINDOW):
        await asyncio.sleep(_STUCK)
        client.leave(line)


async def forged_cursor(client: HostileClient) -> None:
    """It has to begin anew: one that goes on has been taken for a place that this key was given."""
    line = await client.line()
    await client.begin(line, "GET", _EVERY, 0, Authorization=_BEARER, Last_Event_ID=_forged(client))
    answer = await client.heard(line)
    if answer is None:
        return
    if answer.status == 200:
        first = await line.until(_FIRST)
        client.count("200 reset" if b"event: reset" in first else "200 goes on")
    else:
        client.count(answer.label)
    client.leave(line)


async def _stream(client: HostileClient, path: str, *, window: int = 0) -> HttpConnection | None:
    line = await client.line(window=window)
    await client.begin(line, "GET", path, 0, Authorization=_BEARER)
    answer = await client.heard(line)
    if answer is None:
        return None
    client.count(answer.label)
    if answer.status == 200:
        return line
    client.leave(line)
    return None


def _forged(client: HostileClient) -> str:
    now = SystemClock().now()
    dice = client.dice
    places = tuple((int(now * 1000) + dice.randrange(10**6), dice.randrange(99)) for _ in range(PARTITIONS))
    cursor = Cursor(now, places)
    mine = CursorHolder("key", "reader", None)
    genuine = CursorSigner(PASSWORD).sign(cursor, CursorHolder("key", "all", None))
    return dice.choice(
        (
            CursorSigner("guessed").sign(cursor, mine),
            genuine,  # of another key
            genuine[:-1] + ("A" if genuine[-1] != "A" else "B"),
            genuine.partition(".")[0] + ".",
            base64.urlsafe_b64encode(dice.randbytes(90)).decode() + "." + "A" * 22,
            "." * 4000,
            "1700000000000-0",
        )
    )
