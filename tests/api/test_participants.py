"""Browsers in the API: what is refused, who may ask, and every answer as the description has it."""

from typing import Any

import pytest
from redis.asyncio import Redis

from tests.api.clients import KEYS, Client, client_of, problem
from tests.harness import RunningService
from tests.simulator.simulator import Simulator

ROOM = "/rooms/sales/participants"
NOBODY = f"{ROOM}/00000000-0000-4000-8000-000000000000"


async def test_from_the_token_to_the_end(client: Client) -> None:
    answer = await client.send("POST", ROOM, json={"name": "Anna", "permissions": ["AUDIO", "AUDIO"]})
    assert answer.status_code == 201
    admitted = answer.json()
    path = f"{ROOM}/{admitted['participantId']}"
    assert answer.headers["Location"] == f"/api/v1{path}"
    assert answer.headers["Cache-Control"] == "no-store"
    found = await client.get(path)
    assert found == {
        "participantId": admitted["participantId"],
        "room": "sales",
        "kind": "browser",
        "name": "Anna",
        "permissions": ["AUDIO"],
        "state": "in",
        "connected": False,
        "createdAt": found["createdAt"],
        "lastSeenAt": None,
        "hears": "everyone",
    }
    assert (await client.send("POST", f"{path}/heartbeat")).status_code == 204
    beaten = await client.get(path)
    assert beaten["connected"]
    assert beaten["lastSeenAt"] >= found["createdAt"]
    assert (await client.put(f"{path}/subscriptions", {"hears": "nobody"}))["hears"] == "nobody"
    [member] = (await client.get("/rooms/sales"))["members"]
    assert (member["kind"], member["call"], member["name"]) == ("browser", None, "Anna")
    assert (await client.send("DELETE", path)).status_code == 204
    problem(await client.send("DELETE", path), 404)


async def test_it_needs_no_words(client: Client) -> None:
    bodies: list[dict[str, Any]] = [{}, {"json": {}}, {"json": {"name": None, "permissions": None}}]
    for body in bodies:
        admitted = (await client.send("POST", ROOM, **body)).json()
        path = f"{ROOM}/{admitted['participantId']}"
        found = await client.get(path)
        assert (admitted["name"], found["name"], found["permissions"]) == (None, None, ["AUDIO"])
        assert (await client.send("DELETE", path)).status_code == 204


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": 7}, "name"),
        ({"permissions": "AUDIO"}, "permissions"),
        ({"permissions": ["SCREEN"]}, "permissions.0"),
        ({"permissions": ["AUDIO", "VIDEO", "AUDIO"]}, "permissions"),
        ({"visit": "v-1"}, "visit"),
        ({"token": "t"}, "token"),
    ],
)
async def test_who_wants_something_else(
    simulator: Simulator, client: Client, body: dict[str, Any], field: str
) -> None:
    told = problem(await client.send("POST", ROOM, json=body), 422)
    assert told["field"] == field
    assert simulator.sessions.participants == {}


@pytest.mark.parametrize("room", ["Sales", "per-call", "a_b", "x" * 65])
async def test_what_is_no_rooms_name(client: Client, room: str) -> None:
    assert problem(await client.send("POST", f"/rooms/{room}/participants", json={}), 422)["field"] == "room"


@pytest.mark.parametrize(
    ("hears", "field"),
    [
        ("all", "hears"),
        ([], "hears"),
        (None, "hears"),
        ([7], "hears.0"),
        (["with a blank"], "hears.0"),
        ([{"participantId": "p"}], "hears.0.streamAliases"),
        ([{"streamAliases": []}], "hears.0.participantId"),
        ([{"participantId": "p", "streamAliases": [""]}], "hears.0.streamAliases.0"),
        ([{"participantId": "p", "streamAliases": ["x"] * 11}], "hears.0.streamAliases"),
        ([{"participantId": "p", "streamAliases": [], "more": 1}], "hears.0.more"),
        (["a"] * 21, "hears"),
        (["nobody-here"], "hears.0"),
        ([{"participantId": "nobody-here", "streamAliases": ["a"]}], "hears.0"),
    ],
)
async def test_whom_it_cannot_hear(simulator: Simulator, client: Client, hears: Any, field: str) -> None:
    path = f"{ROOM}/{(await client.post(ROOM))['participantId']}"
    told = problem(await client.send("PUT", f"{path}/subscriptions", json={"hears": hears}), 422)
    assert told["field"] == field
    assert (await client.get(path))["hears"] == "everyone"
    assert "updateParticipantSubscriptions" not in {one.operation for one in simulator.requests}
    assert (await client.send("DELETE", path)).status_code == 204


ON_ONE = [("GET", ""), ("DELETE", ""), ("POST", "/heartbeat"), ("PUT", "/subscriptions")]


@pytest.mark.parametrize(("method", "more"), ON_ONE)
async def test_who_is_not_there(client: Client, method: str, more: str) -> None:
    body = {"json": {"hears": "nobody"}} if method == "PUT" else {}
    problem(await client.send(method, f"{NOBODY}{more}", **body), 404)
    path = f"{ROOM}/{(await client.post(ROOM))['participantId']}"
    elsewhere = path.replace("sales", "support")
    problem(await client.send(method, f"{elsewhere}{more}", **body), 404)
    assert (await client.send("DELETE", path)).status_code == 204


@pytest.mark.parametrize(
    ("method", "path"), [("POST", ROOM), *((method, f"{NOBODY}{more}") for method, more in ON_ONE)]
)
@pytest.mark.parametrize("key", [None, *KEYS])
async def test_what_a_key_needs(
    simulator: Simulator, service: RunningService, redis: Redis, method: str, path: str, key: str | None
) -> None:
    scope = "read" if method == "GET" else "control"
    body: dict[str, Any] = {"json": {"hears": "nobody"}} if method == "PUT" else {}
    client = Client(service, KEYS[key][1] if key else None)
    async with client.http:
        answer = await client.send(method, path, **body)
    if key is None:
        problem(answer, 401)
    elif scope not in KEYS[key][0].split("+"):
        assert problem(answer, 403)["scope"] == scope
    else:
        assert answer.status_code == (201 if method == "POST" and path == ROOM else 404)
        return
    assert simulator.sessions.participants == {}


async def test_who_may_only_read_sees_no_token(service: RunningService, client: Client) -> None:
    admitted = await client.post(ROOM)
    path = f"{ROOM}/{admitted['participantId']}"
    async with client_of(service, "reader") as reader:
        for seen in (await reader.get(path), await reader.get("/rooms/sales"), await reader.get("/rooms")):
            assert admitted["token"] not in str(seen)
    assert (await client.send("DELETE", path)).status_code == 204


async def test_bandwidths_words_are_for_keys_that_see_numbers(
    simulator: Simulator, service: RunningService
) -> None:
    said = "to (***) ***-**22 from *********11"
    for name, detail in {
        "all": f"create-session: bad-request ({said})",
        "controller": "create-session: bad-request",
    }.items():
        simulator.faults.add("createSession", status=400, words="to (555) 010-0122 from 15550100111")
        async with client_of(service, name) as client:
            answer = await client.send("POST", ROOM, json={})
            assert problem(answer, 502)["detail"] == detail
    assert all(one["error"].endswith(f"({said})") for one in service.log("participant.refused"))
