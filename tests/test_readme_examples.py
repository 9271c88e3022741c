"""The documented examples of the operator API, run as they stand there."""

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from redis.asyncio import Redis

from tests.harness import API_KEY, RunningService, nothing_left, serving
from tests.join.visitors import visitor
from tests.operators import Operator
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "docs/operators.md")
STATES = {"join": "bridged", "hold": "detached"}
"""What a call has to have come to before the next order makes sense."""

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


class Example(NamedTuple):
    command: str
    status: int
    body: dict[str, object]


def commands() -> list[str]:
    text = "\n".join((ROOT / page).read_text() for page in PAGES)
    blocks = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    # A command goes on where its quotes or a backslash say so.
    found = re.findall(r"^curl (?:'[^']*'|\"[^\"]*\"|\\\n|[^\n'\"\\])*", blocks, re.MULTILINE)
    return [command for command in found if "/api/v1" in command]


async def started(command: str, home: Path, **environment: str) -> asyncio.subprocess.Process:
    """`home` has a .curlrc that adds the status as a last line."""
    return await asyncio.create_subprocess_exec(
        "bash",
        "-euc",
        f'auth="Authorization: Bearer $BRIDGE_KEY"; {command}',
        env={"PATH": "/usr/bin:/bin", "CURL_HOME": str(home), "BRIDGE_KEY": API_KEY, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def first_words(command: str, home: Path, **environment: str) -> bytes:
    """Of an answer without end, whose end is not waited for."""
    process = await started(command.replace("curl", "exec curl", 1), home, **environment)
    assert process.stdout
    words = await process.stdout.readuntil(b"\n\n")
    process.kill()
    await process.communicate()
    return words


async def run(command: str, home: Path, **environment: str) -> Example:
    process = await started(command, home, **environment)
    output, errors = await process.communicate()
    assert process.returncode == 0, f"{command}: {errors.decode()}"
    body, _, status = output.decode().rpartition("\n")
    return Example(command, int(status), json.loads(body) if body else {})


async def test_the_examples_work(simulator: Simulator, store_url: str, redis: Redis, tmp_path: Path) -> None:
    (tmp_path / ".curlrc").write_text('silent\nshow-error\nwrite-out = "\\n%{http_code}"\n')
    # As the README sets it up: nothing says what may be called, and the number that calls are from is ours.
    more = {"OUTBOUND_PREFIXES": "", "BW_NUMBER": "+12015550100"}
    async with serving(simulator, store_url, **more) as service, Operator.of(service) as operator:
        await _run_all(service, operator, tmp_path)
        await operator.ask("PUT", "/rooms/board", {})
        await nothing_left(simulator, redis)


async def _run_all(service: RunningService, operator: Operator, home: Path) -> None:
    call = participant = invitation = visit = ""
    examples = commands()
    assert len(examples) >= 10
    for command in examples:
        if command.endswith("/rooms/sales"):
            await operator.place("+12015550142", "sales")
        if command.endswith("/events"):
            # It goes on for as long as somebody listens.
            begun = await first_words(command, home, BRIDGE=service.url)
            assert begun.startswith(b"retry: 1000\n"), begun
            continue
        if command.endswith("/visits"):
            async with visitor(service, operator, "board"):
                [opened] = (await operator.ask("GET", "/rooms/board/visits"))["visits"]
                visit = str(opened["id"])
        ids = {"CALL": call, "PARTICIPANT": participant, "INVITATION": invitation, "VISIT": visit}
        done = await run(command, home, BRIDGE=service.url, **ids)
        assert done.status in {200, 201, 202, 204}, done
        if done.status == 201 and "token" in done.body:
            participant = str(done.body["participantId"])
        elif done.status == 201 and "url" in done.body:
            invitation = str(done.body["id"])
        elif done.status == 201 and "id" in done.body:
            call = str(done.body["id"])
            await operator.until(call, "bridged")
        order = command.rpartition("/")[2]
        if call and order in STATES:
            await operator.until(call, STATES[order])
        if order == "join":
            await _in_its_room(operator, call, command)


async def _in_its_room(operator: Operator, call: str, command: str) -> None:
    """A phone that is moved is bridged all the while."""
    wanted = re.search(r'"room": "([a-z]+)"', command)
    assert wanted

    async def there() -> bool:
        return bool((await operator.call(call))["room"] == wanted[1])

    await wait_until(there, what=f"not in room {wanted[1]}")
