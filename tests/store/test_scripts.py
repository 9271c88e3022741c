import re
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any

import pytest
from redis.asyncio import Redis

from service.store.errors import StoreUnavailable
from service.store.redis.client import Client
from service.store.redis.scripts import Script

LIBRARIES = {"clock", "owed", "rooms", "news", "room_news", "rolling_hour"}
NAMES = sorted(
    file.name.removesuffix(".lua")
    for file in (resources.files("service.store") / "lua").iterdir()
    if file.name.endswith(".lua")
)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LIBRARIES])
def test_headers_name_what_the_script_uses(name: str) -> None:
    script = Script(name)
    text = (resources.files("service.store") / "lua" / f"{name}.lua").read_text()
    code = re.sub(r"--.*", "", text)
    unused = [used for used in (*script.keys, *script.args) if not re.search(rf"\b{used}\b", code)]
    assert not unused, f"{name} declares {unused} and does not use them"
    assert "KEYS[" not in code
    assert "ARGV[" not in code


def test_other_names_than_the_header_says_are_refused() -> None:
    script = Script("call_load")
    with pytest.raises(TypeError, match="call_load takes keys"):
        script.bind({"call": "c"}, {"event": "e"})
    with pytest.raises(TypeError):
        script.bind({"call": "c", "events": "e", "token": "t"}, {"event": "e", "more": 1})


async def test_a_server_that_has_forgotten_a_script_is_told_it_again(client: Client, redis: Redis) -> None:
    keys = {"call": "c", "events": "e", "token": "t"}
    before = await client.run(Script("call_load"), keys, {"event": ""})
    await redis.script_flush()
    assert await client.run(Script("call_load"), keys, {"event": ""}) == before
    assert await redis.script_exists(Script("call_load").sha) == [True]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LIBRARIES])
async def test_what_only_reads_says_so(name: str, redis: Redis) -> None:
    """By the server's own word on the commands that are in it: nobody waits for replicas to read."""
    script = Script(name)
    used = set(re.findall(r"redis\.call\('([A-Z]+)'", script.source))
    assert used
    execute: Callable[..., Awaitable[Any]] = redis.execute_command  # the library has not typed it
    known = await execute("COMMAND", "INFO", *used)
    writes = {command for command in used if "write" in known[command.lower()]["flags"]}
    assert script.is_read_only == (not writes), f"{name} writes with {writes}"


async def test_who_says_it_reads_and_writes_is_refused(client: Client) -> None:
    script = Script("call_name")
    reading = Script("get")
    script.by_sha = (reading.by_sha[0], script.sha)
    script.by_source = (reading.by_source[0], script.source)
    with pytest.raises(StoreUnavailable, match="Write commands are not allowed"):
        await client.run(script, {"alias": "a"}, {"ref": "r", "ttl": 1000})
