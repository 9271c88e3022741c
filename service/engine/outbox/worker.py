"""Works off what calls and rooms owe: any replica's, under a lease, until it is done."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

import structlog

from service.bandwidth.errors import BandwidthError
from service.bandwidth.request_log import RequestLog, record_requests
from service.calls.effects import Effect, effect_name, shown_id
from service.calls.model import parse_seat
from service.calls.refs import PARTITIONS
from service.clock import Clock
from service.engine.errors import JoinTimeout
from service.engine.outbox.protocols import RetryLater, SupportsExecute
from service.engine.outbox.retries import backoff, capped_retry_after
from service.engine.outbox.wakeup import WorkerSignal
from service.logs import log_context
from service.metrics import UNKNOWN, Metrics
from service.store.errors import StoreError
from service.store.outbox import DueEffect, GivenUp, Outbox, Postponed, TimelineEntry, UnreadableEffect
from service.tasks import Tasks, wait_set

log = structlog.get_logger()

_POLL: Final = 1.0
"""Seconds in which every partition is looked at; what this replica owes itself is taken at once."""
_RECHECK: Final = 0.25
"""Seconds after which an owner is looked at again although a request for it is still under way."""
_CONCURRENCY: Final = 128
"""Owners of a backlog that one replica works for at the same time, and as many that were woken; mostly each
waits for Bandwidth."""
_PAUSED: Final = "paused"
_UNREADABLE_RETRY: Final = 600.0
"""Seconds after which an effect is looked at again that could not be read."""


class EffectResult(NamedTuple):
    """What became of an effect: done, put off, or laid aside; and what its call's timeline is told of it."""

    result: DueEffect | Postponed | GivenUp | None
    """None where nothing is done: it is left to those who know it."""
    timeline_entry: TimelineEntry | None = None


class Worker:
    """`jitter` gives a number from 0 to 1: retries of many replicas should not fall together.

    `give_up_after`: seconds after which an effect that has failed all the time is laid aside as a dead
    letter. `stands_aside`: whether what is owed is left to other replicas.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        executor: SupportsExecute,
        signal: WorkerSignal,
        clock: Clock,
        tasks: Tasks,
        jitter: Callable[[], float],
        give_up_after: float,
        metrics: Metrics | None = None,
        stands_aside: Callable[[], bool] = lambda: False,
    ) -> None:
        self._metrics = metrics or Metrics()
        self._outbox = outbox
        self._executor = executor
        self._signal = signal
        self._clock = clock
        self._tasks = tasks
        self._jitter = jitter
        self._give_up_after = give_up_after
        self._backlog_slots = asyncio.Semaphore(_CONCURRENCY)
        self._wakeup_slots = asyncio.Semaphore(_CONCURRENCY)
        """Places for those who have just been woken: a backlog has the others."""
        self._busy_owners: set[str] = set()
        self._owners_to_rerun: set[str] = set()
        """Owners that were woken or claimed once more while they were served."""
        self._stands_aside = stands_aside
        self._cannot_claim = False
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Until `stop`."""
        await asyncio.gather(self._poll_partitions(), self._serve_notified())

    def stop(self) -> None:
        """Take nothing new; what is under way is finished, and what it owes next is left to others."""
        self._stopped.set()
        self._signal.notify_all()

    async def _serve_notified(self) -> None:
        """What this process has just owed is begun at once, however much there is to do besides."""
        while not self._stopped.is_set():
            for owner in await self._signal.wait():
                await _wait_for_slot(self._wakeup_slots)
                if self._leaves_to_others:
                    break  # all of them are on the agenda
                self._start_serving(owner, self._wakeup_slots)
                await asyncio.sleep(0)  # it takes its place

    async def _poll_partitions(self) -> None:
        """What falls due by itself, or was another's. What cannot be claimed is tried at the next look."""
        while not self._stopped.is_set():
            claimed = await self._claim_all()
            if claimed is None:
                await self._clock.sleep(_POLL)
                continue
            await wait_set(self._stopped, 0 if claimed >= _CONCURRENCY else _POLL)

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
        await _wait_for_slot(self._backlog_slots)
        if self._leaves_to_others:
            return 0
        owners = await self._outbox.claim(partition, now=self._clock.now(), limit=_CONCURRENCY)
        for owner in owners:
            self._start_serving(owner, self._backlog_slots)
        return len(owners)

    @property
    def _leaves_to_others(self) -> bool:
        """Whether what is owed is for other replicas to do."""
        return self._stopped.is_set() or self._stands_aside()

    def _start_serving(self, owner: str, slots: asyncio.Semaphore) -> None:
        self._tasks.start(self._serve_owner(owner, slots), name=f"worker.{owner}")

    async def _serve_owner(self, owner: str, slots: asyncio.Semaphore) -> None:
        async with slots:
            if owner in self._busy_owners:
                # The lease is this replica's: a second round beside the first would do the same work.
                self._owners_to_rerun.add(owner)
                return
            self._busy_owners.add(owner)
            kind, _, name = owner.partition(":")
            try:
                with log_context(**{"ref" if kind == "call" else "room": name}):
                    await self._run_owner(owner)
                    while owner in self._owners_to_rerun:
                        self._owners_to_rerun.discard(owner)
                        await self._run_owner(owner)
            finally:
                self._busy_owners.discard(owner)
                self._owners_to_rerun.discard(owner)

    async def _run_owner(self, owner: str) -> None:
        """What falls due while some request hangs does not wait for it, unless it is in the same lane."""
        running: dict[str, asyncio.Task[EffectResult]] = {}
        ended: dict[str, EffectResult] = {}
        while True:
            release = self._leaves_to_others and not running
            try:
                due = await self._commit_results(owner, ended, busy=bool(running), release=release)
            except StoreError as error:
                # What was done is struck off when the store is back; should this replica die before that, the
                # lease ends by itself, and others do again what may be done twice.
                log.warning("worker.interrupted", owner=owner, error=str(error))
                if self._stopped.is_set():
                    return
                await self._clock.sleep(_POLL)
                continue
            ended = {}
            if not self._leaves_to_others:
                for work in due:
                    if work.id not in running:
                        running[work.id] = self._tasks.start(
                            self._run_effect(work, owner), name=f"worker.{work.id}"
                        )
            elif due and not running:
                continue
            if not running:
                return
            await asyncio.wait(running.values(), timeout=_RECHECK)
            over = [id_ for id_, task in running.items() if task.done()]
            ended = {id_: running.pop(id_).result() for id_ in over}

    async def _commit_results(
        self, owner: str, ended: Mapping[str, EffectResult], *, busy: bool, release: bool
    ) -> list[DueEffect]:
        """What has ended; gives what is due."""
        results = [one.result for one in ended.values()]
        return await self._outbox.settle(
            owner,
            now=self._clock.now(),
            done=[one for one in results if isinstance(one, DueEffect)],
            postponed=[one for one in results if isinstance(one, Postponed)],
            given_up=[one for one in results if isinstance(one, GivenUp)],
            timeline_entries={
                id_: one.timeline_entry for id_, one in ended.items() if one.timeline_entry is not None
            },
            busy=busy,
            release=release,
        )

    async def _run_effect(self, work: DueEffect, owner: str) -> EffectResult:
        """Whatever goes wrong costs this effect a try, and nothing else: its owner owes others too."""
        try:
            if isinstance(work.effect, UnreadableEffect):
                log.warning("effect.not_known", effect=work.effect.name)
                self._metrics.effect(UNKNOWN, "not-known")
                again = Postponed(work, self._clock.now() + _UNREADABLE_RETRY, counts_as_try=False)
                return EffectResult(None if work.effect.left_to_others else again)
            with log_context(**_log_keys(work.effect)):
                return await self._attempt_effect(work, work.effect, owner)
        except Exception as error:  # noqa: BLE001 - it is logged, unless that is what fails
            return self._unexpected_result(work, error)

    async def _attempt_effect(self, work: DueEffect, effect: Effect, owner: str) -> EffectResult:
        begun = self._clock.monotonic()
        name, attempt = effect_name(effect), work.tries + 1
        with record_requests(f"{owner}/{work.id}") as tally:
            try:
                await self._executor.execute(effect, attempt=attempt)
            except RetryLater as again:
                self._metrics.effect(name, "waits")
                due = self._clock.now() + again.delay
                return EffectResult(Postponed(work, due, has_failed=False, replacement=again.replacement))
            except (BandwidthError, StoreError, JoinTimeout) as error:
                return self._failed_result(work, effect, error, tally)
        ms = round((self._clock.monotonic() - begun) * 1000, 1)
        log.info("effect.done", effect=name, attempt=attempt, ms=ms)
        self._metrics.effect(name, "done")
        return EffectResult(work, self._timeline_entry("effectDone", work, tally))

    def _failed_result(
        self,
        work: DueEffect,
        effect: Effect,
        error: BandwidthError | StoreError | JoinTimeout,
        tally: RequestLog,
    ) -> EffectResult:
        now, attempt, name = self._clock.now(), work.tries + 1, effect_name(effect)
        code, retry_after = "store-unavailable" if isinstance(error, StoreError) else "timeout", None
        if isinstance(error, BandwidthError):
            code, retry_after = error.code, error.retry_after
        if code == _PAUSED:
            # Nobody was asked, so that nothing has failed: nor is it given up.
            self._metrics.effect(name, "paused")
            return EffectResult(
                Postponed(work, now + (retry_after or _POLL) + self._jitter(), counts_as_try=False)
            )
        if self._is_given_up(work):
            log.error("effect.dead_lettered", effect=name, attempt=attempt, error=str(error))
            self._metrics.effect(name, "dead")
            return EffectResult(GivenUp(work, code), self._timeline_entry("effectDead", work, tally, code))
        delay = max(backoff(work.tries, self._jitter()), capped_retry_after(effect, retry_after))
        log.warning("effect.retried", effect=name, attempt=attempt, error=code, delay_s=round(delay, 3))
        self._metrics.effect(name, "retried")
        entry = self._timeline_entry("effectFailed", work, tally, code) if _is_logged(attempt) else None
        return EffectResult(Postponed(work, now + delay), entry)

    def _unexpected_result(self, work: DueEffect, error: Exception) -> EffectResult:
        """A mistake of ours, as a rule. It may be in what tells of it, so the effect is seen to first."""
        code, attempt, effect = type(error).__name__, work.tries + 1, work.effect
        name = UNKNOWN if isinstance(effect, UnreadableEffect) else effect_name(effect)
        dead = self._is_given_up(work)
        due = self._clock.now() + backoff(work.tries, self._jitter())
        result = GivenUp(work, code) if dead else Postponed(work, due)
        entry = None
        with suppress(Exception):
            if dead:
                log.error("effect.dead_lettered", effect=name, attempt=attempt, error=code)
            elif _is_logged(attempt):
                log.error(
                    "effect.failed",
                    effect=name,
                    attempt=attempt,
                    error=code,
                    owed=shown_id(work.id),
                    exc_info=error,
                )
            self._metrics.effect(name, "dead" if dead else "failed")
            if dead or _is_logged(attempt):
                entry = self._timeline_entry(
                    "effectDead" if dead else "effectFailed", work, RequestLog(), code
                )
        return EffectResult(result, entry)

    def _is_given_up(self, work: DueEffect) -> bool:
        return self._clock.now() - work.since > self._give_up_after

    def _timeline_entry(
        self, event: str, work: DueEffect, tally: RequestLog, error: str = ""
    ) -> TimelineEntry:
        entry: TimelineEntry = {
            "at": round(self._clock.now(), 3),
            "event": event,
            "effect": work.id,
            "tries": work.tries + 1,
        }
        if error:
            entry["error"] = error
        if sent := tally.records(self._clock):
            entry["requests"] = sent
        return entry


async def _wait_for_slot(slots: asyncio.Semaphore) -> None:
    """Wait until one of them is free."""
    async with slots:
        pass


def _is_logged(attempt: int) -> bool:
    """The first times and then ever fewer: hours of failing must not push the rest out of a timeline."""
    return attempt.bit_count() == 1


def _log_keys(effect: Effect) -> dict[str, str]:
    """What the effect is about, under the keys that every log line has for it."""
    names = ("call_id", "room", "session_id", "participant_id")
    found = {name: getattr(effect, name) for name in names if hasattr(effect, name)}
    if seat := getattr(effect, "seat", ""):
        ref, _ = parse_seat(seat)
        found |= {"ref": ref} if ref else {"seat": seat}
    return found
