"""Whether the store is there, keeps what it is told, and has the same time as we."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from handlers.app.store import open_existing_store, store_name
from handlers.cli.health.finding import Finding, Findings, clock_finding
from handlers.cli.health.replicas import check_replicas
from handlers.cli.times import span
from service.clock import SystemClock
from service.metrics import StoreGauges
from service.settings import Settings
from service.store.clock import MACHINE_LIMIT, read_time
from service.store.errors import StoreError
from service.store.gauges import read_gauges
from service.store.health import ServerHealth, read_health
from service.store.pause import PauseSwitch
from service.store.redis.client import UNCONFIRMED, Client
from service.store.replicas import Replicas

_OLDEST: Final = {"Redis": 7, "Valkey": 8}
_FULL: Final = 0.8
_NEARLY: Final = 0.95
_SLOW: Final = 0.05
"""Seconds for one trip; each webhook makes two or more."""
_STUCK: Final = 300.0
"""Seconds for which work may be owed that should be done."""
_START: Final = (
    "start it, or correct REDIS_URL; without REDIS_URL it is there while a service runs here: where its "
    "process has ended under a service that runs, restart the service"
)
_ROOM: Final = (
    "raise maxmemory: that helps now; a lower ENDED_CALL_DAYS and STORE_FORMAT=2 help only for calls that "
    "end from now on"
)
_MEGABYTE: Final = 1_000_000
_SET_CLOCKS: Final = (
    "have NTP set the clocks of all machines and of the store's; times that are shown are off so long, and "
    "nothing else: docs/store.md, Clocks"
)


async def check_store(settings: Settings) -> Findings:
    name, machine = store_name(settings), SystemClock()
    try:
        async with open_existing_store(settings) as client:
            begun = machine.monotonic()
            await client.ping()  # the first went over a connection that had to be made
            took = machine.monotonic() - begun
            now, offset = await read_time(client)
            return [
                _reached(name, took),
                *_servers(await read_health(client), machine.now()),
                _clock(now, offset, machine.now()),
                *await _contents(client, now),
                *check_replicas(await Replicas(client).read(), now),
            ]
    except StoreError as error:
        words = " ".join(str(error).split())
        do = "it runs; start a replica of it, or lower STORE_REPLICAS" if UNCONFIRMED in words else _START
        return [Finding("store", "fail", f"{name}: {words}", do)]


def _reached(name: str, took: float) -> Finding:
    words = f"{name} answers in {took * 1000:.1f} ms"
    if took > _SLOW:
        return Finding("store", "warn", words, "bring it nearer: every webhook makes two trips or more")
    return Finding("store", "ok", words)


def _servers(each: Sequence[ServerHealth], now: float) -> Iterator[Finding]:
    """Where there are several masters, each line names its own."""
    for one in each:
        for finding in _server(one, now):
            named = finding._replace(found=f"{one.address}: {finding.found}")
            yield named if len(each) > 1 else finding


def _server(one: ServerHealth, now: float) -> Iterator[Finding]:
    version = re.match(r"\d+", one.version)
    new = version is not None and int(version[0]) >= _OLDEST[one.product]
    yield Finding(
        "store version",
        "ok" if new else "fail",
        f"{one.product} {one.version}",
        "" if new else "take Redis 7, Valkey 8 or newer",
    )
    yield _persistence(one)
    yield _memory(one)
    yield clock_finding("store clock", now - one.time, "the store's")


def _clock(shared: float, offset: float, ours: float) -> Finding:
    """The time that all replicas go by, which a jump of the store's clock does not change."""
    check, off = "shared clock", shared - ours
    if abs(off) <= MACHINE_LIMIT:
        return Finding(check, "ok", f"all replicas go by {_format_time(shared)}, as we do")
    why = (
        f", {_format_skew(offset)} that of the store, which has jumped"
        if abs(offset) > MACHINE_LIMIT
        else ", the store's"
    )
    words = f"all replicas go by {_format_time(shared)}{why}; our clock is {_format_skew(-off)} that"
    return Finding(check, "warn", words, _SET_CLOCKS)


def _format_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")


def _format_skew(seconds: float) -> str:
    return f"{span(abs(seconds))} {'ahead of' if seconds > 0 else 'behind'}"


def _persistence(one: ServerHealth) -> Finding:
    check = "store disk"
    if one.write_error:
        do = "look at its disk: it is full, or may not be written to"
        return Finding(check, "fail", f"it cannot write: {one.write_error}", do)
    if not one.append_only:
        do = "CONFIG SET appendonly yes, and in its configuration: a restart forgets all calls"
        return Finding(check, "warn", "the append-only file is off", do)
    return Finding(check, "ok", "the append-only file is on")


def _memory(one: ServerHealth) -> Finding:
    check = "store memory"
    used = f"{one.used_memory / _MEGABYTE:.0f} MB"
    if one.max_memory and one.eviction_policy != "noeviction":
        do = "set maxmemory-policy to noeviction: a key that is evicted is a call that is forgotten"
        return Finding(check, "fail", f"{used}; when full it evicts ({one.eviction_policy})", do)
    share = one.used_memory / one.max_memory if one.max_memory else 0
    words = f"{used} of {one.max_memory / _MEGABYTE:.0f} MB" if one.max_memory else f"{used}, no limit set"
    if share > _FULL:
        return Finding(check, "fail" if share > _NEARLY else "warn", words, _ROOM)
    if one.evicted_keys:
        do = "docs/runbook.md, PstnStoreLost; a restart of the store ends this line"
        return Finding(check, "warn", f"{used}; it has evicted {one.evicted_keys} keys since it began", do)
    return Finding(check, "ok", words)


async def _contents(client: Client, now: float) -> Iterator[Finding]:
    return _state(await read_gauges(client, now=now), (await PauseSwitch(client).read()) is not None)


def _state(held: StoreGauges, paused: bool) -> Iterator[Finding]:  # noqa: FBT001 - the second of two halves
    up = sum(held.calls.values())
    if paused:
        yield Finding("calls", "warn", f"{up} up; paused: new ones are not taken", "pstn-bridge resume")
    else:
        yield Finding("calls", "ok", f"{up} up in {held.rooms} rooms, new ones are taken")
    if held.dead_letters:
        do = "pstn-bridge owed dead, and when its cause is gone pstn-bridge owed replay --all"
        yield Finding("owed work", "warn", f"{held.dead_letters} dead letters", do)
    elif held.oldest_owed_seconds > _STUCK:
        words = f"the oldest has been owed for {span(held.oldest_owed_seconds)}"
        yield Finding("owed work", "warn", words, "pstn-bridge owed list; does any replica run a worker?")
    else:
        yield Finding("owed work", "ok", "none is late")
