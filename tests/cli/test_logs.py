"""`logs`: the lines about one call, out of the logs of several replicas, in order of time."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.calls.refs import ref_of_call
from tests.cli.shell import run
from tests.harness import RunningService
from tests.operators import Operator, bridged
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

CALL_ID = "c-93d6f3c0-be584596-0b74-4fa2-8015-d8ede84bd1a4"
REF = ref_of_call(CALL_ID)
OTHER = ref_of_call("c-other")


def line(second: int, event: str, level: str = "info", **fields: Any) -> str:
    return json.dumps(
        {"timestamp": f"2026-11-23T02:00:{second:02}.000Z", "level": level, "event": event, **fields}
    )


ONE = [
    line(1, "webhook.answered", ref=REF, call_id=CALL_ID, room="sales"),
    line(3, "request.sent", "warning", ref=REF, operation="create-session", status=500),
    line(5, "effect.done", room="sales", participant_id="p-1", effect="delete-participant"),
    line(6, "effect.done", room="sales", participant_id="p-2", effect="delete-participant"),
]
TWO = [
    line(2, "call.changed", ref=REF, participant_id="p-1"),
    "Traceback of somebody else",
    line(4, "call.changed", ref=OTHER, room="sales"),
    line(7, "effect.done", room=f"call-{REF}", effect="delete-session"),
    line(8, "call.ended", "error", ref=REF, exception="Traceback\n  here"),
]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    for name, lines in (("one.log", ONE), ("two.log", TWO)):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return [str(tmp_path / name) for name in ("one.log", "two.log")]


async def found(*arguments: str, stdin: str | None = None) -> list[int]:
    """The seconds of the lines, in order."""
    said = await run("logs", "--json", *arguments, env={}, stdin=stdin)
    return [int(one["timestamp"][17:19]) for one in said.objects]


@pytest.mark.parametrize("name", [REF, CALL_ID, REF[:9], CALL_ID[:10], "p-1"])
async def test_all_that_is_about_a_call(files: list[str], name: str) -> None:
    """By whatever name: its own lines, and those of rooms about its participant and its own room."""
    expected = [1, 2, 3, 5, 7, 8] if name != "p-1" else [2, 3, 5, 7, 8]
    assert await found("--call", name, *files) == expected


async def test_all_lines_of_all_replicas_in_order(files: list[str]) -> None:
    assert await found(*files) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert await found(*reversed(files)) == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_from_a_pipe(files: list[str]) -> None:
    text = "\n".join(["pod-1 " + one for one in ONE])
    assert await found("--call", REF, stdin=text) == [1, 3]
    assert await found("--call", CALL_ID, files[1], "-", stdin=text) == [1, 2, 3, 5, 7, 8]


async def test_levels_and_times(files: list[str]) -> None:
    assert await found("--level", "warning", *files) == [3, 8]
    assert await found("--since", "1s", *files) == []
    assert await found("--since", "999999d", *files) == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_for_people(files: list[str]) -> None:
    said = await run("logs", "--call", REF, *files, env={})
    assert (
        said.lines[2] == f"02:00:03.000 warning request.sent  ref={REF}  operation=create-session  status=500"
    )
    assert said.lines[-2:] == ["    Traceback", "      here"]
    assert "Traceback of somebody else" in (await run("logs", *files, env={})).out


async def test_a_beginning_that_two_calls_have_is_said_to_be_so(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text(
        "\n".join(line(n, "x.done", ref=ref) for n, ref in enumerate(("p01-ab", "p01-ac", "p01-ab")))
    )
    said = await run("logs", "--json", "--call", "p01-a", str(file), env={})
    assert [one["ref"] for one in said.objects] == ["p01-ab", "p01-ab"]
    assert said.err == "pstn-bridge: warning: p01-a may be another call as well: p01-ac\n"


@pytest.mark.parametrize("depth", [900, 940, 960, 970, 980, 990, 100_000])
@pytest.mark.parametrize("arguments", [(), ("--json",), ("--call", REF)], ids=["people", "json", "call"])
async def test_a_line_that_is_nested_deeply(depth: int, arguments: tuple[str, ...]) -> None:
    """It is text, and the others are found."""
    deep = '{"timestamp": "2026-11-23T02:00:04.000Z", "a": ' + "[" * depth + "]" * depth + "}"
    said = await run("logs", *arguments, env={}, stdin=f"{deep}\n{ONE[0]}\n")
    assert "webhook.answered" in said.lines[-1]


async def test_nothing_found(files: list[str], tmp_path: Path) -> None:
    said = await run("logs", "--call", "p99-zz", *files, env={}, code=1)
    assert (said.out, said.err) == ("", "pstn-bridge: error: no line is about call p99-zz\n")
    gone = await run("logs", str(tmp_path / "none"), env={}, code=1)
    assert gone.err == f"pstn-bridge: error: cannot read {tmp_path / 'none'}: No such file or directory\n"


async def test_the_log_of_a_real_call(
    simulator: Simulator, service: RunningService, operator: Operator, tmp_path: Path
) -> None:
    """Everything up to the deletion of its session, and nothing of the other call."""
    other, second = await bridged(simulator, operator)
    phone, call = await bridged(simulator, operator)
    await phone.hang_up()
    await wait_until(lambda: service.log(event="effect.done", effect="delete-session"))
    log = tmp_path / "service.log"
    log.write_text("\n".join(map(json.dumps, service.log())))
    said = await run("logs", "--json", "--call", phone.call_id, str(log), env={})
    refs = {one["ref"] for one in said.objects if "ref" in one}
    assert refs == {call["id"]}
    assert second["id"] not in said.out
    events = [(one["event"], one.get("effect")) for one in said.objects]
    assert ("call.ended", None) in events
    assert {effect for event, effect in events if event == "effect.done"} >= {
        "leave-room",
        "remove-participant",
        "delete-participant",
        "delete-session",
    }
    await other.hang_up()
