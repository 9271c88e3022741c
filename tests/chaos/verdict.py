"""What is left when the storm is over: figures, and everything that should not be as it is."""

import asyncio
import math
import statistics
from typing import Any

import msgspec
from redis.asyncio import Redis

from tests.chaos.fleet import Fleet, Kill
from tests.chaos.lives import Api
from tests.chaos.weather import CREATES, Counts
from tests.simulator.clock import monotonic
from tests.simulator.journal import Delivery, Request
from tests.simulator.simulator import Simulator
from tests.simulator.webhooks import DROPPED, TIMED_OUT

BUDGET = 4.0
"""Seconds in which the replicas have to answer a webhook."""
SLACK = 1.0
"""Seconds that the machine itself may take on top: all of this shares two cores."""
JUST = 0.25
"""Seconds before a kill in which an answer may have come and not been read."""
STALLED = 3.0
"""The same on a machine that lets a replica wait; it has then not written one line about what was made."""
AGAIN = 1.0
"""Seconds until what could not be written down is tried again."""
SETTLING = 90.0
"""Seconds for what is owed: leases of replicas that were killed, and retries, the longest after a minute."""
TURNED_AWAY = (b"again=", b"cannot be connected right now")
"""What only a degraded reply has in it, or an apology."""


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
    """Looks at everything there is. `details` say what was found, for whoever has to understand it."""

    def __init__(self, simulator: Simulator, fleet: Fleet, api: Api, redis: Redis) -> None:
        self.details: list[dict[str, Any]] = []
        self._simulator = simulator
        self._fleet = fleet
        self._api = api
        self._redis = redis

    async def settle(self) -> None:
        """Until nothing lives that could be known of and nothing is owed, or time is up."""
        ends = monotonic() + SETTLING
        while monotonic() < ends:
            alive = self._simulator.ledger.alive()
            known = {*alive.participants, *alive.sessions} - self._orphans()
            if not (known or alive.calls or alive.legs or await self._owed()):
                return
            await asyncio.sleep(0.2)

    async def report(self, seed: int, seconds: float, calls: int, counts: Counts) -> Report:
        simulator, orphans = self._simulator, self._orphans()
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
            creates_unreceived_bound=sum(self._in_flight(kill) for kill in self._fleet.kills),
            webhooks_unanswered=len(simulator.webhooks.failed),
            alive=leaked,
            calls_turned_away=len(turned_away),
            calls_without_outcome=self._note("without outcome", without_outcome),
            webhooks_late=self._note("late", [one for one in answered if one.ms > (BUDGET + SLACK) * 1000]),
            webhooks_wrong=self._note("wrong", self._wrong()),
            owed=self._note("owed", await self._owed()),
            dead_letters=self._note("dead", [key async for key in self._redis.scan_iter("*:dead")]),
            complaints=self._note("complaint", simulator.complaints),
            errors=self._note("error", [*self._log_errors(), *self._api.wrong, *self._bad_exits()]),
        )

    def _note(self, kind: str, found: list[Any]) -> int:
        for one in found:
            shown = one if isinstance(one, dict) else repr(one)
            self.details.append({"kind": kind, "what": shown})
        return len(found)

    def _orphans(self) -> set[str]:
        """Ids that nobody knows: their answer came to none, or to one killed before it was written down."""
        told = {one.id for one in self._simulator.ledger.unreceived if one.operation in CREATES}
        lost = {
            one.created
            for one in self._simulator.requests
            if one.created and any(self._lost(one, kill) for kill in self._fleet.kills)
        }
        return told | lost

    def _made(self, ids: list[str], orphans: set[str]) -> list[dict[str, Any]]:
        """What lives and may not, and when it was made: in seconds before its replica's ends."""
        made = {one.created: one for one in self._simulator.requests if one.created}
        return [
            {
                "id": one,
                "body": made[one].body,
                "answered": round(at := made[one].at + made[one].ms / 1000, 3),
            }
            | {
                f"{address.name} ended after": [round(down.begun - at, 3) for down in address.downs]
                for address in self._fleet.addresses
                if address.host == made[one].host
            }
            for one in ids
            if one not in orphans
        ]

    def _in_flight(self, kill: Kill) -> int:
        return sum(self._lost(one, kill) for one in self._simulator.requests)

    def _lost(self, request: Request, kill: Kill) -> bool:
        """A create whose replica was killed before it can have written down what was made."""
        if request.operation not in CREATES or request.host != kill.host or request.at > kill.at:
            return False
        if kill.at <= self._written(request):
            return True
        answered = request.at + request.ms / 1000
        return kill.at <= answered + STALLED and self._lives_unsaid(request.created)

    def _lives_unsaid(self, created: str | None) -> bool:
        """Whether it is alive and in no line of a log: what has its place in the store is spoken of."""
        alive = self._simulator.ledger.alive()
        if created not in {*alive.participants, *alive.sessions}:
            return False
        logs = [log for address in self._fleet.addresses for log in address.logs]
        return not any(created in log.read_text(errors="replace") for log in logs)

    def _written(self, request: Request) -> float:
        """When at the latest it is in the store what was made."""
        by = request.at + request.ms / 1000 + self._just()
        for outage in self._fleet.outages:
            if outage.begun <= by <= outage.over:
                by = outage.over + AGAIN + self._just()
        return by

    def _just(self) -> float:
        """Longer where the machine is so busy that half of all webhooks take longer."""
        times = [one.ms / 1000 for one in self._simulator.deliveries if one.synchronous and one.status == 200]
        return JUST + (statistics.median(times) if times else 0.0)

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
            async for key in self._redis.scan_iter("*:agenda")
            for owner in await self._redis.zrange(key, 0, -1)
        ]

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
