"""What calls are told to do: over HTTP, down to the phone."""

from functools import partial
from typing import Any

import pytest

from tests.api.clients import THEIRS, Client, problem
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

ELSEWHERE = "+15550100199"


async def bridged(simulator: Simulator, client: Client, *, room: str = "sales") -> tuple[Phone, str]:
    """An outbound call in its room; the phone and the path of the call."""
    number = f"+155501003{len(simulator.phones):02}"
    call = (await client.dial(to=number, room=room)).json()
    phone = await simulator.called(number)
    await phone.until("bridged")
    path = f"/calls/{call['id']}"
    await shows(client, path, state="bridged")
    return phone, path


async def shows(client: Client, path: str, **fields: Any) -> None:
    """Wait until the call is shown so."""
    seen: dict[str, Any] = {}

    async def so() -> bool:
        seen.update(await client.get(path))
        return all(seen[name] == value for name, value in fields.items())

    await wait_until(so, what=lambda: f"{fields} of {seen}")


async def test_out_of_the_room_and_into_another(simulator: Simulator, client: Client) -> None:
    phone, path = await bridged(simulator, client)
    await client.post(f"{path}/hold")
    await phone.hears("hold")
    await shows(client, path, state="detached")

    call = await client.post(f"{path}/join", {"room": "support"})
    assert call["id"] in path
    await shows(client, path, state="bridged", room="support")
    room = await client.get("/rooms/support")
    assert [member["participantId"] for member in room["members"]] == [phone.participant_id]


async def test_to_another_number(simulator: Simulator, client: Client) -> None:
    phone, path = await bridged(simulator, client)
    assert (await client.post(f"{path}/transfer", {"to": ELSEWHERE}))["elsewhere"] == ELSEWHERE
    await wait_until(lambda: phone.leg is not None and phone.leg.transfer_to == ELSEWHERE)


async def test_numbers_that_are_not_called(simulator: Simulator, client: Client) -> None:
    _, path = await bridged(simulator, client)
    for number, rule in (("+1911", "emergency"), ("+19005550100", "premium"), ("+442079460000", "prefix")):
        answer = await client.send("POST", f"{path}/transfer", json={"to": number})
        assert problem(answer, 422)["rule"] == rule
    answer = await client.send("POST", f"{path}/transfer", json={"to": "+12"})
    assert problem(answer, 422)["field"] == "to"


async def test_the_end(simulator: Simulator, client: Client) -> None:
    phone, path = await bridged(simulator, client)
    await client.post(f"{path}/hangup", {})
    await phone.until("ended")
    await shows(client, path, state="ended")
    for order, body in (("hold", {}), ("join", {"room": "support"}), ("transfer", {"to": ELSEWHERE})):
        answer = await client.send("POST", f"{path}/{order}", json=body)
        assert problem(answer, 409)["detail"] == "the call has ended"
    assert (await client.post(f"{path}/hangup"))["state"] == "ended"
    answer = await client.send("PUT", f"{path}/subscriptions", json={"hears": "everyone"})
    assert problem(answer, 409)["detail"] == "the call has ended"


async def test_an_order_that_does_not_fit(simulator: Simulator, client: Client) -> None:
    simulator.numbers[THEIRS] = "ring"
    call = (await client.dial()).json()
    answer = await client.send("POST", f"/calls/{call['id']}/transfer", json={"to": ELSEWHERE})
    assert problem(answer, 409)["detail"]


async def test_orders_by_bandwidths_id(simulator: Simulator, client: Client) -> None:
    phone, _ = await bridged(simulator, client)
    await wait_until(lambda: found(client, phone.call_id))
    await client.post(f"/calls/{phone.call_id}/hangup")
    await phone.until("ended")


async def found(client: Client, id_: str) -> bool:
    return (await client.send("GET", f"/calls/{id_}")).is_success


async def test_orders_to_nobody(client: Client) -> None:
    for id_ in ("p01-" + "a" * 20, "c-1", "nothing"):
        for order, body in (
            ("hold", {}),
            ("hangup", {}),
            ("join", {"room": "sales"}),
            ("transfer", {"to": THEIRS}),
        ):
            problem(await client.send("POST", f"/calls/{id_}/{order}", json=body), 404)
        answer = await client.send("PUT", f"/calls/{id_}/subscriptions", json={"hears": "nobody"})
        problem(answer, 404)


async def test_wrong_shapes(client: Client) -> None:
    path = "/calls/p01-" + "a" * 20
    for method, order, body, field in (
        ("POST", "join", {}, "room"),
        ("POST", "join", {"room": "per-number"}, "room"),
        ("POST", "join", {"room": "sales", "interconnect": 1}, "interconnect"),
        ("POST", "transfer", {"to": "1234"}, "to"),
        ("POST", "hangup", {"now": True}, "now"),
        ("PUT", "subscriptions", {}, "hears"),
        ("PUT", "subscriptions", {"hears": "somebody"}, "hears"),
        ("PUT", "subscriptions", {"hears": []}, "hears"),
        ("PUT", "subscriptions", {"hears": ["x"] * 21}, "hears"),
        ("PUT", "subscriptions", {"hears": ["x", ""]}, "hears.1"),
        ("PUT", "subscriptions", {"hears": None}, "hears"),
    ):
        assert problem(await client.send(method, f"{path}/{order}", json=body), 422)["field"] == field


def hears_just(simulator: Simulator, phone: Phone, heard: set[str | None]) -> bool:
    return simulator.hears(phone) == heard


class TestSubscriptions:
    async def test_whom_a_phone_hears(self, simulator: Simulator, client: Client) -> None:
        first, path = await bridged(simulator, client)
        second, other = await bridged(simulator, client)
        third, _ = await bridged(simulator, client)
        assert simulator.hears(first) == {second.participant_id, third.participant_id}

        for hears, heard in (
            ("nobody", set()),
            ([other.removeprefix("/calls/")], {second.participant_id}),
            ([third.participant_id], {third.participant_id}),
            ("everyone", {second.participant_id, third.participant_id}),
            ([second.call_id, third.call_id, second.call_id], {second.participant_id, third.participant_id}),
        ):
            await client.put(f"{path}/subscriptions", {"hears": hears})
            await wait_until(partial(hears_just, simulator, first, heard))
        assert (await client.get(path))["hears"] == [second.participant_id, third.participant_id]

    async def test_who_is_not_in_the_room(self, simulator: Simulator, client: Client) -> None:
        _, path = await bridged(simulator, client)
        elsewhere, other = await bridged(simulator, client, room="support")
        simulator.numbers[THEIRS] = "ring"
        ringing = (await client.dial()).json()["id"]
        for id_ in (
            other.removeprefix("/calls/"),
            elsewhere.call_id,
            elsewhere.participant_id,
            ringing,
            "p01-" + "a" * 20,
            "c-1",
            "nobody",
        ):
            answer = await client.send("PUT", f"{path}/subscriptions", json={"hears": [id_]})
            assert problem(answer, 422)["field"] == "hears.0"


@pytest.mark.parametrize("way", ["transfer", "bridge"])
async def test_the_way_in_can_be_chosen(simulator: Simulator, client: Client, way: str) -> None:
    call = (await client.dial(interconnect=way)).json()
    assert call["interconnect"] == way
    await (await simulator.called(THEIRS)).until("bridged")
    await shows(client, f"/calls/{call['id']}", state="bridged")
    assert len(simulator.legs_into_webrtc()) == (1 if way == "bridge" else 0)


async def test_an_inbound_call_takes_orders_too(simulator: Simulator, client: Client) -> None:
    phone = await simulator.dial()
    await phone.until("bridged")
    await client.post(f"/calls/{phone.call_id}/join", {"room": "sales"})
    await shows(client, f"/calls/{phone.call_id}", state="bridged", room="sales")
