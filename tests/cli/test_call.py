"""One call as it is shown: of each kind of bad call the page names the cause."""

import json
import re
from typing import Any

import pytest
from redis.asyncio import Redis

from service.store import keys
from tests.api.schema_check import SCHEMAS, check
from tests.cli.shell import CommandResult, Shell
from tests.harness import CALLEE, NUMBER, RunningService, nothing_left, serving
from tests.operators import Json, Operator, bridged
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

LINE = re.compile(r"^[! ] \d\d:\d\d:\d\d\.\d{3} +(\+\S+)? *\|")


def diagram(said: CommandResult) -> list[str]:
    return [line for line in said.lines if LINE.match(line)]


def row(said: CommandResult, label: str) -> str:
    """What stands behind a label below the diagram, in one line."""
    lines = said.lines[max(n for n, line in enumerate(said.lines) if "|" in line) :]
    begin = next((n for n, line in enumerate(lines) if line.startswith(label.ljust(11))), None)
    if begin is None:
        return ""
    found = [lines[begin]]
    for line in lines[begin + 1 :]:
        if not line.startswith(" "):
            break
        found.append(line)
    return " ".join(line[11:].strip() for line in found)


def marked(said: CommandResult) -> list[str]:
    return [line for line in said.lines if line.startswith("! ")]


async def done(shell: Shell, id_: str, *, effect: str = "done: leave-room") -> CommandResult:
    """The page of an ended call, once that is struck off."""
    said: list[CommandResult] = []

    async def struck_off() -> bool:
        said[:] = [await shell.run("call", id_, COLUMNS="80")]
        return effect in said[0].out

    await wait_until(struck_off, seconds=20, what=lambda: said[0].out)
    return said[0]


async def test_a_call_that_went_well(simulator: Simulator, operator: Operator, shell: Shell) -> None:
    phone, call = await bridged(simulator, operator)
    live = await shell.run("call", call["id"], COLUMNS="80")
    assert "inbound, bridged" in live.lines[0]
    assert row(live, "Now").startswith("bridged, up for ")
    assert re.fullmatch(rf"ask-after of call:{call['id']}, due in \S+", row(live, "Owed"))

    await phone.hang_up()
    said = await done(shell, call["id"], effect="nothing, neither by the call nor by its rooms")
    words = [re.sub(r"[-<>|]+", " ", line.split("|", 1)[1]).split() for line in diagram(said)]
    assert ["calls", "initiate"] in words
    requests = [line[0:2] for line in words if line[0].startswith(("create", "add"))]
    assert sorted(map(str, requests)) == sorted(
        map(str, [["create", "session"], ["create", "participant"], ["add", "participant"]])
    )
    assert ["transferAnswer"] in words
    assert ["hangs", "up", "disconnect", "hangup"] in words
    assert marked(said) == []
    assert row(said, "Ended by") == "nobody/completed: the call took place, and somebody hung up"
    assert row(said, "Owed") == "nothing, neither by the call nor by its rooms"
    assert "done: leave-room" in said.out


async def test_bandwidth_fails(simulator: Simulator, operator: Operator, shell: Shell) -> None:
    simulator.faults.add("createSession", status=500, times=2)
    phone = await simulator.dial()
    await phone.until("ended")
    said = await done(shell, phone.call_id)
    assert [line for line in marked(said) if re.search(r"<create-session 500 \d+ms-", line)], said.out
    assert [line for line in marked(said) if "<is told---|<apologise-" in line], said.out
    assert row(said, "Ended by") == "bandwidth/bandwidth-error: a request to Bandwidth failed"
    once = r"create-session: 500 server-error after \d+ ms"
    assert re.fullmatch(f"{once}, {once}", row(said, "Because"))
    assert "status page" in row(said, "Look at")


async def test_bandwidth_is_slow(simulator: Simulator, redis: Redis, store_url: str) -> None:
    simulator.faults.add("createParticipant", hang=True)
    async with serving(simulator, store_url, WEBHOOK_BUDGET="1.5") as service:
        phone = await simulator.dial()
        await phone.until("ended")
        said = await done(Shell.at(simulator, service, store_url), phone.call_id)
        assert row(said, "Ended by").startswith("bandwidth/bandwidth-timeout: ")
        assert re.fullmatch(r"create-participant: unanswered after 7\d\d ms", row(said, "Because"))
        simulator.faults.clear()
        # Its late answer becomes a removal.
        removed = "deleteParticipant"
        await simulator.until(lambda: removed in {one.operation for one in simulator.requests}, what=removed)
        await nothing_left(simulator, redis)


async def test_our_credentials_are_refused(simulator: Simulator, redis: Redis, store_url: str) -> None:
    async with serving(simulator, store_url, BW_CLIENT_SECRET="wrong") as service:
        phone = await simulator.dial()
        await phone.until("ended")
        said = await done(Shell.at(simulator, service, store_url), phone.call_id)
        assert row(said, "Ended by").startswith("service/credentials-refused: ")
        assert "create-participant: 401 no-token" in row(said, "Because")
        assert "BW_CLIENT_SECRET" in row(said, "Look at")
        await nothing_left(simulator, redis)


async def test_the_callee_is_busy(simulator: Simulator, operator: Operator, shell: Shell) -> None:
    simulator.numbers[CALLEE] = "busy"
    call = await operator.place()
    await operator.until(call["id"], "ended")
    said = await done(shell, call["id"])
    words = [re.sub(r"[-<>|]+", " ", line.split("|", 1)[1]).split() for line in diagram(said)]
    assert words[0] == ["dial"]
    assert "Operator" in said.out
    assert [line for line in words if line[:3] == ["create", "call", "201"]], said.out
    assert ["disconnect", "busy", "SIP", "486"] in words
    assert row(said, "Ended by") == "callee/busy: the line was busy"
    phone = await simulator.called(CALLEE)
    assert row(said, "Bandwidth") == f"cause busy, errorId {phone.call.error_id}, SIP 486"


async def test_the_room_is_full(simulator: Simulator, redis: Redis, store_url: str) -> None:
    async with (
        serving(simulator, store_url, ROOM_POLICY="lobby") as service,
        Operator.of(service) as operator,
    ):
        await operator.set_room("lobby", limit=1)
        first, _ = await bridged(simulator, operator)
        second = await simulator.dial()
        await second.until("ended")
        shell = Shell.at(simulator, service, store_url)
        said = await done(shell, second.call_id)
        assert row(said, "Ended by") == "limit/room-full: the room had no free seat"
        assert row(said, "Look at").startswith("`pstn-bridge rooms NAME`")
        rooms = await shell.run("rooms", "lobby")
        assert "lobby: 1 of 1 members" in rooms.out
        await first.hang_up()
        await operator.reset_rooms()
        await nothing_left(simulator, redis)


async def test_the_caller_hangs_up_in_the_middle(
    simulator: Simulator, operator: Operator, shell: Shell
) -> None:
    gate = simulator.gates.hold("createSession")
    phone = await simulator.dial()
    await gate.reached()
    await phone.hang_up()
    await operator.until(phone.call_id, "ended")
    gate.release()
    said = await done(shell, phone.call_id)
    assert row(said, "Ended by").startswith("caller/abandoned: the caller hung up before being in the room")
    assert [line for line in diagram(said) if "-hangs up->|-disconnect cancel-" in line], said.out
    assert "Because" not in said.out


async def test_what_is_still_owed_and_what_was_given_up(
    simulator: Simulator, redis: Redis, store_url: str
) -> None:
    async with (
        serving(simulator, store_url, OWED_HOURS="0.0003") as service,
        Operator.of(service) as operator,
    ):
        shell = Shell.at(simulator, service, store_url)
        phone, call = await bridged(simulator, operator)
        simulator.faults.add("removeParticipantFromSession", status=500, times=None)
        simulator.faults.add("updateCall", status=503, times=None)
        await operator.order(call["id"], "hold")
        said = await done(shell, call["id"], effect="failed: redirect-phone")
        assert [line for line in marked(said) if re.search(r"<redirect-call 503 \d+ms", line)], said.out

        letters: dict[str, Json] = {}

        async def given_up() -> bool:
            [found] = (await shell.run("call", call["id"], "--json")).objects
            letters.update({one["effect"]: one for one in found["deadLetters"]})
            return letters.keys() >= {"redirect-phone", "remove-participant"}

        await wait_until(given_up, seconds=30, what=lambda: letters)
        assert letters["remove-participant"]["error"] == "server-error"
        page = (await shell.run("call", call["id"], COLUMNS="200")).lines
        for letter in letters.values():
            [line] = [one for one in page if one.startswith("Dead") and letter["name"] in one]
            assert f"{letter['effect']} of {letter['owner']}, given up after {letter['tries']} tries" in line
        assert [one for one in page if "GIVEN UP: redirect-phone (overloaded)" in one]
        simulator.faults.clear()
        await shell.run("owed", "replay", "--all")
        said = await done(shell, call["id"], effect="done: redirect-phone")
        assert "Dead" not in said.out
        await phone.hang_up()
        await nothing_left(simulator, redis)


async def test_names_of_a_call(simulator: Simulator, operator: Operator, shell: Shell) -> None:
    phone, call = await bridged(simulator, operator)
    names = (call["id"], phone.call_id, call["id"][:7], phone.call_id[:9])
    pages = [(await shell.run("call", name)).lines[0] for name in names]
    assert pages == [f"Call       {call['id']}  inbound, bridged"] * 4
    other, second = await bridged(simulator, operator)
    several = await shell.run("call", "c-", code=1)
    assert several.err.startswith("pstn-bridge: error: c- may be one of several calls: ")
    assert call["id"] in several.err
    assert second["id"] in several.err
    await phone.hang_up()
    await other.hang_up()


@pytest.mark.parametrize("name", ["p07-" + "a" * 20, "c-unknown", "p07-zzz", "nonsense"])
async def test_a_call_that_is_not_known(shell: Shell, name: str) -> None:
    said = await shell.run("call", name, code=1)
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"pstn-bridge: error: there is no call {name}")


async def test_a_call_as_json_is_that_of_the_api_and_more(
    simulator: Simulator, operator: Operator, shell: Shell
) -> None:
    phone, call = await bridged(simulator, operator)
    [shown] = (await shell.run("call", call["id"], "--json", "--numbers")).objects
    more: dict[str, Any] = {name: shown.pop(name) for name in ("owed", "roomOwes", "deadLetters")}
    assert shown == await operator.call(call["id"])
    check(SCHEMAS["FullCall"], shown)
    joined = next(one for one in shown["timeline"] if one["event"] == "joined")
    check(SCHEMAS["Happening"], joined)
    assert {one["operation"] for one in joined["requests"]} == {
        "create-session",
        "create-participant",
        "add-participant",
    }
    assert [(set(one), one["effect"]) for one in more["owed"]] == [
        ({"owner", "effect", "since", "due", "tries"}, "ask-after")
    ]
    assert (more["roomOwes"], more["deadLetters"]) == ([], [])
    await phone.hang_up()
    await done(shell, call["id"])
    [ended] = (await shell.run("call", call["id"], "--json")).objects
    work = [one for one in ended["timeline"] if one["event"] == "effectDone"]
    for one in work:
        check(SCHEMAS["WorkDone"], one)
    assert [one["effect"].split(":")[0] for one in work] == ["leave-room"]


async def test_a_transfer_that_nobody_answers(
    simulator: Simulator, operator: Operator, shell: Shell, redis: Redis
) -> None:
    """As if its caller had heard nothing for half a minute by then."""
    gate = simulator.gates.hold("webhook:transferAnswer")
    phone = await simulator.dial()
    await gate.reached()
    ref = (await operator.call(phone.call_id))["id"]
    well = await shell.run("call", ref, COLUMNS="80")
    assert (marked(well), row(well, "Look at")) == ([], "")
    assert "!" not in (await shell.run("calls")).out
    state = json.loads(await redis.hget(keys.call(ref), "state") or "")
    state["transferred_at"] -= 30
    await redis.hset(keys.call(ref), "state", json.dumps(state))

    said = await shell.run("call", ref, COLUMNS="80")
    assert re.search(r"\* no answer for 3\ds ", " ".join(marked(said))), said.out
    assert "PstnTransfersUnanswered" in row(said, "Look at")
    listed = await shell.run("calls")
    assert re.search(r"! transferring for 3\ds$", listed.lines[1]), listed.out
    assert listed.lines[-1].startswith("! 1 not answered")
    assert "PstnTransfersUnanswered" in listed.lines[-1]
    gate.release()
    await phone.until("bridged")
    await operator.until(ref, "bridged")
    assert "!" not in (await shell.run("calls")).out
    await phone.hang_up()


async def test_numbers_are_masked_unless_somebody_wants_them(
    simulator: Simulator, operator: Operator, shell: Shell
) -> None:
    phone, call = await bridged(simulator, operator)
    for command in (("call", call["id"]), ("call", call["id"], "--json"), ("calls",), ("calls", "--json")):
        masked = (await shell.run(*command)).out
        assert NUMBER not in masked
        assert phone.call.from_ not in masked
        assert phone.call.from_ in (await shell.run(*command, "--numbers")).out
    await phone.hang_up()


async def test_it_is_plain_ascii_at_eighty_columns(
    simulator: Simulator, service: RunningService, operator: Operator, shell: Shell
) -> None:
    simulator.faults.add("createSession", status=500, times=2)
    bad = await simulator.dial()
    await bad.until("ended")
    phone, call = await bridged(simulator, operator)
    await operator.order(call["id"], "hold")
    commands = (
        ("call", bad.call_id),
        ("call", call["id"]),
        ("calls",),
        ("rooms",),
        ("doctor",),
        ("owed", "list"),
    )
    for command in commands:
        said = await shell.run(*command, COLUMNS="80", LANG="C", LC_ALL="C")
        assert said.out.isascii(), said.out
        assert "\x1b" not in said.out
        assert max(map(len, said.lines)) <= 80, max(said.lines, key=len)
    await phone.hang_up()
