"""What operators may ask for: a new call, and orders to one that exists."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

import msgspec
import structlog

from service.bandwidth.errors import BandwidthError
from service.bandwidth.create_call import MachineDetection
from service.bandwidth.create_call import NewCall as Request
from service.bandwidth.request_log import counting
from service.bandwidth.voice import VoiceApi
from service.calls.effects import HangUp
from service.calls.events import Dial, Event, NotPlaced, Order, OrderTransfer, Placed
from service.calls.model import Call, OnMachine
from service.calls.room_settings import MEMBERS, Way
from service.calls.request_record import Request as Sent
from service.clock import Clock
from service.bandwidth.callback_urls import Callbacks
from service.engine.event_handler import Engine
from service.engine.joining.call_join import reason_of
from service.engine.order_result import Ordered
from service.engine.timeouts import Patience
from service.engine.outbox.retry_write import Persistence
from service.engine.outbox.retries import told_to_wait
from service.logs import bound
from service.store.outbound_quota import Admission, Admitted, Mismatch, Orderer, TooMany
from service.store.calls import Calls, Stored
from service.store.concurrent_calls import CallsUp, Full, transfer_of
from service.store.errors import StoreError
from service.store.rooms import Gone, RoomFull, Rooms
from service.tasks import Tasks

log = structlog.get_logger()

_TIMEOUT: Final = 60.0
"""Seconds for a createCall, which is never cancelled: its answer is the only way to its id."""
_KEYS: Final = 2
"""How many API keys may have all the calls up at the same time that one may."""
_FULL: Final = 10.0
"""Seconds after which one of so many calls may well be over."""
_CALLBACK_SLACK: Final = 2.0
_LONGEST_CALLBACK: Final = 25.0


class NewCall(msgspec.Struct, frozen=True, kw_only=True):
    """An outbound call that somebody wants, checked. Times in seconds."""

    to_number: str
    from_number: str
    room: str
    announcement: str = ""
    call_timeout: float = 30.0
    max_duration: float = 0
    page_alone: float = 0
    """For a call that a page has placed: for how long it goes on with nobody there; 0 for no limit."""
    tag: str = ""
    prepare: bool = False
    """Make session and participant while it rings, not when it is answered."""
    way: Way | None = None
    detects_machines: bool = False
    waits_for_detection: bool = False
    """Keep the callee waiting until it is known whether it is a machine (Bandwidth's mode `sync`)."""
    on_machine: OnMachine = OnMachine.JOIN
    message: str = ""


class Placement(msgspec.Struct, frozen=True):
    """`certain`: Bandwidth has the call. Otherwise nobody knows yet, and its webhooks will tell."""

    call: Call
    certain: bool


class Refusal(msgspec.Struct, frozen=True):
    """No call has come of it; `retry_after` in seconds where waiting helps."""

    reason: str
    """`room-full`, `room-closed`, `rate-limited`, `calls-per-hour`, `calls-at-once`, `idempotency-mismatch`,
    `store-unavailable`, `not-configured`, `request-refused`, `credentials-refused`, `bandwidth-error`,
    `bandwidth-timeout`."""
    detail: str
    retry_after: float | None = None
    words: str = ""
    """The detail with Bandwidth's own words: for the log, and for keys with the scope `numbers`. What is said
    there about an account, its numbers and its limits is no business of guests."""


class Operators:
    """`budget`: seconds for a webhook of ours; `per_hour`: calls that one API key may place.

    As many of one key may be up at once, half of them its visitors', and twice as many of all keys together:
    as a rule calls last less than an hour, and those that do not would add up, hour by hour.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        calls: Calls,
        rooms: Rooms,
        admission: Admission,
        up: CallsUp,
        voice: VoiceApi,
        callbacks: Callbacks,
        application_id: str | None,
        per_hour: int,
        budget: float,
        patience: Patience,
        clock: Clock,
        tasks: Tasks,
        persistence: Persistence,
        new_ref: Callable[[], str],
    ) -> None:
        self._engine = engine
        self._calls = calls
        self._rooms = rooms
        self._admission = admission
        self._up = up
        self._voice = voice
        self._callbacks = callbacks
        self._application_id = application_id
        self._per_hour = per_hour
        self._budget = budget
        self._patience = patience
        self._clock = clock
        self._tasks = tasks
        self._persistence = persistence
        self._new_ref = new_ref

    async def order(self, ref: str, event: Order, *, api_key: str) -> Ordered | Refusal:
        """Raises StoreError."""
        # To the telephone bill, another number is another call.
        if isinstance(event, OrderTransfer):
            by = Orderer(api_key, self._clock.now())
            admitted = await self._admit(by)
            if isinstance(admitted, Refusal):
                return admitted
            return await self._transfer(ref, event, admitted.ref, by)
        return await self._engine.order(ref, event)

    async def _transfer(self, ref: str, event: OrderTransfer, counted: str, by: Orderer) -> Ordered | Refusal:
        if full := await self._full(transfer_of(ref), by):
            await self._admission.forget(by, ref=counted)
            return full
        # Refused, it counts for some seconds more: another order to this call may be let through by its name.
        ordered = await self._engine.order(ref, event)
        if ordered.refused or ordered.call is None:
            await self._soon(self._give_back(by, counted), name="transfer.refused")
        return ordered

    async def place(
        self, new: NewCall, *, once: str, digest: str, api_key: str, visit: str = ""
    ) -> Placement | Refusal:
        """Call a number. `once`: an idempotency key, under which `digest` is placed once in 24 hours.

        `visit`: whose call it is, if a visitor orders it in the name of the key.

        Written down first, then counted among those that are up, then seated, then Bandwidth is asked. Raises
        StoreError, and then a call that was written down ends by itself.
        """
        if self._application_id is None:
            return Refusal("not-configured", "outbound calls need BW_VOICE_APPLICATION_ID")
        by = Orderer(api_key, self._clock.now(), once, visit)
        admitted = await self._admit(by, digest)
        if isinstance(admitted, Refusal):
            return admitted
        dial = self._dial(new, admitted.ref, api_key)
        with bound(ref=dial.ref):
            stored, fresh = await self._engine.write_down(dial)
            if stored.call is None:
                raise ValueError("a call that was written down is not there")
            if not fresh:
                return _again(stored.call)
            # Of requests that are the same one comes here: what it gives back, no other of them goes on with.
            try:
                if full := await self._full(dial.ref, by):
                    return await self._refuse(dial, by, full)
                seat = await self._rooms.reserve(
                    new.room, stored.call.seat, waits=False, limit=MEMBERS, now=self._clock.now()
                )
            except StoreError:
                # Nobody has been called, and a seat that may be kept all the same is not for minutes.
                refusal = Refusal("internal-error", "the store has failed")
                self._tasks.start(self._give_up(dial, by, refusal), name="outbound.given_up")
                raise
            if isinstance(seat, RoomFull):
                return await self._refuse(dial, by, Refusal("room-full", f"room {new.room} is full"))
            if isinstance(seat, Gone):
                return await self._refuse(dial, by, Refusal("room-closed", f"room {new.room} was closed"))
            if dial.prepare_until:
                self._tasks.start(self._prepare(stored), name="outbound.prepare")
            return await self._ask(stored.call, dial, new, by)

    async def _prepare(self, stored: Stored) -> None:
        # Should the store be away the phone is joined anew when it answers, as after any other failure.
        with suppress(StoreError):
            await self._engine.prepare(stored, self._engine.deadline(self._budget))

    async def _admit(self, by: Orderer, digest: str = "") -> Admitted | Refusal:
        admitted = await self._admission.admit(by, digest=digest, ref=self._new_ref())
        match admitted:
            case Mismatch():
                return Refusal("idempotency-mismatch", "this Idempotency-Key was used for another request")
            case TooMany():
                # How many a key may place is no business of its visitors.
                detail = f"an API key may place {admitted.limit} calls in an hour"
                if by.visit:
                    detail = "no more calls are placed from here in this hour"
                return Refusal("calls-per-hour", detail, admitted.retry_after)
            case Admitted():
                return admitted

    async def _full(self, name: str, by: Orderer) -> Refusal | None:
        limits = {Full.VISITORS: self._per_hour // 2} if by.visit else {}
        limits |= {Full.KEY: self._per_hour, Full.ALL: _KEYS * self._per_hour}
        full = await self._up.take(name, api_key=by.api_key, limits=limits)
        if full is None:
            return None
        whose = "all API keys together have" if full is Full.ALL else "an API key has"
        detail = f"{whose} {limits[full]} calls up, and no more at once"
        if by.visit:
            # How many a key may have is no business of its visitors.
            detail = "too many calls are up, and no more at once"
        return Refusal("calls-at-once", detail, _FULL)

    async def _ask(self, call: Call, dial: Dial, new: NewCall, by: Orderer) -> Placement | Refusal:
        """Never cancelled and never sent twice; who asks hears that its fate is unknown if it takes long."""
        asking = self._tasks.start(self._create(dial, new, by), name="outbound.create")
        done, _ = await asyncio.wait({asking}, timeout=self._patience.asked)
        if not done:
            log.warning("call.in_doubt", error="createCall has not answered yet")
            return Placement(call, certain=False)
        return asking.result() or Placement(call, certain=False)

    async def _create(self, dial: Dial, new: NewCall, by: Orderer) -> Placement | Refusal | None:
        """None when nobody knows what became of it."""
        with counting() as tally:
            try:
                call_id = await self._voice.create_call(self._request(dial, new), timeout=_TIMEOUT)
            except BandwidthError as error:
                if error.may_have_happened:
                    log.warning("call.in_doubt", error=str(error))
                    return None
                refusal = Refusal(
                    reason_of(error), error.brief, told_to_wait(error.retry_after), words=str(error)
                )
                return await self._give_up(dial, by, refusal, tally.told(self._clock))
        placed = Placed(self._clock.now(), call_id, tally.told(self._clock))
        call, _ = await asyncio.gather(self._tell(dial.ref, placed), self._name(call_id, dial.ref))
        return Placement(call, certain=True) if call else None

    async def _name(self, call_id: str, ref: str) -> None:
        """Whoever is told of the id may ask by it at once; should this fail, the call owes it as well."""
        with suppress(StoreError):
            await self._calls.name(call_id, ref)

    async def _refuse(self, dial: Dial, by: Orderer, refusal: Refusal) -> Refusal:
        """Who asks does not wait for a store that has just gone; the writing goes on."""
        await self._soon(self._give_up(dial, by, refusal), name="outbound.refused")
        return refusal

    async def _soon(self, giving_up: Coroutine[Any, Any, object], *, name: str) -> None:
        await asyncio.wait({self._tasks.start(giving_up, name=name)}, timeout=self._patience.asked)

    async def _give_up(
        self, dial: Dial, by: Orderer, refusal: Refusal, sent: tuple[Sent, ...] = ()
    ) -> Refusal:
        """Nobody was called, so that the same request may be made again."""
        log.warning("call.refused", reason=refusal.reason, error=refusal.words or refusal.detail)
        await self._tell(dial.ref, NotPlaced(self._clock.now(), refusal.reason, sent))
        await self._give_back(by, dial.ref)
        return refusal

    async def _give_back(self, by: Orderer, ref: str) -> None:
        await self._persistence.write(lambda: self._admission.forget(by, ref=ref), "order given up")

    async def _tell(self, ref: str, event: Event) -> Call | None:
        """What has happened is not forgotten, also while the store is away."""
        told: list[Call | None] = []

        async def tell() -> None:
            told.append((await self._engine.handle(ref, event)).call)

        made = (HangUp(event.call_id),) if isinstance(event, Placed) else ()
        await self._persistence.write(tell, "outbound call", *made)
        return told[-1] if told else None

    def _dial(self, new: NewCall, ref: str, api_key: str) -> Dial:
        now = self._clock.now()
        return Dial(
            at=now,
            ref=ref,
            room=new.room,
            from_number=new.from_number,
            to_number=new.to_number,
            dial_until=now + new.call_timeout + self._patience.unheard,
            prepare_until=now + self._budget if new.prepare else 0,
            way=new.way,
            announcement=new.announcement,
            tag=new.tag,
            placed_by=api_key,
            max_duration=new.max_duration,
            page_alone=new.page_alone,
            on_machine=new.on_machine,
            message=new.message,
        )

    def _request(self, dial: Dial, new: NewCall) -> Request:
        url = self._callbacks.voice(dial.ref)
        detection = None
        if new.detects_machines:
            # A message that is said before the tone is not recorded.
            delay = new.on_machine is OnMachine.MESSAGE
            detection = MachineDetection("sync", delay_result=delay)
            if not new.waits_for_detection:
                detection = MachineDetection(
                    "async",
                    callback_url=url,
                    fallback_url=self._callbacks.fallback(url),
                    delay_result=delay,
                    **self._callbacks.credentials,
                )
        return Request(
            to=new.to_number,
            from_=new.from_number,
            application_id=self._application_id or "",
            answer_url=url,
            answer_fallback_url=self._callbacks.fallback(url),
            disconnect_url=url,
            call_timeout=new.call_timeout,
            # A webhook that we have not answered by then is one for the fallback.
            callback_timeout=min(self._budget + _CALLBACK_SLACK, _LONGEST_CALLBACK),
            tag=new.tag or None,
            machine_detection=detection,
            **self._callbacks.credentials,
        )


def _again(call: Call) -> Placement | Refusal:
    """What the same request is told while the first is still being answered."""
    if call.failure and not call.live and not call.call_id:
        reason = "store-unavailable" if call.failure == "internal-error" else call.failure
        wait = _FULL if reason == "calls-at-once" else None
        return Refusal(reason, "the same request has just failed: it may be made again", wait)
    return Placement(call, bool(call.call_id) or not call.live)
