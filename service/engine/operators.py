"""Carries out what operators ask for: a new call, and orders to one that exists."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

import msgspec
import structlog

from service.bandwidth.callback_urls import CallbackUrls
from service.bandwidth.create_call import CreateCallRequest, MachineDetection
from service.bandwidth.errors import BandwidthError
from service.bandwidth.request_log import record_requests
from service.bandwidth.voice import VoiceApi
from service.calls.effects import HangUpPhone
from service.calls.events import Dial, Event, NotPlaced, Order, OrderTransfer, Placed
from service.calls.model import Call, OnMachine
from service.calls.request_record import RequestRecord
from service.calls.room_settings import MAX_MEMBERS, InterconnectMode
from service.clock import Clock
from service.engine.errors import RequestRefusal
from service.engine.event_handler import EventHandler
from service.engine.joining.call_join import failure_reason
from service.engine.order_result import OrderResult
from service.engine.outbox.retries import client_retry_after
from service.engine.outbox.retry_write import RetryWriter
from service.engine.timeouts import Timeouts
from service.logs import log_context
from service.store.calls import Calls, StoredCall
from service.store.concurrent_calls import ConcurrencyScope, ConcurrentCalls, transfer_name
from service.store.errors import StoreError
from service.store.outbound_quota import (
    IdempotencyMismatch,
    OutboundQuota,
    QuotaExceeded,
    QuotaGranted,
    QuotaRequest,
)
from service.store.room_results import RoomFull, SeatGone
from service.store.rooms import Rooms
from service.tasks import Tasks

log = structlog.get_logger()

_TIMEOUT: Final = 60.0
"""Seconds for a createCall, which is never cancelled: its answer is the only way to its id."""
_ALL_KEYS_FACTOR: Final = 2
"""How many API keys may have all the calls up at the same time that one may."""
_FULL_RETRY_AFTER: Final = 10.0
"""Seconds after which one of so many calls may well be over."""
_CALLBACK_SLACK: Final = 2.0
_LONGEST_CALLBACK: Final = 25.0


class OutboundCall(msgspec.Struct, frozen=True, kw_only=True):
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
    interconnect: InterconnectMode | None = None
    detects_machines: bool = False
    waits_for_detection: bool = False
    """Keep the callee waiting until it is known whether it is a machine (Bandwidth's mode `sync`)."""
    on_machine: OnMachine = OnMachine.JOIN
    message: str = ""


class PlacedCall(msgspec.Struct, frozen=True):
    """`is_certain`: Bandwidth has the call. Otherwise nobody knows yet, and its webhooks will tell."""

    call: Call
    is_certain: bool


class Operators:
    """`budget`: seconds for a webhook of ours; `calls_per_hour`: calls that one API key may place.

    As many of one key may be up at once, half of them its visitors', and twice as many of all keys together:
    as a rule calls last less than an hour, and those that do not would add up, hour by hour.
    """

    def __init__(
        self,
        *,
        event_handler: EventHandler,
        calls: Calls,
        rooms: Rooms,
        outbound_quota: OutboundQuota,
        concurrent_calls: ConcurrentCalls,
        voice: VoiceApi,
        callbacks: CallbackUrls,
        application_id: str | None,
        calls_per_hour: int,
        budget: float,
        timeouts: Timeouts,
        clock: Clock,
        tasks: Tasks,
        retry_writer: RetryWriter,
        new_ref: Callable[[], str],
    ) -> None:
        self._event_handler = event_handler
        self._calls = calls
        self._rooms = rooms
        self._outbound_quota = outbound_quota
        self._concurrent_calls = concurrent_calls
        self._voice = voice
        self._callbacks = callbacks
        self._application_id = application_id
        self._calls_per_hour = calls_per_hour
        self._budget = budget
        self._timeouts = timeouts
        self._clock = clock
        self._tasks = tasks
        self._retry_writer = retry_writer
        self._new_ref = new_ref

    async def order(self, ref: str, event: Order, *, api_key: str) -> OrderResult | RequestRefusal:
        """Raises StoreError."""
        # To the telephone bill, another number is another call.
        if isinstance(event, OrderTransfer):
            by = QuotaRequest(api_key, self._clock.now())
            admitted = await self._check_quota(by)
            if isinstance(admitted, RequestRefusal):
                return admitted
            return await self._order_transfer(ref, event, admitted.ref, by)
        return await self._event_handler.order(ref, event)

    async def _order_transfer(
        self, ref: str, event: OrderTransfer, quota_ref: str, by: QuotaRequest
    ) -> OrderResult | RequestRefusal:
        if full := await self._check_concurrency(transfer_name(ref), by):
            await self._outbound_quota.release(by, ref=quota_ref)
            return full
        # Refused, it counts for some seconds more: another order to this call may be let through by its name.
        ordered = await self._event_handler.order(ref, event)
        if ordered.refusal or ordered.call is None:
            await self._wait_briefly(self._return_quota(by, quota_ref), name="transfer.refused")
        return ordered

    async def place(
        self, new: OutboundCall, *, idempotency_key: str, digest: str, api_key: str, visit: str = ""
    ) -> PlacedCall | RequestRefusal:
        """Call a number.

        `idempotency_key`: an idempotency key, under which `digest` is placed once in 24 hours.

        `visit`: whose call it is, if a visitor orders it in the name of the key.

        Written down first, then counted among those that are up, then seated, then Bandwidth is asked. Raises
        StoreError, and then a call that was written down ends by itself.
        """
        if self._application_id is None:
            return RequestRefusal("not-configured", "outbound calls need BW_VOICE_APPLICATION_ID")
        by = QuotaRequest(api_key, self._clock.now(), idempotency_key, visit)
        admitted = await self._check_quota(by, digest)
        if isinstance(admitted, RequestRefusal):
            return admitted
        dial = self._dial_event(new, admitted.ref, api_key)
        with log_context(ref=dial.ref):
            stored, fresh = await self._event_handler.record_outbound(dial)
            if stored.call is None:
                raise ValueError("a call that was written down is not there")
            if not fresh:
                return _repeated_answer(stored.call)
            # Of requests that are the same one comes here: what it gives back, no other of them goes on with.
            try:
                if full := await self._check_concurrency(dial.ref, by):
                    return await self._refuse(dial, by, full)
                seat = await self._rooms.reserve(
                    new.room, stored.call.seat, wait_if_empty=False, limit=MAX_MEMBERS, now=self._clock.now()
                )
            except StoreError:
                # Nobody has been called, and a seat that may be kept all the same is not for minutes.
                refusal = RequestRefusal("internal-error", "the store has failed")
                self._tasks.start(self._give_up(dial, by, refusal), name="outbound.given_up")
                raise
            if isinstance(seat, RoomFull):
                return await self._refuse(dial, by, RequestRefusal("room-full", f"room {new.room} is full"))
            if isinstance(seat, SeatGone):
                return await self._refuse(
                    dial, by, RequestRefusal("room-closed", f"room {new.room} was closed")
                )
            if dial.early_join_until:
                self._tasks.start(self._prepare(stored), name="outbound.prepare")
            return await self._create_and_wait(stored.call, dial, new, by)

    async def _prepare(self, stored: StoredCall) -> None:
        # Should the store be away the phone is joined anew when it answers, as after any other failure.
        with suppress(StoreError):
            await self._event_handler.prepare_participant(stored, self._event_handler.deadline(self._budget))

    async def _check_quota(self, by: QuotaRequest, digest: str = "") -> QuotaGranted | RequestRefusal:
        admitted = await self._outbound_quota.claim(by, digest=digest, ref=self._new_ref())
        match admitted:
            case IdempotencyMismatch():
                return RequestRefusal(
                    "idempotency-mismatch", "this Idempotency-Key was used for another request"
                )
            case QuotaExceeded():
                # How many a key may place is no business of its visitors.
                detail = f"an API key may place {admitted.limit} calls in an hour"
                if by.visit:
                    detail = "no more calls are placed from here in this hour"
                return RequestRefusal("calls-per-hour", detail, admitted.retry_after)
            case QuotaGranted():
                return admitted

    async def _check_concurrency(self, name: str, by: QuotaRequest) -> RequestRefusal | None:
        limits = {ConcurrencyScope.VISITORS: self._calls_per_hour // 2} if by.visit else {}
        limits |= {
            ConcurrencyScope.KEY: self._calls_per_hour,
            ConcurrencyScope.ALL: _ALL_KEYS_FACTOR * self._calls_per_hour,
        }
        full = await self._concurrent_calls.claim(name, api_key=by.api_key, limits=limits)
        if full is None:
            return None
        whose = "all API keys together have" if full is ConcurrencyScope.ALL else "an API key has"
        detail = f"{whose} {limits[full]} calls up, and no more at once"
        if by.visit:
            # How many a key may have is no business of its visitors.
            detail = "too many calls are up, and no more at once"
        return RequestRefusal("calls-at-once", detail, _FULL_RETRY_AFTER)

    async def _create_and_wait(
        self, call: Call, dial: Dial, new: OutboundCall, by: QuotaRequest
    ) -> PlacedCall | RequestRefusal:
        """Never cancelled and never sent twice; who asks hears that its fate is unknown if it takes long."""
        asking = self._tasks.start(self._create(dial, new, by), name="outbound.create")
        done, _ = await asyncio.wait({asking}, timeout=self._timeouts.create_call_wait)
        if not done:
            log.warning("call.in_doubt", error="createCall has not answered yet")
            return PlacedCall(call, is_certain=False)
        return asking.result() or PlacedCall(call, is_certain=False)

    async def _create(
        self, dial: Dial, new: OutboundCall, by: QuotaRequest
    ) -> PlacedCall | RequestRefusal | None:
        """None when nobody knows what became of it."""
        with record_requests() as tally:
            try:
                call_id = await self._voice.create_call(
                    self._create_call_request(dial, new), timeout=_TIMEOUT
                )
            except BandwidthError as error:
                if error.may_have_happened:
                    log.warning("call.in_doubt", error=str(error))
                    return None
                refusal = RequestRefusal(
                    failure_reason(error),
                    error.brief,
                    client_retry_after(error.retry_after),
                    full_detail=str(error),
                )
                return await self._give_up(dial, by, refusal, tally.records(self._clock))
        placed = Placed(self._clock.now(), call_id, tally.records(self._clock))
        call, _ = await asyncio.gather(
            self._record_event(dial.ref, placed), self._index_call_id(call_id, dial.ref)
        )
        return PlacedCall(call, is_certain=True) if call else None

    async def _index_call_id(self, call_id: str, ref: str) -> None:
        """Whoever is told of the id may ask by it at once; should this fail, the call owes it as well."""
        with suppress(StoreError):
            await self._calls.add_alias(call_id, ref)

    async def _refuse(self, dial: Dial, by: QuotaRequest, refusal: RequestRefusal) -> RequestRefusal:
        """Who asks does not wait for a store that has just gone; the writing goes on."""
        await self._wait_briefly(self._give_up(dial, by, refusal), name="outbound.refused")
        return refusal

    async def _wait_briefly(self, giving_up: Coroutine[Any, Any, object], *, name: str) -> None:
        await asyncio.wait({self._tasks.start(giving_up, name=name)}, timeout=self._timeouts.create_call_wait)

    async def _give_up(
        self, dial: Dial, by: QuotaRequest, refusal: RequestRefusal, sent: tuple[RequestRecord, ...] = ()
    ) -> RequestRefusal:
        """Nobody was called, so that the same request may be made again."""
        log.warning("call.refused", reason=refusal.reason, error=refusal.full_detail or refusal.detail)
        await self._record_event(dial.ref, NotPlaced(self._clock.now(), refusal.reason, sent))
        await self._return_quota(by, dial.ref)
        return refusal

    async def _return_quota(self, by: QuotaRequest, ref: str) -> None:
        await self._retry_writer.retry_until_stored(
            lambda: self._outbound_quota.release(by, ref=ref), "order given up"
        )

    async def _record_event(self, ref: str, event: Event) -> Call | None:
        """What has happened is not forgotten, also while the store is away."""
        told: list[Call | None] = []

        async def tell() -> None:
            told.append((await self._event_handler.handle(ref, event)).call)

        made = (HangUpPhone(event.call_id),) if isinstance(event, Placed) else ()
        await self._retry_writer.retry_until_stored(tell, "outbound call", *made)
        return told[-1] if told else None

    def _dial_event(self, new: OutboundCall, ref: str, api_key: str) -> Dial:
        now = self._clock.now()
        return Dial(
            at=now,
            ref=ref,
            room=new.room,
            from_number=new.from_number,
            to_number=new.to_number,
            dial_until=now + new.call_timeout + self._timeouts.dial_grace,
            early_join_until=now + self._budget if new.prepare else 0,
            interconnect=new.interconnect,
            announcement=new.announcement,
            tag=new.tag,
            placed_by=api_key,
            max_duration=new.max_duration,
            page_gone_after=new.page_alone,
            on_machine=new.on_machine,
            machine_message=new.message,
        )

    def _create_call_request(self, dial: Dial, new: OutboundCall) -> CreateCallRequest:
        url = self._callbacks.call_url(dial.ref)
        detection = None
        if new.detects_machines:
            # A message that is said before the tone is not recorded.
            delay = new.on_machine is OnMachine.MESSAGE
            detection = MachineDetection("sync", delay_result=delay)
            if not new.waits_for_detection:
                detection = MachineDetection(
                    "async",
                    callback_url=url,
                    fallback_url=self._callbacks.fallback_url(url),
                    delay_result=delay,
                    **self._callbacks.credentials,
                )
        return CreateCallRequest(
            to=new.to_number,
            from_=new.from_number,
            application_id=self._application_id or "",
            answer_url=url,
            answer_fallback_url=self._callbacks.fallback_url(url),
            disconnect_url=url,
            call_timeout=new.call_timeout,
            # A webhook that we have not answered by then is one for the fallback.
            callback_timeout=min(self._budget + _CALLBACK_SLACK, _LONGEST_CALLBACK),
            tag=new.tag or None,
            machine_detection=detection,
            **self._callbacks.credentials,
        )


def _repeated_answer(call: Call) -> PlacedCall | RequestRefusal:
    """What the same request is told while the first is still being answered."""
    if call.failure and not call.live and not call.call_id:
        reason = "store-unavailable" if call.failure == "internal-error" else call.failure
        wait = _FULL_RETRY_AFTER if reason == "calls-at-once" else None
        return RequestRefusal(reason, "the same request has just failed: it may be made again", wait)
    return PlacedCall(call, bool(call.call_id) or not call.live)
