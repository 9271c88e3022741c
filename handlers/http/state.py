"""Holds the HTTP state of one process: limits, open streams, webhook backlog, log throttles and drain."""

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from handlers.http.concurrency import ConcurrencyLimit
from handlers.http.draining import Drain
from handlers.http.log_throttle import HOUR, MAX_VISITORS, LogThrottle
from handlers.http.rate_limits import RateLimits
from handlers.http.services import Services
from handlers.http.sse import OpenStreams
from service.engine.backlog import Backlog


@dataclass(frozen=True, kw_only=True)
class HttpState:
    webhooks: ConcurrencyLimit
    requests: ConcurrencyLimit
    """Of operators. They have slots of their own, so that callers always come first."""
    visitors: ConcurrencyLimit
    """Of pages: clients without a key must not be in the way of those that have one."""
    rate_limits: RateLimits
    streams: OpenStreams
    backlog: Backlog
    log_throttle: LogThrottle
    page_log_throttle: LogThrottle
    """Of pages, by the id of the visit or the invitation."""
    deprecation_throttle: LogThrottle
    """Of requests to old paths, by path and key."""
    drain: Drain


def create_http_state(services: Services, *, max_concurrent: int, per_minute: int, drain: Drain) -> HttpState:
    """Raises nothing.

    `max_concurrent`: how many webhooks are handled at the same time, and how many requests of operators.

    `per_minute`: requests that one API key may make in a minute, 0 for as many as it likes.
    """
    return HttpState(
        webhooks=ConcurrencyLimit(max_concurrent),
        requests=ConcurrencyLimit(max_concurrent),
        visitors=ConcurrencyLimit(max_concurrent),
        rate_limits=RateLimits(per_minute, services.clock, services.metrics),
        streams=OpenStreams(drain, services.clock, services.tasks, services.visitor_access.passes.find_ended),
        backlog=Backlog(services.tasks, services.clock),
        log_throttle=LogThrottle(services.clock),
        page_log_throttle=LogThrottle(services.clock, MAX_VISITORS),
        deprecation_throttle=LogThrottle(services.clock, interval=HOUR),
        drain=drain,
    )


def http_state_of(request: Request) -> HttpState:
    """The state that the application's lifespan has put together. Raises nothing."""
    return cast("HttpState", request.state.http)
