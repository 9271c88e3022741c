"""Somebody who listens to live events, as a browser's EventSource does (HTML standard, section 9.2)."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import httpx

from service.tasks import Tasks
from tests.harness import API_KEY
from tests.waiting import wait_until

NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class ReceivedEvent(NamedTuple):
    kind: str
    data: dict[str, Any]
    id: str


class EventListener:
    """What came over one connection."""

    def __init__(self, response: httpx.Response, last: str) -> None:
        self.response = response
        self.heard: list[ReceivedEvent] = []
        self.marks: list[ReceivedEvent] = []
        self.retry = 0
        self.last_event_id = last
        """The id to come back with."""
        self.over = False
        """Whether the service has ended the stream as one should."""

    def events_of(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """The data of the events of a kind with these fields."""
        found = [one.data for one in self.heard if one.kind == kind]
        return [data for data in found if all(data.get(name) == value for name, value in fields.items())]

    async def until(self, kind: str, *, seconds: float = 10.0, **fields: Any) -> dict[str, Any]:
        """The data of the first such event."""
        await wait_until(
            lambda: self.events_of(kind, **fields),
            seconds=seconds,
            what=lambda: f"no {kind} with {fields}: {self.heard}",
        )
        return self.events_of(kind, **fields)[0]

    async def ended(self) -> None:
        await wait_until(lambda: self.over, what="the stream goes on")

    async def read(self) -> None:
        kind, data, id_ = "message", "", self.last_event_id
        async for line in self.response.aiter_lines():
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                if data:  # as npm's eventsource has it: what comes without is no place to come back to
                    self.last_event_id = id_
                    heard = self.marks if kind == "mark" else self.heard
                    heard.append(ReceivedEvent(kind, json.loads(data), id_))
                kind, data = "message", ""
            elif name == "event":
                kind = value
            elif name == "data":
                data += value
            elif name == "id":
                id_ = value
            elif name == "retry":
                self.retry = int(value)
        self.over = True


@asynccontextmanager
async def open_stream(
    url: str, room: str | None = None, *, last: str = "", key: str = API_KEY
) -> AsyncIterator[EventListener]:
    """To a room at the replica with this URL, or to all rooms."""
    path = f"/api/v1/rooms/{room}/events" if room else "/api/v1/events"
    headers = {"authorization": f"Bearer {key}", **({"last-event-id": last} if last else {})}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, verify=NO_TLS, timeout=60) as client,
        client.stream("GET", path) as response,
    ):
        assert response.status_code == 200, (await response.aread()).decode()
        listener = EventListener(response, last)
        reading = Tasks().start(listener.read(), name="listener")
        try:
            yield listener
        finally:
            reading.cancel()
            await asyncio.wait({reading})
