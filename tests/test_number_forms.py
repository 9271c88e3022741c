"""`to` and `from` in the forms in which networks write them: a number of ours is known in each."""

import json
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.harness import API_KEY, PASSWORD, USERNAME, RunningService, serving
from tests.simulator.simulator import Simulator

ASKS, MAPPED = "+19195550101", "+19195550102"
FORMS = [
    "{}",
    " {}",
    "1{national}",
    "{national}",
    "+1 919 555 {last}",
    "+1-(919)-555.{last}",
    "001{national}",
    "sip:{}@trunk.example",
    "sip:{}@trunk.example:5060;user=phone",
    "sips:%2B1{national}@trunk.example",
    "tel:{}",
    "{};npdi=yes",
    '"Sales" <sip:{}@trunk.example>;tag=1',
]


@pytest.fixture
async def service(simulator: Simulator, store_url: str) -> AsyncIterator[RunningService]:
    rooms = json.dumps({MAPPED: "sales"})
    settings = {"ROOM_MAP": rooms, "PIN_NUMBERS": ASKS, "ROOM_POLICY": "lobby"}
    async with serving(simulator, store_url, **settings) as service:
        yield service


async def arrive(service: RunningService, to: str | None, call_id: str, from_: str = "+15557654321") -> str:
    """The name of the first verb of the answer."""
    body = {"eventType": "initiate", "callId": call_id, "accountId": "9900000", "from": from_}
    body |= {"direction": "inbound", **({} if to is None else {"to": to})}
    async with httpx.AsyncClient(base_url=service.url, auth=(USERNAME, PASSWORD)) as client:
        answer = await client.post("/callbacks/voice", json=body)
    assert answer.status_code == 200
    return ET.fromstring(answer.content)[0].tag


async def told(service: RunningService, call_id: str) -> dict[str, str]:
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with httpx.AsyncClient(base_url=service.url, headers=headers) as client:
        found: dict[str, str] = (await client.get(f"/api/v1/calls/{call_id}")).json()
    return found


def written(form: str, number: str) -> str:
    return form.format(number, national=number[2:], last=number[-4:])


@pytest.mark.parametrize("form", FORMS)
async def test_our_number_in_many_forms(service: RunningService, form: str) -> None:
    assert await arrive(service, written(form, ASKS), "c-1") == "Gather"
    await arrive(service, written(form, MAPPED), "c-2")
    assert (await told(service, "c-2"))["room"] == "sales"


@pytest.mark.parametrize("to", [None, "", "sip:conference@trunk.example", "5550101", "+0", "x" * 300])
async def test_what_cannot_be_read_is_asked_for_a_pin(service: RunningService, to: str | None) -> None:
    assert await arrive(service, to, "c-1") == "Gather"


async def test_another_number_is_asked_for_none(service: RunningService) -> None:
    assert await arrive(service, "sip:+19195550199@trunk.example", "c-1") == "Transfer"
    assert (await told(service, "c-1"))["room"] == "lobby"
