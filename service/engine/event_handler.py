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
from service.calls.effects import AskAfter, HangUpLeg, Owed
from service.calls.events import (
    Arrival,
    Dial,
    Event,
    FoundEmpty,
    Gathered,
    Initiate,
    Joined,
    JoinFailed,
    Order,
    name_of,
)
from service.calls.model import Call, Media
from service.calls.numbers import e164
from service.calls.replies import Hangup, Join, Reply, Transfer, Wait
from service.calls.rules.joining import ROUNDS
from service.clock import Clock
from service.engine.outbox.wakeup import Alarm
from service.engine.reconciler import ASK_AFTER, silence
from service.engine.call_report import CallReport, ends, timeline_entry
from service.engine.order_result import Ordered
from service.engine.timeouts import PATIENCE, Patience
from service.engine.outbox.retry_write import Persistence
from service.logs import bound
from service.metrics import Metrics
from service.store import keys
from service.store.calls import Calls, Change, Stored
from service.store.errors import StoreError, StoreUnavailable
from service.store.wrong_pins import WrongPins
from service.tasks import Tasks

log = structlog.get_logger()

_TRIES: Final = 20
"""Commits of one call that may come first before we give up; each one is an event that was handled."""
_HAS_TOKEN: Final = frozenset({Media.READY, Media.TRANSFERRING})
_NOTHING: Final = Stored(revision=0, call=None, reply=None, token="")
MARGIN: Final = 0.75
"""Seconds of a webhook's budget that are kept for the commit and the reply after a join."""


_Arrival = TypeVar("_Arrival", bound=Arrival)


class Answer(msgspec.Struct, frozen=True):
    """What the edge renders. `token` is there when the reply is a transfer."""

    reply: Reply
    call: Call | None
    token: str = ""
    repeated: bool = False
    """Whether the event had been answered before."""
    joined: bool = False
    """Whether a way into the room was tried, in vain or not: a phone may have been silent meanwhile."""
    refused: str = ""
    """Why an order is not obeyed."""

    def __repr__(self) -> str:
        return f"Answer(reply={self.reply}, repeated={self.repeated}, token=***)"


class NotHere(Exception):
    """A join would begin, which is not to be here; nothing has changed."""


class Joins(Protocol):
    async def join(
        self, call: Call, *, since: float, deadline: float
    ) -> tuple[Joined | JoinFailed | FoundEmpty, str]:
        """Carry the call's attempt out; the second value is the device token. Raises StoreError.

        A leg that the outcome tells of is known to nobody else, until that is written down.
        """
        ...


class Names(Protocol):
    async def by_pin(self, digits: str) -> str:
        """The room that these digits name, empty for none. Raises StoreError."""
        ...


class Engine:
    def __init__(
        self,
        *,
        calls: Calls,
        joiner: Joins,
        rooms: Names,
        clock: Clock,
        new_id: Callable[[], str],
        alarm: Alarm,
        tasks: Tasks,
        patience: Patience = PATIENCE,
        metrics: Metrics | None = None,
        wrong_pins: WrongPins | None = None,
        persistence: Persistence | None = None,
    ) -> None:
        """`wrong_pins`: None where nobody is ever asked for one."""
        self._metrics = metrics or Metrics()
        self._report = CallReport(self._metrics)
        self._persistence = persistence or Persistence(clock)
        self._wrong_pins = wrong_pins
        self._calls = calls
        self._joiner = joiner
        self._rooms = rooms
        self._clock = clock
        self._new_id = new_id
        self._alarm = alarm
        self._tasks = tasks
        self._patience = patience

    async def handle(self, ref: str, event: Event, key: str = "", *, joins: bool = True) -> Answer:
        """Take one event to its end. `key` names the webhook: under it, the same one gets the same reply.

        `joins`: whether a join may begin here. Raises NotHere where it would and may not; StoreError, with
        nothing lost: what was committed goes on, what was not can come again.
        """
        deadline = self._deadline(event)
        with bound(ref=ref):
            # Nothing is known of a call that begins, mostly. Where that is wrong nothing is written, and what
            # there is gets loaded then.
            new = isinstance(event, Initiate) and joins
            stored = _NOTHING if new else await self._calls.load(ref, key)
            self._check_time(deadline)
            if isinstance(event, Gathered):
                event = await self._with_pin(event, key, stored)
            elif isinstance(event, Arrival) and event.asks and stored.call is None:
                event = await self._with_guesses(event)
            answer, stored = await self._step(ref, stored, event, key, joins=joins)
            if not isinstance(answer.reply, Join) or not isinstance(event, Arrival):
                return answer
            self._check_time(deadline)
            return await self._join(stored, event.since or event.at, deadline, key)

    async def _with_pin(self, event: Gathered, key: str, stored: Stored) -> Gathered:
        """With the room that its digits name; one that names none is counted, once. Raises StoreError."""
        wrong = False
        if event.digits:
            event = replace(event, digits="", named=await self._rooms.by_pin(event.digits))
            wrong = not event.named
        if self._wrong_pins is None or not wrong or not event.asks or stored.reply is not None:
            return event
        guesses = await self._wrong_pins.count(
            f"{event.ref} {key}", caller=e164(event.from_number), number=event.to_number
        )
        self._metrics.pin_wrong(suspicious=guesses.suspicious)
        return replace(event, guesses=guesses)

    async def _with_guesses(self, event: _Arrival) -> _Arrival:
        """With what is known of its caller and number. Raises StoreError."""
        if self._wrong_pins is None:
            return event
        guesses = await self._wrong_pins.read(caller=e164(event.from_number), number=event.to_number)
        return replace(event, guesses=guesses)

    async def order(self, ref: str, event: Order) -> Ordered:
        """Have a call do something else. Raises StoreError."""
        answer = await self.handle(ref, event)
        return Ordered(answer.call, answer.refused)

    async def write_down(self, event: Dial) -> tuple[Stored, bool]:
        """A call that is to be placed; False when another request has written it down before."""
        with bound(ref=event.ref):
            stored = await self._calls.load(event.ref)
            if stored.call is not None:
                return stored, False
            decision = decide(None, event)
            revision = await self._commit(stored, decision, event, "", "")
            if revision is None:
                return await self._calls.load(event.ref), False
            self._report.changed(None, decision, event)
            return Stored(revision=revision, call=decision.call, reply=None, token=""), True

    async def prepare(self, stored: Stored, deadline: float) -> None:
        """Make the participant of a call that is being dialed. Raises StoreError."""
        if stored.call is not None:
            with bound(ref=stored.call.ref):
                await self._join(stored, stored.call.created_at, deadline, "")

    async def _join(self, stored: Stored, since: float, deadline: float, key: str) -> Answer:
        call = stored.call
        if call is None:
            raise ValueError("nobody to join")
        with bound(call_id=call.call_id or None, room=call.room):
            try:
                outcome, token = await self._joiner.join(call, since=since, deadline=deadline)
            except StoreError:
                self._give_up(call)
                raise
        if isinstance(outcome, JoinFailed) and not outcome.again:
            self._metrics.join_failed(outcome.reason)
        answer = await self._settle(stored, call.ref, outcome, key, token)
        return replace(answer, joined=not isinstance(outcome, FoundEmpty))

    def _give_up(self, call: Call) -> None:
        """Write down, as soon as the store is back, that nobody works on this attempt any more.

        The caller, who has been told to come back, would wait until the attempt's lease is over.
        """
        if call.put_off < ROUNDS:
            failed = JoinFailed(
                at=self._clock.now(),
                attempt=call.attempt,
                room=call.room,
                reason="internal-error",
                again=True,
            )
            write = partial(self.handle, call.ref, failed)
            self._tasks.start(self._persistence.write(write, "join", room=call.room), name="join.give-up")

    async def _settle(
        self, stored: Stored, ref: str, outcome: Joined | JoinFailed | FoundEmpty, key: str, token: str
    ) -> Answer:
        """Write down what has become of a join.

        Cut off, the call may or may not have its leg, and only we know of that: the same is written again in
        the background. A participant has its seat, which the end of the attempt takes down.
        """

        async def settle() -> Answer:
            return (await self._step(ref, stored, outcome, key, token=token, repeatable=False))[0]

        try:
            return await settle()
        except BaseException:
            if isinstance(outcome, Joined) and outcome.leg_id:
                self._tasks.start(
                    self._persistence.write(settle, "leg", HangUpLeg(outcome.leg_id), room=outcome.room),
                    name="join.settle",
                )
            raise

    def _deadline(self, event: Event) -> float:
        """Until when (monotonic) a join may take; other events have none."""
        if not isinstance(event, Arrival):
            return math.inf
        return self.deadline(event.lease_until - event.at)

    def deadline(self, seconds: float) -> float:
        """When (monotonic) a join has to be through that is decided upon and answered within so long."""
        return self._clock.monotonic() + seconds - MARGIN

    def _check_time(self, deadline: float) -> None:
        """A join is not begun when its webhook's time is up: it would fail, and with it the whole call.

        The caller has been told to come back, and gets a new attempt then.
        """
        if self._clock.monotonic() >= deadline:
            raise StoreUnavailable("it answered when the webhook's time was up")

    async def _step(
        self,
        ref: str,
        stored: Stored,
        event: Event,
        key: str,
        *,
        token: str = "",
        repeatable: bool = True,
        joins: bool = True,
    ) -> tuple[Answer, Stored]:
        """Decide on what is stored, or has come to be stored meanwhile, and write it down.

        A `repeatable` event that has been answered is answered the same; the outcome of a join is none: it
        is decided upon whatever its webhook has been told in the meantime.
        """
        for _ in range(_TRIES):
            # That of an attempt which was given up meanwhile must not take the place of a newer one's.
            current = stored.call is not None and stored.call.attempt == getattr(event, "attempt", None)
            mine = token if current else ""
            if repeatable and stored.reply is not None and not isinstance(stored.reply, Join):
                before = Decision(stored.call, stored.reply)
                return _answer(before, stored.token, repeated=True), stored
            decision = decide(stored.call, event)
            if not joins and isinstance(decision.reply, Join) and isinstance(event, Arrival):
                raise NotHere(name_of(event))
            # "Come back" as well: what a copy began in the phone's place could fail, and end the call. But a
            # join that was given up says nothing of what its webhook is told by now.
            told = key if repeatable or current or not isinstance(decision.reply, Wait) else ""
            if (revision := await self._commit(stored, decision, event, told, mine)) is not None:
                self._report.changed(stored.call, decision, event)
                after = Stored(
                    revision=revision,
                    call=decision.call,
                    reply=None,
                    token=mine or stored.token,
                    foreign=stored.foreign,
                )
                return _answer(decision, after.token), after
            stored = await self._calls.load(ref, key)
        raise StoreUnavailable(f"call {ref}: {_TRIES} commits in a row came first")

    async def _commit(
        self, stored: Stored, decision: Decision, event: Event, key: str, token: str
    ) -> int | None:
        """The revision that the decision has become, None when another commit came first.

        A decision that changes nothing leaves no trace.
        """
        call = decision.call
        if call is None or (call == stored.call and not decision.owed and not decision.cancelled):
            return stored.revision
        now = self._clock.now()
        change = Change(
            call=call,
            before=stored.call,
            event=key,
            reply=decision.reply,
            entry=timeline_entry(stored.call, decision, event, now),
            owed=(*decision.owed, *self._ask_after(call, now)),
            cancelled=(*decision.cancelled, ASK_AFTER),
            token=None if decision.drops_token else token if call.media in _HAS_TOKEN else "",
            foreign=stored.foreign,
        )
        write = partial(self._calls.commit, stored.revision, change, now=now, commit=self._new_id())
        try:
            written = await write()
        except StoreError:
            if ends(stored.call, call):
                settle = self._settle_end(write, stored.call, decision, event)
                self._tasks.start(settle, name="call.settle-end")
            raise
        if not written:
            return None
        if any(owed.due <= now for owed in decision.owed):
            self._alarm.wake(keys.owner_call(call.ref))
        return stored.revision + 1

    async def _settle_end(
        self, write: Callable[[], Awaitable[bool]], before: Call | None, decision: Decision, event: Event
    ) -> None:
        """Write a call's end again, of which nobody knows whether the store has taken it, and tell it.

        If it has, all that come later find a call that has ended, and would tell nothing.
        """

        async def settle() -> None:
            if await write():
                self._report.changed(before, decision, event)

        await self._persistence.write(settle, "end")

    def _ask_after(self, call: Call, now: float) -> tuple[Owed, ...]:
        """Should nothing more be heard of it than this."""
        wait = silence(call, self._patience) if call.live else None
        return () if wait is None else (Owed(AskAfter(call.ref), now + wait),)


def _answer(decision: Decision, token: str, *, repeated: bool = False) -> Answer:
    reply, call = decision.reply, decision.call
    if not isinstance(reply, Transfer):
        return Answer(reply, call, repeated=repeated, refused=decision.refused)
    # The token that is kept is of the call's present attempt: an older one's must not be told with it.
    older = call is not None and reply.attempt != call.attempt
    if older or not token:
        # It was answered or is over, so that this copy of the reply is not the one that runs.
        return Answer(Wait() if call and call.live else Hangup(), call, repeated=repeated)
    return Answer(reply, call, token, repeated=repeated, refused=decision.refused)
