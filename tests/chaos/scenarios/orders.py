"""Operators: calls placed with every option, and every kind of order, by one or two at the same call."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.chaos.replica import PATIENCE
from tests.chaos.scenarios.awaiting import rival, wait_for
from tests.chaos.scenarios.calls import arrived, called
from tests.chaos.scenarios.rooms import CHANGED, ROOMS
from tests.chaos.scenarios.shared import Dice, ScenarioContext
from tests.harness import NUMBER
from tests.simulator.clock import monotonic
from tests.simulator.interconnect import Behaviour
from tests.simulator.phones import Phone

Json = dict[str, Any]
PLACED = 0.6
"""Share of the calls that an operator places; the others have called us."""
TWICE = 0.3
"""Share of the placed calls that are asked for twice at the same time, with the same Idempotency-Key."""
TOGETHER = 0.35
"""Share of the orders that another operator gives another order beside."""
AWAITED = 0.5
"""Share of the accepted orders of which the effect is waited for."""
ANSWERS: list[Behaviour] = ["answer", "answer", "answer", "answer", "voicemail", "voicemail", "ring", "busy"]
ELSEWHERE = "+15554440000"
"""Where calls are transferred to."""
BETWEEN = 1.0
"""Seconds between two orders, at most."""
LISTENING = 0.2
"""Share of the calls that are told whom to hear, and stay until their session was replaced for its age."""
REACHED = 6.0
"""Seconds in which a call is in its room, as a rule: orders that come before that are refused more often."""
SETTINGS: list[Json] = [
    {},
    {"announcement": "Please wait."},
    {"limit": 5},
    {"waiting": {"sound": "music", "music": "https://media.example.com/hold.mp3", "limit": 30}},
    {
        "waiting": {"sound": "message", "message": "Nobody is here yet."},
        "alone": {"after": 2, "then": "wait"},
    },
    {"alone": {"after": 3, "then": "hangup"}},
    {"interconnect": "bridge"},
    {"pin": "98765"},
]
DETECTIONS: list[Json | None] = [
    None,
    None,
    None,
    {"then": "join"},
    {"then": "hangup", "mode": "sync"},
    {"then": "hangup", "mode": "async"},
    {"then": "message", "message": "Call us back.", "mode": "sync"},
    {"then": "message", "message": "Call us back.", "mode": "async"},
]


async def play(shared: ScenarioContext, number: int, dice: Dice) -> None:
    place = _placed if dice.random() < PLACED else arrived
    phone = await place(shared, number, dice)
    if phone is None:
        return
    operator = ScenarioOperator(shared, phone, dice)
    if dice.random() < 0.7:
        await operator.until_bridged()
    for _ in range(dice.randint(1, 4)):
        if phone.call.ended:
            break
        second = [operator.order()] if dice.random() < TOGETHER else []
        await asyncio.gather(operator.order(), *second)
        await asyncio.sleep(dice.uniform(0, BETWEEN))
    if dice.random() < LISTENING and not phone.call.ended:
        await operator.subscribe()
        await asyncio.sleep(PATIENCE.session_max_age)
    if dice.random() < 0.95:
        await phone.hang_up()
    if dice.random() < 0.25:
        await operator.erase()


async def _placed(shared: ScenarioContext, number: int, dice: Dice) -> Phone | None:
    """None where nobody was called, or nobody knows it."""
    callee = f"+1555666{number:04}"
    shared.simulator.numbers[callee] = dice.choice(ANSWERS)
    options: Json = {
        "from": dice.choice([None, NUMBER]),
        "announcement": dice.choice([None, "This is the bridge."]),
        "callTimeout": 5,
        "maxDuration": dice.choice([None, None, 4, 30]),
        "tag": f"order {number}",
        "prepare": dice.choice([None, "answer", "dial"]),
        "machineDetection": dice.choice(DETECTIONS),
        "interconnect": dice.choice([None, "transfer", "bridge"]),
    }
    body = {"to": callee, "room": dice.choice([*ROOMS, CHANGED])}
    body |= {name: value for name, value in options.items() if value is not None}
    copies = 2 if dice.random() < TWICE else 1
    key = f"order-{number}"
    await asyncio.gather(
        *(shared.api.send("POST", "/calls", body, **{"idempotency-key": key}) for _ in range(copies))
    )
    phone = called(shared, callee)
    if phone is not None and dice.random() < 0.5:
        phone.pick_up()
    return phone


class ScenarioOperator:
    """Gives orders to one call, and to the room that it is in."""

    def __init__(self, shared: ScenarioContext, phone: Phone, dice: Dice) -> None:
        self._shared = shared
        self._phone = phone
        self._dice = dice
        self._path = f"/calls/{phone.call_id}"
        self._orders: list[Callable[[], Awaitable[None]]] = [
            *[self._join] * 4,
            *[self._remove] * 3,
            *[self.subscribe] * 4,
            self._transfer,
            self._hang_up,
            self._configure,
            self._configure,
            self._close,
        ]

    async def order(self) -> None:
        await self._dice.choice(self._orders)()

    async def until_bridged(self) -> None:
        ends = monotonic() + REACHED
        while monotonic() < ends:
            if self._phone.stage in {"bridged", "ended"}:
                return
            await asyncio.sleep(0.1)

    async def erase(self) -> None:
        """What is known of the call is deleted, once it is over; before that it is refused.

        What the API does not show is not deleted: its name would be lost with it.
        """
        if self._dice.random() < 0.7:
            await asyncio.sleep(1)
        last = await self._shared.api.send("GET", self._path)
        if last is None or not last.is_success:
            return
        self._shared.records.refs[self._phone.call_id] = last.json()["id"]
        if last.json()["state"] == "ended":
            self._shared.records.erased[self._phone.call_id] = last.json()
        answer = await self._shared.api.send("DELETE", self._path)
        if answer is not None and answer.status_code == 204:
            gone = await self._shared.api.send("GET", self._path)
            if gone is not None and gone.status_code != 404:
                self._shared.api.bad_answers.append(f"{self._path} was erased, and is there: {gone.text}")

    async def _send(
        self, method: str, path: str, body: Json | None, came: Callable[[], Awaitable[bool]], *rivals: str
    ) -> None:
        """`rivals`: paths of orders that may undo this one."""
        shared, asked_at = self._shared, monotonic()
        since = len(shared.api.requests)
        answer = await shared.api.send(method, path, body)
        accepted = answer is not None and answer.is_success
        if not accepted or self._dice.random() >= AWAITED:
            return

        async def explained() -> str:
            if path.startswith("/calls/") and self._phone.call.ended:
                return f"the call has ended: {self._phone.cause}"
            return rival(shared, since, (method, path, body), *rivals)

        await wait_for(shared, method, path, body, asked_at, came, explained)

    async def _join(self) -> None:
        room = self._dice.choice([*ROOMS, CHANGED])
        body = {"room": room} | self._dice.choice([{}, {}, {"interconnect": "bridge"}])

        async def came() -> bool:
            phone = self._phone
            if phone.stage != "bridged" or phone.session_id is None:
                return False
            answer = await self._shared.api.send("GET", f"/rooms/{room}")
            return answer is not None and answer.json().get("sessionId") == phone.session_id

        await self._send("POST", f"{self._path}/join", body, came, self._path, f"/rooms/{room}")

    async def _remove(self) -> None:
        async def came() -> bool:
            return self._phone.participant_id is None and not self._phone.call.ended

        await self._send("POST", f"{self._path}/{self._shared.api.hold_order}", {}, came, self._path)

    async def _transfer(self) -> None:
        async def came() -> bool:
            return any(leg.transfer_to == ELSEWHERE for leg in self._phone.call.legs)

        await self._send("POST", f"{self._path}/transfer", {"to": ELSEWHERE}, came, self._path)

    async def _hang_up(self) -> None:
        async def came() -> bool:
            return self._phone.call.ended

        await self._send("POST", f"{self._path}/hangup", {}, came)

    async def subscribe(self) -> None:
        sessions = self._shared.simulator.sessions
        session = sessions.sessions.get(self._phone.session_id or "")
        others = sorted(
            id_ for id_ in (session.members if session else {}) if id_ != self._phone.participant_id
        )
        chosen = self._dice.sample(others, min(len(others), self._dice.randint(1, 3)))
        hears: str | list[str] = self._dice.choice(["everyone", "nobody", chosen or "everyone"])

        async def came() -> bool:
            heard = self._shared.simulator.hears(self._phone)
            participant = sessions.participants.get(self._phone.participant_id or "")
            if participant is None or hears == "everyone":
                return participant is not None and not participant.subscriptions.participants
            return not heard if hears == "nobody" else bool(heard) and heard <= set(hears)

        await self._send("PUT", f"{self._path}/subscriptions", {"hears": hears}, came, self._path)

    async def _configure(self) -> None:
        path, settings = f"/rooms/{CHANGED}", self._dice.choice(SETTINGS)

        async def came() -> bool:
            answer = await self._shared.api.send("GET", path)
            shown = answer.json().get("settings", {}) if answer is not None else {}
            return all(_within(value, shown.get(name)) for name, value in settings.items())

        await self._send("PUT", path, settings, came, path)

    async def _close(self) -> None:
        room = self._dice.choice([*ROOMS, CHANGED])
        members = await self._members(room)

        async def came() -> bool:
            """Those that were in it are out; others may have come since."""
            return not members & await self._members(room)

        await self._send("DELETE", f"/rooms/{room}", None, came)

    async def _members(self, room: str) -> set[str]:
        answer = await self._shared.api.send("GET", f"/rooms/{room}")
        found = answer.json().get("members", []) if answer is not None else []
        return {one["participantId"] for one in found if one["participantId"] and one["state"] == "in"}


def _within(told: Any, shown: Any) -> bool:
    """Whether all that was told is shown; what is left out has its default."""
    if isinstance(told, dict) and isinstance(shown, dict):
        return all(_within(value, shown.get(name)) for name, value in told.items())
    return bool(told == shown)
