"""What is left when the storm is over: figures, and everything that should not be as it is."""

import asyncio
import math
from functools import cached_property
from typing import Any

import msgspec
from redis.asyncio import Redis

from tests.chaos.creates import TURNED_AWAY, lost
from tests.chaos.fleet import Fleet
from tests.chaos.lives import Api
from tests.chaos.weather import CREATES, Counts
from tests.chaos.written import Written
from tests.simulator.clock import monotonic
from tests.simulator.journal import Delivery, Request
from tests.simulator.simulator import Simulator
from tests.simulator.webhooks import DROPPED, TIMED_OUT

BUDGET = 4.0
"""Seconds in which the replicas have to answer a webhook."""
SLACK = 1.0
"""Seconds that the machine itself may take on top: all of this shares two cores."""
SETTLING = 90.0
"""Seconds for what is owed: leases of replicas that were killed, and retries, the longest after a minute."""


class Alive(msgspec.Struct, frozen=True):
    participants: int
    sessions: int
    phone_legs: int
    webrtc_legs: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One line of JSON. Everything from `alive` on has to be 0 but what is counted apart."""

    seed: int
    seconds: float
    calls: int
    webhooks: int
    duplicates: int
    drops: int
    delays: int
    requests: int
    faults: int
    expiries: int
    kills: int
    terms: int
    store_restarts: int
    bxml_p50_ms: float
    bxml_p99_ms: float
    creates_unreceived: int
    """Alive, and nobody who lives was told of it: apart, at most `creates_unreceived_bound`."""
    creates_unreceived_bound: int
    webhooks_unanswered: int
    """Both addresses were down, or the webhook was lost on the way to them: apart."""
    calls_turned_away: int
    """Only ever asked to come back, by replicas that were killed before the store was there again: apart."""
    alive: Alive
    calls_without_outcome: int
    webhooks_late: int
    webhooks_wrong: int
    owed: int
    dead_letters: int
    complaints: int
    errors: int
    """Lines of the level error in the logs, exits other than 0, answers of the API that are no answers."""

    @property
    def passed(self) -> bool:
        bad = (
            *msgspec.structs.astuple(self.alive),
            self.calls_without_outcome,
            self.webhooks_late,
            self.webhooks_wrong,
            self.owed,
            self.dead_letters,
            self.complaints,
            self.errors,
        )
        return not any(bad) and self.creates_unreceived <= self.creates_unreceived_bound


class Judge:
    """Looks at everything there is. `details` say what was found, for whoever has to understand it.

    What takes long is done in a thread: replicas still ask the simulator, which is in this event loop.
    """

    def __init__(self, simulator: Simulator, fleet: Fleet, api: Api, redis: Redis) -> None:
        self.details: list[dict[str, Any]] = []
        self._simulator = simulator
        self._fleet = fleet
        self._api = api
        self._redis = redis

    @cached_property
    def _written(self) -> Written:
        return Written(self._fleet.store.journal)

    async def settle(self) -> None:
        """Until nothing lives that could be known of and nothing is owed, or time is up."""
        ends = monotonic() + SETTLING
        while monotonic() < ends:
            alive = self._simulator.ledger.alive()
            if not (alive.calls or alive.legs or await self._owed() or await self.leaked()):
                return
            await asyncio.sleep(0.2)

    async def leaked(self) -> set[str]:
        """Ids of participants and sessions that live, and that somebody can have known of."""
        alive = self._simulator.ledger.alive()
        made = {*alive.participants, *alive.sessions}
        return made - await asyncio.to_thread(self._orphans) if made else made

    async def report(self, seed: int, seconds: float, calls: int, counts: Counts) -> Report:
        simulator, orphans = self._simulator, await asyncio.to_thread(self._orphans)
        errors = await asyncio.to_thread(self._log_errors)
        alive = simulator.ledger.alive()
        without_outcome, turned_away = await self._without_outcome()
        leaked = Alive(
            participants=self._note("alive", self._made([*alive.participants], orphans)),
            sessions=self._note("alive", self._made([*alive.sessions], orphans)),
            phone_legs=self._note("alive", alive.calls),
            webrtc_legs=self._note("alive", alive.legs),
        )
        heard = [one for one in simulator.deliveries if one.synchronous and one.status == 200]
        times = sorted(one.ms for one in heard)
        answered = [one for one in simulator.deliveries if one.status is not None]
        return Report(
            seed=seed,
            seconds=round(seconds, 1),
            calls=calls,
            webhooks=len(simulator.deliveries),
            duplicates=counts.duplicates,
            drops=counts.drops,
            delays=counts.delays,
            requests=len(simulator.requests),
            faults=counts.faults,
            expiries=counts.expiries,
            kills=len(self._fleet.kills),
            terms=self._fleet.terms,
            store_restarts=len(self._fleet.outages),
            bxml_p50_ms=_share(times, 0.5),
            bxml_p99_ms=_share(times, 0.99),
            creates_unreceived=len(orphans & {*alive.participants, *alive.sessions}),
            creates_unreceived_bound=len(self._lost()),
            webhooks_unanswered=len(simulator.webhooks.failed),
            alive=leaked,
            calls_turned_away=len(turned_away),
            calls_without_outcome=self._note("without outcome", without_outcome),
            webhooks_late=self._note("late", [one for one in answered if one.ms > (BUDGET + SLACK) * 1000]),
            webhooks_wrong=self._note("wrong", self._wrong()),
            owed=self._note("owed", await self._owed()),
            dead_letters=self._note(
                "dead", [key async for key in self._redis.scan_iter("*:dead", count=1000)]
            ),
            complaints=self._note("complaint", simulator.complaints),
            errors=self._note("error", [*errors, *self._api.wrong, *self._bad_exits()]),
        )

    def _note(self, kind: str, found: list[Any]) -> int:
        for one in found:
            shown = one if isinstance(one, dict) else repr(one)
            self.details.append({"kind": kind, "what": shown})
        return len(found)

    def _orphans(self) -> set[str]:
        """Ids that nobody knows: their answer came to none, or to one killed before it was written down."""
        alive = self._simulator.ledger.alive()
        unwritten = {one.created for one in self._lost() if one.created}
        if not unwritten.isdisjoint([*alive.participants, *alive.sessions]):
            unwritten -= self._written.ids()
        return unwritten | {one.id for one in self._simulator.ledger.unreceived if one.operation in CREATES}

    def _lost(self) -> list[Request]:
        """Creates whose replica was killed before it can have written down what was made."""
        deliveries = list(self._simulator.deliveries)
        webhooks = {
            address.host: [one for one in deliveries if self._goes_to(one, address.name)]
            for address in self._fleet.addresses
        }
        return lost(list(self._simulator.requests), webhooks, list(self._fleet.kills), self._fleet.outages)

    def _made(self, ids: list[str], orphans: set[str]) -> list[dict[str, Any]]:
        """What lives and may not: who asked for it, when it was answered, and whether it was ever stored."""
        made = {one.created: one for one in self._simulator.requests if one.created}
        return [
            {
                "id": one,
                "body": made[one].body,
                "host": made[one].host,
                "answered": made[one].at + made[one].ms / 1000,
                "kills": [kill.at for kill in self._fleet.kills if kill.host == made[one].host],
                "written": one in self._written.ids(),
            }
            for one in ids
            if one not in orphans
        ]

    async def _without_outcome(self) -> tuple[list[Any], list[str]]:
        """Of all calls that are written down, and of all that a replica has heard of; and the turned away."""
        found: dict[str, Any] = {}
        turned_away, taken = [], self._answered(taken=True)
        for call_id in sorted(self._answered(taken=False)):
            answer = await self._api.send("GET", f"/calls/{call_id}")
            call = answer.json() if answer is not None else {}
            if answer is not None and answer.status_code == 404 and call_id not in taken:
                turned_away.append(call_id)
            elif call.get("state") != "ended" or not call.get("outcome"):
                phone = repr(self._simulator.phone(call_id))
                found[call.get("id", call_id)] = {"call_id": call_id, "phone": phone, "known": call}
        cursor = ""
        while True:
            page = await self._api.send("GET", f"/calls?limit=100{cursor}")
            assert page is not None
            found = {one["id"]: one for one in page.json()["calls"] if one["state"] != "ended"} | found
            if not page.json().get("next"):
                break
            cursor = f"&cursor={page.json()['next']}"
        return list(found.values()), turned_away

    def _answered(self, *, taken: bool) -> set[str]:
        """Calls of phones of which a webhook was answered; where they are `taken`, with the store at hand."""
        phones = {one.call_id for one in self._simulator.phones}
        return phones & {
            one.call_id
            for one in self._simulator.deliveries
            if one.synchronous
            and one.status == 200
            and not (taken and any(sign in one.reply for sign in TURNED_AWAY))
        }

    def _wrong(self) -> list[Delivery]:
        """Answered with another status than is wanted, or not at all by a replica that was there."""
        return [
            one
            for one in self._simulator.deliveries
            if one.status not in {200, 204} and not (one.status is None and self._excused(one))
        ]

    def _excused(self, delivery: Delivery) -> bool:
        if delivery.error == DROPPED:
            return True
        address = next(one for one in self._fleet.addresses if self._goes_to(delivery, one.name))
        until = delivery.sent_at + delivery.ms / 1000
        return delivery.error != TIMED_OUT and address.was_down(delivery.sent_at, until)

    def _goes_to(self, delivery: Delivery, name: str) -> bool:
        return delivery.url.startswith(f"https://{name}.test")

    async def _owed(self) -> list[str]:
        return [
            str(owner)
            async for key in self._redis.scan_iter("*:agenda", count=1000)
            for owner in await self._redis.zrange(key, 0, -1)
        ]

    async def _dead(self) -> list[str]:
        return [str(key) async for key in self._redis.scan_iter("*:dead", count=1000)]

    def _log_errors(self) -> list[str]:
        return [
            line
            for address in self._fleet.addresses
            for log in address.logs
            for line in log.read_text(errors="replace").splitlines()
            if '"level":"error"' in line.replace(" ", "") or not line.startswith("{")
        ]

    def _bad_exits(self) -> list[str]:
        return [f"a replica ended with {code} on SIGTERM" for code in self._fleet.exits if code != 0]


def _share(times: list[float], share: float) -> float:
    return round(times[math.ceil(len(times) * share) - 1], 1) if times else 0.0
