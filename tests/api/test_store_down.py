"""The store is away: operators are told to come back, and nothing is half done."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.clients import client_of, problem, serving_api
from tests.api.schema_check import operations
from tests.simulator.simulator import Simulator
from tests.stores import RestartableStore

REF = "p01-" + "a" * 20
BODIES = {
    "/join": {"room": "sales"},
    "/transfer": {"to": "+15550100122"},
    "/subscriptions": {"hears": "nobody"},
}


@pytest.fixture
async def store() -> AsyncIterator[RestartableStore]:
    with tempfile.TemporaryDirectory(prefix="bridge-down-") as directory:
        store = RestartableStore(Path(directory))
        await store.start()
        yield store
        await store.start()
        await store.stop()


async def test_every_operation_says_so(simulator: Simulator, store: RestartableStore) -> None:
    async with serving_api(simulator, store.url) as service, client_of(service) as client:
        await client.put("/rooms/sales", {"limit": 5})
        await store.kill()
        for method, path in operations():
            if path.endswith(("/openapi.json", "/invitations")):
                continue  # these need none
            concrete = path.removeprefix("/api/v1").replace("{id}", REF).replace("{room}", "sales")
            body = next((body for end, body in BODIES.items() if path.endswith(end)), {})
            if (method, concrete) == ("POST", "/calls"):
                answer = await client.dial()
            else:
                answer = await client.send(method, concrete, **({} if method == "GET" else {"json": body}))
            told = problem(answer, 503)
            assert told["type"].endswith(":store-unavailable"), path
            assert answer.headers["retry-after"] == "1"
        assert not [one for one in simulator.requests if one.operation == "createCall"]
        assert service.log("api.answered", status=503, level="warning", problem="store-unavailable")
        assert not service.log(level="error")
        await store.start()
        assert (await client.get("/rooms/sales"))["settings"]["limit"] == 5
