"""A browser as a test holds it: what the API gave it, and what Bandwidth knows of it."""

from typing import Any

import httpx

from tests.harness import ORIGIN, RunningService
from tests.operators import NO_TLS, Json, Operator
from tests.simulator.sessions import Participant
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until


class ApiBrowser:
    def __init__(self, simulator: Simulator, operator: Operator, admitted: Json) -> None:
        self.simulator = simulator
        self.operator = operator
        self.token: str = admitted["token"]
        self.id: str = admitted["participantId"]
        self.path = f"/rooms/{admitted['room']}/participants/{self.id}"

    @property
    def participant(self) -> Participant | None:
        """None when Bandwidth does not have it any more."""
        return self.simulator.sessions.participants.get(self.id)

    @property
    def hears(self) -> set[str]:
        """Ids of the participants whose audio it receives."""
        return self.simulator.sessions.heard_by(self.participant) if self.participant else set()

    async def leave(self) -> int:
        return (await self.operator.send("DELETE", self.path)).status_code

    async def subscribe(self, hears: Any) -> int:
        path = f"{self.path}/subscriptions"
        return (await self.operator.send("PUT", path, {"hears": hears})).status_code

    async def tell(self, service: RunningService, event: str) -> int:
        """A participant event, as Bandwidth would post it to the address that was registered."""
        assert self.participant
        url = str(self.participant.callback_url).replace(ORIGIN, service.url)
        async with httpx.AsyncClient(verify=NO_TLS) as client:
            return (await client.post(url, json={"event": event, "participantId": self.id})).status_code

    async def seated(self) -> bool:
        return (await self.operator.send("GET", self.path)).is_success

    async def gone(self, *, seconds: float = 8.0) -> None:
        """Wait until neither its room nor Bandwidth has it."""

        async def is_gone() -> bool:
            return self.participant is None and not await self.seated()

        await wait_until(is_gone, seconds=seconds, what=f"{self.path} is still there")


async def add_browser(
    simulator: Simulator, operator: Operator, room: str = "sales", **more: Any
) -> ApiBrowser:
    return ApiBrowser(simulator, operator, await operator.ask("POST", f"/rooms/{room}/participants", more))
