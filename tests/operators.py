"""An operator as a test holds it: requests to the API, and what the API says of a call."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Self

import httpx
from redis.asyncio import Redis

from service.engine.timeouts import DEFAULT_TIMEOUTS, Timeouts
from tests.harness import API_KEY, CALLEE, RunningService, nothing_left, serving
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

# Loading the system's certificates for every client would take longer than most tests.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
Json = dict[str, Any]


PATIENT: Final = 30.0
"""Seconds that somebody waits for an answer; what a webhook may take is for tests of webhooks to say."""


class Operator:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._set: set[str] = set()

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Header names with underscores for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._client.request(method, f"/api/v1{path}", json=body, headers=named)

    async def ask(self, method: str, path: str, body: Any = None) -> Json:
        """The JSON of an answer that has to be 2xx."""
        answer = await self.send(method, path, body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        found: Json = answer.json() if answer.content else {}
        return found

    async def place(self, to: str = CALLEE, room: str = "sales", **more: Any) -> Json:
        return await self.ask("POST", "/calls", {"to": to, "room": room, **more})

    async def call(self, id_: str) -> Json:
        return await self.ask("GET", f"/calls/{id_}")

    async def order(self, id_: str, what: str, **body: Any) -> Json:
        return await self.ask("POST", f"/calls/{id_}/{what}", body or None)

    async def until(self, id_: str, state: str, *, seconds: float = 10.0) -> Json:
        """The call, once the API says that it is in this state."""
        latest: Json = {}

        async def reached() -> bool:
            latest.update(await self.call(id_))
            return bool(latest["state"] == state)

        await wait_until(reached, seconds=seconds, what=lambda: f"{state}: {latest}")
        return latest

    async def arrives(self, id_: str, room: str) -> Json:
        """The call, once it is bridged in this room."""
        latest: Json = {}

        async def there() -> bool:
            latest.update(await self.call(id_))
            return (latest["state"], latest["room"]) == ("bridged", room)

        await wait_until(there, seconds=5, what=lambda: f"in room {room}: {latest}")
        return latest

    async def room(self, name: str) -> Json:
        return await self.ask("GET", f"/rooms/{name}")

    async def set_room(self, name: str, **settings: Any) -> Json:
        """For as long as the test lasts; afterwards the room is as nobody has set it."""
        self._set.add(name)
        return await self.ask("PUT", f"/rooms/{name}", settings)

    async def reset_rooms(self) -> None:
        for name in sorted(self._set):
            await self.ask("PUT", f"/rooms/{name}", {})

    @classmethod
    def of(cls, service: RunningService, key: str = API_KEY) -> AbstractAsyncContextManager[Self]:
        return cls.at(service.url, key)

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str, key: str) -> AsyncIterator[Self]:
        headers = {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, verify=NO_TLS, timeout=PATIENT) as client:
            operator = cls(client)
            yield operator
            await operator.reset_rooms()


@asynccontextmanager
async def operator_for(
    simulator: Simulator,
    store_url: str,
    redis: Redis,
    patience: Timeouts = DEFAULT_TIMEOUTS,
    /,
    **overrides: str,
) -> AsyncIterator[tuple[RunningService, Operator]]:
    """A replica set up like this with somebody at it, who leave nothing behind."""
    async with serving(simulator, store_url, patience, **overrides) as service:
        async with Operator.of(service) as operator:
            yield service, operator
        await nothing_left(simulator, redis)


async def bridged(simulator: Simulator, operator: Operator, *, to: str | None = None) -> tuple[Phone, Json]:
    """An inbound call that is in its room."""
    phone = await simulator.dial(to=to)
    await phone.until("bridged")
    return phone, await operator.until(phone.call_id, "bridged")


async def join_outbound(
    simulator: Simulator, operator: Operator, *, outbound: bool, room: str = "sales"
) -> tuple[Phone, Json]:
    """A call that is in this room; an inbound one is moved there from its own."""
    if not outbound:
        phone, call = await bridged(simulator, operator)
        if call["room"] != room:
            await operator.order(phone.call_id, "join", room=room)
            await operator.arrives(call["id"], room)
        return phone, await operator.call(call["id"])
    call = await operator.place(room=room)
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    return phone, await operator.until(call["id"], "bridged")


_STEPS = {"orderJoin", "orderHold", "orderTransfer", "joined", "joinFailed", "moved", "moveFailed"}


def _joins(call: Json) -> bool:
    """Whether it has been told to go somewhere, and nothing has come of it yet."""
    steps = [one["event"] for one in call["timeline"] if one["event"] in _STEPS]
    return steps[-1:] == ["orderJoin"]


async def consistent(simulator: Simulator, operator: Operator, phone: Phone, *, seconds: float = 8.0) -> Json:
    """The call, once the API, its rooms and Bandwidth say the same of it."""
    latest: Json = {}

    async def agreed() -> bool:
        call = await operator.call(phone.call_id)
        rooms = (await operator.ask("GET", "/rooms"))["rooms"]
        seats = [
            (room["room"], member["participantId"])
            for room in rooms
            for member in room["members"]
            if member["call"] == call["id"]
        ]
        latest.update(call, stage=phone.stage, seats=seats)
        if call["state"] != "ended" and _joins(call):
            return False
        match call["state"]:
            case "bridged":
                there = (phone.stage, phone.participant_id, phone.session_id)
                expected = ("bridged", call["participantId"], call["sessionId"])
                return there == expected and seats == [(call["room"], call["participantId"])]
            case "detached":
                return phone.stage in {"answered", "bridged"} and not phone.participant_id and not seats
            case "ended":
                return phone.stage == "ended" and not seats
        return False

    await wait_until(agreed, seconds=seconds, what=lambda: f"never agreed: {latest}; {phone}")
    return latest
