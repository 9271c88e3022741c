"""What a replica says of itself: where it comes from, and how it is put together."""

import socket
from collections.abc import Callable

import structlog
from starlette.requests import Request

from handlers.http.services import services_of
from handlers.http.state import http_state_of
from handlers.http.request_guard import DOCTOR_USER_AGENT
from handlers.app.bandwidth import Bandwidth
from service.engine.replica_reporter import WebhookCounts, ReplicaReporter
from service.engine.standby import Standby
from service.store.redis.client import Client
from service.store.clock import StoreClock
from service.store.replicas import Replicas

log = structlog.get_logger()


def log_refused_webhook(request: Request, status: int, reason: str) -> None:
    """A webhook was turned away; our own doctor's try is no news, and takes nobody else's line in the log."""
    doctor = request.headers.get("user-agent") == DOCTOR_USER_AGENT
    begins = http_state_of(request).log_throttle.allows(f"webhook.refused {status} {DOCTOR_USER_AGENT if doctor else ''}")
    write = log.warning if begins else log.debug
    write("webhook.refused", status=status, reason=reason)
    if doctor:
        return
    services, peer = services_of(request), request.client
    services.webhook_counts.count_refused(peer.host if peer else "", services.clock.now())


def create_reporter(
    id_: str,
    clock: StoreClock,
    store: Client,
    bandwidth: Bandwidth,
    webhook_counts: WebhookCounts,
    draining: Callable[[], bool],
    standby: Standby,
) -> ReplicaReporter:
    return ReplicaReporter(
        id_=id_,
        host=socket.gethostname(),
        replicas=Replicas(store, clock),
        webhook_counts=webhook_counts,
        circuits=bandwidth.circuits,
        credentials=bandwidth.credentials,
        draining=draining,
        standby=standby,
        clock=clock,
        clock_off=lambda: clock.machine_ahead,
    )
