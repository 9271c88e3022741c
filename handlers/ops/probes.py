"""Answers probes: whether the process is alive, and whether it can take calls."""

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from handlers.http.services import services_of
from handlers.http.state import http_state_of
from service.store.errors import StoreError
from service.store.replicas import ReplicaReport

_HIDDEN_FIELDS: Final = frozenset({"host", "refused_by"})
"""Fields of a replica's report that probes do not show: names and addresses."""


async def livez(_request: Request) -> Response:
    """200 as long as the process answers. Raises nothing."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> Response:
    """200 when the store answers and a token has been obtained, otherwise 503 with what is missing.

    It is also 503 once the service has been told to stop: it still serves then, and wants no new work. A
    replica that is `paused` takes no new calls and is ready, as live calls need it. A replica with an open
    circuit breaker is ready, as the others would fare no better. If another one does, this one stands aside,
    and is not ready. The response has the reports of all replicas. Raises nothing.
    """
    if http_state_of(request).drain.has_begun:
        return JSONResponse({"ready": False, "checks": {"service": "stopping"}}, 503)
    services = services_of(request)
    checks = {"store": "ok", "token": "ok"}
    replicas: list[ReplicaReport] = []
    try:
        await services.store.ping()
        replicas = await services.replicas.read()
    except StoreError as error:
        checks["store"] = str(error)
    if not all(credentials.obtained for credentials in services.bandwidth_credentials):
        checks["token"] = "none obtained from Bandwidth yet"  # noqa: S105 - a message
    if services.standby.is_aside:
        unreached = ", ".join(services.standby.unreached)
        checks["bandwidth"] = f"stands aside for other replicas: cannot reach {unreached} from here"
    ready = all(found == "ok" for found in checks.values())
    told = {
        "ready": ready,
        "paused": services.pause.current is not None,
        "checks": checks,
        "breakers": {f"{one.api}/{one.kind}": "open" if one.open else "closed" for one in services.circuits},
        "replicas": [_public_report(one) for one in replicas],
    }
    return JSONResponse(told, 200 if ready else 503)


def _public_report(report: ReplicaReport) -> dict[str, Any]:
    """Without names and addresses: any client that reaches a probe may read it."""
    told: dict[str, Any] = msgspec.to_builtins(report)
    return {name: value for name, value in told.items() if name not in _HIDDEN_FIELDS}
