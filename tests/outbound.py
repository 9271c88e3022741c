"""What tests of outbound calls look at: what was asked of Bandwidth, and the call under way."""

from asyncio import Task
from typing import Any

import httpx

from service.tasks import Tasks
from tests.harness import CALLEE
from tests.operators import Json, Operator
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

PATIENT = 300
"""Seconds for which a phone may ring: six of a test's."""
MAKING = ("createSession", "createParticipant", "addParticipantToSession")


def operations(simulator: Simulator) -> list[str]:
    """What was asked of Bandwidth's two APIs, in the order of the answers."""
    return [one.operation for one in simulator.requests if one.operation != "token"]


def dialed(simulator: Simulator) -> list[Any]:
    """The bodies of all createCalls."""
    return [one.body for one in simulator.requests if one.operation == "createCall"]


def start_placing(operator: Operator, once: str | None = None, **more: Any) -> Task[httpx.Response]:
    """An order for a call that is not waited for; `once` is its Idempotency-Key."""
    body = {"to": CALLEE, "room": "sales", "callTimeout": PATIENT, **more}
    headers = {} if once is None else {"Idempotency_Key": once}
    return Tasks().start(operator.send("POST", "/calls", body, **headers), name="asking")


async def ringing(simulator: Simulator, operator: Operator, **more: Any) -> tuple[Phone, Json]:
    """A phone that nobody answers for the time being, and its call."""
    simulator.numbers[CALLEE] = "ring"
    call = await operator.place(**{"callTimeout": PATIENT, **more})
    return await simulator.called(CALLEE), call


async def only_call(operator: Operator) -> Json:
    """The call that somebody is just asking for."""
    found: list[Json] = []

    async def there() -> bool:
        found[:] = (await operator.ask("GET", "/calls"))["calls"]
        return bool(found)

    await wait_until(there, what="no call was written down")
    [call] = found
    return call


def entry(call: Json, event: str) -> Json:
    """The line of its timeline that tells of the event."""
    [found] = [one for one in call["timeline"] if one["event"] == event]
    return dict(found)


def end_reason(call: Json) -> tuple[str, str]:
    """Whose fault its end was, and which."""
    return call["outcome"]["blame"], call["outcome"]["reason"]
