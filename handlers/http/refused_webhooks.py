"""Logs and counts webhooks that are refused."""

import structlog
from starlette.requests import Request

from handlers.http.request_guard import DOCTOR_USER_AGENT
from handlers.http.services import services_of
from handlers.http.state import http_state_of

log = structlog.get_logger()


def log_refused_webhook(request: Request, status: int, reason: str) -> None:
    """Log and count one. A try of `pstn-bridge doctor` is logged apart and not counted. Raises nothing."""
    doctor = request.headers.get("user-agent") == DOCTOR_USER_AGENT
    begins = http_state_of(request).log_throttle.allows(
        f"webhook.refused {status} {DOCTOR_USER_AGENT if doctor else ''}"
    )
    write = log.warning if begins else log.debug
    write("webhook.refused", status=status, reason=reason)
    if doctor:
        return
    services, peer = services_of(request), request.client
    services.webhook_counts.count_refused(peer.host if peer else "", services.clock.now())
