"""`pstn-bridge owed`: what could not be done is shown, and tried again when somebody says so."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from service.store import keys
from service.store.redis.embedded import EmbeddedServer
from tests.harness import nothing_left, serving
from tests.operators import Operator, bridged
from tests.processes import environment
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

AT_ONCE = "0.0001"
"""Hours: a third of a second."""


class CommandRunner:
    """Runs the command with the settings of the service."""

    def __init__(self, simulator: Simulator, **settings: str) -> None:
        self._environment = environment(simulator, **settings)

    async def run(self, *arguments: str, code: int = 0) -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "handlers.cli",
            "owed",
            *arguments,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == code, (out, err)
        return (out if code == 0 else err).decode()

    async def rows(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (await self.run(*arguments, "--json")).splitlines()]


async def stuck(simulator: Simulator, operator: Operator, shell: CommandRunner) -> dict[str, Any]:
    """A session that Bandwidth would not delete for longer than is tried; the dead letter."""
    simulator.faults.add("deleteSession", status=500, times=None)
    phone, _ = await bridged(simulator, operator)
    await phone.hang_up()
    letters: list[dict[str, Any]] = []

    async def dead() -> bool:
        letters[:] = await shell.rows("dead")
        return bool(letters)

    await wait_until(dead, seconds=20)
    [letter] = letters
    return letter


async def test_what_could_not_be_done_is_shown_and_replayed(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with serving(simulator, store_url, OWED_HOURS=AT_ONCE, ROOM_POLICY="lobby") as service:
        async with Operator.of(service) as operator:
            shell = CommandRunner(simulator, REDIS_URL=store_url)
            assert await shell.run("dead") == "there are no dead letters\n"
            letter = await stuck(simulator, operator, shell)
        assert (letter["owner"], letter["effect"], letter["error"]) == (
            "room:lobby",
            "delete-session",
            "server-error",
        )
        assert len(service.log(event="effect.dead_lettered", effect="delete-session")) == 1
        assert await shell.run("list") == "nothing is owed\n"
        table = await shell.run("dead")
        assert table.split() == [*letter, *(str(value) for value in letter.values())]
        [session] = simulator.ledger.alive().sessions

        simulator.faults.clear()
        assert await shell.run("replay", letter["name"]) == f"replay: {letter['name']} (delete-session)\n"
        await wait_until(lambda: session not in simulator.ledger.alive().sessions)
        assert "there is no dead letter" in await shell.run("replay", letter["name"], code=1)
        await nothing_left(simulator, redis)


async def test_what_nobody_wants_any_more_is_dropped(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with serving(simulator, store_url, OWED_HOURS=AT_ONCE, ROOM_POLICY="lobby") as service:
        shell = CommandRunner(simulator, REDIS_URL=store_url)
        async with Operator.of(service) as operator:
            letter = await stuck(simulator, operator, shell)
        await shell.run("drop", "--all")
        assert await shell.rows("dead") == []
        assert "there is no dead letter" in await shell.run("drop", letter["name"], code=1)
        assert [one async for one in redis.scan_iter("*:dead")] == []


async def owing(simulator: Simulator, operator: Operator, shell: CommandRunner) -> dict[str, Any]:
    """What is owed when a session cannot be deleted: tried again and again."""
    simulator.faults.add("deleteSession", status=500, times=None)
    phone, _ = await bridged(simulator, operator)
    await phone.hang_up()
    found: list[dict[str, Any]] = []

    async def failed() -> bool:
        found[:] = [one for one in await shell.rows("list") if one["tries"]]
        return bool(found)

    await wait_until(failed, seconds=20)
    [owed] = found
    return owed


async def test_what_is_still_tried_can_be_retried_and_dropped(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with serving(simulator, store_url, ROOM_POLICY="lobby") as service:
        shell = CommandRunner(simulator, REDIS_URL=store_url)
        async with Operator.of(service) as operator:
            owed = await owing(simulator, operator, shell)
        name = owed["name"]
        assert (owed["owner"], owed["effect"]) == ("room:lobby", "delete-session")
        assert "there is no dead letter" in await shell.run("replay", name, code=1)
        assert await shell.run("drop", "--all") == "", "that is for dead letters"
        assert [one["name"] for one in await shell.rows("list")] == [name], "the same as long as it is owed"
        fails = await shell.run("retry", "0123456789", name, code=1)
        assert "there is no dead letter or owed effect 0123456789" in fails
        assert await shell.run("drop", name) == f"drop: {name} (delete-session)\n"
        assert await shell.run("list") == "nothing is owed\n"
        assert not [key async for key in redis.scan_iter("*:owed:*")]
        assert not [key async for key in redis.scan_iter("*:agenda")]


async def test_what_is_put_off_is_done_when_somebody_says_so(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with serving(simulator, store_url, ROOM_POLICY="lobby") as service:
        shell = CommandRunner(simulator, REDIS_URL=store_url)
        async with Operator.of(service) as operator:
            owed = await owing(simulator, operator, shell)
        field = "delete-session:" + next(iter(simulator.ledger.alive().sessions))
        [key] = [key async for key in redis.scan_iter("*:owed:*")]
        # An hour off, and nobody is at it: the worker lets go when nothing is due.
        await wait_until_put_off(redis, key, field)
        simulator.faults.clear()
        assert await shell.run("retry", "--all") == f"retry: {owed['name']} (delete-session)\n"
        await nothing_left(simulator, redis)


async def wait_until_put_off(redis: Redis, key: bytes, field: str) -> None:
    async def put_off() -> bool:
        if await redis.hexists(key, ".lease"):
            return False
        value: Any = (await redis.hgetall(key))[field.encode()]
        seq, due, rest = value.decode().split(" ", 2)
        later = int(due) + 3_600_000
        await redis.hset(key, field, f"{seq} {later} {rest}")
        await redis.zadd(key.decode().split("owed:")[0] + "agenda", {"room:lobby": later})
        return True

    await wait_until(put_off)


async def test_what_is_owed_is_listed(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with serving(simulator, store_url) as service:
        async with Operator.of(service) as operator:
            phone, call = await bridged(simulator, operator)
            rows = await CommandRunner(simulator, REDIS_URL=store_url).rows("list")
            assert [(one["owner"].split(":")[0], one["effect"]) for one in rows] == [
                ("room", "check-room"),
                ("call", "ask-after"),
                ("room", "replace-session"),
            ]
            assert f"call:{call['id']}" in {one["owner"] for one in rows}
            await phone.hang_up()
        await nothing_left(simulator, redis)


@pytest.mark.parametrize(
    ("id_", "text", "name"),
    [
        ("stock-room", '{"type":"stock-room","room":"lobby"}', "prepare-participant"),
        (
            "replace-stock:p",
            '{"type":"replace-stock","room":"lobby","participant_id":"p"}',
            "replace-prepared",
        ),
        ("stock-room", '{"type":"stock-room","rooms":7}', "prepare-participant"),
        ("whisper:p", '{"type":"whisper"}', "whisper"),
    ],
    ids=["prepare", "replace", "unreadable", "of a newer release"],
)
async def test_work_is_stored_by_its_tag_and_shown_by_its_name(
    simulator: Simulator, store_url: str, redis: Redis, id_: str, text: str, name: str
) -> None:
    owner = keys.owner_room("lobby")
    await redis.hset(keys.owed(owner), id_, f"1 9000000000000 {id_} 0 1000 {text}")
    await redis.zadd(keys.agenda(keys.partition_of_owner(owner)), {owner: 9000000000000})
    shell = CommandRunner(simulator, REDIS_URL=store_url)
    [owed] = await shell.rows("list")
    assert (owed["effect"], name in await shell.run("list")) == (name, True)
    assert await shell.run("retry", owed["name"]) == f"retry: {owed['name']} ({name})\n"
    value: Any
    [value] = await redis.hvals(keys.owed(owner))
    assert value.endswith(text.encode())
    assert await shell.run("drop", owed["name"]) == f"drop: {owed['name']} ({name})\n"


def contents(directory: Path) -> list[Path]:
    return list(directory.iterdir())


@pytest.mark.parametrize(
    ("arguments", "settings", "code", "words"),
    [
        (["replay"], {}, 2, "wants NAMEs or --all"),
        (["drop", "a", "--all"], {}, 2, "wants NAMEs or --all"),
        (["dead"], {"REDIS_URL": "redis://127.0.0.1:1"}, 4, "the store cannot be used"),
        (["dead"], {}, 4, "no embedded server lives"),
    ],
    ids=["nothing", "both", "unreachable", "not-running"],
)
async def test_what_does_not_work_is_explained(
    simulator: Simulator,
    tmp_path: Path,
    arguments: list[str],
    settings: dict[str, str],
    code: int,
    words: str,
) -> None:
    shell = CommandRunner(simulator, XDG_STATE_HOME=str(tmp_path), **settings)
    assert words in await shell.run(*arguments, code=code)
    assert contents(tmp_path) == [], "looking starts and writes nothing"


async def test_the_embedded_store_of_a_running_service_is_found(simulator: Simulator, tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "pstn-bridge")
    await server.start()
    shell = CommandRunner(simulator, XDG_STATE_HOME=str(tmp_path))
    assert await shell.run("list") == "nothing is owed\n"
    assert await shell.run() == "nothing is owed\n", "this is what somebody means who does not say what"
    await server.stop()
