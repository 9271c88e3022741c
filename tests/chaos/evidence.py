"""Gathers all there is to see of a turn, for eyes that then need nothing but this."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from heapq import merge
from pathlib import Path
from typing import Any

import httpx
import msgspec
from redis.asyncio import Redis

from tests.chaos.api import OperatorRequest
from tests.chaos.finding_timeline import IDS
from tests.chaos.fleet import Fleet
from tests.chaos.live_call_counts import LiveCallCount
from tests.chaos.plan import Turn
from tests.chaos.records import Records
from tests.chaos.site import Site
from tests.chaos.snapshots import Snapshot
from tests.chaos.store_history import Step, history
from tests.chaos.troubles import Troubles
from tests.operators import NO_TLS
from tests.simulator.clock import monotonic
from tests.simulator.journal import Happening
from tests.simulator.ledger import Alive
from tests.simulator.simulator import Simulator

Json = dict[str, Any]
AT_A_TIME = 20
"""Requests to the API."""
SCRAPES = 50
"""Tries to read the metrics of a process while it logs nothing."""


class ReplicaLogLine(msgspec.Struct, frozen=True):
    """`process`: name of the log's file, one for each process."""

    host: str
    process: str
    text: str
    fields: Json
    ends: int = 0
    """Bytes of the log up to the end of this line."""

    @property
    def event(self) -> str:
        return str(self.fields.get("event", ""))

    @property
    def level(self) -> str:
        return str(self.fields.get("level", ""))

    @property
    def timestamp(self) -> str:
        return str(self.fields.get("timestamp", ""))

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(IDS.findall(self.text)))


class StoredKey(msgspec.Struct, frozen=True):
    name: str
    ttl_ms: int
    """-1: it never expires."""


class ScrapeTime(msgspec.Struct, frozen=True):
    """When metrics were read. Times are monotonic seconds."""

    begun: float
    over: float
    log_bytes: int
    """Of the process's log, which did not grow meanwhile."""


class StoredFeedItem(msgspec.Struct, frozen=True):
    """One entry of the store's streams of news, for listeners. `position` grows in a partition."""

    partition: int
    position: tuple[int, int]
    kind: str
    rooms: tuple[str, ...]
    data: Json


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Times are monotonic seconds of this process, but in logs."""

    turn: Turn
    begun: float
    begun_wall: float = 0.0
    """The same moment in seconds since the epoch."""
    over: float
    simulator: Simulator
    """Its lists of requests, deliveries, complaints, phones; it has stopped."""
    alive: Alive
    happenings: list[Happening]
    """Of the simulator, in order. `at_ms` counts from `simulator.started`."""
    snapshots: list[Snapshot] = []
    """Looks at what is owed, taken while the turn lasted."""
    live_call_counts: list[LiveCallCount] = []
    """Pages of metrics between two looks at the store, taken while the turn lasted, and one at its end."""
    fleet: Fleet
    troubles: Troubles
    operator_requests: list[OperatorRequest]
    bad_answers: list[str]
    records: Records = msgspec.field(default_factory=Records)
    """What browsers, listeners and operators did and saw."""
    rooms: list[Json] = []
    """What the API lists of rooms."""
    feed: list[StoredFeedItem] = []
    """By partition, in order. Empty where the store has none, as after a loss."""
    logs: list[ReplicaLogLine]
    """Of each process in the order in which it has written them, whatever its clock shows; between processes
    by timestamp."""
    noise: list[str]
    """Lines in logs that are no JSON."""
    keys: list[StoredKey]
    due_owners: list[str]
    """Owners that owe something which will be looked at."""
    owed: dict[str, list[str]]
    """Names of what each owner owes, whether it will be looked at or not."""
    dead_letters: list[str]
    calls: dict[str, Json]
    """What the API says of each call of a phone, by call id; of those that were erased what it said before.
    Without those that it does not know."""
    unended: list[str]
    """Refs of all calls that the API lists as not ended."""
    metrics: dict[str, str]
    """/metrics of each process that runs at the end, by `LogLine.process`."""
    scraped: dict[str, "ScrapeTime"] = {}
    """Of each process in `metrics`: when these were read."""
    store_steps: list[Step] = []
    """All that was written to the store, step by step; empty where it has no journal."""

    @property
    def refs(self) -> dict[str, str]:
        """What the API calls the call of each phone, or called it before it was erased; by call id."""
        return self.records.refs | {call_id: str(call["id"]) for call_id, call in self.calls.items()}


async def gather(site: Site) -> Evidence:
    await site.live_call_counts.look()
    metrics, scraped = await _metrics(site)
    logs, noise = await asyncio.to_thread(read_logs, site.fleet)
    redis = site.redis
    names = [str(key) async for key in redis.scan_iter("*", count=1000)]
    pipe = redis.pipeline(transaction=False)
    for name in names:
        pipe.pttl(name)
    ttls = await pipe.execute() if names else []
    owed = {
        name.partition(":owed:")[2]: sorted(map(str, await redis.hkeys(name)))
        for name in names
        if ":owed:" in name
    }
    return Evidence(
        turn=site.turn,
        begun=site.begun,
        begun_wall=site.begun_wall,
        over=monotonic(),
        simulator=site.simulator,
        alive=site.simulator.ledger.alive(),
        happenings=site.happenings,
        snapshots=site.snapshots.all,
        live_call_counts=site.live_call_counts.all,
        fleet=site.fleet,
        troubles=site.troubles,
        operator_requests=site.api.requests,
        logs=logs,
        noise=noise,
        keys=[StoredKey(name, ttl) for name, ttl in zip(names, ttls, strict=True)],
        due_owners=[
            str(owner)
            for name in names
            if name.endswith(":agenda")
            for owner in await redis.zrange(name, 0, -1)
        ],
        owed=owed,
        dead_letters=[name for name in names if name.endswith(":dead")],
        calls=site.records.erased | await _calls(site),
        unended=[one["id"] async for one in _listed(site) if one["state"] != "ended"],
        metrics=metrics,
        scraped=scraped,
        bad_answers=site.api.bad_answers,
        store_steps=await asyncio.to_thread(_written, site),
        records=site.records,
        rooms=await _rooms(site),
        feed=[one async for one in read_feed(redis, names)],
    )


def read_logs(fleet: Fleet) -> tuple[list[ReplicaLogLine], list[str]]:
    logs: list[list[ReplicaLogLine]] = []
    noise: list[str] = []
    for address in fleet.addresses:
        for log in address.logs:
            lines: list[ReplicaLogLine] = []
            logs.append(lines)
            ends = 0
            for line in log.read_bytes().splitlines(keepends=True):
                ends += len(line)
                text = line.decode(errors="replace").rstrip()
                try:
                    fields = msgspec.json.decode(text)
                except msgspec.DecodeError:
                    noise.append(f"{log.name}: {text}")
                else:
                    lines.append(ReplicaLogLine(address.host, log.name, text, fields, ends))
    return list(merge(*logs, key=lambda line: line.timestamp)), noise


def _written(site: Site) -> list[Step]:
    journal = getattr(site.store, "journal", None)
    return history(journal) if isinstance(journal, Path) else []


async def _calls(site: Site) -> dict[str, Json]:
    places = asyncio.Semaphore(AT_A_TIME)

    async def one(call_id: str) -> tuple[str, Json | None]:
        async with places:
            answer = await site.api.send("GET", f"/calls/{call_id}")
        return call_id, answer.json() if answer is not None and answer.is_success else None

    found = await asyncio.gather(*(one(phone.call_id) for phone in site.simulator.phones))
    return {call_id: call for call_id, call in found if call is not None}


async def _listed(site: Site) -> AsyncIterator[Json]:
    cursor = ""
    while True:
        page = await site.api.send("GET", f"/calls?limit=100{cursor}")
        assert page is not None, "no replica lists its calls"
        for one in page.json()["calls"]:
            yield one
        if not page.json().get("next"):
            return
        cursor = f"&cursor={page.json()['next']}"


async def _rooms(site: Site) -> list[Json]:
    rooms: list[Json] = []
    more = ""
    while True:
        page = await site.api.send("GET", f"/rooms{more}")
        assert page is not None, "no replica lists its rooms"
        if page.status_code == 422:
            continue  # of the release before, which has all rooms on one page; the other has given the cursor
        rooms += page.json()["rooms"]
        if not page.json().get("next"):
            return rooms
        more = f"?limit=200&cursor={page.json()['next']}"


async def read_feed(redis: Redis, names: Iterable[str]) -> AsyncIterator[StoredFeedItem]:
    """Those of the streams among these keys."""
    for name in sorted(name for name in names if name.endswith(":news")):
        partition = int(name.partition("{p")[2].partition("}")[0])
        entries: Any = await redis.xrange(name)
        for id_, fields in entries:
            ms, _, seq = id_.partition("-")
            yield StoredFeedItem(
                partition,
                (int(ms), int(seq)),
                fields["kind"],
                tuple(fields["rooms"].split()),
                {"at": int(fields["at"]), **msgspec.json.decode(fields["data"])},
            )


async def _metrics(site: Site) -> tuple[dict[str, str], dict[str, ScrapeTime]]:
    """Of each process that runs. Read again where it has logged something meanwhile."""
    found: dict[str, str] = {}
    scraped: dict[str, ScrapeTime] = {}
    async with httpx.AsyncClient(verify=NO_TLS, timeout=15) as client:
        for address in site.fleet.addresses:
            if not address.up:
                continue
            log = address.logs[-1]
            for _ in range(SCRAPES):
                size, begun = log.stat().st_size, monotonic()
                text = (await client.get(f"{address.url}/metrics")).text
                if log.stat().st_size == size:
                    found[log.name], scraped[log.name] = text, ScrapeTime(begun, monotonic(), size)
                    break
    return found, scraped
