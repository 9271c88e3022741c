"""Stores what each replica reports of itself, to be read together."""

from typing import Final

import msgspec

from service.store import keys
from service.store.clock import StoreClock
from service.store.redis.client import Client
from service.store.redis.scripts import Script
from service.store.script_values import ms

_WRITE: Final = Script("replica_write")
_READ: Final = Script("replica_read")
_DROP: Final = Script("replica_drop")

REPORT_TTL: Final = 20.0
"""Seconds for which a report is kept after it was written."""
LARGEST: Final = 2048
"""Bytes of a report."""
MAX_REPLICAS: Final = 200
"""Replicas whose reports are read: those heard of last."""
_WORD: Final = 64
"""Characters of a name; addresses have 45."""
PEERS: Final = 5
"""Addresses that a report names as those of refused webhooks."""


class ReplicaReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """Times are seconds since the epoch. What a newer release adds is left out here."""

    id: str
    at: float
    host: str = ""
    version: str = ""
    started: float = 0
    open_breakers: tuple[str, ...] = msgspec.field(default=(), name="open")
    """Breakers, as `webrtc/creates`."""
    has_token: bool = False
    """Whether there has been one; with Basic none is needed."""
    token_age: float | None = None
    """Seconds; None where there is none."""
    succeeded: dict[str, float] = {}
    """When a request of each API has succeeded last; one that is not there has not."""
    webhooks: int = 0
    """Taken since the start."""
    refused: int = 0
    """Webhooks that were turned away since the start, for credentials, shape, size or account."""
    refused_at: float = 0
    refused_by: dict[str, int] = {}
    """Of which addresses, in the last quarter of an hour: the latest few."""
    misaddressed: int = 0
    """What may be webhooks and came to no address of ours, since the start."""
    misaddressed_at: float = 0
    draining: bool = False
    unreachable_apis: tuple[str, ...] = msgspec.field(default=(), name="unreached")
    """APIs that cannot be reached from there."""
    on_standby: bool = msgspec.field(default=False, name="aside")
    """Whether it leaves to others what asks something of Bandwidth."""
    clock_offset: float = msgspec.field(default=0, name="clock_off")
    """Seconds by which its machine's clock is ahead of the time that all replicas share; 0 for a little."""


class Replicas:
    """Raises StoreUnavailable. `clock`: is told the time with each report that is written."""

    def __init__(self, client: Client, clock: StoreClock | None = None) -> None:
        self._client = client
        self._clock = clock

    async def write(self, report: ReplicaReport) -> None:
        trip = self._client.run(
            _WRITE,
            {"report": keys.replica(report.id), "replicas": keys.replicas(), "clock": keys.clock()},
            {"id": report.id, "text": encode_report(report), "ttl": ms(REPORT_TTL)},
        )
        await (self._clock.sync(trip) if self._clock else trip)

    async def drop(self, id_: str) -> None:
        await self._client.run(_DROP, {"report": keys.replica(id_), "replicas": keys.replicas()}, {"id": id_})

    async def read(self) -> list[ReplicaReport]:
        """Of those that live, the oldest first; one that cannot be read is left out."""
        texts = await self._client.run(
            _READ, {"replicas": keys.replicas()}, {"prefix": keys.replica(""), "limit": MAX_REPLICAS}
        )
        found = [report for text in texts if (report := _readable(text))]
        return sorted(found, key=lambda one: (one.started, one.id))


def encode_report(report: ReplicaReport) -> bytes:
    """Of `LARGEST` bytes at most, whatever the outside has made of the names in it."""
    peers = list(report.refused_by.items())[-PEERS:]
    return msgspec.json.encode(
        msgspec.structs.replace(
            report,
            host=_word(report.host),
            version=_word(report.version),
            refused_by={_word(peer): count for peer, count in peers},
        )
    )


def _word(text: str) -> str:
    """Printable ASCII, cut: what is something else takes up to six bytes a character."""
    return "".join(char if " " <= char <= "~" else "?" for char in text[:_WORD])


def _readable(text: bytes) -> ReplicaReport | None:
    try:
        return msgspec.json.decode(text, type=ReplicaReport)
    except msgspec.DecodeError:
        return None
