"""`pstn-bridge key`: what it prints opens the API, and nothing else of it does."""

import pytest

from service.api_keys import find_key, parse
from tests.api.clients import Client, serving_api
from tests.cli.shell import run
from tests.harness import RunningService
from tests.simulator.simulator import Simulator


async def test_a_key_and_its_entry() -> None:
    said = await run("key", "crm-2", "--scopes", "read+dial", env={})
    shown = [line.strip() for line in said.lines if line.startswith("  ")]
    made, entry = shown
    (known,) = parse(entry)
    assert known.name == "crm-2"
    assert known.scopes == {"read", "dial"}
    assert find_key((known,), made) is known
    assert made not in entry
    assert find_key((known,), entry.rpartition(":")[2]) is None
    assert len(made) >= 43, "256 bits"
    assert said.out.count(made) == 1


async def test_as_json_and_never_the_same() -> None:
    first, second = [(await run("key", "crm", "--json", env={})).objects for _ in range(2)]
    [made] = first
    assert set(made) == {"name", "scopes", "key", "entry"}
    assert made["scopes"] == ["read"]
    (known,) = parse(made["entry"])
    assert find_key((known,), made["key"]) is known
    assert made["key"] != second[0]["key"]


@pytest.mark.parametrize("wrong", [("Crm",), ("crm:read",), ("a,b",), ("crm", "--scopes", "read+all"), ()])
async def test_what_is_no_entry(wrong: tuple[str, ...]) -> None:
    said = await run("key", *wrong, env={}, code=2)
    assert said.out == ""
    assert "NAME" in said.err


async def test_keys_are_changed_without_an_interruption(simulator: Simulator, store_url: str) -> None:
    """As docs/SECURITY.md says: old, then old and new, then new."""
    old, new = [(await run("key", name, "--json", env={})).objects[0] for name in ("crm-2026", "crm-2027")]

    async def opens(service: RunningService, key: str) -> int:
        client = Client(service, key)
        async with client.http:
            return (await client.send("GET", "/rooms")).status_code

    for entries, statuses in (
        ([old], (200, 401)),
        ([old, new], (200, 200)),
        ([new], (401, 200)),
    ):
        keys = ",".join(one["entry"] for one in entries)
        async with serving_api(simulator, store_url, API_KEYS=keys) as service:
            assert (await opens(service, old["key"]), await opens(service, new["key"])) == statuses
            for one in (old, new):
                assert one["key"] not in str(service.log())
