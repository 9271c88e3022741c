"""Browsers in rooms, by the API as pages of others have it."""

import asyncio
from contextlib import suppress
from typing import Literal

from tests.chaos.records import BrowserSeat, Kind, PostedEvent, SeatRequest
from tests.chaos.scenarios.awaiting import rival, wait_for
from tests.chaos.scenarios.rooms import ROOMS
from tests.chaos.scenarios.shared import TIMEOUT, Dice, ReplicaAnswer, ScenarioContext, within
from tests.harness import API_KEY
from tests.simulator.clock import monotonic
from tests.simulator.events import ParticipantEvent
from tests.simulator.sessions import Participant

BEAT = 1.5
"""Seconds between heartbeats. The page beats every 10 s, and 45 s of silence end its seat; in a storm it is
8 s."""
STAYS = (2.0, 14.0)
"""Seconds that a browser is in its room: many stay for longer than a seat is kept without heartbeats."""
UNTIL_THE_END = 0.12
"""Share of those that stay until the storm is over."""
TRIES = 6
CALM = 20.0
"""Seconds in which API and Bandwidth come to say the same of a browser in calm weather."""
GONE = {404, 410}
"""Statuses that say that the seat has been given up."""
Presence = Literal["beats", "events", "both", "never"]
"""How it says that it is there; `never`: its token is not used at all."""


class ScenarioBrowser:
    """One person, who has one seat after the other."""

    kind: Kind = "api"

    def __init__(self, shared: ScenarioContext, number: int, dice: Dice) -> None:
        self.shared = shared
        self.number = number
        self.dice = dice
        self.room = dice.choice([*ROOMS, "a", "b"])
        self.presence: Presence = dice.choice(
            ["beats", "beats", "beats", "both", "events", "events", "never"]
        )
        self.seat: BrowserSeat | None = None

    async def sit(self) -> BrowserSeat | None:
        """Take a seat; None where there is none to be had."""
        asked_at = monotonic()
        answer = await self.shared.api.send(
            "POST", f"/rooms/{self.room}/participants", {"name": f"B{self.number}"}
        )
        if answer is None or answer.status_code != 201:
            return None
        return self.seated(answer.json()["participantId"], asked_at)

    def seated(self, participant_id: str, asked_at: float) -> BrowserSeat:
        self.seat = BrowserSeat(
            number=self.number,
            kind=self.kind,
            room=self.room,
            participant_id=participant_id,
            asked_at=asked_at,
            given_at=monotonic(),
        )
        self.shared.records.browsers.append(self.seat)
        return self.seat

    async def send_beat(self, seat: BrowserSeat) -> ReplicaAnswer:
        return await self._ask("POST", f"{_path(seat)}/heartbeat")

    async def look(self, seat: BrowserSeat) -> None:
        """Whether the service says that it is there."""
        answer = await self._ask("GET", _path(seat))
        _note(seat, "look", answer)

    async def send_leave(self, seat: BrowserSeat) -> int | None:
        answer = await self.shared.api.send(
            "DELETE", f"/rooms/{seat.room}/participants/{seat.participant_id}"
        )
        return answer.status_code if answer is not None else None

    async def _ask(self, method: str, path: str) -> ReplicaAnswer:
        headers = {"authorization": f"Bearer {API_KEY}"}
        return await self.shared.replicas.ask(
            self.dice.randrange(2), method, f"/api/v1{path}", headers=headers
        )

    # What it does -------------------------------------------------------------------------------------------

    async def beat(self, seat: BrowserSeat) -> int | None:
        """One heartbeat as the way to the service takes it: lost, late or twice."""
        fate = self.shared.heartbeat_fault()
        if fate.lost:
            now = monotonic()
            seat.requests.append(SeatRequest(kind="beat", sent_at=now, over=now, status=None, asked=False))
            return None
        await asyncio.sleep(fate.delay)
        return (await asyncio.gather(*(self.beat_once(seat) for _ in range(fate.copies))))[0]

    async def beat_once(self, seat: BrowserSeat) -> int | None:
        sent_at = monotonic()
        answer = ReplicaAnswer(status=None, sent_at=sent_at, over=sent_at + TIMEOUT)
        with suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT):
                answer = await self.send_beat(seat)
        _note(seat, "beat", answer)
        return answer.status

    async def leave(self, seat: BrowserSeat) -> None:
        sent_at = monotonic()
        status = await self.send_leave(seat)
        seat.requests.append(SeatRequest(kind="leave", sent_at=sent_at, over=monotonic(), status=status))

    async def tell(self, seat: BrowserSeat, name: ParticipantEvent) -> None:
        """A participant event, as Bandwidth posts it."""
        simulator = self.shared.simulator
        if seat.participant_id not in simulator.sessions.participants:
            return
        sent_at, before = monotonic(), len(simulator.deliveries)
        await simulator.participant_event(seat.participant_id, name)
        answered = [
            one.status
            for one in simulator.deliveries[before:]
            if (one.call_id, one.event_type) == (seat.participant_id, name)
        ]
        status = 200 if 200 in answered else None
        seat.events.append(PostedEvent(name=name, sent_at=sent_at, over=monotonic(), status=status))

    def vanish(self, seat: BrowserSeat) -> None:
        """Bandwidth deletes the participant of a device that has gone."""
        sessions = self.shared.simulator.sessions
        if participant := sessions.participants.get(seat.participant_id):
            seat.vanished_at = monotonic()
            sessions.delete_participant(participant)

    async def be_there(self, seconds: float) -> None:
        """In the room, with heartbeats and now and then something else, until it wants to go or is out."""
        async with asyncio.TaskGroup() as group:
            present = group.create_task(self.say_it_is_there())
            ends = monotonic() + seconds
            while (left := ends - monotonic()) > 0:
                over = await within(self.shared.parting, min(left, self.dice.uniform(1, 4)))
                seat = self.seat
                if over or seat is None:
                    break
                if left > 1:
                    await self.something(seat)
            present.cancel()

    async def say_it_is_there(self) -> None:
        seat = self.seat
        if seat is None or self.presence == "never":
            return
        if self.presence != "beats":
            await self.tell(seat, "onConnect")
        if self.presence == "events":
            # Of somebody who is only known by events no more is heard; where this one got lost, nobody knows.
            return
        missed, trouble = 0, False
        while (seat := self.seat) is not None:
            status = await self.beat(seat)
            if seat is not self.seat:
                # It has another one meanwhile.
                missed, trouble = 0, False
            elif status in GONE:
                self.seat = await self.gone(trouble=trouble)
                missed, trouble = 0, False
            elif status is not None and status < 300:
                missed, trouble = 0, False
                await asyncio.sleep(BEAT)
            else:
                missed, trouble = missed + 1, True
                await asyncio.sleep(min(BEAT, 0.2 * 2**missed))

    async def gone(self, *, trouble: bool) -> BrowserSeat | None:
        """Its seat was given up. After trouble it comes back; else it was removed, and seldom asks again."""
        if not trouble and self.dice.random() < 0.7:
            return None
        for attempt in range(TRIES):
            if seat := await self.sit():
                return seat
            if await within(self.shared.parting, 0.2 * 2**attempt):
                break
        return None

    async def something(self, seat: BrowserSeat) -> None:
        what = self.dice.choice(["look", "subscribe", "subscribe", "again", "nothing", "event"])
        if what == "look":
            await self.look(seat)
        elif what == "subscribe":
            await self._subscribe(seat)
        elif what == "event" and self.presence == "both":
            await self.tell(seat, self.dice.choice(["onDisconnect", "onConnect"]))
            await self.tell(seat, "onConnect")

    async def _subscribe(self, seat: BrowserSeat) -> None:
        """Whom it hears: everybody, nobody, or some of those that are in the session."""
        sessions = self.shared.simulator.sessions
        own = sessions.participants.get(seat.participant_id)
        session_id = own.session_id if own is not None else None
        session = sessions.sessions.get(session_id or "")
        others = sorted(id_ for id_ in (session.members if session else {}) if id_ != seat.participant_id)
        chosen = self.dice.sample(others, min(len(others), self.dice.randint(1, 3)))
        hears = self.dice.choice(["everyone", "nobody", chosen or "everyone"])
        path, body = f"/rooms/{seat.room}/participants/{seat.participant_id}/subscriptions", {"hears": hears}
        asked_at, since = monotonic(), len(self.shared.api.requests)
        answer = await self.shared.api.send("PUT", path, body)
        if answer is None or answer.status_code != 202 or self.dice.random() < 0.5:
            return

        async def came() -> bool:
            now = sessions.participants.get(seat.participant_id)
            return now is not None and hears_as_told(hears, now, sessions.heard_by(now))

        async def explained() -> str:
            if seat.participant_id not in sessions.participants:
                return "it is not there any more"
            return rival(self.shared, since, ("PUT", path, body), path, f"/rooms/{seat.room}")

        await wait_for(self.shared, "PUT", path, body, asked_at, came, explained)

    async def go(self, seat: BrowserSeat) -> None:
        """Leave in one of the ways there are; where no answer came, nothing more is heard of it."""
        how = self.dice.choice(["leave", "leave", "onLeave", "closed"])
        if how == "leave":
            await self.leave(seat)
            if self.dice.random() < 0.5:
                await self.look(seat)
        elif how == "onLeave" or self.presence == "events":
            await self.tell(seat, "onLeave" if how == "onLeave" else "onDisconnect")
            if self.dice.random() < 0.5:
                await self.look(seat)
        if seat.events:
            # The service expects nothing more of a browser that is known by events alone; they may get lost.
            self.shared.stay(self._vanish_in_the_end(seat))

    async def _vanish_in_the_end(self, seat: BrowserSeat) -> None:
        await self.shared.parting.wait()
        self.vanish(seat)

    async def stay(self) -> None:
        """Until the storm is over and all say that it is in its room; then it leaves or falls silent."""
        async with asyncio.TaskGroup() as group:
            present = group.create_task(self.say_it_is_there())
            await self.shared.parting.wait()
            if self.seat is not None and self.presence != "never":
                await self._come_together()
            present.cancel()
        if self.seat is not None:
            await self.go(self.seat)

    async def _come_together(self) -> None:
        ends = monotonic() + CALM
        while (seat := self.seat) is not None:
            seat.looked_at = monotonic()
            seat.is_in_session, seat.view = await self._is_together(seat)
            if seat.is_in_session or monotonic() > ends:
                return
            await asyncio.sleep(0.3)

    async def _is_together(self, seat: BrowserSeat) -> tuple[bool, str]:
        answer = await self.shared.api.send("GET", f"/rooms/{seat.room}")
        room = answer.json() if answer is not None and answer.is_success else {}
        known = {one["participantId"] for one in room.get("members", []) if one["state"] == "in"}
        participant = self.shared.simulator.sessions.participants.get(seat.participant_id)
        session = participant.session_id if participant is not None else None
        there = session is not None and session == room.get("sessionId") and seat.participant_id in known
        return there, f"Bandwidth has it in {session}; the room: {room}"


async def play(shared: ScenarioContext, number: int, dice: Dice) -> None:
    await play_browser(ScenarioBrowser(shared, number, dice))


async def play_browser(browser: ScenarioBrowser) -> None:
    stays = browser.dice.random() < UNTIL_THE_END
    seconds = browser.dice.uniform(*STAYS)
    if await browser.sit() is None:
        return
    if stays:
        browser.shared.stay(browser.stay())
        return
    await browser.be_there(seconds)
    if browser.seat is not None:
        await browser.go(browser.seat)


def hears_as_told(hears: str | list[str], participant: Participant, heard: set[str]) -> bool:
    """Whether what it receives at Bandwidth can be what was told; those that have left are not heard."""
    if hears == "everyone":
        subscriptions = participant.subscriptions
        return not subscriptions.empty and not subscriptions.participants
    if hears == "nobody":
        return not heard
    return bool(heard) and heard <= set(hears)


def _path(seat: BrowserSeat) -> str:
    return f"/rooms/{seat.room}/participants/{seat.participant_id}"


def _note(seat: BrowserSeat, what: Literal["beat", "look"], answer: ReplicaAnswer) -> None:
    seat.requests.append(
        SeatRequest(kind=what, sent_at=answer.sent_at, over=answer.over, status=answer.status)
    )
