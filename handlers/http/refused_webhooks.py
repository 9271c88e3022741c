"""What a replica says of itself: where it comes from, and how it is put together."""

import socket
from collections.abc import Callable

import structlog
from starlette.requests import Request

from handlers.http.services import bridge_of
from handlers.http.state import edge_of
from handlers.http.request_guard import DOCTOR
from handlers.app.bandwidth import Bandwidth
from service.engine.replica_reporter import Doings, Reporter
from service.engine.standby import Standby
from service.store.redis.client import Client
from service.store.clock import StoreClock
from service.store.replicas import Replicas

log = structlog.get_logger()


def note_refused(request: Request, status: int, reason: str) -> None:
    """A webhook was turned away; our own doctor's try is no news, and takes nobody else's line in the log."""
    doctor = request.headers.get("user-agent") == DOCTOR
    begins = edge_of(request).spells.begins(f"webhook.refused {status} {DOCTOR if doctor else ''}")
    write = log.warning if begins else log.debug
    write("webhook.refused", status=status, reason=reason)
    if doctor:
        return
    bridge, peer = bridge_of(request), request.client
    bridge.doings.refuse(peer.host if peer else "", bridge.clock.now())


def reporter_of(
    id_: str,
    clock: StoreClock,
    store: Client,
    bandwidth: Bandwidth,
    doings: Doings,
    draining: Callable[[], bool],
    standby: Standby,
) -> Reporter:
    return Reporter(
        id_=id_,
        host=socket.gethostname(),
        replicas=Replicas(store, clock),
        doings=doings,
        circuits=bandwidth.circuits,
        credentials=bandwidth.credentials,
        draining=draining,
        standby=standby,
        clock=clock,
        clock_off=lambda: clock.off,
    )
