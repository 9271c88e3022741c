"""Puts the service together from its settings, and takes it apart again."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, NamedTuple

import structlog
from pydantic import SecretStr

from handlers.bridge import Bridge
from handlers.guard import CallbackCredentials
from handlers.voice.replies import Renderer
from service.bandwidth.auth import Basic, Credentials, OAuth
from service.bandwidth.errors import BandwidthError
from service.bandwidth.http import Http
from service.bandwidth.interconnect import SipTransfer
from service.bandwidth.voice import VoiceApi
from service.bandwidth.webrtc import WebRtcApi
from service.calls.policy import Policy
from service.clock import Clock, SystemClock
from service.engine.alarm import Alarm
from service.engine.callbacks import Callbacks
from service.engine.effects import Performer
from service.engine.engine import Engine
from service.engine.joining import Joiner
from service.engine.worker import Worker
from service.settings import Settings
from service.store.calls import Calls
from service.store.client import Client
from service.store.embedded import EmbeddedServer, default_directory
from service.store.outbox import Outbox
from service.store.rooms import Rooms
from service.tasks import Tasks

log = structlog.get_logger()

_LEASE: Final = 45.0
"""Seconds for which a worker holds an owner; longer than the slowest effect takes to fail."""


@asynccontextmanager
async def running(settings: Settings, *, run_worker: bool) -> AsyncIterator[Bridge]:
    """The whole service. Raises StoreUnavailable when there is no store to begin with."""
    async with AsyncExitStack() as stack:
        base = _Base(settings, SystemClock(), Tasks(), Alarm(), await _store(settings, stack))
        http = Http(clock=base.clock)
        stack.push_async_callback(http.close)
        bandwidth = _bandwidth(base, http)
        engine = _engine(base, bandwidth)
        stack.push_async_callback(_finish, base)
        if run_worker:
            worker = _worker(base, bandwidth, engine)
            base.tasks.start(worker.run(), name="worker")
            stack.callback(worker.stop)
        for credentials in bandwidth.credentials:
            base.tasks.start(_warm(credentials), name="credentials.warm")
        yield _bridge(base, bandwidth, engine)


class _Base(NamedTuple):
    settings: Settings
    clock: Clock
    tasks: Tasks
    alarm: Alarm
    store: Client

    @property
    def callbacks(self) -> Callbacks:
        return Callbacks(self.settings.base_callback_url, *_callback_credentials(self.settings))


class _Bandwidth(NamedTuple):
    voice: VoiceApi
    webrtc: WebRtcApi
    interconnect: SipTransfer
    credentials: tuple[Credentials, ...]


async def _store(settings: Settings, stack: AsyncExitStack) -> Client:
    if settings.redis_url is not None:
        url = settings.redis_url.get_secret_value()
    else:
        server = EmbeddedServer(default_directory(settings.xdg_state_home))
        url = await server.start()
        stack.push_async_callback(server.stop)
    client = Client(url)
    stack.push_async_callback(client.close)
    await client.ping()
    return client


def _bandwidth(base: _Base, http: Http) -> _Bandwidth:
    """The APIs, each with the scheme chosen for it; the same scheme shares one token."""
    settings = base.settings
    schemes: dict[str, Credentials] = {}
    for scheme in (settings.bw_voice_auth, settings.bw_webrtc_auth):
        if scheme not in schemes:
            schemes[scheme] = _credentials(base, http, scheme)
    account = settings.bw_account_id
    return _Bandwidth(
        VoiceApi(http, settings.bw_voice_url, account, schemes[settings.bw_voice_auth]),
        WebRtcApi(http, settings.bw_webrtc_url, account, schemes[settings.bw_webrtc_auth]),
        SipTransfer(settings.bw_sipx_uri, settings.uui_limit),
        tuple(schemes.values()),
    )


def _credentials(base: _Base, http: Http, scheme: str) -> Credentials:
    settings = base.settings
    if scheme == "basic":
        return Basic(settings.bw_username or "", _reveal(settings.bw_password) or "")
    return OAuth(
        client_id=settings.bw_client_id or "",
        client_secret=_reveal(settings.bw_client_secret) or "",
        token_url=settings.bw_token_url,
        http=http,
        clock=base.clock,
    )


def _engine(base: _Base, bandwidth: _Bandwidth) -> Engine:
    joiner = Joiner(
        webrtc=bandwidth.webrtc,
        rooms=Rooms(base.store),
        interconnect=bandwidth.interconnect,
        callbacks=base.callbacks,
        clock=base.clock,
        tasks=base.tasks,
        alarm=base.alarm,
    )
    return Engine(
        calls=Calls(base.store, ended_days=base.settings.ended_call_days),
        joiner=joiner,
        clock=base.clock,
        new_id=lambda: secrets.token_hex(8),
        alarm=base.alarm,
    )


def _worker(base: _Base, bandwidth: _Bandwidth, engine: Engine) -> Worker:
    performer = Performer(
        voice=bandwidth.voice,
        webrtc=bandwidth.webrtc,
        rooms=Rooms(base.store),
        engine=engine,
        callbacks=base.callbacks,
        clock=base.clock,
        alarm=base.alarm,
    )
    return Worker(
        outbox=Outbox(base.store, worker=secrets.token_hex(8), lease=_LEASE),
        performer=performer,
        alarm=base.alarm,
        clock=base.clock,
        tasks=base.tasks,
        jitter=lambda: secrets.randbelow(1000) / 1000,
    )


def _bridge(base: _Base, bandwidth: _Bandwidth, engine: Engine) -> Bridge:
    settings = base.settings
    return Bridge(
        account_id=settings.bw_account_id,
        policy=Policy(
            room_policy=settings.room_policy,
            room_map=settings.room_map,
            announcement=settings.announcement or "",
            fallback=settings.fallback_number or "",
            budget=settings.webhook_budget,
        ),
        engine=engine,
        renderer=Renderer(bandwidth.interconnect, base.callbacks),
        callbacks=base.callbacks,
        callback_credentials=CallbackCredentials(*_callback_credentials(settings)),
        bandwidth_credentials=bandwidth.credentials,
        store=base.store,
        clock=base.clock,
        tasks=base.tasks,
    )


async def _warm(credentials: Credentials) -> None:
    """The first caller should not wait for a token."""
    try:
        await credentials.warm()
    except BandwidthError as error:
        log.warning("token.unavailable", error=str(error))


async def _finish(base: _Base) -> None:
    """What is under way is given its time; what is cut off then is still written down as owed."""
    if cut_off := await base.tasks.wait(base.settings.shutdown_grace):
        log.warning("service.cut_off", tasks=cut_off)


def _callback_credentials(settings: Settings) -> tuple[str, str, str | None]:
    return (
        settings.callback_username,
        settings.callback_password.get_secret_value(),
        _reveal(settings.callback_password_previous),
    )


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
