"""Works off what calls and rooms owe: any replica's, under a lease, until it is done."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

import structlog

from service.bandwidth.errors import BandwidthError
from service.bandwidth.request_log import Tally, counting
from service.calls.effects import Effect, name_of
from service.calls.model import call_of
from service.calls.refs import PARTITIONS
from service.clock import Clock
from service.engine.outbox.wakeup import Alarm
from service.engine.joining.compensated import TooSlow
from service.engine.outbox.protocols import NotYet, Performs
from service.engine.outbox.retries import backoff, obeyed
from service.logs import bound
from service.metrics import UNKNOWN, Metrics
from service.store.errors import StoreError
from service.store.outbox import Dead, Entry, Later, Outbox, Unreadable, Work
from service.tasks import Tasks, is_set_within

log = structlog.get_logger()

_POLL: Final = 1.0
"""Seconds in which every partition is looked at; what this replica owes itself is taken at once."""
_LOOK: Final = 0.25
"""Seconds after which an owner is looked at again although a request for it is still under way."""
_AT_ONCE: Final = 128
"""Owners of a backlog that one replica works for at the same time, and as many that were woken; mostly each
waits for Bandwidth."""
_PAUSED: Final = "paused"
_UNREADABLE: Final = 600.0
"""Seconds after which an effect is looked at again that could not be read."""


class Ended(NamedTuple):
    """What became of an effect: done, put off, or laid aside; and what its call's timeline is told of it."""

    result: Work | Later | Dead | None
    """None where nothing is done: it is left to those who know it."""
    entry: Entry | None = None


class Worker:
    """`jitter` gives a number from 0 to 1: retries of many replicas should not fall together.

    `give_up`: seconds after which an effect that has failed all the time is laid aside as a dead letter.
    `aside`: whether what is owed is left to other replicas.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        performer: Performs,
        alarm: Alarm,
        clock: Clock,
        tasks: Tasks,
        jitter: Callable[[], float],
        give_up: float,
        metrics: Metrics | None = None,
        aside: Callable[[], bool] = lambda: False,
    ) -> None:
        self._metrics = metrics or Metrics()
        self._outbox = outbox
        self._performer = performer
        self._alarm = alarm
        self._clock = clock
        self._tasks = tasks
        self._jitter = jitter
        self._give_up = give_up
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._kept = asyncio.Semaphore(_AT_ONCE)
        """Places for those who have just been woken: a backlog has the others."""
        self._served: set[str] = set()
        self._once_more: set[str] = set()
        """Owners that were woken or claimed once more while they were served."""
        self._aside = aside
        self._cannot_claim = False
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Until `stop`."""
        await asyncio.gather(self._go_round(), self._follow())

    def stop(self) -> None:
        """Take nothing new; what is under way is finished, and what it owes next is left to others."""
        self._over.set()
        self._alarm.ring()

    async def _follow(self) -> None:
        """What this process has just owed is begun at once, however much there is to do besides."""
        while not self._over.is_set():
            for owner in await self._alarm.woken():
                await _one_of(self._kept)
                if self._leaves:
                    break  # all of them are on the agenda
                self._begin(owner, self._kept)
                await asyncio.sleep(0)  # it takes its place

    async def _go_round(self) -> None:
        """What falls due by itself, or was another's. What cannot be claimed is tried at the next look."""
        while not self._over.is_set():
            claimed = await self._claim_all()
            if claimed is None:
                await self._clock.sleep(_POLL)
                continue
            await is_set_within(self._over, 0 if claimed >= _AT_ONCE else _POLL)

    async def _claim_all(self) -> int | None:
        """The most that was claimed of one partition; each is looked at once, whatever others have to do.

        None when not all could be looked at; the first that could not is told, once until all can be.
        """
        most, failed = 0, False
        for partition in range(PARTITIONS):
            try:
                most = max(most, await self._claim(partition))
            except StoreError as error:
                if not self._cannot_claim:
                    log.warning("worker.claim_failed", partition=partition, error=str(error))
                self._cannot_claim = failed = True
            except Exception as error:
                log.exception("worker.claim_failed", partition=partition, error=repr(error))
                failed = True
        self._cannot_claim = failed
        return None if failed else most

    async def _claim(self, partition: int) -> int:
        await _one_of(self._places)
        if self._leaves:
            return 0
        owners = await self._outbox.claim(partition, now=self._clock.now(), limit=_AT_ONCE)
        for owner in owners:
            self._begin(owner, self._places)
        return len(owners)

    @property
    def _leaves(self) -> bool:
        """Whether what is owed is for other replicas to do."""
        return self._over.is_set() or self._aside()

    def _begin(self, owner: str, places: asyncio.Semaphore) -> None:
        self._tasks.start(self._serve(owner, places), name=f"worker.{owner}")

    async def _serve(self, owner: str, places: asyncio.Semaphore) -> None:
        async with places:
            if owner in self._served:
                # The lease is this replica's: a second round beside the first would do the same work.
                self._once_more.add(owner)
                return
            self._served.add(owner)
            kind, _, name = owner.partition(":")
            try:
                with bound(**{"ref" if kind == "call" else "room": name}):
                    await self._work_off(owner)
                    while owner in self._once_more:
                        self._once_more.discard(owner)
                        await self._work_off(owner)
            finally:
                self._served.discard(owner)
                self._once_more.discard(owner)

    async def _work_off(self, owner: str) -> None:
        """What falls due while some request hangs does not wait for it, unless it is in the same lane."""
        running: dict[str, asyncio.Task[Ended]] = {}
        ended: dict[str, Ended] = {}
        while True:
            release = self._leaves and not running
            try:
                due = await self._write_down(owner, ended, release=release)
            except StoreError as error:
                # What was done is struck off when the store is back; should this replica die before that, the
                # lease ends by itself, and others do again what may be done twice.
                log.warning("worker.interrupted", owner=owner, error=str(error))
                if self._over.is_set():
                    return
                await self._clock.sleep(_POLL)
                continue
            ended = {}
            if not self._leaves:
                for work in due:
                    if work.id not in running:
                        running[work.id] = self._tasks.start(
                            self._perform(work, owner), name=f"worker.{work.id}"
                        )
            elif due and not running:
                continue
            if not running:
                return
            await asyncio.wait(running.values(), timeout=_LOOK)
            over = [id_ for id_, task in running.items() if task.done()]
            ended = {id_: running.pop(id_).result() for id_ in over}

    async def _write_down(self, owner: str, ended: Mapping[str, Ended], *, release: bool) -> list[Work]:
        """What has ended; gives what is due."""
        results = [one.result for one in ended.values()]
        return await self._outbox.work(
            owner,
            now=self._clock.now(),
            done=[one for one in results if isinstance(one, Work)],
            later=[one for one in results if isinstance(one, Later)],
            dead=[one for one in results if isinstance(one, Dead)],
            told={id_: one.entry for id_, one in ended.items() if one.entry is not None},
            release=release,
        )

    async def _perform(self, work: Work, owner: str) -> Ended:
        """Whatever goes wrong costs this effect a try, and nothing else: its owner owes others too."""
        try:
            if isinstance(work.effect, Unreadable):
                log.warning("effect.not_known", effect=work.effect.name)
                self._metrics.effect(UNKNOWN, "not-known")
                again = Later(work, self._clock.now() + _UNREADABLE, tried=False)
                return Ended(None if work.effect.left else again)
            with bound(**_subject(work.effect)):
                return await self._try(work, work.effect, owner)
        except Exception as error:  # noqa: BLE001 - it is logged, unless that is what fails
            return self._unforeseen(work, error)

    async def _try(self, work: Work, effect: Effect, owner: str) -> Ended:
        begun = self._clock.monotonic()
        name, attempt = name_of(effect), work.tries + 1
        with counting(f"{owner}/{work.id}") as tally:
            try:
                await self._performer.perform(effect, attempt=attempt)
            except NotYet as again:
                self._metrics.effect(name, "waits")
                due = self._clock.now() + again.seconds
                return Ended(Later(work, due, failed=False, instead=again.instead))
            except (BandwidthError, StoreError, TooSlow) as error:
                return self._again(work, effect, error, tally)
        ms = round((self._clock.monotonic() - begun) * 1000, 1)
        log.info("effect.done", effect=name, attempt=attempt, ms=ms)
        self._metrics.effect(name, "done")
        return Ended(work, self._entry("effectDone", work, tally))

    def _again(
        self, work: Work, effect: Effect, error: BandwidthError | StoreError | TooSlow, tally: Tally
    ) -> Ended:
        now, attempt, name = self._clock.now(), work.tries + 1, name_of(effect)
        code, retry_after = "store-unavailable" if isinstance(error, StoreError) else "timeout", None
        if isinstance(error, BandwidthError):
            code, retry_after = error.code, error.retry_after
        if code == _PAUSED:
            # Nobody was asked, so that nothing has failed: nor is it given up.
            self._metrics.effect(name, "paused")
            return Ended(Later(work, now + (retry_after or _POLL) + self._jitter(), tried=False))
        if self._is_given_up(work):
            log.error("effect.dead_lettered", effect=name, attempt=attempt, error=str(error))
            self._metrics.effect(name, "dead")
            return Ended(Dead(work, code), self._entry("effectDead", work, tally, code))
        delay = max(backoff(work.tries, self._jitter()), obeyed(effect, retry_after))
        log.warning("effect.retried", effect=name, attempt=attempt, error=code, delay_s=round(delay, 3))
        self._metrics.effect(name, "retried")
        entry = self._entry("effectFailed", work, tally, code) if _is_told(attempt) else None
        return Ended(Later(work, now + delay), entry)

    def _unforeseen(self, work: Work, error: Exception) -> Ended:
        """A mistake of ours, as a rule. It may be in what tells of it, so the effect is seen to first."""
        code, attempt, effect = type(error).__name__, work.tries + 1, work.effect
        name = UNKNOWN if isinstance(effect, Unreadable) else name_of(effect)
        dead = self._is_given_up(work)
        due = self._clock.now() + backoff(work.tries, self._jitter())
        result = Dead(work, code) if dead else Later(work, due)
        entry = None
        with suppress(Exception):
            if dead:
                log.error("effect.dead_lettered", effect=name, attempt=attempt, error=code)
            elif _is_told(attempt):
                log.error(
                    "effect.failed", effect=name, attempt=attempt, error=code, owed=work.id, exc_info=error
                )
            self._metrics.effect(name, "dead" if dead else "failed")
            if dead or _is_told(attempt):
                entry = self._entry("effectDead" if dead else "effectFailed", work, Tally(), code)
        return Ended(result, entry)

    def _is_given_up(self, work: Work) -> bool:
        return self._clock.now() - work.since > self._give_up

    def _entry(self, event: str, work: Work, tally: Tally, error: str = "") -> Entry:
        entry: Entry = {
            "at": round(self._clock.now(), 3),
            "event": event,
            "effect": work.id,
            "tries": work.tries + 1,
        }
        if error:
            entry["error"] = error
        if sent := tally.told(self._clock):
            entry["requests"] = sent
        return entry


async def _one_of(places: asyncio.Semaphore) -> None:
    """Wait until one of them is free."""
    async with places:
        pass


def _is_told(attempt: int) -> bool:
    """The first times and then ever fewer: hours of failing must not push the rest out of a timeline."""
    return attempt.bit_count() == 1


def _subject(effect: Effect) -> dict[str, str]:
    """What the effect is about, under the keys that every log line has for it."""
    names = ("call_id", "room", "session_id", "participant_id")
    found = {name: getattr(effect, name) for name in names if hasattr(effect, name)}
    if seat := getattr(effect, "seat", ""):
        ref, _ = call_of(seat)
        found |= {"ref": ref} if ref else {"seat": seat}
    return found
