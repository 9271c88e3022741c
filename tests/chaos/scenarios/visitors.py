"""Browsers in rooms, by the /join page's door as ours comes in."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import msgspec

from tests.chaos.records import BrowserSeat, InvitationUse, Kind, ListenerRecord
from tests.chaos.scenarios.browsers import TRIES, ScenarioBrowser, play_browser
from tests.chaos.scenarios.listeners import listen
from tests.chaos.scenarios.shared import Dice, ReplicaAnswer, ScenarioContext
from tests.chaos.times import NEVER
from tests.harness import FIRST
from tests.simulator.clock import monotonic

LOOKING_ON = 0.4
"""Share of the pages that show who is in the room."""


class Attempt(msgspec.Struct):
    """One request for a seat. Times are monotonic seconds."""

    asked_at: float
    over: float = NEVER


class ScenarioVisitor(ScenarioBrowser):
    """Our page, as it goes through the door: an invitation once, a cookie, heartbeats, and back again."""

    kind: Kind = "page"

    def __init__(self, shared: ScenarioContext, number: int, dice: Dice) -> None:
        super().__init__(shared, number, dice)
        self.presence = "both" if dice.random() < 0.3 else "beats"
        self.cookie = ""
        self._seats: list[BrowserSeat] = []
        self._attempts: list[Attempt] = []

    async def enter(self) -> bool:
        """From the invitation to the cookie. Where it was used up by an answer that got lost, a new one."""
        for _ in range(TRIES):
            invited_at = monotonic()
            made = await self.shared.api.send(
                "POST", f"/rooms/{self.room}/invitations", {"name": f"V{self.number}", "scopes": ["dial"]}
            )
            if made is None or made.status_code != 201:
                return False
            invitation = parse_qs(urlsplit(made.json()["url"]).query)["invitation"][0]
            tries = 0
            while True:
                tries += 1
                answer = await self._door("POST", "/visit", {"invitation": invitation})
                if tries == TRIES or (answer.status is not None and answer.status not in {429, 503}):
                    break
                await asyncio.sleep(0.4)
            self.shared.records.invitation_uses.append(
                InvitationUse(
                    number=self.number,
                    room=self.room,
                    tries=tries,
                    status=answer.status,
                    invited_at=invited_at,
                    over=answer.over,
                )
            )
            if answer.is_success:
                await self._enter_again(invitation)
                self.cookie = answer.cookie
                return True
        return False

    async def _enter_again(self, invitation: str) -> None:
        """As somebody else who has the same link: it opens the room once."""
        answer = await self._door("POST", "/visit", {"invitation": invitation})
        again = InvitationUse(number=self.number, room=self.room, tries=1, status=answer.status, used=True)
        self.shared.records.invitation_uses.append(again)

    async def sit(self) -> BrowserSeat | None:
        """The seat that the visit had before ends by this; of two that are asked for at once one ends."""
        for number in range(TRIES):
            attempt = Attempt(asked_at=monotonic())
            self._attempts.append(attempt)
            for one in self._seats:
                one.next_asked_at = min(one.next_asked_at, attempt.asked_at)
            answer = await self._door("POST", "/participant", {})
            attempt.over = answer.over
            if answer.status == 201:
                return self._take(answer.json["participantId"], attempt)
            if answer.status is not None and answer.status < 500 and answer.status != 429:
                return None
            await asyncio.sleep(0.2 * 2**number)
        return None

    def _take(self, participant_id: str, attempt: Attempt) -> BrowserSeat:
        seat = self.seated(participant_id, attempt.asked_at)
        others = [one for one in self._attempts if one is not attempt and one.over >= attempt.asked_at]
        seat.next_asked_at = min((one.asked_at for one in others), default=NEVER)
        self._seats.append(seat)
        return seat

    async def send_beat(self, seat: BrowserSeat) -> ReplicaAnswer:
        return await self._door("POST", "/heartbeat", {"participantId": seat.participant_id})

    async def look(self, seat: BrowserSeat) -> None:
        """A heartbeat says it too."""
        await self.beat_once(seat)

    async def send_leave(self, seat: BrowserSeat) -> int | None:
        return (await self._door("POST", "/leave", {"participantId": seat.participant_id})).status

    async def something(self, seat: BrowserSeat) -> None:
        if self.dice.random() < 0.15:
            # The page is opened in another tab: the visit has a new seat, and the old one ends.
            self.seat = await self.sit()
        else:
            await super().something(seat)

    async def be_there(self, seconds: float) -> None:
        """Some look at the list of who is there, which is made of live events."""
        if self.dice.random() >= LOOKING_ON:
            await super().be_there(seconds)
            return
        listener = ListenerRecord(number=self.number, room=self.room, visit=True)
        self.shared.records.listeners.append(listener)
        async with asyncio.TaskGroup() as group:
            headers = {"cookie": self.cookie}
            path = f"/join/{self.room}/events"
            listening = group.create_task(listen(self.shared, listener, path, headers, self.dice))
            await super().be_there(seconds)
            listening.cancel()

    async def _door(self, method: str, path: str, body: object) -> ReplicaAnswer:
        headers = {"origin": FIRST, **({"cookie": self.cookie} if self.cookie else {})}
        at = self.dice.randrange(2)
        return await self.shared.replicas.ask(at, method, f"/join/{self.room}{path}", body, headers)


async def play(shared: ScenarioContext, number: int, dice: Dice) -> None:
    visitor = ScenarioVisitor(shared, number, dice)
    if await visitor.enter():
        await play_browser(visitor)
