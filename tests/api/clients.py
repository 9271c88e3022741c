"""The API as its users reach it: over HTTP, with a key, and every response held against the description."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from tests.api.schema_check import check_response
from tests.harness import RunningService, serving
from tests.simulator.simulator import Simulator

OURS: Final = "+15550100111"
THEIRS: Final = "+15550100122"
ALL: Final = "all-scopes-0123456789"
KEYS: Final = {
    "all": ("read+dial+control+numbers", ALL),
    "reader": ("read", "reader-0123456789"),
    "dialer": ("dial", "dialer-0123456789"),
    "controller": ("control", "controller-0123456789"),
    "curious": ("read+numbers", "curious-0123456789"),
}
API: Final = "/api/v1"
# Loading the system's certificates for every client would take longer than most tests.
NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def settings(simulator: Simulator) -> dict[str, Any]:
    """For `serving`: the keys, and all that outbound calls need."""
    return {
        "API_KEYS": ",".join(f"{name}:{scopes}:{key}" for name, (scopes, key) in KEYS.items()),
        "BW_NUMBER": OURS,
        "BW_VOICE_APPLICATION_ID": simulator.application_id,
        "OUTBOUND_PREFIXES": "+1555,+1900,+1911",
    }


@asynccontextmanager
async def serving_api(
    simulator: Simulator, store_url: str, **overrides: str
) -> AsyncIterator[RunningService]:
    async with serving(simulator, store_url, **{**settings(simulator), **overrides}) as service:
        yield service


class Client:
    """One key's view of the API."""

    def __init__(self, service: RunningService, key: str | None = ALL) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = httpx.AsyncClient(base_url=f"{service.url}{API}", headers=headers, verify=NO_TLS)
        self._placed = 0

    async def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        async with self.http.stream(method, path, **more) as answer:
            # Live events have no end: their head is enough here.
            if answer.headers.get("content-type") != "text/event-stream":
                await answer.aread()
        check_response(answer)
        return answer

    async def get(self, path: str, **more: Any) -> Any:
        """The body of what has to be a success."""
        return self._good(await self.send("GET", path, **more))

    async def put(self, path: str, body: Any) -> Any:
        return self._good(await self.send("PUT", path, json=body))

    async def post(self, path: str, body: Any = None) -> Any:
        return self._good(await self.send("POST", path, **({} if body is None else {"json": body})))

    async def dial(self, once: str = "", **body: Any) -> httpx.Response:
        """Place a call, under an Idempotency-Key of its own unless one is given."""
        self._placed += 1
        return await self.send(
            "POST",
            "/calls",
            json={"to": THEIRS, "room": "sales", **body},
            headers={"Idempotency-Key": once or f"{id(self)}-{self._placed}"},
        )

    def _good(self, answer: httpx.Response) -> Any:
        assert answer.is_success, answer.text
        return answer.json()


@asynccontextmanager
async def client_of(service: RunningService, name: str = "all") -> AsyncIterator[Client]:
    """With one of KEYS."""
    client = Client(service, KEYS[name][1])
    async with client.http:
        yield client


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem that the answer has to be."""
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return body
