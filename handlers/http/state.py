"""What stands between the outside and the running service: places, what is put off, whether it is to end."""

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from handlers.http.services import Bridge
from service.engine.backlog import Deferred
from handlers.http.rate_limits import Limits
from handlers.http.concurrency import Places
from handlers.http.log_throttle import VISITORS, Spells
from handlers.http.draining import Stopping
from handlers.http.sse import Streams


@dataclass(frozen=True, kw_only=True)
class Edge:
    webhooks: Places
    requests: Places
    """Of operators. They have places of their own, so that callers always come first."""
    visitors: Places
    """Of pages: who needs no key must not be in the way of those who have one."""
    limits: Limits
    streams: Streams
    deferred: Deferred
    spells: Spells
    opened: Spells
    """Of pages, by the id of the visit or the invitation."""
    stopping: Stopping


def edge_before(bridge: Bridge, *, places: int, rate: int, stopping: Stopping) -> Edge:
    """`places`: how many webhooks are handled at the same time, and how many requests of operators.

    `rate`: requests that one API key may make in a minute, 0 for as many as it likes.
    """
    return Edge(
        webhooks=Places(places),
        requests=Places(places),
        visitors=Places(places),
        limits=Limits(rate, bridge.clock, bridge.metrics),
        streams=Streams(stopping, bridge.clock, bridge.tasks, bridge.door.passes.over),
        deferred=Deferred(bridge.tasks, bridge.clock),
        spells=Spells(bridge.clock),
        opened=Spells(bridge.clock, VISITORS),
        stopping=stopping,
    )


def edge_of(request: Request) -> Edge:
    """What the application's lifespan has put together."""
    return cast("Edge", request.state.edge)
