"""Listeners to live events: of a room or of all, taken up again at the other replica with Last-Event-ID."""

import asyncio

import httpx

from tests.chaos.records import ListenerConnection, ListenerRecord
from tests.chaos.scenarios.rooms import ROOMS
from tests.chaos.scenarios.shared import Dice, ScenarioContext, within
from tests.event_listener import EventListener
from tests.harness import API_KEY
from tests.simulator.clock import monotonic

STAYS = (4.0, 16.0)
"""Seconds for which somebody listens."""
UNTIL_THE_END = 0.5
"""Share of those that listen until all is settled."""
CUT = 0.5
"""Share of the connections that are cut off before anything else ends them."""
LAST_WORD = 15.0
"""Seconds in which a mark is heard after all is settled: it is one every 2 s without news, and only the
connection that was up by then may still be cut off."""


async def play(shared: ScenarioContext, number: int, dice: Dice) -> None:
    room = dice.choice([None, None, None, *ROOMS])
    listener = ListenerRecord(number=number, room=room, stays=dice.random() < UNTIL_THE_END)
    shared.records.listeners.append(listener)
    headers = {"authorization": f"Bearer {API_KEY}"}
    path = f"/api/v1/rooms/{room}/events" if room else "/api/v1/events"
    if listener.stays:
        shared.listen(_until_the_end(shared, listener, path, headers, dice))
        return
    async with asyncio.TaskGroup() as group:
        task = group.create_task(listen(shared, listener, path, headers, dice))
        await within(shared.parting, dice.uniform(*STAYS))
        task.cancel()


async def _until_the_end(
    shared: ScenarioContext, listener: ListenerRecord, path: str, headers: dict[str, str], dice: Dice
) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(listen(shared, listener, path, headers, dice))
        await shared.settled.wait()
        signs, ends = _signs_of_life(listener), monotonic() + LAST_WORD
        while not listener.stayed and monotonic() < ends:
            await asyncio.sleep(0.05)
            listener.stayed = _signs_of_life(listener) > signs
        task.cancel()


async def listen(
    shared: ScenarioContext, listener: ListenerRecord, path: str, headers: dict[str, str], dice: Dice
) -> None:
    """Without end. After each end of a connection it comes back, at the other replica."""
    at, last = dice.randrange(2), ""
    while True:
        connection = ListenerConnection(host=shared.replicas.hosts[at % 2], begun=monotonic(), last=last)
        listener.connections.append(connection)
        seconds = dice.uniform(0.5, 6) if dice.random() < CUT else None
        if shared.settled.is_set():
            seconds = None
        try:
            last = await _one(shared.replicas.clients[at % 2], connection, path, headers, seconds)
        finally:
            connection.over = monotonic()
        at += 1
        # `retry` says a second; what happens meanwhile is what it has to be told when it is back.
        await asyncio.sleep(dice.uniform(0.1, 2))


async def _one(
    client: httpx.AsyncClient,
    connection: ListenerConnection,
    path: str,
    headers: dict[str, str],
    seconds: float | None,
) -> str:
    """One connection, until it ends or is cut off after so many seconds. Returns the id to come back with."""
    more = {"last-event-id": connection.last} if connection.last else {}
    reader: EventListener | None = None
    try:
        async with (
            asyncio.timeout(seconds),
            client.stream("GET", path, headers={**headers, **more}, timeout=60) as response,
        ):
            connection.status = response.status_code
            if response.is_success:
                reader = EventListener(response, connection.last)
                reader.heard = reader.marks = connection.heard
                await reader.read()
    except (httpx.TransportError, TimeoutError):
        pass
    return reader.last_event_id if reader is not None else connection.last


def _signs_of_life(listener: ListenerRecord) -> int:
    """Marks that say there was nothing more to be told.

    The one that a connection begins with says where it is taken up: what was missed comes after it. And news
    may be the first of several.
    """
    return sum(one.kind == "mark" for connection in listener.connections for one in connection.heard[1:])
