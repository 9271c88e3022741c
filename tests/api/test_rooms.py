"""Rooms that are looked at, set and closed."""

from typing import Any

import pytest

from tests.api.clients import THEIRS, Client, client_of, problem
from tests.harness import RunningService
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

UNSET: dict[str, Any] = {
    "announcement": None,
    "waiting": None,
    "alone": None,
    "limit": 20,
    "pin": None,
    "interconnect": None,
}
SET: dict[str, Any] = {
    "announcement": "Nothing is recorded.",
    "waiting": {"sound": "music", "music": "https://example.com/a.wav", "message": None, "limit": 300.5},
    "alone": {"after": 30, "then": "wait"},
    "limit": 5,
    "pin": "4711",
    "interconnect": "bridge",
}


async def test_settings_are_replaced_as_a_whole(client: Client) -> None:
    room = await client.put("/rooms/sales", SET)
    assert room == {
        "room": "sales",
        "epoch": 0,
        "sessionId": None,
        "sessionAge": None,
        "members": [],
        "waiting": [],
        "settings": SET,
    }
    assert await client.get("/rooms/sales") == room
    assert await client.get("/rooms") == {"rooms": [room], "next": None}
    assert (await client.put("/rooms/sales", room["settings"]))["settings"] == SET
    assert (await client.put("/rooms/sales", {"limit": 3.0}))["settings"] == {**UNSET, "limit": 3}
    assert (await client.put("/rooms/sales", {}))["settings"] == UNSET
    problem(await client.send("GET", "/rooms/sales"), 404)
    assert await client.get("/rooms") == {"rooms": [], "next": None}


async def test_a_pin_is_one_rooms(client: Client) -> None:
    await client.put("/rooms/sales", {"pin": "4711"})
    answer = await client.send("PUT", "/rooms/support", json={"pin": "4711"})
    told = problem(answer, 409)
    assert told["type"].endswith(":pin-taken")
    assert "sales" not in str(told)
    problem(await client.send("GET", "/rooms/support"), 404)


async def test_the_pin_is_not_for_everybody(service: RunningService, client: Client) -> None:
    await client.put("/rooms/sales", SET)
    async with client_of(service, "reader") as reader:
        assert (await reader.get("/rooms/sales"))["settings"] == {**SET, "pin": None}
        assert "4711" not in str(await reader.get("/rooms"))


async def test_who_is_there(simulator: Simulator, client: Client) -> None:
    call = (await client.dial()).json()
    phone = await simulator.called(THEIRS)
    await phone.until("bridged")
    room = await client.get("/rooms/sales")
    assert room["members"] == [
        {
            "kind": "phone",
            "call": call["id"],
            "name": None,
            "participantId": phone.participant_id,
            "state": "in",
        }
    ]
    assert room["sessionId"] == phone.session_id
    assert 0 <= room["sessionAge"] < 60
    assert room["epoch"] > 0
    assert room["settings"] == UNSET


async def test_who_waits(simulator: Simulator, client: Client) -> None:
    await client.put("/rooms/sales", {"waiting": {"sound": "ring"}})
    await client.put("/rooms/lobby", {})
    phone = await simulator.dial()
    await phone.until("bridged")
    await client.post(f"/calls/{phone.call_id}/join", {"room": "sales"})
    call = await client.get(f"/calls/{phone.call_id}")

    async def there() -> bool:
        answer = await client.get("/rooms/sales")
        return bool(answer["waiting"] == [call["id"]] or answer["members"])

    await wait_until(there)


async def test_closing(simulator: Simulator, service: RunningService, client: Client) -> None:
    problem(await client.send("DELETE", "/rooms/sales"), 404)
    await client.put("/rooms/sales", {"limit": 5})
    problem(await client.send("DELETE", "/rooms/sales"), 404)
    await client.dial()
    phone = await simulator.called(THEIRS)
    await phone.until("bridged")

    answer = await client.send("DELETE", "/rooms/sales")
    assert (answer.status_code, answer.content) == (202, b"")
    await phone.hears("closed")
    await phone.until("ended")
    assert (await client.get("/rooms/sales"))["settings"]["limit"] == 5
    assert service.log("api.answered", method="DELETE", room="sales", status=202)


async def test_names_that_are_none(client: Client) -> None:
    for name in ("Sales", "per-call", "per-number", "a_b", "x" * 65, "sales%0A", "é", "%00", "+15550100122"):
        for method in ("GET", "PUT", "DELETE"):
            answer = await client.send(method, f"/rooms/{name}", json={} if method == "PUT" else None)
            assert problem(answer, 422)["field"] == "room"


async def test_wrong_shapes(client: Client) -> None:
    for body, field in (
        ({"announcement": 5}, "announcement"),
        ({"announcement": "\x00"}, "announcement"),
        ({"waiting": {}}, "waiting.sound"),
        ({"waiting": {"sound": "drums"}}, "waiting.sound"),
        ({"waiting": {"sound": "music"}}, "waiting.music"),
        ({"waiting": {"sound": "music", "music": None}}, "waiting.music"),
        ({"waiting": {"sound": "music", "music": "ftp://example.com/a"}}, "waiting.music"),
        ({"waiting": {"sound": "music", "music": "https://"}}, "waiting.music"),
        ({"waiting": {"sound": "music", "music": "https://exa mple.com"}}, "waiting.music"),
        ({"waiting": {"sound": "message"}}, "waiting.message"),
        ({"waiting": {"sound": "ring", "limit": 4}}, "waiting.limit"),
        ({"waiting": {"sound": "ring", "limit": 3601}}, "waiting.limit"),
        ({"waiting": {"sound": "ring", "volume": 11}}, "waiting.volume"),
        ({"alone": {"after": 0.5, "then": "hangup"}}, "alone.after"),
        ({"alone": {"after": 60}}, "alone.then"),
        ({"alone": {"then": "hangup"}}, "alone.after"),
        ({"alone": {"after": 60, "then": "wait"}}, "waiting"),
        ({"limit": 0}, "limit"),
        ({"limit": 21}, "limit"),
        ({"limit": 1.5}, "limit"),
        ({"limit": "5"}, "limit"),
        ({"pin": "123"}, "pin"),
        ({"pin": "1" * 21}, "pin"),
        ({"pin": "12a4"}, "pin"),
        ({"pin": "123\n"}, "pin"),
        ({"pin": 4711}, "pin"),
        ({"pin": "٣٣٣"}, "pin"),
        ({"interconnect": "sip"}, "interconnect"),
        ({"colour": "red"}, "colour"),
    ):
        answer = await client.send("PUT", "/rooms/sales", json=body)
        assert problem(answer, 422)["field"] == field, body
    assert await client.get("/rooms") == {"rooms": [], "next": None}


async def test_rooms_come_by_pages_in_the_order_of_their_names(client: Client) -> None:
    names = [f"room-{n:03}" for n in range(53)]
    for name in reversed(names):
        await client.put(f"/rooms/{name}", {"limit": 2})
    first = await client.get("/rooms")
    assert [one["room"] for one in first["rooms"]] == names[:50]
    second = await client.get(f"/rooms?cursor={first['next']}")
    assert [one["room"] for one in second["rooms"]] == names[50:]
    assert second["next"] is None

    found: list[str] = []
    more: str | None = ""
    while more is not None:
        page = await client.get(f"/rooms?limit=20{more}")
        assert len(page["rooms"]) <= 20
        found += [one["room"] for one in page["rooms"]]
        more = page["next"] and f"&cursor={page['next']}"
        await client.put(f"/rooms/{names[25]}", {})  # what goes between two pages moves no other
    assert found == [name for name in names if name != names[25]]
    for name in names:
        await client.put(f"/rooms/{name}", {})


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=1", "limit"),
        ("cursor=", "cursor"),
        ("cursor=x", "cursor"),
        ("cursor=WyJzYWxlcyJd", "cursor"),  # a list
        ("cursor=InNhbGVzIQ", "cursor"),  # no name of a room
        (f"cursor={'x' * 300}", "cursor"),
        ("state=bridged", "state"),
    ],
)
async def test_what_a_page_of_rooms_may_not_be_asked(client: Client, query: str, field: str) -> None:
    assert problem(await client.send("GET", f"/rooms?{query}"), 422)["field"] == field
