"""Calls that are placed: what Bandwidth is asked, what the asker is told, and what is refused."""

import asyncio
from typing import Any, Final

import pytest

from tests.api.clients import API, OURS, THEIRS, Client, client_of, problem, serving_api
from tests.harness import RunningService
from tests.simulator.simulator import Simulator


def created(simulator: Simulator) -> list[dict[str, Any]]:
    """Bodies of the createCalls that there were."""
    return [one.body for one in simulator.requests if one.operation == "createCall"]


async def test_a_call_gets_into_its_room(simulator: Simulator, client: Client) -> None:
    answer = await client.dial()
    assert answer.status_code == 201
    call = answer.json()
    assert answer.headers["location"] == f"{API}/calls/{call['id']}"
    assert {key: call[key] for key in ("state", "direction", "room", "from", "to", "hears")} == {
        "state": "dialing",
        "direction": "outbound",
        "room": "sales",
        "from": OURS,
        "to": THEIRS,
        "hears": "everyone",
    }

    phone = await simulator.called(THEIRS)
    await phone.until("bridged")
    assert phone.call_id == call["callId"]
    found = await client.get(f"/calls/{call['id']}")
    assert (found["state"], found["participantId"]) == ("bridged", phone.participant_id)
    assert found["timeline"][0]["event"] == "dial"


async def test_all_that_may_be_said(simulator: Simulator, client: Client) -> None:
    simulator.numbers[THEIRS] = "ring"
    body: dict[str, Any] = {
        "from": "+15550100133",
        "announcement": "Hello.",
        "callTimeout": 12.5,
        "maxDuration": 60,
        "tag": "order-4711",
        "prepare": "dial",
        "machineDetection": {"mode": "async", "then": "message", "message": "Call us back."},
        "interconnect": "transfer",
    }
    call = (await client.dial(**body)).json()
    assert {key: call[key] for key in ("from", "announcement", "tag", "interconnect")} == {
        key: body[key] for key in ("from", "announcement", "tag", "interconnect")
    }
    [asked] = created(simulator)
    assert (asked["from"], asked["callTimeout"], asked["tag"]) == ("+15550100133", 12.5, "order-4711")
    assert asked["machineDetection"]["mode"] == "async"
    await simulator.until(lambda: len(simulator.ledger.alive().participants) == 1, what="it is prepared")


async def test_null_is_as_good_as_nothing(simulator: Simulator, client: Client) -> None:
    names = ("from", "announcement", "callTimeout", "maxDuration", "tag", "prepare", "machineDetection")
    nothing = dict.fromkeys((*names, "interconnect"))
    first, second = await client.dial("once"), await client.dial("once", **nothing)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] == second.json()["id"]
    assert len(created(simulator)) == 1


async def test_asked_twice_it_is_one_call(
    simulator: Simulator, service: RunningService, client: Client
) -> None:
    answers = await asyncio.gather(*(client.dial("once", tag="a") for _ in range(4)))
    assert {answer.status_code for answer in answers} <= {201, 202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(created(simulator)) == 1

    told = problem(await client.dial("once", tag="b"), 422)
    assert told["type"].endswith(":idempotency-mismatch")
    async with client_of(service, "dialer") as other:
        assert (await other.dial("once", tag="b")).status_code == 201
    assert len(created(simulator)) == 2


async def test_the_idempotency_key(client: Client) -> None:
    body = {"to": THEIRS, "room": "sales"}
    for headers in (
        [("Idempotency-Key", "")],
        [("Idempotency-Key", "x" * 256)],
        [("Idempotency-Key", "é".encode())],
        [("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
    ):
        answer = await client.send("POST", "/calls", json=body, headers=headers)
        assert problem(answer, 422)["field"] == "Idempotency-Key"
    assert (await client.dial("x y" * 85)).status_code == 201


async def test_without_an_idempotency_key_each_request_is_a_call(
    simulator: Simulator, client: Client
) -> None:
    for _ in range(2):
        answer = await client.send("POST", "/calls", json={"to": THEIRS, "room": "sales"})
        assert answer.status_code == 201
    assert len(created(simulator)) == 2


async def test_numbers_that_are_not_called(simulator: Simulator, client: Client) -> None:
    for number, rule in (
        ("+1911", "emergency"),
        ("+19005550100", "premium"),
        ("+442079460000", "prefix"),
        ("+12025550100", "prefix"),
    ):
        assert problem(await client.dial(to=number), 422)["rule"] == rule
    assert created(simulator) == []


async def test_numbers_outside_of_the_home_country(simulator: Simulator, store_url: str) -> None:
    async with (
        serving_api(simulator, store_url, OUTBOUND_PREFIXES="", BW_NUMBER="+12025550111") as service,
        client_of(service) as client,
    ):
        assert problem(await client.dial(to="+15550100122"), 422)["rule"] == "invalid"
        assert problem(await client.dial(to="+442079460000"), 422)["rule"] == "prefix"
        assert (await client.dial(to="+12025550122")).status_code == 201


async def test_wrong_shapes(simulator: Simulator, client: Client) -> None:
    machine = "machineDetection"
    for body, field in (
        ({"to": "5550100122"}, "to"),
        ({"to": "+1234"}, "to"),
        ({"to": "+1555010012200000"}, "to"),
        ({"to": THEIRS + "\n"}, "to"),
        ({"to": "sip:somebody@example.com"}, "to"),
        ({"to": 15550100122}, "to"),
        ({"to": None}, "to"),
        ({"from": "Anonymous"}, "from"),
        ({"room": ""}, "room"),
        ({"room": "Sales"}, "room"),
        ({"room": "per-call"}, "room"),
        ({"room": "x" * 65}, "room"),
        ({"announcement": ""}, "announcement"),
        ({"announcement": " \u3000"}, "announcement"),
        ({"announcement": "two\nlines"}, "announcement"),
        ({"announcement": "x" * 1001}, "announcement"),
        ({"callTimeout": 0.5}, "callTimeout"),
        ({"callTimeout": 301}, "callTimeout"),
        ({"callTimeout": "30"}, "callTimeout"),
        ({"maxDuration": 86_401}, "maxDuration"),
        ({"maxDuration": True}, "maxDuration"),
        ({"tag": "x" * 257}, "tag"),
        ({"prepare": "now"}, "prepare"),
        ({"interconnect": "sip"}, "interconnect"),
        ({machine: True}, machine),
        ({machine: {}}, f"{machine}.then"),
        ({machine: {"then": "sing"}}, f"{machine}.then"),
        ({machine: {"then": "message"}}, f"{machine}.message"),
        ({machine: {"then": "join", "mode": "quick"}}, f"{machine}.mode"),
        ({machine: {"then": "join", "beep": True}}, f"{machine}.beep"),
        ({"calltimeout": 30}, "calltimeout"),
    ):
        assert problem(await client.dial(**body), 422)["field"] == field, body
    assert created(simulator) == []


async def test_somebody_has_to_call(simulator: Simulator, store_url: str) -> None:
    async with serving_api(simulator, store_url, BW_NUMBER="") as service, client_of(service) as client:
        assert problem(await client.dial(), 422)["field"] == "from"
        assert (await client.dial(**{"from": OURS})).status_code == 201


async def test_so_many_calls_in_an_hour(simulator: Simulator, store_url: str) -> None:
    async with serving_api(simulator, store_url, CALLS_PER_HOUR="1") as service, client_of(service) as client:
        assert (await client.dial("once")).status_code == 201
        answer = await client.dial()
        assert problem(answer, 422)["rule"] == "calls-per-hour"
        assert 0 < int(answer.headers["retry-after"]) <= 3600
        assert (await client.dial("once")).status_code == 201


async def test_without_a_voice_application(simulator: Simulator, store_url: str) -> None:
    async with (
        serving_api(simulator, store_url, BW_VOICE_APPLICATION_ID="") as service,
        client_of(service) as client,
    ):
        assert problem(await client.dial(), 503)["type"].endswith(":not-configured")


@pytest.mark.parametrize(
    ("struck", "status", "kind"),
    [
        (400, 502, "request-refused"),
        (403, 502, "credentials-refused"),
        (429, 429, "rate-limited"),
    ],
)
async def test_bandwidth_refuses(
    simulator: Simulator, client: Client, struck: int, status: int, kind: str
) -> None:
    simulator.faults.add("createCall", status=struck, times=None, retry_after="7")
    answer = await client.dial("once")
    assert problem(answer, status)["type"].endswith(f":{kind}")
    if status == 429:
        assert int(answer.headers["retry-after"]) >= 7
    simulator.faults.clear()
    assert (await client.dial("once")).status_code == 201


async def test_nobody_is_told_to_wait_for_an_hour(simulator: Simulator, client: Client) -> None:
    simulator.faults.add("createCall", status=429, retry_after="3600")
    assert (await client.dial()).headers["retry-after"] == "60"


async def test_nobody_knows_whether_there_is_a_call(simulator: Simulator, client: Client) -> None:
    simulator.faults.add("createCall", status=500, executed=True)
    answer = await client.dial()
    assert answer.status_code == 202
    assert answer.json()["callId"] is None
    phone = await simulator.called(THEIRS)
    await phone.until("bridged")
    assert (await client.get(answer.headers["location"].removeprefix(API)))["callId"] == phone.call_id


async def test_a_room_that_is_full(simulator: Simulator, client: Client) -> None:
    await client.put("/rooms/sales", {"limit": 1})
    await client.dial()
    await (await simulator.called(THEIRS)).until("bridged")
    answer = await client.dial(to="+15550100144")
    assert problem(answer, 409)["type"].endswith(":room-full")
    assert len(created(simulator)) == 1


async def test_numbers_are_masked_for_a_key_without_the_scope(service: RunningService) -> None:
    async with client_of(service, "dialer") as dialer:
        call = (await dialer.dial()).json()
    assert (call["from"], call["to"]) == ("+1********11", "+1********22")
    async with client_of(service, "curious") as curious:
        assert (await curious.get(f"/calls/{call['id']}"))["to"] == THEIRS


SAID: Final = "to (555) 010-0122 cannot be called from 15550100111 on account 9900123"
"""By Bandwidth, of a refused call."""


async def test_bandwidths_words_are_for_keys_that_see_numbers(
    simulator: Simulator, service: RunningService
) -> None:
    shown = "to (***) ***-**22 cannot be called from *********11 on account *****23"
    for name, detail in {
        "all": f"create-call: bad-request ({shown})",
        "dialer": "create-call: bad-request",
    }.items():
        simulator.faults.add("createCall", status=400, words=SAID)
        async with client_of(service, name) as client:
            assert problem(await client.dial(), 502)["detail"] == detail


async def test_bandwidths_words_are_in_the_log_without_numbers(
    simulator: Simulator, service: RunningService
) -> None:
    simulator.faults.add("createCall", status=400, words=SAID)
    async with client_of(service, "dialer") as client:
        await client.dial()
    [line] = service.log("call.refused")
    assert line["error"].endswith("from *********11 on account *****23)")
