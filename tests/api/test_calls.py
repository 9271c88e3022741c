"""Calls that are listed, looked at and forgotten."""

from typing import Any

import pytest
from redis.asyncio import Redis

from tests.api.clients import OURS, THEIRS, Client, client_of, problem
from tests.harness import RunningService, nothing_left
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until


async def rung(simulator: Simulator, count: int) -> list[Phone]:
    """Inbound calls, one after the other, each bridged."""
    phones = []
    for number in range(count):
        phone = await simulator.dial(from_=f"+1555010020{number}")
        await phone.until("bridged")
        phones.append(phone)
    return phones


def ids(page: dict[str, Any]) -> list[str]:
    return [call["callId"] for call in page["calls"]]


async def ended(client: Client, phone: Phone) -> dict[str, Any]:
    """The call once the service knows that it is over, and has nothing to do after it any more."""
    await phone.hang_up()
    found: dict[str, Any] = {}

    async def over() -> bool:
        found.update(await client.get(f"/calls/{phone.call_id}"))
        return bool(found["state"] == "ended")

    await wait_until(over)
    return found


async def test_the_newest_come_first(simulator: Simulator, client: Client) -> None:
    assert await client.get("/calls") == {"calls": [], "next": None}
    phones = await rung(simulator, 3)
    page = await client.get("/calls")
    assert ids(page) == [phone.call_id for phone in reversed(phones)]
    assert page["next"] is None
    assert "timeline" not in page["calls"][0]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 200])
async def test_page_by_page(simulator: Simulator, client: Client, limit: int) -> None:
    phones = await rung(simulator, 4)
    found: list[str] = []
    params: dict[str, Any] = {"limit": limit}
    for _ in range(6):
        page = await client.get("/calls", params=params)
        assert len(page["calls"]) <= limit
        found += ids(page)
        if page["next"] is None:
            break
        params["cursor"] = page["next"]
    assert found == [phone.call_id for phone in reversed(phones)]


async def test_what_is_asked_for(simulator: Simulator, client: Client) -> None:
    first, second, third = await rung(simulator, 3)
    dialled = (await client.dial()).json()
    await ended(client, second)
    room = (await client.get(f"/calls/{first.call_id}"))["room"]

    for params, expected in (
        ({"state": "ended"}, [second.call_id]),
        ({"direction": "outbound"}, [dialled["callId"]]),
        ({"direction": "inbound", "limit": 2}, [third.call_id, second.call_id]),
        ({"direction": "inbound", "state": "bridged"}, [third.call_id, first.call_id]),
        ({"room": room}, [first.call_id]),
        ({"room": "nobody-knows-it"}, []),
        ({"state": "dialing"}, []),
    ):
        page = await client.get("/calls", params=params)
        assert ids(page) == expected, params
    page = await client.get("/calls", params={"direction": "inbound", "limit": 2})
    rest = await client.get("/calls", params={"direction": "inbound", "cursor": page["next"]})
    assert (ids(rest), rest["next"]) == ([first.call_id], None)


async def test_a_span_of_time(simulator: Simulator, client: Client) -> None:
    early = await rung(simulator, 1)
    moment = (await client.get("/calls"))["calls"][0]["createdAt"]
    late = await rung(simulator, 1)
    assert ids(await client.get("/calls", params={"since": moment})) == [late[0].call_id, early[0].call_id]
    assert ids(await client.get("/calls", params={"until": moment})) == []
    after = (await client.get("/calls"))["calls"][0]["createdAt"]
    assert ids(await client.get("/calls", params={"since": moment, "until": after})) == [early[0].call_id]
    assert ids(await client.get("/calls", params={"since": "9999-12-31T23:59:59Z"})) == []
    assert ids(await client.get("/calls", params={"until": "0001-01-01T00:00:00Z"})) == []


async def test_a_call_has_two_names(simulator: Simulator, client: Client) -> None:
    [phone] = await rung(simulator, 1)
    found = await client.get(f"/calls/{phone.call_id}")
    assert found == await client.get(f"/calls/{found['id']}")
    assert found["callId"] == phone.call_id
    assert (found["timeline"][0]["before"], found["timeline"][0]["after"]) == ("new", "joining")

    placed = (await client.dial()).json()
    await wait_until(lambda: known(client, placed["callId"]))
    assert (await client.get(f"/calls/{placed['callId']}"))["id"] == placed["id"]


async def known(client: Client, id_: str) -> bool:
    return (await client.send("GET", f"/calls/{id_}")).is_success


async def test_how_a_call_has_ended(simulator: Simulator, client: Client) -> None:
    [phone] = await rung(simulator, 1)
    found = await ended(client, phone)
    assert found["outcome"] == {
        "blame": "nobody",
        "reason": "completed",
        "cause": "hangup",
        "errorId": None,
        "sipResponseCode": None,
    }
    assert found["endedAt"] >= found["bridgedAt"] >= found["createdAt"]
    assert [one["cause"] for one in found["timeline"] if one["event"] == "disconnect"] == ["hangup"]


async def test_what_is_no_call(client: Client) -> None:
    for id_ in (
        "p01-" + "a" * 20,
        "p99-" + "a" * 20,
        "c-93d6f3c0-be584596-0b74-4fa2-8015-d8ede84bd1a4",
        "c-",
        "x",
        "..%2F..%2Fsecret",
        "%00",
        "é",
        "+15550100122",
        "c-" + "x" * 3000,
    ):
        for method in ("GET", "DELETE"):
            problem(await client.send(method, f"/calls/{id_}"), 404)


async def test_numbers_are_for_those_who_may_see_them(
    simulator: Simulator, service: RunningService, client: Client
) -> None:
    [phone] = await rung(simulator, 1)
    async with client_of(service, "reader") as reader:
        [listed] = (await reader.get("/calls"))["calls"]
        one = await reader.get(f"/calls/{phone.call_id}")
    assert (listed["from"], one["from"]) == ("+1********00", "+1********00")
    [listed] = (await client.get("/calls"))["calls"]
    assert (listed["from"], listed["to"]) == (phone.call.from_, phone.call.to)


async def test_a_call_is_forgotten(
    simulator: Simulator, service: RunningService, client: Client, redis: Redis
) -> None:
    answer = await client.dial("once-1", tag="order-4711")
    phone = await simulator.called(THEIRS)
    await phone.until("bridged")
    path = f"/calls/{answer.json()['id']}"
    problem(await client.send("DELETE", path), 409)

    await ended(client, phone)
    await nothing_left(simulator, redis)
    assert (await client.send("DELETE", path)).status_code == 204

    for id_ in (path, f"/calls/{phone.call_id}"):
        for method in ("GET", "DELETE"):
            problem(await client.send(method, id_), 404)
    for order in ("hold", "hangup"):
        problem(await client.send("POST", f"{path}/{order}"), 404)
    problem(await client.send("PUT", f"{path}/subscriptions", json={"hears": "nobody"}), 404)
    assert (await client.get("/calls"))["calls"] == []
    kept = [await redis.dump(key) for key in await redis.keys("*")]
    for word in (OURS, THEIRS, "order-4711", phone.call_id):
        assert not any(word.encode() in one for one in kept if one), word
    assert service.log("api.answered", method="DELETE", status=204, ref=answer.json()["id"])
    again = (await client.dial("once-1", tag="order-4711")).json()
    assert (again["id"], again["to"], again["tag"]) == (answer.json()["id"], None, None), (
        "nobody is called twice"
    )
    assert again["outcome"]["reason"] == "erased"


async def test_a_late_webhook_of_a_forgotten_call_makes_nothing(
    simulator: Simulator, client: Client, redis: Redis
) -> None:
    [phone] = await rung(simulator, 1)
    found = await ended(client, phone)
    await nothing_left(simulator, redis)
    assert (await client.send("DELETE", f"/calls/{found['id']}")).status_code == 204
    status, _ = await simulator.repeat(simulator.deliveries[0])
    assert status == 200
    assert simulator.ledger.empty
    problem(await client.send("GET", f"/calls/{found['id']}"), 404)
