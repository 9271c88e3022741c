"""Puts the service together from its settings, and takes it apart again."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import structlog

from handlers.app.background import (
    BackgroundLoop,
    create_data_loss_watch,
    create_replica_reporter,
    create_standby,
    create_unscheduled_scan,
    create_worker,
    prefetch_token,
)
from handlers.app.bandwidth import Bandwidth, create_bandwidth
from handlers.app.core import Base, Core, create_core
from handlers.app.settings_values import (
    callback_credentials,
    create_policy,
    create_prompts,
    signing_passwords,
)
from handlers.app.store import open_store
from handlers.http.request_guard import CallbackCredentials
from handlers.http.services import Services
from service import outbound
from service.bandwidth.api_client import HttpClient
from service.bandwidth.keepalive import KeepAlive
from service.bandwidth.reply_renderer import ReplyRenderer
from service.called_numbers import CalledNumbers
from service.calls.refs import ref_of_call
from service.cursors import CursorSigner
from service.engine.change_feed import FeedReader
from service.engine.operators import Operators
from service.engine.outbox.retry_write import RetryWriter
from service.engine.outbox.wakeup import WorkerSignal
from service.engine.pause import PauseWatch
from service.engine.replica_reporter import WebhookCounts
from service.engine.standby import Standby
from service.engine.timeouts import Timeouts
from service.engine.visitors import create_visitor_access
from service.metrics import Metrics
from service.settings import Settings
from service.store.change_feed import ChangeFeed
from service.store.clock import StoreClock
from service.store.concurrent_calls import ConcurrentCalls
from service.store.invitations import Passes
from service.store.outbound_quota import OutboundQuota
from service.store.pause import PauseSwitch
from service.store.redis.aof_rewrite import AofRewriter
from service.store.replicas import Replicas
from service.tasks import Tasks

log = structlog.get_logger()

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
        base = Base(
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
        core = create_core(base, bandwidth, timeouts)
        stack.push_async_callback(_finish, base)
        pause = PauseWatch(PauseSwitch(store), metrics)
        await pause.refresh()
        id_ = secrets.token_hex(4)
        standby = create_standby(id_, base, bandwidth)
        loops: dict[str, BackgroundLoop] = {
            "pause": pause,
            "standby": standby,
            "watch": create_data_loss_watch(base, timeouts),
            "report": create_replica_reporter(
                id_, clock, store, bandwidth, base.webhook_counts, draining, standby
            ),
        }
        if settings.redis_url is None:
            loops["rewrite"] = rewriter
        if run_worker:
            loops["worker"] = create_worker(base, bandwidth, core, timeouts, standby)
            loops["search"] = create_unscheduled_scan(base, timeouts)
        for name, loop in loops.items():
            base.tasks.start(loop.run(), name=name)
            stack.callback(loop.stop)
        for credentials in bandwidth.credentials:
            base.tasks.start(prefetch_token(credentials), name="credentials.warm")
        warmth = KeepAlive(
            http=http,
            credentials=bandwidth.credentials,
            url=settings.bw_webrtc_url,
            connections=settings.warm_connections,
            clock=base.clock,
        )
        stack.callback(base.tasks.start(warmth.run(), name="warmth").cancel)
        yield _services(base, bandwidth, core, pause, standby, timeouts)


def _services(
    base: Base, bandwidth: Bandwidth, core: Core, pause: PauseWatch, standby: Standby, timeouts: Timeouts
) -> Services:
    settings = base.settings
    return Services(
        account_id=settings.bw_account_id,
        number=settings.bw_number,
        policy=create_policy(settings, timeouts),
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
        cursor_signer=CursorSigner(*signing_passwords(settings)),
        signal=base.signal,
        renderer=ReplyRenderer(bandwidth.interconnect, base.callback_urls, create_prompts(settings)),
        callback_urls=base.callback_urls,
        visitor_access=create_visitor_access(
            Passes(base.store),
            base.clock,
            keys=settings.api_keys,
            passwords=signing_passwords(settings),
        ),
        base_url=settings.base_callback_url,
        device_url=settings.bw_device_url,
        callback_credentials=CallbackCredentials(*callback_credentials(settings)),
        bandwidth_credentials=bandwidth.credentials,
        circuits=bandwidth.circuits,
        webhook_counts=base.webhook_counts,
        replicas=Replicas(base.store),
        store=base.store,
        metrics=base.metrics,
        clock=base.clock,
        tasks=base.tasks,
    )


def _operators(base: Base, bandwidth: Bandwidth, core: Core, timeouts: Timeouts) -> Operators:
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


async def _finish(base: Base) -> None:
    """What is under way is given its time; what is cut off then is still written down as owed, or told."""
    cut_off = 0
    ends = base.clock.monotonic() + base.settings.shutdown_grace
    last = ends + _LAST_WRITES
    while len(base.tasks):  # what is under way may begin more: a worker, what it has just been given
        cut_off += await base.tasks.wait(max(0.0, ends - base.clock.monotonic()))
        ends = last if cut_off else ends
    if cut_off:
        log.warning("service.cut_off", tasks=cut_off)
