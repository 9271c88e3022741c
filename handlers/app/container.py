"""Puts the service together from its settings, and takes it apart again."""

import base64
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, NamedTuple, Protocol

import structlog
from pydantic import SecretStr

from handlers.app.bandwidth import Bandwidth, create_bandwidth
from handlers.app.store import open_store
from handlers.http.request_guard import CallbackCredentials
from handlers.http.services import Services
from handlers.http.visitor_access import VisitorAccess, create_visitor_access
from service import outbound
from service.bandwidth.api_client import HttpClient
from service.bandwidth.auth import ApiCredentials
from service.bandwidth.callback_urls import CallbackUrls
from service.bandwidth.errors import BandwidthError
from service.bandwidth.keepalive import KeepAlive
from service.bandwidth.prompts import PLEASE_HOLD, Prompts
from service.bandwidth.reply_renderer import ReplyRenderer
from service.called_numbers import CalledNumbers
from service.calls.policy import CallLimits, Policy
from service.calls.refs import ref_of_call
from service.calls.room_settings import InterconnectMode
from service.cursors import CursorSigner
from service.engine.browsers import Browsers
from service.engine.change_feed import FeedReader
from service.engine.data_loss_watch import DataLossWatch
from service.engine.effect_executor import EffectExecutor
from service.engine.event_handler import EventHandler
from service.engine.joining.call_join import CallJoiner
from service.engine.joining.move import ParticipantMover
from service.engine.joining.prepared import ParticipantPool
from service.engine.joining.session_join import SessionJoiner
from service.engine.joining.webrtc_leg import LegDialer
from service.engine.operators import Operators
from service.engine.outbox.retry_write import RetryWriter
from service.engine.outbox.wakeup import WorkerSignal
from service.engine.outbox.worker import Worker
from service.engine.pause import PauseWatch
from service.engine.phones import PhoneControl
from service.engine.reconciler import Reconciler
from service.engine.replica_reporter import ReplicaReporter, WebhookCounts
from service.engine.session_checks import SessionChecker
from service.engine.standby import Standby
from service.engine.timeouts import HOUR, Timeouts
from service.engine.unscheduled_scan import UnscheduledScanner
from service.invitations import derive_key
from service.metrics import Metrics
from service.settings import Settings
from service.store import compression
from service.store.calls import Calls
from service.store.change_feed import ChangeFeed
from service.store.clock import StoreClock
from service.store.concurrent_calls import ConcurrentCalls
from service.store.health import EvictionCounter
from service.store.invitations import Passes
from service.store.marker import Markers
from service.store.outbound_quota import OutboundQuota
from service.store.outbox import Outbox
from service.store.pause import PauseSwitch
from service.store.redis.aof_rewrite import AofRewriter
from service.store.redis.client import Client
from service.store.replicas import Replicas
from service.store.rooms import Rooms
from service.store.standby import StandbyLeases
from service.store.unscheduled import UnscheduledSearch
from service.store.wrong_pins import WrongPins
from service.tasks import Tasks

log = structlog.get_logger()

_LONGEST_RING: Final = 300.0
"""Seconds (voice API, createCall, callTimeout)."""
_LAST_WRITES: Final = 1.0
"""Seconds in which what was cut off writes down what it owes, if the store is there."""


@asynccontextmanager
async def running_services(
    settings: Settings, *, run_worker: bool, timeouts: Timeouts, draining: Callable[[], bool] = lambda: False
) -> AsyncIterator[Services]:
    """The whole service. Raises StoreUnavailable when there is no store to begin with."""
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        store = await open_store(settings, stack, metrics)
        clock = StoreClock(store, metrics=metrics)
        await clock.start()
        rewriter = AofRewriter(store, every=timeouts.deleted_retention, min_pause=timeouts.erased_retention)
        base = _Base(
            settings,
            clock,
            Tasks(),
            WorkerSignal(),
            store,
            rewriter,
            metrics,
            WebhookCounts(),
            RetryWriter(clock),
        )
        http = HttpClient(clock=base.clock, metrics=metrics)
        stack.push_async_callback(http.close)
        bandwidth = create_bandwidth(settings, base.clock, http)
        core = _core(base, bandwidth, timeouts)
        stack.push_async_callback(_finish, base)
        pause = PauseWatch(PauseSwitch(store), metrics)
        await pause.refresh()
        id_ = secrets.token_hex(4)
        standby = _standby(id_, base, bandwidth)
        loops: dict[str, _BackgroundLoop] = {
            "pause": pause,
            "standby": standby,
            "watch": _data_loss_watch(base, timeouts),
            "report": _replica_reporter(id_, clock, store, bandwidth, base.webhook_counts, draining, standby),
        }
        if settings.redis_url is None:
            loops["rewrite"] = rewriter
        if run_worker:
            loops["worker"] = _worker(base, bandwidth, core, timeouts, standby)
            loops["search"] = _unscheduled_scan(base, timeouts)
        for name, loop in loops.items():
            base.tasks.start(loop.run(), name=name)
            stack.callback(loop.stop)
        for credentials in bandwidth.credentials:
            base.tasks.start(_prefetch_token(credentials), name="credentials.warm")
        warmth = KeepAlive(
            http=http,
            credentials=bandwidth.credentials,
            url=settings.bw_webrtc_url,
            connections=settings.warm_connections,
            clock=base.clock,
        )
        stack.callback(base.tasks.start(warmth.run(), name="warmth").cancel)
        yield _services(base, bandwidth, core, pause, standby, timeouts)


class _BackgroundLoop(Protocol):
    """What goes on beside the calls."""

    async def run(self) -> None:
        """Until `stop`."""

    def stop(self) -> None: ...


class _Base(NamedTuple):
    settings: Settings
    clock: StoreClock
    tasks: Tasks
    signal: WorkerSignal
    store: Client
    rewriter: AofRewriter
    metrics: Metrics
    webhook_counts: WebhookCounts
    retry_writer: RetryWriter

    @property
    def compress(self) -> bool:
        """Whether every release that runs here can read it."""
        return self.settings.store_format >= compression.MIN_STORE_FORMAT

    @property
    def callback_urls(self) -> CallbackUrls:
        return CallbackUrls(
            self.settings.base_callback_url,
            *_callback_credentials(self.settings),
            fallback=self.settings.fallback_callback_url,
        )


class _Core(NamedTuple):
    calls: Calls
    rooms: Rooms
    session_checker: SessionChecker
    session_joiner: SessionJoiner
    event_handler: EventHandler
    browsers: Browsers


def _core(base: _Base, bandwidth: Bandwidth, timeouts: Timeouts) -> _Core:
    settings, callbacks = base.settings, base.callback_urls
    calls = Calls(
        base.store,
        ended_days=settings.ended_call_days,
        compress=base.compress,
        on_erasure=base.rewriter.request_rewrite,
    )
    rooms = Rooms(
        base.store,
        roll_over_after=timeouts.session_max_age,
        old_session_grace=timeouts.old_session_grace,
        check_interval=timeouts.idle_check,
        unused_timeout=timeouts.unused_seat,
        absent_timeout=timeouts.browser_absence,
        prepared=settings.prepared_participants,
        page_gone_timeout=settings.visitor_alone,
    )
    doubts = SessionChecker(
        webrtc=bandwidth.webrtc,
        rooms=rooms,
        clock=base.clock,
        tasks=base.tasks,
        signal=base.signal,
        timeouts=timeouts,
        metrics=base.metrics,
    )
    entrance = SessionJoiner(
        webrtc=bandwidth.webrtc,
        rooms=rooms,
        session_checker=doubts,
        clock=base.clock,
        tasks=base.tasks,
        signal=base.signal,
        metrics=base.metrics,
        retry_writer=base.retry_writer,
    )
    legs = LegDialer(
        voice=bandwidth.voice,
        session_joiner=entrance,
        callbacks=callbacks,
        sip_uri=settings.bw_sipx_uri,
        application_id=settings.bw_voice_application_id,
        number=settings.bw_number,
    )
    joiner = CallJoiner(
        session_joiner=entrance,
        rooms=rooms,
        interconnect=bandwidth.interconnect,
        callbacks=callbacks,
        leg_dialer=legs,
        default_interconnect=InterconnectMode(settings.interconnect),
        clock=base.clock,
        signal=base.signal,
        metrics=base.metrics,
    )
    engine = EventHandler(
        calls=calls,
        joiner=joiner,
        rooms=rooms,
        clock=base.clock,
        new_id=lambda: secrets.token_urlsafe(6),
        signal=base.signal,
        tasks=base.tasks,
        timeouts=timeouts,
        metrics=base.metrics,
        wrong_pins=_wrong_pins(settings, base.store),
        retry_writer=base.retry_writer,
    )
    participants = Browsers(
        session_joiner=entrance,
        rooms=rooms,
        callbacks=callbacks,
        budget=settings.webhook_budget,
        timeouts=timeouts,
        clock=base.clock,
        tasks=base.tasks,
        signal=base.signal,
        new_name=lambda: base64.b32encode(secrets.token_bytes(10)).decode().lower(),
        metrics=base.metrics,
        retry_writer=base.retry_writer,
    )
    return _Core(calls, rooms, doubts, entrance, engine, participants)


def _standby(id_: str, base: _Base, bandwidth: Bandwidth) -> Standby:
    return Standby(
        id_=id_,
        apis=bandwidth.apis,
        tokens=StandbyLeases(base.store),
        replicas=Replicas(base.store),
        clock=base.clock,
        metrics=base.metrics,
    )


def _replica_reporter(
    id_: str,
    clock: StoreClock,
    store: Client,
    bandwidth: Bandwidth,
    webhook_counts: WebhookCounts,
    draining: Callable[[], bool],
    standby: Standby,
) -> ReplicaReporter:
    return ReplicaReporter(
        id_=id_,
        host=socket.gethostname(),
        replicas=Replicas(store, clock),
        webhook_counts=webhook_counts,
        circuits=bandwidth.circuits,
        credentials=bandwidth.credentials,
        draining=draining,
        standby=standby,
        clock=clock,
        clock_off=lambda: clock.machine_ahead,
    )


def _data_loss_watch(base: _Base, timeouts: Timeouts) -> DataLossWatch:
    return DataLossWatch(
        markers=Markers(base.store, base.clock, every=timeouts.store_check),
        evictions=EvictionCounter(base.store),
        new_id=lambda: secrets.token_hex(8),
        every=timeouts.store_check,
        clock=base.clock,
        metrics=base.metrics,
    )


def _worker(base: _Base, bandwidth: Bandwidth, core: _Core, timeouts: Timeouts, standby: Standby) -> Worker:
    mover = ParticipantMover(
        session_joiner=core.session_joiner,
        webrtc=bandwidth.webrtc,
        rooms=core.rooms,
        clock=base.clock,
        timeouts=timeouts,
    )
    phones = PhoneControl(bandwidth.voice, base.callback_urls)
    performer = EffectExecutor(
        phones=phones,
        webrtc=bandwidth.webrtc,
        calls=core.calls,
        rooms=core.rooms,
        session_joiner=core.session_joiner,
        mover=mover,
        browsers=core.browsers,
        event_handler=core.event_handler,
        reconciler=Reconciler(
            voice=bandwidth.voice,
            phones=phones,
            webrtc=bandwidth.webrtc,
            calls=core.calls,
            rooms=core.rooms,
            session_checker=core.session_checker,
            event_handler=core.event_handler,
            clock=base.clock,
            timeouts=timeouts,
            metrics=base.metrics,
        ),
        participant_pool=ParticipantPool(
            webrtc=bandwidth.webrtc,
            rooms=core.rooms,
            session_joiner=core.session_joiner,
            session_checker=core.session_checker,
            callbacks=base.callback_urls,
            clock=base.clock,
            metrics=base.metrics,
            lifetime=timeouts.prepared_lifetime,
        ),
        session_checker=core.session_checker,
        clock=base.clock,
        signal=base.signal,
        timeouts=timeouts,
    )
    return Worker(
        outbox=Outbox(
            base.store, worker=secrets.token_hex(8), lease=timeouts.worker_lease, compress=base.compress
        ),
        executor=performer,
        signal=base.signal,
        clock=base.clock,
        tasks=base.tasks,
        jitter=lambda: secrets.randbelow(1000) / 1000,
        give_up_after=base.settings.owed_hours * HOUR,
        metrics=base.metrics,
        stands_aside=lambda: standby.is_aside,
    )


def _unscheduled_scan(base: _Base, timeouts: Timeouts) -> UnscheduledScanner:
    # A little less than a round, so that a replica which is alone finds none of its own traces.
    search = UnscheduledSearch(
        base.store,
        interval=timeouts.unscheduled_scan * 0.8,
        max_dialing=timeouts.dial_grace + _LONGEST_RING,
        roll_over=timeouts.session_max_age,
    )
    return UnscheduledScanner(
        search=search,
        signal=base.signal,
        clock=base.clock,
        metrics=base.metrics,
        every=timeouts.unscheduled_scan,
    )


def _operators(base: _Base, bandwidth: Bandwidth, core: _Core, timeouts: Timeouts) -> Operators:
    settings = base.settings
    return Operators(
        event_handler=core.event_handler,
        calls=core.calls,
        rooms=core.rooms,
        outbound_quota=OutboundQuota(base.store, per_hour=settings.calls_per_hour),
        concurrent_calls=ConcurrentCalls(base.store, core.calls, base.clock.now),
        voice=bandwidth.voice,
        callbacks=base.callback_urls,
        application_id=settings.bw_voice_application_id,
        calls_per_hour=settings.calls_per_hour,
        budget=settings.webhook_budget,
        timeouts=timeouts,
        clock=base.clock,
        tasks=base.tasks,
        retry_writer=base.retry_writer,
        new_ref=lambda: ref_of_call(secrets.token_hex(16)),
    )


def _services(
    base: _Base, bandwidth: Bandwidth, core: _Core, pause: PauseWatch, standby: Standby, timeouts: Timeouts
) -> Services:
    settings = base.settings
    return Services(
        account_id=settings.bw_account_id,
        number=settings.bw_number,
        policy=_policy(settings, timeouts),
        dial_plan=outbound.dial_plan(settings),
        called_numbers=CalledNumbers(),
        caller_ids=frozenset(settings.outbound_from),
        api_keys=settings.api_keys,
        event_handler=core.event_handler,
        operators=_operators(base, bandwidth, core, timeouts),
        browsers=core.browsers,
        calls=core.calls,
        rooms=core.rooms,
        pause=pause,
        standby=standby,
        feed=FeedReader(
            ChangeFeed(base.store), base.clock, base.tasks, heartbeat_interval=timeouts.feed_heartbeat
        ),
        cursor_signer=CursorSigner(*_passwords(settings)),
        signal=base.signal,
        renderer=ReplyRenderer(bandwidth.interconnect, base.callback_urls, _prompts(settings)),
        callback_urls=base.callback_urls,
        visitor_access=_visitor_access(base),
        callback_credentials=CallbackCredentials(*_callback_credentials(settings)),
        bandwidth_credentials=bandwidth.credentials,
        circuits=bandwidth.circuits,
        webhook_counts=base.webhook_counts,
        replicas=Replicas(base.store),
        store=base.store,
        metrics=base.metrics,
        clock=base.clock,
        tasks=base.tasks,
    )


def _visitor_access(base: _Base) -> VisitorAccess:
    settings = base.settings
    return create_visitor_access(
        Passes(base.store),
        base.clock,
        keys=settings.api_keys,
        base_url=settings.base_callback_url,
        device_url=settings.bw_device_url,
        passwords=_passwords(settings),
    )


def _wrong_pins(settings: Settings, client: Client) -> WrongPins | None:
    if not settings.pin_numbers:
        return None
    _, password, *_ = _callback_credentials(settings)
    return WrongPins(client, derive_key("wrong pins", password or ""))


def _policy(settings: Settings, timeouts: Timeouts) -> Policy:
    return Policy(
        room_policy=settings.room_policy,
        room_map=settings.room_map,
        announcement=settings.announcement or "",
        fallback_number=outbound.fallback_number(settings),
        our_numbers=outbound.own_numbers(settings),
        pin_numbers=frozenset(settings.pin_numbers),
        max_pin_attempts=settings.pin_tries,
        webhook_budget=settings.webhook_budget,
        short_leg=timeouts.min_leg_duration,
        limits=CallLimits(
            call=settings.call_limit,
            hold=settings.hold_limit,
            visitor_call=settings.visitor_call_limit,
            visitor_alone=settings.visitor_alone,
        ),
    )


def _prompts(settings: Settings) -> Prompts:
    return Prompts(
        hold_message=settings.hold_message or PLEASE_HOLD,
        hold_music=settings.hold_music_url or "",
        pin_prompt=settings.pin_prompt,
        pin_wrong=settings.pin_wrong,
        pin_goodbye=settings.pin_goodbye,
        pin_first_digit_timeout=settings.pin_first_digit_timeout,
        pin_digit_timeout=settings.pin_digit_timeout,
    )


async def _prefetch_token(credentials: ApiCredentials) -> None:
    """The first caller should not wait for a token."""
    try:
        await credentials.prefetch()
    except BandwidthError as error:
        log.warning("token.unavailable", error=str(error))


async def _finish(base: _Base) -> None:
    """What is under way is given its time; what is cut off then is still written down as owed, or told."""
    cut_off = 0
    ends = base.clock.monotonic() + base.settings.shutdown_grace
    last = ends + _LAST_WRITES
    while len(base.tasks):  # what is under way may begin more: a worker, what it has just been given
        cut_off += await base.tasks.wait(max(0.0, ends - base.clock.monotonic()))
        ends = last if cut_off else ends
    if cut_off:
        log.warning("service.cut_off", tasks=cut_off)


def _callback_credentials(settings: Settings) -> tuple[str, str, str | None]:
    return (
        settings.callback_username,
        settings.callback_password.get_secret_value(),
        _reveal(settings.callback_password_previous),
    )


def _passwords(settings: Settings) -> tuple[str, ...]:
    """What is signed with: the present one first, and the other one while they are being changed."""
    _, *passwords = _callback_credentials(settings)
    return tuple(one for one in passwords if one)


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
