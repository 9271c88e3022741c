"""The commands on a cluster and behind Sentinels, with a call that is up; `make test-stores` runs them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.shell import Shell
from tests.harness import serving
from tests.operators import Operator, bridged
from tests.simulator.simulator import Simulator
from tests.store_servers import HOST, LEFT_BEHIND, ClusterGroup, SentinelGroup, running
from tests.waiting import wait_until

pytestmark = [pytest.mark.stores, *LEFT_BEHIND]


@pytest.fixture(params=[ClusterGroup, SentinelGroup])
async def topology(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[ClusterGroup | SentinelGroup]:
    async with running(request.param(tmp_path)) as topology:
        yield topology


@asynccontextmanager
async def evening(simulator: Simulator, url: str) -> AsyncIterator[tuple[Shell, dict[str, Any]]]:
    """A shell beside a service with one call, which is over at the end."""
    async with (
        serving(simulator, url, ROOM_POLICY="lobby") as service,
        Operator.of(service) as operator,
    ):
        phone, call = await bridged(simulator, operator)
        yield Shell.at(simulator, service, url), call
        await phone.hang_up()
        await operator.until(call["id"], "ended")
        await wait_until(lambda: not simulator.ledger.alive().sessions, seconds=20)


async def test_all_that_is_on_call(simulator: Simulator, topology: ClusterGroup | SentinelGroup) -> None:
    async with evening(simulator, topology.url) as (shell, call):
        [listed] = (await shell.run("calls", "--json")).objects
        assert (listed["id"], listed["state"]) == (call["id"], "bridged")
        assert call["id"] in (await shell.run("call", call["callId"])).out
        assert "inbound, bridged" in (await shell.run("call", call["id"][:12])).out
        [room] = (await shell.run("rooms", "--json")).objects
        assert [one["call"] for one in room["members"]] == [call["id"]]
        owed = (await shell.run("owed", "list", "--json")).objects
        assert f"call:{call['id']}" in {one["owner"] for one in owed}
        assert (await shell.run("pause")).code == 0
        assert (await shell.run("calls")).lines[0].startswith("PAUSED")
        assert (await shell.run("resume")).out.startswith("resumed: new calls are taken after")


async def test_the_doctor_sees_every_master(
    simulator: Simulator, topology: ClusterGroup | SentinelGroup
) -> None:
    names = [""]
    if isinstance(topology, ClusterGroup):
        names = [f"{HOST}:{one.port}: " for one in topology.servers[::2]]
    masters = len(names)
    async with evening(simulator, topology.url) as (shell, _):
        found = (await shell.run("doctor", "--json")).objects
        for check in ("store version", "store disk", "store memory", "store clock"):
            results = [one["result"] for one in found if one["check"] == check]
            assert results == ["ok"] * masters, found
        disks = sorted(one["found"] for one in found if one["check"] == "store disk")
        assert disks == sorted(f"{name}the append-only file is on" for name in names)
        told = {one["check"]: one for one in found}
        assert told["store"]["result"] == "ok"
        assert told["calls"]["found"] == "1 up in 1 rooms, new ones are taken"
        assert told["owed work"]["result"] == "ok"

        forgetful = topology.servers[0]
        await forgetful.redis.config_set("appendonly", "no")
        found = (await shell.run("doctor", "--json")).objects
        disks = [one["result"] for one in found if one["check"] == "store disk"]
        assert sorted(disks) == ["ok"] * (masters - 1) + ["warn"]
        await forgetful.redis.config_set("appendonly", "yes")


async def test_what_could_not_be_done(simulator: Simulator, topology: ClusterGroup | SentinelGroup) -> None:
    simulator.faults.add("deleteSession", status=500, times=None)
    url = topology.url
    async with serving(simulator, url, ROOM_POLICY="lobby", OWED_HOURS="0.0001") as service:
        shell = Shell.at(simulator, service, url)
        async with Operator.of(service) as operator:
            phone, call = await bridged(simulator, operator)
            await phone.hang_up()
            await operator.until(call["id"], "ended")
        letters: list[dict[str, Any]] = []

        async def dead() -> bool:
            letters[:] = (await shell.run("owed", "dead", "--json")).objects
            return bool(letters)

        await wait_until(dead, seconds=20)
        assert letters[0]["effect"] == "delete-session"
        simulator.faults.clear()
        assert (await shell.run("owed", "replay", "--all")).out.startswith("replay: ")
        await wait_until(lambda: not simulator.ledger.alive().sessions, seconds=20)
        assert (await shell.run("owed", "dead")).out == "there are no dead letters\n"


async def test_the_store_is_away(simulator: Simulator, topology: ClusterGroup | SentinelGroup) -> None:
    shell = Shell.beside(simulator, topology.url.replace("://", "://me:hunter2@"))
    for server in (*topology.servers, *getattr(topology, "sentinels", ())):
        server.kill()
    said = await shell.run("calls", code=4)
    assert said.err.startswith(f"pstn-bridge: error: the store cannot be used: {topology.url}: ")
    assert said.err.count("\n") == 1
    assert "hunter2" not in said.err
    found = (await shell.run("doctor", "--json", code=1)).objects
    [store] = [one for one in found if one["check"].startswith("store")]
    assert (store["result"], "hunter2" in str(found)) == ("fail", False)
