"""The kinds of hostile clients: what each does again and again, how often, and what it may be answered."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from typing import Final, NamedTuple

from handlers.http.request_guard import BODY_LIMIT, VISITOR_LIMIT
from tests.attack import bodies
from tests.attack.client import AnswerCounts, HostileClient
from tests.attack.invitations import issue, open_at_once, open_forged
from tests.attack.listening import forged_cursor, listen, take_nothing
from tests.attack.pace import RateShare
from tests.attack.slow import BASIC, slow_body, slow_headers, too_large
from tests.bench.callers import CALLBACKS
from tests.harness import PASSWORD, READER_KEY, USERNAME

FEW_KEY: Final = "attack-few-key-0123456789"
"""Of an operator who may dial and give orders, and read nothing."""
KEYS: Final = f"few:dial+control:{FEW_KEY}"
_WRONG_BASIC: Final = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD[:-1]}".encode()).decode()
_API: Final = "/api/v1"
_CHURN: Final = 0.8
"""Of the connections that a kind may open, in the course of its requests: with all of them it would wait."""


class HostileKind(NamedTuple):
    name: str
    act: Callable[[HostileClient], Awaitable[None]]
    clients: int
    requests: float
    """A second, of all of this kind together; so are the connections."""
    connections: float
    expected: tuple[str, ...]
    """What each of has to be answered at least once: that the hostility has arrived."""
    allowed: tuple[str, ...] = ()
    """What may be answered besides; nothing else may."""


@cache
def _webhooks() -> list[bytes]:
    return bodies.webhooks(BODY_LIMIT) + bodies.bare(BODY_LIMIT)


@cache
def _orders() -> list[bytes]:
    named = [
        one for field in ("to", "name", "announcement", "hears") for one in bodies.named(BODY_LIMIT, field)
    ]
    return named + bodies.bare(BODY_LIMIT)


@cache
def _visitors() -> list[bytes]:
    return bodies.named(VISITOR_LIMIT, "invitation") + bodies.bare(VISITOR_LIMIT)


async def webhook(client: HostileClient) -> None:
    path = client.dice.choice((CALLBACKS, f"{CALLBACKS}/p07-nobody/1", "/callbacks/legs/p07-nobody/1"))
    await client.ask("POST", path, client.dice.choice(_webhooks()), Authorization=BASIC)


async def webhook_without(client: HostileClient) -> None:
    shown = client.dice.choice((_WRONG_BASIC, "Basic " + "A" * 4000, ""))
    await client.ask("POST", CALLBACKS, client.dice.choice(_webhooks()), Authorization=shown)


async def order(client: HostileClient) -> None:
    method, path = client.dice.choice(
        (
            ("POST", "/calls"),
            ("PUT", "/rooms/attack"),
            ("POST", "/rooms/attack/participants"),
            ("POST", "/rooms/attack/invitations"),
            ("PUT", "/calls/c-nobody/subscriptions"),
        )
    )
    key = READER_KEY if client.dice.random() < 0.2 else FEW_KEY
    await client.ask(method, _API + path, client.dice.choice(_orders()), Authorization=f"Bearer {key}")


async def visitor(client: HostileClient) -> None:
    await client.ask("POST", "/join/attack/visit", client.dice.choice(_visitors()))


async def wrong_key(client: HostileClient) -> None:
    key = client.dice.choice(
        (READER_KEY[:-1], READER_KEY + "x", "x" * 4000, f"{client.dice.getrandbits(256):x}")
    )
    method, path = client.dice.choice(
        (("GET", f"{_API}/calls"), ("GET", f"{_API}/events"), ("DELETE", f"{_API}/rooms/room-1"))
    )
    await client.ask(method, path, Authorization=f"Bearer {key}")


async def wrong_address(client: HostileClient) -> None:
    """Participant events, whose address is their key."""
    mac = base64.urlsafe_b64encode(client.dice.randbytes(16)).decode().rstrip("=")
    await client.ask("POST", f"/callbacks/participants/room-1/p07-nobody.1/{mac}", b'{"event":"onLeave"}')


KINDS: Final = (
    HostileKind("webhooks of 64 KiB", webhook, 16, 60, 2, ("200", "204", "400")),
    HostileKind("the same without credentials", webhook_without, 8, 40, 2, ("401",)),
    HostileKind("orders of 64 KiB", order, 16, 50, 2, ("400", "403", "422"), ("404",)),
    HostileKind("visitors' bodies of 4 KiB", visitor, 8, 30, 2, ("400", "403", "422")),
    HostileKind("bodies that are too large", too_large, 4, 4, 4, ("413",), ("closed",)),
    HostileKind("slow headers", slow_headers, 60, 6, 6, ("401",)),
    HostileKind("slow bodies", slow_body, 60, 6, 6, ("408",)),
    HostileKind("streams that are listened to", listen, 520, 12, 12, ("200",), ("503 overloaded",)),
    HostileKind("streams of which nothing is taken", take_nothing, 60, 2, 2, ("200",), ("503 overloaded",)),
    HostileKind("forged cursors", forged_cursor, 12, 6, 6, ("200 reset",), ("503 overloaded",)),
    HostileKind("wrong keys", wrong_key, 8, 35, 1, ("401",)),
    HostileKind("wrong addresses", wrong_address, 4, 10, 1, ("401",)),
    HostileKind("invitations issued", issue, 2, 5, 1, ("201",)),
    HostileKind("invitations opened by ten at once", open_at_once, 1, 14, 2, ("200 once", "403 nine times")),
    HostileKind("invitations forged", open_forged, 4, 20, 1, ("403",)),
)


def prepare() -> None:
    """Make the bodies, which takes time that callers would have to wait."""
    _webhooks(), _orders(), _visitors()


async def play(kinds: Iterable[HostileKind], port: int, seconds: float, tally: AnswerCounts) -> None:
    """All of them at once, for so long; what they have open ends with them."""
    clients: list[HostileClient] = []
    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for kind in kinds:
                requests, connections = RateShare(kind.requests), RateShare(kind.connections)
                for _ in range(kind.clients):
                    one = HostileClient(
                        kind.name,
                        port,
                        tally,
                        requests=requests,
                        connections=connections,
                        churn=_CHURN * kind.connections / kind.requests,
                        seed=len(clients),
                    )
                    clients.append(one)
                    group.create_task(_again_and_again(kind, one))
    except TimeoutError:
        return
    finally:
        for one in clients:
            one.close()


async def _again_and_again(kind: HostileKind, client: HostileClient) -> None:
    while True:
        try:
            await kind.act(client)
        except (OSError, EOFError):
            client.count("closed")
            client.close()
