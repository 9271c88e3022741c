"""The guard between whoever holds an API key and the telephone bill: what is refused is not dialed."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from tests.harness import API_KEY, CALLEE, NUMBER, RunningService, nothing_left, serving
from tests.operators import Json, Operator, bridged
from tests.outbound import dialed, end_reason, ringing, start_placing
from tests.simulator.simulator import Simulator

OTHER_KEY = "tests-other-key-0123456789"
KEYS = f"one:read+dial+control:{API_KEY},other:read+dial+control:{OTHER_KEY}"
ALLOWED = {"OUTBOUND_PREFIXES": "+1,+4420,+44909"}
OURS_ONLY = {"OUTBOUND_PREFIXES": "", "BW_NUMBER": "+19195550100"}
RULES = [
    ("+1911", "emergency", ALLOWED),
    ("+19115550100", "emergency", ALLOWED),
    ("+44999", "emergency", ALLOWED),
    ("+19005550100", "premium", ALLOWED),
    ("+449098790000", "premium", ALLOWED),
    ("+441612345678", "prefix", ALLOWED),
    ("+882161234567", "prefix", ALLOWED),
    ("+442071838750", "prefix", OURS_ONLY),
    ("+18765230123", "prefix", OURS_ONLY),
    ("+15551234567", "invalid", OURS_ONLY),
    ("+12125551212", "premium", OURS_ONLY),
    ("+12129761234", "premium", OURS_ONLY),
    ("+10115371234567", "invalid", ALLOWED),
    ("+15550001111", "own-number", ALLOWED | {"BW_NUMBER": "+15550001111"}),
    ("+15550001111", "own-number", ALLOWED | {"ROOM_MAP": '{"+15550001111": "sales"}'}),
    ("+15550001111", "own-number", ALLOWED | {"PIN_NUMBERS": "+15550001111"}),
    ("+18765230123", "prefix", {"OUTBOUND_PREFIXES": "+1", "OUTBOUND_COUNTRIES": "US,CA"}),
]


class Guarded:
    """A replica with its own idea of what may be called, and somebody who may order everything."""

    def __init__(self, simulator: Simulator, store_url: str) -> None:
        self._simulator = simulator
        self._store_url = store_url
        self._stack = AsyncExitStack()

    async def start(self, **settings: str) -> tuple[RunningService, Operator]:
        enter = self._stack.enter_async_context
        service = await enter(serving(self._simulator, self._store_url, **{"API_KEYS": KEYS, **settings}))
        return service, await enter(Operator.of(service))

    async def stop(self) -> None:
        await self._stack.aclose()


@pytest.fixture
async def guarded(simulator: Simulator, store_url: str, redis: Redis) -> AsyncIterator[Guarded]:
    """Whoever uses it has to leave nothing behind."""
    guarded = Guarded(simulator, store_url)
    try:
        yield guarded
        await nothing_left(simulator, redis)
    finally:
        await guarded.stop()


@pytest.mark.parametrize(("number", "rule", "settings"), RULES)
async def test_what_is_never_called(
    simulator: Simulator, guarded: Guarded, number: str, rule: str, settings: Json
) -> None:
    _, operator = await guarded.start(**settings)
    refused = await operator.send("POST", "/calls", {"to": number, "room": "sales"})
    assert refused.status_code == 422
    assert refused.json()["type"] == "urn:pstn-bridge:problem:dial-rule"
    assert refused.json()["rule"] == rule
    assert number[1:] not in refused.text
    assert dialed(simulator) == []
    assert (await operator.ask("GET", "/calls"))["calls"] == []
    assert (await operator.ask("GET", "/rooms"))["rooms"] == []


async def test_nobody_is_transferred_there_either(simulator: Simulator, guarded: Guarded) -> None:
    _, operator = await guarded.start(**ALLOWED)
    phone, call = await bridged(simulator, operator)
    leg = phone.leg
    for number, rule, settings in RULES:
        if settings is ALLOWED:
            refused = await operator.send("POST", f"/calls/{call['id']}/transfer", {"to": number})
            assert (refused.status_code, refused.json()["rule"]) == (422, rule)
    assert (await operator.call(call["id"]))["state"] == "bridged"
    assert phone.leg is leg
    assert len(phone.call.legs) == 1
    await phone.hang_up()


async def test_nobody_is_transferred_to_an_invalid_number(simulator: Simulator, guarded: Guarded) -> None:
    _, operator = await guarded.start(**OURS_ONLY)
    phone, call = await bridged(simulator, operator)
    refused = await operator.send("POST", f"/calls/{call['id']}/transfer", {"to": "+15551234567"})
    assert (refused.status_code, refused.json()["rule"]) == (422, "invalid")
    assert len(phone.call.legs) == 1
    await phone.hang_up()


async def test_the_number_that_the_call_is_on(simulator: Simulator, guarded: Guarded) -> None:
    """Also where no setting names it, and whichever replica is asked."""
    _, operator = await guarded.start(**ALLOWED)
    _, other = await guarded.start(**ALLOWED)
    phone, call = await bridged(simulator, operator, to="+15550001111")
    for asked in (operator, other):
        refused = await asked.send("POST", f"/calls/{call['id']}/transfer", {"to": "+15550001111"})
        assert (refused.status_code, refused.json()["rule"]) == (422, "own-number")
    refused = await other.send("POST", "/calls", {"to": "+15550001111", "room": "sales"})
    assert (refused.status_code, refused.json()["rule"]) == (422, "own-number"), "where the call came in"
    assert "5550001111" not in refused.text
    assert (len(phone.call.legs), dialed(simulator)) == (1, [])
    await phone.hang_up()


async def test_nobody_calls_the_number_that_is_shown(simulator: Simulator, guarded: Guarded) -> None:
    _, operator = await guarded.start(**ALLOWED)
    body = {"to": CALLEE, "room": "sales", "from": CALLEE}
    refused = await operator.send("POST", "/calls", body)
    assert (refused.status_code, refused.json()["rule"]) == (422, "own-number")
    assert dialed(simulator) == []


async def test_the_numbers_that_calls_may_show(simulator: Simulator, guarded: Guarded) -> None:
    simulator.numbers[CALLEE] = "busy"
    _, operator = await guarded.start(**ALLOWED, OUTBOUND_FROM="+15550001111,+15550001112")
    await operator.place()
    await operator.place(**{"from": "+15550001112"})
    refused = await operator.send("POST", "/calls", {"to": CALLEE, "room": "sales", "from": "+12025550100"})
    assert (refused.status_code, refused.json()["rule"]) == (422, "from")
    assert [body["from"] for body in dialed(simulator)] == [NUMBER, "+15550001112"]


async def test_without_prefixes_and_number_nobody_is_called(simulator: Simulator, guarded: Guarded) -> None:
    _, operator = await guarded.start(OUTBOUND_PREFIXES="", BW_NUMBER="")
    body = {"to": "+19195550100", "room": "sales", "from": "+19195550111"}
    refused = await operator.send("POST", "/calls", body)
    assert (refused.status_code, refused.json()["rule"]) == (422, "prefix")
    assert dialed(simulator) == []


async def test_each_key_has_so_many_calls_in_an_hour(simulator: Simulator, guarded: Guarded) -> None:
    simulator.numbers[CALLEE] = "busy"
    service, operator = await guarded.start(CALLS_PER_HOUR="2")
    body = {"to": CALLEE, "room": "sales"}
    # Sent twice it is one call, before and after the last one is used up.
    once = [await operator.send("POST", "/calls", body, Idempotency_Key="one") for _ in range(2)]
    await operator.place()
    refused = await operator.send("POST", "/calls", body, Idempotency_Key="three")
    once.append(await operator.send("POST", "/calls", body, Idempotency_Key="one"))
    assert len({answer.json()["id"] for answer in once}) == 1

    assert refused.status_code == 422
    assert (refused.json()["type"], refused.json()["rule"]) == (
        "urn:pstn-bridge:problem:dial-rule",
        "calls-per-hour",
    )
    assert 0 < int(refused.headers["retry-after"]) <= 3600
    assert len(dialed(simulator)) == 2
    async with Operator.of(service, OTHER_KEY) as other:
        await other.place()
    assert len(dialed(simulator)) == 3


async def test_numbers_that_are_refused_do_not_count(simulator: Simulator, guarded: Guarded) -> None:
    simulator.numbers[CALLEE] = "busy"
    _, operator = await guarded.start(CALLS_PER_HOUR="1")
    for number in ("+1911", "+19005550100"):
        refused = await operator.send("POST", "/calls", {"to": number, "room": "sales"})
        assert refused.status_code == 422
    await operator.place()


async def test_what_nobody_was_called_for_is_given_back(simulator: Simulator, guarded: Guarded) -> None:
    """By Bandwidth, by a full room, and by a call that cannot be sent elsewhere any more."""
    simulator.numbers[CALLEE] = "busy"
    _, operator = await guarded.start(CALLS_PER_HOUR="2")
    await operator.set_room("tiny", limit=1)
    seat = await operator.ask("POST", "/rooms/tiny/participants", {})
    ended = await operator.place()
    await operator.until(ended["id"], "ended")
    simulator.faults.add("createCall", status=400, times=2)
    body = {"to": CALLEE, "room": "sales"}
    for path, sent, status in (
        ("/calls", body, 502),
        ("/calls", body, 502),
        ("/calls", body | {"room": "tiny"}, 409),
        (f"/calls/{ended['id']}/transfer", {"to": "+15550008888"}, 409),
    ):
        assert (await operator.send("POST", path, sent)).status_code == status
    await operator.place()
    refused = await operator.send("POST", "/calls", body)
    assert (refused.status_code, refused.json()["rule"]) == (422, "calls-per-hour")
    assert "2 calls" in refused.json()["detail"]
    await operator.ask("DELETE", f"/rooms/tiny/participants/{seat['participantId']}")
    await operator.reset_rooms()


async def test_a_transfer_is_a_call_of_that_hour(simulator: Simulator, guarded: Guarded) -> None:
    """To the telephone bill it is one; and every caller could be sent round the world otherwise."""
    service, operator = await guarded.start(CALLS_PER_HOUR="1")
    phone, call = await bridged(simulator, operator)
    path, body = f"/calls/{call['id']}/transfer", {"to": "+15550008888"}
    await operator.ask("POST", path, body)
    await phone.hears("another number")
    await phone.until("bridged")
    refused = await operator.send("POST", path, body)
    assert (refused.status_code, refused.json()["rule"]) == (422, "calls-per-hour")
    assert int(refused.headers["retry-after"]) > 0
    assert (await operator.send("POST", "/calls", {"to": CALLEE, "room": "sales"})).status_code == 422
    assert len([leg for leg in phone.call.legs if leg.transfer_to == body["to"]]) == 1
    assert phone.stage == "bridged"
    async with Operator.of(service, OTHER_KEY) as other:
        await other.ask("POST", path, body)
    await simulator.until(lambda: len([leg for leg in phone.call.legs if leg.transfer_to == body["to"]]) == 2)
    await phone.hang_up()


async def test_each_key_has_so_many_calls_up(simulator: Simulator, guarded: Guarded, redis: Redis) -> None:
    """As many as it may place in an hour, however many hours they last; what is over makes room."""
    service, operator = await guarded.start(CALLS_PER_HOUR="2")
    phone, call = await ringing(simulator, operator)
    other_phone, _ = await ringing(simulator, operator)
    await an_hour_passes(redis)
    body = {"to": CALLEE, "room": "sales"}
    refused = await operator.send("POST", "/calls", body, Idempotency_Key="one")
    assert (refused.status_code, refused.json()["rule"]) == (429, "calls-at-once")
    assert refused.json()["type"] == "urn:pstn-bridge:problem:too-many-calls"
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert len(dialed(simulator)) == 2
    async with Operator.of(service, OTHER_KEY) as other:
        simulator.numbers[CALLEE] = "busy"
        await operator.until((await other.place())["id"], "ended")

    await phone.hang_up()
    await operator.until(call["id"], "ended")
    placed = await operator.send("POST", "/calls", body, Idempotency_Key="one")
    assert placed.status_code == 201, "the same order, now that another call is over"
    await other_phone.hang_up()


async def test_copies_of_an_order_do_not_pass_the_limits_together(
    simulator: Simulator, guarded: Guarded, redis: Redis
) -> None:
    """Of those that come at once one is refused, and no other goes on with what that one has given back."""
    _, operator = await guarded.start(CALLS_PER_HOUR="2")
    phones = [(await ringing(simulator, operator))[0] for _ in range(2)]
    await an_hour_passes(redis)
    for once in ("one", "two", "three"):
        copies = [start_placing(operator, once) for _ in range(8)]
        answers = [await copy for copy in copies]
        assert {answer.status_code for answer in answers} <= {202, 429}, "202: nobody knows yet"
        assert 429 in {answer.status_code for answer in answers}
        for answer in answers:
            if answer.status_code == 429:
                assert (answer.json()["rule"], answer.headers["retry-after"]) == ("calls-at-once", "10")
    assert len(dialed(simulator)) == 2
    ended = (await operator.ask("GET", "/calls?state=ended"))["calls"]
    assert {end_reason(one) for one in ended} == {("limit", "calls-at-once")}

    for phone in phones:
        await phone.hang_up()
    simulator.numbers[CALLEE] = "busy"
    for once in ("one", "two"):
        answer = await start_placing(operator, once)
        assert answer.status_code == 201, "the hour has counted none of them"
        await operator.until(answer.json()["id"], "ended")
    assert (await start_placing(operator, "three")).status_code == 422


async def test_all_keys_together_have_so_many_calls_up(
    simulator: Simulator, guarded: Guarded, redis: Redis
) -> None:
    keys = ",".join(f"{name}:read+dial:tests-key-of-{name}-0123456789" for name in ("a", "b", "c"))
    service, first = await guarded.start(CALLS_PER_HOUR="1", API_KEYS=f"{KEYS},{keys}")
    phones = [(await ringing(simulator, first))[0]]
    for name in ("a", "b"):
        async with Operator.of(service, f"tests-key-of-{name}-0123456789") as other:
            answer = await other.send("POST", "/calls", {"to": CALLEE, "room": "sales"})
            if name == "a":
                assert answer.status_code == 201
                phones.append(await simulator.called(CALLEE))
    assert (answer.status_code, answer.json()["rule"]) == (429, "calls-at-once")
    assert "all API keys" in answer.json()["detail"]
    for phone in phones:
        await phone.hang_up()


async def test_a_transfer_is_one_of_the_calls_that_are_up(
    simulator: Simulator, guarded: Guarded, redis: Redis
) -> None:
    _, operator = await guarded.start(CALLS_PER_HOUR="1")
    first, call = await bridged(simulator, operator)
    second, other = await bridged(simulator, operator)
    await operator.ask("POST", f"/calls/{call['id']}/transfer", {"to": "+15550008888"})
    await first.hears("another number")
    await an_hour_passes(redis)
    path, body = f"/calls/{other['id']}/transfer", {"to": "+15550008888"}
    refused = await operator.send("POST", path, body)
    assert (refused.status_code, refused.json()["rule"]) == (429, "calls-at-once")
    assert second.stage == "bridged"
    await first.hang_up()
    await operator.until(call["id"], "ended")
    await operator.ask("POST", path, body)
    await second.hang_up()


async def an_hour_passes(redis: Redis) -> None:
    """For the count of calls of an hour."""
    await redis.delete(*[key async for key in redis.scan_iter("*:placed:*")])


@pytest.mark.parametrize("typed", ["911", "9-1-1", "112", "+1 911", "1911", 911])
async def test_emergency_numbers_as_people_type_them(
    simulator: Simulator, guarded: Guarded, typed: str | int
) -> None:
    """Before anything about their shape, or about what else is wrong."""
    _, operator = await guarded.start()
    for path, body in (
        ("/calls", {"to": typed, "room": "sales"}),
        ("/calls", {"to": typed, "rooom": "sales"}),
        ("/calls/no-such-call/transfer", {"to": typed}),
    ):
        refused = await operator.send("POST", path, body)
        assert (refused.status_code, refused.json()["rule"]) == (422, "emergency"), body
        assert "emergency service" in refused.json()["detail"]
    assert dialed(simulator) == []


async def test_what_is_no_number_is_told_by_its_field(simulator: Simulator, guarded: Guarded) -> None:
    _, operator = await guarded.start()
    for number in ("+12", "15550100100", "sip:me@example.com", "+1 555 010 0100", "", 15550100100):
        refused = await operator.send("POST", "/calls", {"to": number, "room": "sales"})
        assert (refused.status_code, refused.json()["field"]) == (422, "to"), number
    assert dialed(simulator) == []
