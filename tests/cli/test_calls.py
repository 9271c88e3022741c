"""The list of calls, and rooms with who is in them."""

import asyncio
import json
import os
import signal
import sys

import pytest
from redis.asyncio import Redis

from tests.api.schema_check import SCHEMAS, check
from tests.cli.shell import Shell
from tests.harness import CALLEE, RunningService
from tests.join.visitors import visitor
from tests.operators import Json, Operator, bridged
from tests.simulator.simulator import Simulator


async def listed(shell: Shell, *arguments: str) -> list[Json]:
    return (await shell.run("calls", "--json", *arguments)).objects


async def ids(shell: Shell, *arguments: str) -> list[str]:
    return [one["id"] for one in await listed(shell, *arguments)]


@pytest.fixture
async def three(simulator: Simulator, operator: Operator) -> list[str]:
    """One that was busy, one that Bandwidth failed, one that is up; newest first."""
    _, up = await bridged(simulator, operator)
    simulator.faults.add("createSession", status=500, times=2)
    phone = await simulator.dial()
    await phone.until("ended")
    failed = await operator.until(phone.call_id, "ended")
    simulator.numbers[CALLEE] = "busy"
    busy = await operator.place(room="sales")
    await operator.until(busy["id"], "ended")
    return [busy["id"], failed["id"], up["id"]]


async def hang_up(simulator: Simulator, operator: Operator, ref: str) -> None:
    await simulator.phone((await operator.call(ref))["callId"]).hang_up()


async def test_filters(simulator: Simulator, operator: Operator, three: list[str], shell: Shell) -> None:
    busy, failed, up = three
    assert await ids(shell) == three
    assert await ids(shell, "--state", "bridged") == [up]
    assert await ids(shell, "--state", "ended") == [busy, failed]
    assert await ids(shell, "--room", "sales") == [busy]
    assert await ids(shell, "--direction", "outbound") == [busy]
    assert await ids(shell, "--ended-by", "bandwidth") == [failed]
    assert await ids(shell, "--ended-by", "callee/busy") == [busy]
    assert await ids(shell, "--ended-by", "/bandwidth-error") == [failed]
    assert await ids(shell, "--ended-by", "bandwidth/busy") == []
    assert await ids(shell, "--limit", "2") == [busy, failed]
    assert await ids(shell, "--since", "1d", "--limit", "1") == [busy]
    await hang_up(simulator, operator, up)


async def test_old_calls_are_listed_while_they_are_up(
    simulator: Simulator, operator: Operator, three: list[str], shell: Shell, redis: Redis
) -> None:
    """As if they had begun an hour ago."""
    for key in [key async for key in redis.scan_iter("*:calls")]:
        for ref in three:
            if await redis.zscore(key, ref) is not None:
                await redis.zincrby(key, -3_600_000, ref)
    assert await ids(shell) == [three[2]]
    assert await ids(shell, "--since", "30m") == []
    assert await ids(shell, "--since", "2h") == three
    assert await ids(shell, "--since", "2h", "--ended-by", "callee") == [three[0]]
    await hang_up(simulator, operator, three[2])


async def test_the_table(simulator: Simulator, operator: Operator, three: list[str], shell: Shell) -> None:
    piped = await shell.run("calls")
    assert [line.split()[1] for line in piped.lines[1:]] == three, "in a pipe nothing is cut"
    ends = [line.split()[-1] for line in piped.lines[1:]]
    assert ends == ["callee/busy", "bandwidth/bandwidth-error", "bridged"]
    narrow = await shell.run("calls", COLUMNS="80")
    assert [line.split()[1] for line in narrow.lines[1:]] == [one[:12] for one in three]
    assert "bandwidth/bandwidth-error" in narrow.out, "the most important is not cut"
    more = await shell.run("calls", "--limit", "1")
    assert more.lines[-1] == "... and more: --limit shows more than 1"
    none = await shell.run("calls", "--room", "nowhere")
    assert none.lines == ["no such call is up, or began in the last 15m; --since looks further back"]
    await hang_up(simulator, operator, three[2])


async def test_each_line_of_json_is_a_call_of_the_api(
    simulator: Simulator, operator: Operator, three: list[str], shell: Shell
) -> None:
    found = await listed(shell, "--numbers")
    for one in found:
        check(SCHEMAS["Call"], one)
    assert found == (await operator.ask("GET", "/calls"))["calls"]
    await hang_up(simulator, operator, three[2])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--since", "yesterday"), "such as 90s, 15m, 2h or 1d"),
        (("--ended-by", "nobodyx"), "wants one of nobody, caller, callee, limit, service, bandwidth"),
        (("--state", "dead"), "'--state'"),
        (("--limit", "0"), "'--limit'"),
        (("--colour",), "No such option"),
    ],
)
async def test_wrong_usage(simulator: Simulator, arguments: tuple[str, ...], words: str) -> None:
    said = await Shell.beside(simulator, "redis://127.0.0.1:1").run("calls", *arguments, code=2)
    assert words in said.err
    assert said.out == ""


async def test_watching(simulator: Simulator, operator: Operator, shell: Shell) -> None:
    """As JSON, what changes; until it is interrupted."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "handlers.cli", "calls", "--watch", "--json"),
        env={"PATH": os.defpath, **shell.settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    phone, call = await bridged(simulator, operator)
    async with asyncio.timeout(30):
        first = json.loads(await process.stdout.readline())
        assert first["id"] == call["id"]
        await phone.hang_up()
        while first["state"] != "ended":
            first = json.loads(await process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")


async def test_rooms(simulator: Simulator, operator: Operator, shell: Shell) -> None:
    assert (await shell.run("rooms")).out == "no room has members or settings\n"
    await operator.set_room("sales", limit=5, pin="4711", alone={"after": 60, "then": "hangup"})
    call = await operator.place(room="sales")
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    joined = await operator.until(call["id"], "bridged")
    said = await shell.run("rooms")
    assert said.lines[1].split()[:3] == ["sales", "1/5", "0"]
    assert "pin=***" in said.out
    assert "4711" not in said.out

    await operator.set_room("attic", limit=5)
    fullest = await shell.run("rooms", "--limit", "1")
    assert [line.split()[0] for line in fullest.lines[1:]] == ["sales", "..."]
    assert "... and 1 more: --limit shows them" in fullest.out
    assert len((await shell.run("rooms", "--limit", "1", "--json")).objects) == 1

    one = await shell.run("rooms", "sales")
    assert one.lines[0] == "sales: 1 of 5 members, 0 waiting"
    assert one.lines[-1].split() == ["phone", call["id"], "in", "bridged", joined["participantId"]]
    [shown] = (await shell.run("rooms", "sales", "--json")).objects
    check(SCHEMAS["Room"], shown)
    assert shown["settings"]["pin"] is None
    assert shown["members"] == (await operator.room("sales"))["members"]
    assert len(one.lines) == 5, "nothing of invitations where there are none"
    unknown = await shell.run("rooms", "nowhere", code=1)
    assert unknown.err.startswith("pstn-bridge: error: there is no room nowhere")
    await phone.hang_up()


async def test_what_is_open_to_a_room(service: RunningService, operator: Operator, shell: Shell) -> None:
    """Also of one that nobody is in."""
    async with visitor(service, operator, "board", name="Ada Lovelace", scopes=["dial"]):
        spare = await operator.ask("POST", "/rooms/board/invitations", {})
        [visit] = (await operator.ask("GET", "/rooms/board/visits"))["visits"]
        said = await shell.run("rooms", "board")
    assert said.lines[0] == "board: 0 of 20 members, 0 waiting"
    assert said.lines[-2].split()[:5] == ["invitation", spare["id"], "-", "talk", "all"]
    assert said.lines[-1].split()[:6] == ["visit", visit["id"], "Ada", "Lovelace", "talk+dial", "all"]
    assert spare["url"].partition("=")[2] not in said.out
