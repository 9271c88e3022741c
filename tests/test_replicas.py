"""What is wrong with a replica is seen at every other, and by whoever asks `doctor`."""

from typing import Any

import httpx
from redis.asyncio import Redis

from handlers.cli.health.replicas import check_replicas
from handlers.http.request_guard import DOCTOR_USER_AGENT
from service.bandwidth.breaker import FAILURE_THRESHOLD
from service.store.redis.client import Client
from service.store.replicas import ReplicaReport, Replicas
from tests.cli.shell import Shell
from tests.harness import RunningService, serving
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

Replies = list[dict[str, Any]]


async def told(url: str) -> Replies:
    async with httpx.AsyncClient(base_url=url) as client:
        replicas: Replies = (await client.get("/readyz")).json()["replicas"]
        return replicas


async def lines(shell: Shell) -> Replies:
    found = (await shell.run("doctor", "--json", code=None)).objects
    return [one for one in found if "replica" in one["check"]]


async def turn_away(service: RunningService, **headers: str) -> None:
    async with httpx.AsyncClient(base_url=service.url, headers=headers) as client:
        assert (await client.post("/callbacks/voice", json={})).status_code == 401
        assert (await client.post("/callbacks/participants/a/b", json={})).status_code == 401


async def test_a_breaker_that_is_open_is_known_everywhere(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with serving(simulator, store_url) as other, serving(simulator, store_url) as service:
        shell = Shell.at(simulator, service, store_url)
        for operation in ("createSession", "createParticipant"):
            simulator.faults.add(operation, status=500, times=None)
        for _ in range(FAILURE_THRESHOLD):
            phone = await simulator.dial()
            await phone.until("ended")

        async def known() -> bool:
            return [one.get("open") for one in await told(other.url)] == [None, ["webrtc/creates"]]

        await wait_until(known, what=lambda: service.log(event="breaker.opened"))
        all_, first, second = await lines(shell)
        assert (all_["result"], first["result"], second["result"]) == ("ok", "ok", "warn")
        assert all_["found"].startswith("2 told us of themselves")
        assert "breaker webrtc/creates is open: callers who come now are turned away" in second["found"]
        assert "PstnBandwidthFailing" in second["do"]
        assert "holds such requests back, since they have failed" in second["do"]
        assert "one every 2 to 10 s" in second["do"]
        simulator.faults.clear()


async def test_webhooks_that_are_refused_and_from_whom(
    simulator: Simulator, service: RunningService, store_url: str
) -> None:
    shell = Shell.at(simulator, service, store_url)
    await turn_away(service, **{"User-Agent": DOCTOR_USER_AGENT})
    await turn_away(service)

    async def known() -> bool:
        return [one.get("refused") for one in await told(service.url)] == [2]

    await wait_until(known)
    [replica] = await told(service.url)
    assert "127.0.0.1" not in str(replica), "a probe names nobody"
    _, line = await lines(shell)
    assert line["result"] == "warn"
    assert "refused in the last 15 minutes from 127.0.0.1 (2)" in line["found"]
    assert "CALLBACK_PASSWORD" in line["do"]


async def test_webhooks_that_came_to_a_wrong_address(
    simulator: Simulator, service: RunningService, store_url: str
) -> None:
    shell = Shell.at(simulator, service, store_url)

    async def misdirect(**headers: str) -> None:
        async with httpx.AsyncClient(base_url=service.url, headers=headers) as client:
            assert (await client.post("/callback/voice", json={})).status_code == 404

    await misdirect(**{"User-Agent": DOCTOR_USER_AGENT})
    for _ in range(3):
        await misdirect()

    async def known() -> bool:
        return [one.get("misaddressed") for one in await told(service.url)] == [3]

    await wait_until(known, what="the doctor's own is not among them")
    _, line = await lines(shell)
    assert line["result"] == "warn"
    assert "3 webhooks, or what looks like them, came to no address of ours" in line["found"]
    assert "check the application's callback URLs at Bandwidth" in line["do"]
    assert "webhook.misaddressed" in line["do"]


def test_a_wrong_address_that_was_corrected_is_told_of_no_more() -> None:
    for seconds, result in ((899, "warn"), (901, "ok")):
        report = ReplicaReport(
            id="a", at=9000, has_token=True, misaddressed=3, misaddressed_at=9000 - seconds
        )
        _, line = check_replicas([report], 9000)
        assert line.result == result


def test_a_machine_whose_clock_is_off_is_named() -> None:
    for off, words in ((3600.0, "1h00m ahead of"), (-42.0, "42s behind")):
        _, line = check_replicas([ReplicaReport(id="a", at=9000, has_token=True, clock_offset=off)], 9000)
        assert line.result == "warn"
        assert f"its machine's clock is {words} the time that all replicas go by" in line.found
        assert "NTP" in line.do
    _, line = check_replicas([ReplicaReport(id="a", at=9000, has_token=True)], 9000)
    assert line.result == "ok"


async def test_nobody_two_versions_and_one_that_drains(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    shell = Shell.beside(simulator, store_url)
    [nobody] = await lines(shell)
    assert (nobody["result"], "none has been heard of" in nobody["found"]) == ("warn", True)
    client = Client(store_url)
    for n, version in enumerate(("0.9", "1.0")):
        await Replicas(client).write(
            ReplicaReport(id=f"{n}", at=100, version=version, has_token=bool(n), draining=bool(n))
        )
    await client.close()
    all_, first, second = await lines(shell)
    assert (all_["result"], all_["found"]) == ("warn", "2, of versions 0.9, 1.0")
    assert "no token yet" in first["found"]
    assert "it drains" in second["found"]
    assert {first["result"], second["result"]} == {"warn"}


async def test_one_that_ends_is_gone_at_once(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with serving(simulator, store_url) as service:

        async def both() -> bool:
            return len(await told(service.url)) == 2

        async with serving(simulator, store_url):
            await wait_until(both)
        assert len(await told(service.url)) == 1
