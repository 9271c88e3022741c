import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from service.store.errors import StoreUnavailable
from service.store.redis.client import Client
from service.store.redis.scripts import Script
from tests.store.script_returns import LUA, SCRIPTS, Returns, parse_returns, returns_of

LIBRARIES = {"clock", "owed", "passes", "rooms", "news", "room_news", "rolling_hour"}
NAMES = [name for name in SCRIPTS if name not in LIBRARIES]


@pytest.mark.parametrize("name", NAMES)
def test_headers_name_what_the_script_uses(name: str) -> None:
    script = Script(name)
    text = (LUA / f"{name}.lua").read_text()
    code = re.sub(r"--.*", "", text)
    unused = [used for used in (*script.keys, *script.args) if not re.search(rf"\b{used}\b", code)]
    assert not unused, f"{name} declares {unused} and does not use them"
    assert "KEYS[" not in code
    assert "ARGV[" not in code


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_file_says_what_it_returns(name: str) -> None:
    assert returns_of(name).is_library == (name in LIBRARIES)


def test_libraries_are_what_scripts_use() -> None:
    uses = [
        re.findall(r"^-- uses: (.+)$", (LUA / f"{name}.lua").read_text(), re.MULTILINE) for name in SCRIPTS
    ]
    assert {used for [names] in filter(None, uses) for used in names.split()} == LIBRARIES


@pytest.mark.parametrize(
    ("form", "returns", "fitting", "others"),
    [
        ("nothing", Returns(values=(1,)), [1], [0, None, b"1", [1]]),
        ("1 if written, else 0", Returns(values=(0, 1)), [0, 1], [2, None, b"1", []]),
        ("number: wrong PINs", Returns(types=(int,)), [0, -1], [None, b"1", [1]]),
        ("text: an answer", Returns(types=(bytes,)), [b"", b"a"], [None, 1]),
        ("text or nil: the state", Returns(types=(bytes, type(None))), [b"", None], [1, [b""]]),
        ("2: state, timeline", Returns(sizes=(2,)), [[None, []]], [[1], [1, 2, 3], [], None, b"ab"]),
        ("1 or 3: a, b, c", Returns(sizes=(1, 3)), [[1], [1, 2, 3]], [[], [1, 2]]),
        ("list of 1: ref", Returns(sizes=(0,), group=1), [[], [1], [1, 2]], [None, 1]),
        ("list of 3: a, b, c", Returns(sizes=(0,), group=3), [[], [1] * 3, [1] * 6], [[1], [1] * 5]),
        ("1, then list of 2: a, b, c", Returns(sizes=(1,), group=2), [[1], [1] * 3, [1] * 5], [[], [1] * 2]),
    ],
)
def test_forms_of_what_is_returned(
    form: str, returns: Returns, fitting: list[object], others: list[object]
) -> None:
    assert parse_returns(f"-- Text.\n-- returns: {form}\n-- keys: call\nreturn 1") == returns
    assert all(returns.fits(reply) for reply in fitting)
    assert not any(returns.fits(reply) for reply in others)


@pytest.mark.parametrize(
    "header",
    [
        "-- keys: call",
        "-- Returns: nothing",
        "-- returns: nothing\n-- returns: nothing",
        "-- returns:",
        "-- returns: what was kept before",
        "-- returns: Nothing",
        "-- returns: 1 if written",
        "-- returns: number",
        "-- returns: {ref, time}",
        "-- returns: list: ref",
        "-- returns: list of 2: ref",
        "-- returns: list of 6: id, version, tries, since, effect",
        "-- returns: 2: state, timeline, token",
        "-- returns: 2: state, state",
        "-- returns: 3 or 5: answer, value, settings",
        "-- returns: 1, then list of 2: owner, kind",
    ],
)
def test_other_headers_are_refused(header: str) -> None:
    with pytest.raises(ValueError, match=r"returns|form|values"):
        parse_returns(f"-- Text.\n{header}\nreturn 1")


async def test_a_reply_that_is_not_as_its_header_says_is_seen(
    client: Client, replies_are_as_headers_say: list[str]
) -> None:
    script = Script("call_load")
    keys = {"call": "c", "events": "e", "token": "t"}
    await client.run(script, keys, {"event": ""})
    assert not replies_are_as_headers_say
    script.name = "call_view"
    await client.run(script, keys, {"event": ""})
    assert replies_are_as_headers_say == ["call_view: [None, None, None, None]"]
    replies_are_as_headers_say.clear()


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


@pytest.mark.parametrize("name", NAMES)
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
