"""Thousands of requests made up from openapi.json, right ones and wrong ones, against the service."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import schemathesis
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events
from schemathesis.engine.recorder import ScenarioRecorder

from service.calls.outcomes import ERASED
from tests.api.clients import ALL, API, serving_api
from tests.simulator.simulator import Simulator

# What no schema can tell: whether a number may be called, a cursor was given out, somebody is in the room.
MAY_NOT_DO: Final = {
    "placeCall",
    "transferCall",
    "subscribeCall",
    "subscribeParticipant",
    "listCalls",
    "listRooms",
}
DESPITE: Final = ["2xx", "401", "403", "404", "409", "422", "429", "503"]

CONFIG: Final[dict[str, Any]] = {
    "seed": 20260131,
    "headers": {"Authorization": f"Bearer {ALL}"},
    "cache": {"enabled": False},
    "generation": {"max-examples": 6, "deterministic": True, "database": "none"},
    "operations": [
        *(
            {
                "include-operation-id": name,
                "checks": {"positive_data_acceptance": {"expected-statuses": DESPITE}},
            }
            for name in sorted(MAY_NOT_DO)
        ),
        # Their answers have no end; tests/api/test_events.py has them.
        {"include-operation-id": ["listenToAll", "listenToRoom"], "enabled": False},
        # A room that has been closed keeps its settings.
        {"include-operation-id": "getRoom", "checks": {"use_after_free": {"enabled": False}}},
    ],
}


def found_by(url: str) -> tuple[list[str], int]:
    """What is wrong with the service at this address, and how many requests it took."""
    schema = schemathesis.openapi.from_url(
        f"{url}{API}/openapi.json", config=SchemathesisConfig.from_dict(CONFIG)
    )
    wrong: list[str] = []
    requests = 0
    for event in engine.from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            wrong.append(repr(event))
        if isinstance(event, events.ScenarioFinished):
            requests += len(event.recorder.interactions)
            wrong += failures(event.recorder)
    return wrong, requests


def failures(recorder: ScenarioRecorder) -> Iterator[str]:
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None and not is_about_an_erased_call(recorder, case_id, check.name):
                failure = check.failure_info
                yield f"{recorder.label}, {check.name}: {failure.failure!r}\n{failure.code_sample}"


def is_about_an_erased_call(recorder: ScenarioRecorder, case_id: str, check: str) -> bool:
    """An Idempotency-Key that is sent again names the call of before, though it has been erased meanwhile."""
    made = recorder.interactions.get(recorder.cases[case_id].parent_id or "")
    if check != "ensure_resource_availability" or made is None or made.response is None:
        return False
    call: Any = made.response.json()
    return bool(call.get("outcome")) and call["outcome"]["reason"] == ERASED


async def test_nothing_is_found(simulator: Simulator, store_url: str) -> None:
    prefixes = ",".join(f"+{digit}" for digit in range(1, 10))
    async with serving_api(
        simulator, store_url, OUTBOUND_PREFIXES=prefixes, CALLS_PER_HOUR="100000"
    ) as service:
        wrong, requests = await asyncio.to_thread(found_by, service.url)
        assert not wrong, "\n\n".join(wrong[:10])
        assert requests > 500
        assert not service.log(level="error")
        answered = {(line["method"], line["status"]) for line in service.log("api.answered")}
        assert {("POST", 201), ("POST", 202), ("PUT", 200), ("GET", 200), ("GET", 404)} <= answered
        assert simulator.complaints == []
