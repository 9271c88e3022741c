"""Whether the service lives, and whether it can take calls."""

import httpx
import msgspec
from redis.asyncio import Redis

from service import __version__
from service.metrics import BREAKERS
from service.store.replicas import ReplicaReport
from tests.harness import RunningService, serving
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until


async def test_ready_with_a_store_and_a_token(simulator: Simulator, service: RunningService) -> None:
    async with httpx.AsyncClient(base_url=service.url) as client:
        assert (await client.get("/livez")).status_code == 200
        await wait_until(lambda: service.log(event="request.sent", operation="obtain-token"))

        async def reported() -> bool:
            return bool((await client.get("/readyz")).json()["replicas"])

        await wait_until(reported)
        ready = await client.get("/readyz")
    assert ready.status_code == 200
    told = ready.json()
    [replica] = told.pop("replicas")
    assert replica["version"] == __version__
    assert set(replica) <= {field.name for field in msgspec.structs.fields(ReplicaReport)} - {
        "host",
        "refused_by",
    }
    assert told == {
        "ready": True,
        "paused": False,
        "checks": {"store": "ok", "token": "ok"},
        "breakers": {f"{api}/{kind}": "closed" for api, kind in BREAKERS},
    }


async def test_not_ready_without_a_token(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with serving(simulator, store_url, BW_CLIENT_SECRET="wrong") as service:
        await wait_until(lambda: service.log(event="token.unavailable"))
        async with httpx.AsyncClient(base_url=service.url) as client:
            ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"]["store"] == "ok"
        assert "none obtained" in ready.json()["checks"]["token"]
