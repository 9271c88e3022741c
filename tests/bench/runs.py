"""What is measured: how long callers hear nothing, how many calls a core takes, what each of them costs."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from handlers.http.sse import LIMIT
from tests.bench import machine
from tests.bench.callers import BenchCall
from tests.bench.fast_http import FastClient
from tests.bench.figures import Guard, Row, percentile, ratio, timed
from tests.bench.processes import (
    PRIVATE_NUMBER,
    ROOMS,
    BenchProcesses,
    Process,
    StoreClient,
    StubClient,
    operator,
    room_number,
    webhooks,
)
from tests.harness import CALLEE, NUMBER
from tests.waiting import wait_until

Workload = Callable[[int], Awaitable[float]]
"""One call of this slot from its beginning to its end; the seconds that are to be known of it."""

STOCKED: Final = "prepared participants"
SCENARIOS: Final = ("first caller", "existing room", "prepare: dial", STOCKED)
_BATCH: Final = 14
"""Joins into each room before all hang up: a room takes twenty, and has one already."""
_WARM: Final = 200
"""Calls before anything is measured: connections, the token, the store's scripts, caches."""
_KEPT: Final = {1: 2200, 2: 1200}
"""By STORE_FORMAT, the bytes that an ended call may take once nothing of it can come late any more."""
_LEAVING: Final = 448
"""Calls that are up and end together."""
_QUIET: Final = 30.0
"""Seconds between two calls of a quiet hour."""


async def run_workload(life: Workload, count: int, in_flight: int) -> tuple[list[float], float]:
    """So many calls, so many at once: the seconds of each, and those of all."""
    left = iter(range(count))
    times: list[float] = []

    async def slot(number: int) -> None:
        times.extend([await life(number) for _ in left])

    begun = time.perf_counter()
    await asyncio.gather(*(slot(number) for number in range(in_flight)))
    return times, time.perf_counter() - begun


class Benchmark:
    """One replica with its store, a stub of Bandwidth and a bare endpoint, and what was found so far."""

    def __init__(
        self, stage: BenchProcesses, stub: StubClient, store: StoreClient, service: Process, bare: Process
    ) -> None:
        self.stage = stage
        self.stub = stub
        self.store = store
        self.service = service
        self.rows: list[Row] = []
        self.figures: dict[str, Any] = {}
        self._bare = FastClient(bare.port)
        self.webhooks = webhooks(service)
        self._operator = operator(service)
        self._upstream = 0.0
        self._stocked: tuple[FastClient, StubClient] | None = None
        self._taken = dict.fromkeys(range(ROOMS), 0.0)
        """Rooms, in the order in which their prepared participants were taken, and when."""

    @classmethod
    async def ready(cls, stage: BenchProcesses, *, python: Path | None = None) -> "Benchmark":
        """Warm, with somebody in each room. `python`: of another build's environment."""
        stub, store, bare = await stage.stub(), await stage.store(), await stage.bare()
        bench = cls(stage, stub, store, await stage.replica(store, stub, python=python), bare)
        await inhabited(bench.webhooks)
        await run_workload(bench.workload("existing room"), _WARM, 8)
        await bench.settled()
        return bench

    async def upstream(self, milliseconds: float) -> None:
        self._upstream = milliseconds
        await self.stub.set_latency(milliseconds)
        if self._stocked is not None:
            await self._stocked[1].set_latency(milliseconds)

    async def settled(self, of: FastClient | None = None) -> None:
        """Until nobody is on the way out of a room, and Bandwidth has been asked nothing for a while."""
        before = -1
        of = of or self._operator
        while before != (now := (await self.stub.counted())[0]) or not await self._emptied(of):
            before = now
            await asyncio.sleep(0.2 + 4 * self._upstream / 1000)

    async def _emptied(self, of: FastClient) -> bool:
        """Of all but those who have been there from the beginning."""
        cursor = ""
        while True:
            answer = await of.send("GET", f"/api/v1/rooms?limit=200{cursor}")
            page = json.loads(answer.body)
            if not all(len(one["members"]) == 1 for one in page["rooms"]):
                return False
            if not page["next"]:
                return True
            cursor = f"&cursor={page['next']}"

    def workload(self, scenario: str) -> Workload:
        lives = {
            "first caller": self._first,
            "existing room": self._existing,
            "prepare: dial": self._dialled,
            STOCKED: self._takes,
            "whole call": self._whole,
        }
        return lives[scenario]

    async def _first(self, _slot: int) -> float:
        return await self._comes_and_goes(BenchCall(self.webhooks, PRIVATE_NUMBER))

    async def _existing(self, slot: int) -> float:
        return await self._comes_and_goes(BenchCall(self.webhooks, room_number(slot % ROOMS)))

    async def _comes_and_goes(self, call: BenchCall) -> float:
        silence = await call.comes_in()
        await call.hangs_up()
        return silence

    async def _whole(self, slot: int) -> float:
        return await self._from_start_to_end(BenchCall(self.webhooks, room_number(slot % ROOMS)))

    async def _from_start_to_end(self, call: BenchCall) -> float:
        silence = await call.comes_in()
        await call.is_bridged()
        await call.hangs_up()
        return silence

    async def _dialled(self, slot: int) -> float:
        """It rings for as long as the way into the room takes, and then somebody answers."""
        order = {"to": CALLEE, "room": f"room-{slot % ROOMS}", "prepare": "dial"}
        answer = await self._operator.send("POST", "/api/v1/calls", json.dumps(order).encode())
        if answer.status != 201:
            raise RuntimeError(f"POST /calls: {answer.status} {answer.body.decode()}")
        call_id = json.loads(answer.body)["callId"]
        await asyncio.sleep(0.2 + 3 * self._upstream / 1000)
        path = await self.stub.answer_url(call_id)
        return await self._comes_and_goes(
            BenchCall(self.webhooks, NUMBER, call_id=call_id, path=path, outbound=True)
        )

    async def stocked(self) -> None:
        """Another replica, whose rooms have a participant ready each; its requests are in no other figure."""
        if self._stocked is None:
            store, stub = await self.stage.store(), await self.stage.stub()
            client = webhooks(await self.stage.replica(store, stub, stock=1))
            await inhabited(client)
            self._stocked = client, stub
            upstream = self._upstream
            await self.upstream(0)
            await run_workload(self._takes, _WARM, 8)
            await self.upstream(upstream)
        await asyncio.sleep(0.5 + 8 * self._upstream / 1000)

    async def _takes(self, _slot: int) -> float:
        """Each room has its time to make another before it is its turn again."""
        if self._stocked is None:
            raise RuntimeError("nobody has any in stock")
        room = next(iter(self._taken))
        made = self._taken.pop(room) + 0.1 + 5 * self._upstream / 1000
        await asyncio.sleep(max(made - time.monotonic(), 0))
        client, _ = self._stocked
        silence = await self._comes_and_goes(BenchCall(client, room_number(room)))
        self._taken[room] = time.monotonic()
        return silence

    @contextmanager
    def _load(self, row: Row) -> Iterator[None]:
        with machine.watching(self.stage.cores.load) as busy:
            yield
        row.load = busy.share
        if busy.share > machine.TOO_BUSY and self.stage.cores.apart:
            row.refused = "the load's core was the limit"

    async def _time_workload(self, what: str, life: Workload, count: int, in_flight: int) -> Row:
        row = Row(what=what)
        with self._load(row):
            times, seconds = await run_workload(life, count, in_flight)
        found = timed(what, times, upstream=self._upstream, in_flight=in_flight)
        found.load, found.refused = row.load, row.refused
        found.per_second = len(times) / seconds if in_flight > 1 else None
        self.rows.append(found)
        return found

    # Rows ----------------------------------------------------------------------------------------------

    async def bare(self, count: int) -> None:
        """What everything else is set beside."""
        for in_flight in (1, ROOMS):
            await self._time_workload("bare Starlette", self._bare_answer, count * in_flight, in_flight)

    async def _bare_answer(self, _slot: int) -> float:
        begun = time.perf_counter()
        await self._bare.send("POST", "/callbacks/voice", b"{}")
        return time.perf_counter() - begun

    async def trips(self, count: int = 20) -> list[float]:
        """Milliseconds of requests to Bandwidth in a row, by a bare client on the core of the service."""
        answer = await self._bare.send("GET", f"/trips/{self.stub.process.port}/{count}")
        found: list[float] = json.loads(answer.body)
        return found

    async def dead_air(self, scenario: str, count: int, in_flight: int) -> Row:
        """From webhook to BXML."""
        if scenario == STOCKED:
            await self.stocked()
        trips = await self.trips()
        row = await self._time_workload(scenario, self.workload(scenario), count, in_flight)
        await self.settled()
        trip = percentile(trips + await self.trips(), 0.5)
        bare = self.row("bare Starlette", in_flight=in_flight)
        makes_two = scenario not in {"prepare: dial", STOCKED}
        if bare is not None and (found := ratio(row.p50, bare.p50)) is not None:
            row.ratios["bare"] = found
        if makes_two and self._upstream and row.p50 is not None:
            row.ratios["2 trips"] = row.p50 / (2 * trip)
            self.figures[f"{scenario}, {in_flight} in flight, ms over 2 trips of {trip:.1f}"] = round(
                row.p50 - 2 * trip, 2
            )
        return row

    async def joins_alone(self, batches: int = 5) -> None:
        """The webhooks by which callers join rooms that exist; they hang up after each batch."""
        calls: list[BenchCall] = []

        async def joins(_slot: int) -> float:
            call = BenchCall(self.webhooks, room_number(len(calls) % ROOMS))
            calls.append(call)
            return await call.comes_in()

        async def hangs_up(_slot: int) -> float:
            return await calls.pop().hangs_up()

        rows, used, stored = [], [], []
        # The first is not counted: so many at once are new to both sides.
        for _ in range(1 + batches):
            before, kept = machine.processor_seconds(self.service.pid), await self.store.processor_seconds()
            rows.append(await self._time_workload("joins alone", joins, _BATCH * ROOMS, ROOMS))
            used.append(machine.processor_seconds(self.service.pid) - before)
            stored.append(await self.store.processor_seconds() - kept)
            await run_workload(hangs_up, len(calls), 32)
            await self.settled()
            self.rows.pop()
        del rows[0], used[0], stored[0]
        row = sorted(rows, key=lambda one: one.per_second or 0)[batches // 2]
        bare = self.row("bare Starlette", in_flight=ROOMS)
        if bare is not None and (found := ratio(row.per_second, bare.per_second)) is not None:
            row.ratios["bare"] = found
        self.rows.append(row)
        count = _BATCH * ROOMS
        self.figures |= {
            "joins alone: a second, of each batch": ", ".join(f"{one.per_second:,.0f}" for one in rows),
            "joins alone: p99 to p50": (row.p99 or 0) / (row.p50 or 1),
            "joins alone: processor of the service, ms": 1000 * median(used) / count,
            "joins alone: processor of the store, ms": 1000 * median(stored) / count,
        }

    async def replicas(self) -> None:
        """Two of them on one store, beside one alone: calls a second where each has a core, the load another.

        Where there are but two cores they share one, and only what a call costs can be compared: with that
        unchanged, another core is that many more calls.
        """
        apart = self.stage.cores.spare is not None
        other = await self.stage.replica(self.store, self.stub, core=self.stage.cores.spare)
        second = webhooks(other)
        rates, costs = [], []
        for clients in ([self.webhooks], [self.webhooks, second]):

            async def life(slot: int, clients: list[FastClient] = clients) -> float:
                call = BenchCall(clients[slot % len(clients)], room_number(slot % ROOMS))
                return await self._comes_and_goes(call)

            used = self._used(other)
            _, seconds = await run_workload(life, 40 * ROOMS, ROOMS)
            rates.append(40 * ROOMS / seconds)
            await self.settled()
            costs.append(self._used(other) - used)
        second.close()
        if apart:
            self.figures["two replicas beside one, calls a second"] = rates[1] / rates[0]
        self.figures["two replicas beside one, processor of both for a call"] = costs[1] / costs[0]

    def _used(self, other: Process) -> float:
        return sum(machine.processor_seconds(one.pid) for one in (self.service, other))

    async def throughput(self, count: int) -> None:
        """Joins and whole calls, and what each has cost."""
        await self.joins_alone()
        await self.endings()
        for what, life in (("joins", self._existing), ("whole calls", self._whole)):
            pid = self.service.pid
            trips, moved = await self.store.trips(), await self.store.bytes_moved()
            used, stored = machine.processor_seconds(pid), await self.store.processor_seconds()
            requests, connections = await self.stub.counted()
            row = await self._time_workload(what, life, count, ROOMS)
            await self.settled()
            bare = self.row("bare Starlette", in_flight=ROOMS)
            if bare is not None and (found := ratio(row.per_second, bare.per_second)) is not None:
                row.ratios["bare"] = found
            requests_then, connections_then = await self.stub.counted()
            self.figures |= {
                f"{what}: processor of the service, ms": 1000
                * (machine.processor_seconds(pid) - used)
                / count,
                f"{what}: processor of the store, ms": 1000
                * (await self.store.processor_seconds() - stored)
                / count,
                f"{what}: trips to the store": (await self.store.trips() - trips) / count,
                f"{what}: bytes to and from the store": (await self.store.bytes_moved() - moved) / count,
                f"{what}: requests to Bandwidth": (requests_then - requests) / count,
                f"{what}: new connections to Bandwidth": (connections_then - connections) / count,
            }

    async def endings(self) -> None:
        """Calls in rooms of their own that end together, until Bandwidth has been asked to take each down."""
        calls: list[BenchCall] = []

        async def comes_in(_slot: int) -> float:
            calls.append(BenchCall(self.webhooks, PRIVATE_NUMBER))
            return await calls[-1].comes_in()

        async def hangs_up(_slot: int) -> float:
            return await calls.pop().hangs_up()

        await run_workload(comes_in, _LEAVING, 32)
        upstream = self._upstream
        await self.upstream(40)
        before, begun = (await self.stub.counted())[0], time.perf_counter()
        await run_workload(hangs_up, _LEAVING, 32)

        async def taken_down() -> bool:
            # Out of the session, the participant, the session.
            return (await self.stub.counted())[0] - before >= 3 * _LEAVING

        await wait_until(taken_down, seconds=60)
        self.figures["endings: a second, at 40 ms upstream"] = _LEAVING / (time.perf_counter() - begun)
        await self.upstream(upstream)
        await self.settled()

    async def held(self, count: int) -> None:
        """Memory of calls that are up, each in a room of its own."""
        resident, used = machine.resident_bytes(self.service.pid), await self.store.used()
        news = await self.store.news()
        await held(self.webhooks, count)
        news = await self.store.news() - news
        self.figures |= {
            "held call: bytes in the service": (machine.resident_bytes(self.service.pid) - resident) / count,
            "held call: bytes in the store, with its room": (await self.store.used() - used - news) / count,
            "live events, of which so many are kept: bytes in the store": await self.store.news(),
        }

    async def kept(self, count: int) -> None:
        """What calls leave behind that were in rooms of their own, whose state is the longest."""
        for store_format in _KEPT:
            store = await self.stage.store()
            replica = await self.stage.replica(store, self.stub, store_format=store_format)
            client, other = webhooks(replica), operator(replica)

            async def life(_slot: int, client: FastClient = client) -> float:
                return await self._from_start_to_end(BenchCall(client, PRIVATE_NUMBER))

            await run_workload(life, _WARM, 8)
            await self.settled(other)
            used = await store.past_events()
            await run_workload(life, count, 8)
            await self.settled(other)
            self.figures[_kept(store_format)] = (await store.past_events() - used) / count
            client.close()
            other.close()

    async def listeners(self, count: int) -> None:
        """Memory of browsers and operators that listen to live events: of so many beside as many others.

        Of no more than there are places for.
        """
        count = min(count, LIMIT // 2)
        clients = [operator(self.service) for _ in range(2 * count)]
        before = 0
        for half in (clients[:count], clients[count:]):
            before = machine.resident_bytes(self.service.pid)
            for client in half:
                if (status := await client.opened("GET", "/api/v1/events")) != 200:
                    raise RuntimeError(f"a listener was not let in: {status}")
            await asyncio.sleep(0.5)
        self.figures["listener: bytes in the service"] = (
            machine.resident_bytes(self.service.pid) - before
        ) / count
        for client in clients:
            client.close()

    async def quiet(self) -> None:
        """Connections that a call costs half a minute after the one before."""
        await self._existing(0)
        await self.settled()
        _, before = await self.stub.counted()
        await asyncio.sleep(_QUIET)
        await self._existing(0)
        await self.settled()
        self.figures[f"new connections to Bandwidth after {_QUIET:g} quiet seconds"] = (
            await self.stub.counted()
        )[1] - before

    async def beside_held(self, counts: list[int], say: Callable[[str], None]) -> None:
        """A second service with a store of its own is filled; pairs of calls, to it and to the empty one."""
        full = await self.stage.store()
        other = await self.stage.replica(full, self.stub)
        client = webhooks(other)
        await inhabited(client)
        up = 0
        for count in counts:
            say(f"{count:,} calls are held")
            await held(client, count - up)
            up = count
            pairs = []
            for one in range(200):
                empty = await self._existing(one)
                call = BenchCall(client, room_number(one % ROOMS))
                loaded = await call.comes_in()
                await call.hangs_up()
                pairs.append(loaded / empty)
            self.figures[f"existing room with {count:,} calls held, ratio to none (median of pairs)"] = (
                median(pairs)
            )
        client.close()

    async def starts(self, count: int = 5) -> None:
        """From the start of the process until it is ready."""
        times = [(await self.stage.replica(self.store, self.stub)).started for _ in range(count)]
        self.figures["start to ready, ms (median)"] = 1000 * median(times)

    def guards(self) -> list[Guard]:
        """Of a quick run: ratios, and counts that are the same on every machine."""
        found = []
        for scenario, allowed in (("existing room", 1.2), ("first caller", 1.2)):
            if row := self.row(scenario, upstream=40):
                found.append(Guard(f"{scenario}, in pairs of upstream trips", row.ratios["2 trips"], allowed))
        if (row := self.row("prepare: dial", upstream=40)) and row.p50 is not None:
            found.append(Guard("prepare: dial, in upstream trips of 40 ms", row.p50 / 40, 0.2))
        if (row := self.row(STOCKED, upstream=40)) and row.p50 is not None:
            found.append(Guard("prepared participants, in upstream trips of 40 ms", row.p50 / 40, 0.2))
        for what, least in (("joins alone", 0.03), ("joins", 0.015)):
            if (row := self.row(what, in_flight=ROOMS)) and row.refused == "":
                beside = f"{what}, a second beside the bare endpoint"
                found.append(Guard(beside, row.ratios["bare"], least, least=True))
        if (bare := self.row("bare Starlette", in_flight=ROOMS)) and bare.per_second:
            beside = self.figures["endings: a second, at 40 ms upstream"] / bare.per_second
            found.append(Guard("endings, a second beside the bare endpoint", beside, 0.015, least=True))
        for figure, most in (
            ("joins alone: p99 to p50", 5),
            ("joins: trips to the store", 13),
            ("joins: requests to Bandwidth", 4.05),
            ("joins: new connections to Bandwidth", 0.1),
            *((_kept(store_format), most) for store_format, most in _KEPT.items()),
        ):
            found.append(Guard(figure, self.figures[figure], most))
        return found

    def row(self, what: str, *, upstream: float = 0, in_flight: int = 1) -> Row | None:
        wanted = (what, upstream, in_flight)
        found = [one for one in self.rows if (one.what, one.upstream, one.in_flight) == wanted]
        return found[-1] if found else None


def _kept(store_format: int) -> str:
    return f"ended call, STORE_FORMAT {store_format}: bytes in the store"


async def inhabited(client: FastClient) -> None:
    """Somebody is in each room, and talks: of a call that only rings Bandwidth would be asked before long."""
    for room in range(ROOMS):
        call = BenchCall(client, room_number(room))
        await call.comes_in()
        await call.is_bridged()


async def held(client: FastClient, count: int) -> None:
    """Calls that come in, are bridged and stay."""

    async def life(_slot: int) -> float:
        call = BenchCall(client, PRIVATE_NUMBER)
        silence = await call.comes_in()
        await call.is_bridged()
        return silence

    if count > 0:
        await run_workload(life, count, 32)
