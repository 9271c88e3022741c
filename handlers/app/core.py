"""Builds what handles calls, rooms and browsers."""

import base64
import secrets
from typing import NamedTuple

from handlers.app.bandwidth import Bandwidth
from handlers.app.settings_values import (
    callback_credentials,
)
from service.bandwidth.callback_urls import CallbackUrls
from service.calls.room_settings import InterconnectMode
from service.engine.browsers import Browsers
from service.engine.event_handler import EventHandler
from service.engine.joining.call_join import CallJoiner
from service.engine.joining.session_join import SessionJoiner
from service.engine.joining.webrtc_leg import LegDialer
from service.engine.outbox.retry_write import RetryWriter
from service.engine.outbox.wakeup import WorkerSignal
from service.engine.replica_reporter import WebhookCounts
from service.engine.session_checks import SessionChecker
from service.engine.timeouts import Timeouts
from service.invitations import derive_key
from service.metrics import Metrics
from service.settings import Settings
from service.store import compression
from service.store.calls import Calls
from service.store.clock import StoreClock
from service.store.redis.aof_rewrite import AofRewriter
from service.store.redis.client import Client
from service.store.rooms import Rooms
from service.store.wrong_pins import WrongPins
from service.tasks import Tasks


class Base(NamedTuple):
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
            *callback_credentials(self.settings),
            fallback=self.settings.fallback_callback_url,
        )


class Core(NamedTuple):
    calls: Calls
    rooms: Rooms
    session_checker: SessionChecker
    session_joiner: SessionJoiner
    event_handler: EventHandler
    browsers: Browsers


def create_core(base: Base, bandwidth: Bandwidth, timeouts: Timeouts) -> Core:
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
    session_checker = SessionChecker(
        webrtc=bandwidth.webrtc,
        rooms=rooms,
        clock=base.clock,
        tasks=base.tasks,
        signal=base.signal,
        timeouts=timeouts,
        metrics=base.metrics,
    )
    session_joiner = SessionJoiner(
        webrtc=bandwidth.webrtc,
        rooms=rooms,
        session_checker=session_checker,
        clock=base.clock,
        tasks=base.tasks,
        signal=base.signal,
        metrics=base.metrics,
        retry_writer=base.retry_writer,
    )
    leg_dialer = LegDialer(
        voice=bandwidth.voice,
        session_joiner=session_joiner,
        callbacks=callbacks,
        sip_uri=settings.bw_sipx_uri,
        application_id=settings.bw_voice_application_id,
        number=settings.bw_number,
    )
    call_joiner = CallJoiner(
        session_joiner=session_joiner,
        rooms=rooms,
        interconnect=bandwidth.interconnect,
        callbacks=callbacks,
        leg_dialer=leg_dialer,
        default_interconnect=InterconnectMode(settings.interconnect),
        clock=base.clock,
        signal=base.signal,
        metrics=base.metrics,
    )
    event_handler = EventHandler(
        calls=calls,
        joiner=call_joiner,
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
    browsers = Browsers(
        session_joiner=session_joiner,
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
    return Core(calls, rooms, session_checker, session_joiner, event_handler, browsers)


def _wrong_pins(settings: Settings, client: Client) -> WrongPins | None:
    if not settings.pin_numbers:
        return None
    _, password, *_ = callback_credentials(settings)
    return WrongPins(client, derive_key("wrong pins", password or ""))
