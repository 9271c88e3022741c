"""Handles one event: load, decide, commit; where a join is asked for, carry it out and decide again."""

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol, TypeVar

import msgspec
import structlog
from msgspec.structs import replace

from service.calls.decide import decide
from service.calls.decision import Decision
from service.calls.effects import CheckCall, HangUpLeg, Scheduled
from service.calls.events import (
    Dial,
    Event,
    FoundEmpty,
    Gathered,
    Initiate,
    Joined,
    JoinFailed,
    Order,
    PhoneRequest,
    event_name,
)
from service.calls.model import Call, Media
from service.calls.numbers import e164
from service.calls.replies import HangUp, PendingJoin, Reply, TransferToWebRtc, Wait
from service.calls.rules.joining import MAX_JOIN_RETRIES
from service.clock import Clock
from service.engine.call_report import CallReport, is_end, timeline_entry
from service.engine.order_result import OrderResult
from service.engine.outbox.retry_write import RetryWriter
from service.engine.outbox.wakeup import WorkerSignal
from service.engine.reconciler import ASK_AFTER_ID, max_idle
from service.engine.timeouts import DEFAULT_TIMEOUTS, Timeouts
from service.logs import log_context
from service.metrics import Metrics
from service.store import keys
from service.store.calls import CallCommit, Calls, StoredCall
from service.store.errors import StoreError, StoreUnavailable
from service.store.wrong_pins import WrongPins
from service.tasks import Tasks

log = structlog.get_logger()

_MAX_COMMITS: Final = 20
"""Commits of one call that may come first before we give up; each one is an event that was handled."""
_HAS_TOKEN: Final = frozenset({Media.READY, Media.TRANSFERRING})
_NOT_STORED: Final = StoredCall(revision=0, call=None, reply=None, token="")
REPLY_MARGIN: Final = 0.75
"""Seconds of a webhook's budget that are kept for the commit and the reply after a join."""


_Arrival = TypeVar("_Arrival", bound=PhoneRequest)


class EventResult(msgspec.Struct, frozen=True):
    """What the edge renders. `token` is there when the reply is a transfer."""

    reply: Reply
    call: Call | None
    token: str = ""
    is_repeat: bool = False
    """Whether the event had been answered before."""
    needs_join: bool = False
    """Whether the reply waits for a join that is still to be carried out; `handle` returns none such."""
    join_attempted: bool = False
    """Whether a way into the room was tried, in vain or not: a phone may have been silent meanwhile."""
    refusal: str = ""
    """Why an order is not obeyed."""

    def __repr__(self) -> str:
        return f"EventResult(reply={self.reply}, is_repeat={self.is_repeat}, token=***)"


class JoinNotAllowed(Exception):
    """A join would begin, which is not to be here; nothing has changed."""


class SupportsJoin(Protocol):
    async def join(
        self, call: Call, *, since: float, deadline: float
    ) -> tuple[Joined | JoinFailed | FoundEmpty, str]:
        """Carry the call's attempt out; the second value is the device token. Raises StoreError.

        A leg that the outcome tells of is known to nobody else, until that is written down.
        """
        ...


class PinDirectory(Protocol):
    async def find_by_pin(self, digits: str) -> str:
        """The room that these digits name, empty for none. Raises StoreError."""
        ...


class EventHandler:
    def __init__(
        self,
        *,
        calls: Calls,
        joiner: SupportsJoin,
        rooms: PinDirectory,
        clock: Clock,
        new_id: Callable[[], str],
        signal: WorkerSignal,
        tasks: Tasks,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        metrics: Metrics | None = None,
        wrong_pins: WrongPins | None = None,
        retry_writer: RetryWriter | None = None,
    ) -> None:
        """`wrong_pins`: None where nobody is ever asked for one."""
        self._metrics = metrics or Metrics()
        self._report = CallReport(self._metrics)
        self._retry_writer = retry_writer or RetryWriter(clock)
        self._wrong_pins = wrong_pins
        self._calls = calls
        self._joiner = joiner
        self._rooms = rooms
        self._clock = clock
        self._new_id = new_id
        self._signal = signal
        self._tasks = tasks
        self._timeouts = timeouts

    async def handle(
        self, ref: str, event: Event, webhook_key: str = "", *, may_join: bool = True
    ) -> EventResult:
        """Take one event to its end.

        `webhook_key` names the webhook: under it, the same one gets the same reply.

        `may_join`: whether a join may begin here. Raises JoinNotAllowed where it would and may not;
        StoreError, with nothing lost: what was committed goes on, what was not can come again.
        """
        deadline = self._deadline(event)
        with log_context(ref=ref):
            # Nothing is known of a call that begins, mostly. Where that is wrong nothing is written, and what
            # there is gets loaded then.
            new = isinstance(event, Initiate) and may_join
            stored = _NOT_STORED if new else await self._calls.load(ref, webhook_key)
            self._check_time(deadline)
            if isinstance(event, Gathered):
                event = await self._with_room_of_pin(event, webhook_key, stored)
            elif isinstance(event, PhoneRequest) and event.pin_attempts_allowed and stored.call is None:
                event = await self._with_guesses(event)
            answer, stored = await self._decide_and_commit(ref, stored, event, webhook_key, may_join=may_join)
            if not answer.needs_join or not isinstance(event, PhoneRequest):
                return answer
            self._check_time(deadline)
            return await self._join(stored, event.first_at or event.at, deadline, webhook_key)

    async def _with_room_of_pin(self, event: Gathered, key: str, stored: StoredCall) -> Gathered:
        """With the room that its digits name; one that names none is counted, once. Raises StoreError."""
        wrong = False
        if event.digits:
            event = replace(event, digits="", pin_room=await self._rooms.find_by_pin(event.digits))
            wrong = not event.pin_room
        if (
            self._wrong_pins is None
            or not wrong
            or not event.pin_attempts_allowed
            or stored.reply is not None
        ):
            return event
        guesses = await self._wrong_pins.count(
            f"{event.ref} {key}", caller=e164(event.from_number), number=event.to_number
        )
        self._metrics.pin_wrong(suspicious=guesses.is_number_suspicious)
        return replace(event, wrong_pins=guesses)

    async def _with_guesses(self, event: _Arrival) -> _Arrival:
        """With what is known of its caller and number. Raises StoreError."""
        if self._wrong_pins is None:
            return event
        guesses = await self._wrong_pins.read(caller=e164(event.from_number), number=event.to_number)
        return replace(event, wrong_pins=guesses)

    async def order(self, ref: str, event: Order) -> OrderResult:
        """Have a call do something else. Raises StoreError."""
        answer = await self.handle(ref, event)
        return OrderResult(answer.call, answer.refusal)

    async def record_outbound(self, event: Dial) -> tuple[StoredCall, bool]:
        """A call that is to be placed; False when another request has written it down before."""
        with log_context(ref=event.ref):
            stored = await self._calls.load(event.ref)
            if stored.call is not None:
                return stored, False
            decision = decide(None, event)
            revision = await self._commit(stored, decision, event, "", "")
            if revision is None:
                return await self._calls.load(event.ref), False
            self._report.report_change(None, decision, event)
            return StoredCall(revision=revision, call=decision.call, reply=None, token=""), True

    async def prepare_participant(self, stored: StoredCall, deadline: float) -> None:
        """Make the participant of a call that is being dialed. Raises StoreError."""
        if stored.call is not None:
            with log_context(ref=stored.call.ref):
                await self._join(stored, stored.call.created_at, deadline, "")

    async def _join(self, stored: StoredCall, since: float, deadline: float, key: str) -> EventResult:
        call = stored.call
        if call is None:
            raise ValueError("nobody to join")
        with log_context(call_id=call.call_id or None, room=call.room):
            try:
                outcome, token = await self._joiner.join(call, since=since, deadline=deadline)
            except StoreError:
                self._release_attempt(call)
                raise
        if isinstance(outcome, JoinFailed) and not outcome.is_temporary:
            self._metrics.join_failed(outcome.reason)
        answer = await self._record_outcome(stored, call.ref, outcome, key, token)
        return replace(answer, join_attempted=not isinstance(outcome, FoundEmpty))

    def _release_attempt(self, call: Call) -> None:
        """Write down, as soon as the store is back, that nobody works on this attempt any more.

        The caller, who has been told to come back, would wait until the attempt's lease is over.
        """
        if call.join_retries < MAX_JOIN_RETRIES:
            failed = JoinFailed(
                at=self._clock.now(),
                attempt=call.attempt,
                room=call.room,
                reason="internal-error",
                is_temporary=True,
            )
            write = partial(self.handle, call.ref, failed)
            self._tasks.start(
                self._retry_writer.retry_until_stored(write, "join", room=call.room), name="join.give-up"
            )

    async def _record_outcome(
        self, stored: StoredCall, ref: str, outcome: Joined | JoinFailed | FoundEmpty, key: str, token: str
    ) -> EventResult:
        """Write down what has become of a join.

        Cut off, the call may or may not have its leg, and only we know of that: the same is written again in
        the background. A participant has its seat, which the end of the attempt takes down.
        """

        async def settle() -> EventResult:
            return (await self._decide_and_commit(ref, stored, outcome, key, token=token, repeatable=False))[
                0
            ]

        try:
            return await settle()
        except BaseException:
            if isinstance(outcome, Joined) and outcome.leg_id:
                self._tasks.start(
                    self._retry_writer.retry_until_stored(
                        settle, "leg", HangUpLeg(outcome.leg_id), room=outcome.room
                    ),
                    name="join.settle",
                )
            raise

    def _deadline(self, event: Event) -> float:
        """Until when (monotonic) a join may take; other events have none."""
        if not isinstance(event, PhoneRequest):
            return math.inf
        return self.deadline(event.lease_until - event.at)

    def deadline(self, seconds: float) -> float:
        """When (monotonic) a join has to be through that is decided upon and answered within so long."""
        return self._clock.monotonic() + seconds - REPLY_MARGIN

    def _check_time(self, deadline: float) -> None:
        """A join is not begun when its webhook's time is up: it would fail, and with it the whole call.

        The caller has been told to come back, and gets a new attempt then.
        """
        if self._clock.monotonic() >= deadline:
            raise StoreUnavailable("it answered when the webhook's time was up")

    async def _decide_and_commit(
        self,
        ref: str,
        stored: StoredCall,
        event: Event,
        key: str,
        *,
        token: str = "",
        repeatable: bool = True,
        may_join: bool = True,
    ) -> tuple[EventResult, StoredCall]:
        """Decide on what is stored, or has come to be stored meanwhile, and write it down.

        A `repeatable` event that has been answered is answered the same; the outcome of a join is none: it
        is decided upon whatever its webhook has been told in the meantime.
        """
        for _ in range(_MAX_COMMITS):
            # That of an attempt which was given up meanwhile must not take the place of a newer one's.
            current = stored.call is not None and stored.call.attempt == getattr(event, "attempt", None)
            mine = token if current else ""
            if repeatable and stored.reply is not None and not isinstance(stored.reply, PendingJoin):
                before = Decision(stored.call, stored.reply)
                return _result(before, stored.token, repeated=True), stored
            decision = decide(stored.call, event)
            if not may_join and decision.join and isinstance(event, PhoneRequest):
                raise JoinNotAllowed(event_name(event))
            # "Come back" as well: what a copy began in the phone's place could fail, and end the call. But a
            # join that was given up says nothing of what its webhook is told by now.
            told = key if repeatable or current or not isinstance(decision.reply, Wait) else ""
            if (revision := await self._commit(stored, decision, event, told, mine)) is not None:
                self._report.report_change(stored.call, decision, event)
                after = StoredCall(
                    revision=revision,
                    call=decision.call,
                    reply=None,
                    token=mine or stored.token,
                    unknown_fields=stored.unknown_fields,
                )
                return _result(decision, after.token), after
            stored = await self._calls.load(ref, key)
        raise StoreUnavailable(f"call {ref}: {_MAX_COMMITS} commits in a row came first")

    async def _commit(
        self, stored: StoredCall, decision: Decision, event: Event, key: str, token: str
    ) -> int | None:
        """The revision that the decision has become, None when another commit came first.

        A decision that changes nothing leaves no trace.
        """
        call = decision.call
        if call is None or (call == stored.call and not decision.effects and not decision.cancels):
            return stored.revision
        now = self._clock.now()
        change = CallCommit(
            call=call,
            before=stored.call,
            event_key=key,
            reply=decision.recorded_reply,
            timeline_entry=timeline_entry(stored.call, decision, event, now),
            effects=(*decision.effects, *self._idle_check(call, now)),
            cancels=(*decision.cancels, ASK_AFTER_ID),
            token=None if decision.drops_token else token if call.media in _HAS_TOKEN else "",
            unknown_fields=stored.unknown_fields,
        )
        write = partial(self._calls.commit, stored.revision, change, now=now, commit_id=self._new_id())
        try:
            written = await write()
        except StoreError:
            if is_end(stored.call, call):
                settle = self._retry_end(write, stored.call, decision, event)
                self._tasks.start(settle, name="call.settle-end")
            raise
        if not written:
            return None
        if any(owed.due <= now for owed in decision.effects):
            self._signal.notify(keys.owner_call(call.ref))
        return stored.revision + 1

    async def _retry_end(
        self, write: Callable[[], Awaitable[bool]], before: Call | None, decision: Decision, event: Event
    ) -> None:
        """Write a call's end again, of which nobody knows whether the store has taken it, and tell it.

        If it has, all that come later find a call that has ended, and would tell nothing.
        """

        async def settle() -> None:
            if await write():
                self._report.report_change(before, decision, event)

        await self._retry_writer.retry_until_stored(settle, "end")

    def _idle_check(self, call: Call, now: float) -> tuple[Scheduled, ...]:
        """Should nothing more be heard of it than this."""
        wait = max_idle(call, self._timeouts) if call.live else None
        return () if wait is None else (Scheduled(CheckCall(call.ref), now + wait),)


def _result(decision: Decision, token: str, *, repeated: bool = False) -> EventResult:
    reply, call = decision.reply, decision.call
    if not isinstance(reply, TransferToWebRtc):
        return EventResult(
            reply, call, is_repeat=repeated, needs_join=decision.join, refusal=decision.refusal_reason
        )
    # The token that is kept is of the call's present attempt: an older one's must not be told with it.
    older = call is not None and reply.attempt != call.attempt
    if older or not token:
        # It was answered or is over, so that this copy of the reply is not the one that runs.
        return EventResult(Wait() if call and call.live else HangUp(), call, is_repeat=repeated)
    return EventResult(reply, call, token, is_repeat=repeated, refusal=decision.refusal_reason)
