"""Puts the service together from its settings, and takes it apart again."""

import base64
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, NamedTuple, Protocol

import structlog
from pydantic import SecretStr

from handlers.http.services import Bridge
from handlers.http.request_guard import CallbackCredentials
from handlers.http.visitor_access import Door, door_of
from handlers.http.refused_webhooks import reporter_of
from handlers.app.store import own_store
from handlers.app.bandwidth import Bandwidth, bandwidth_of
from service.bandwidth.reply_renderer import Renderer
from service.bandwidth.prompts import PLEASE_HOLD, Words
from service import outbound
from service.bandwidth.auth import Credentials
from service.bandwidth.errors import BandwidthError
from service.bandwidth.api_client import Http
from service.bandwidth.keepalive import Warmth
from service.called_numbers import CalledNumbers
from service.calls.policy import Limits, Policy
from service.calls.refs import ref_of_call
from service.calls.room_settings import Way
from service.cursors import Cursors
from service.engine.outbox.wakeup import Alarm
from service.engine.reconciler import Asker
from service.bandwidth.callback_urls import Callbacks
from service.engine.session_checks import Doubts
from service.engine.effect_executor import Performer
from service.engine.event_handler import Engine
from service.engine.joining.session_join import Entrance
from service.engine.joining.call_join import Joiner
from service.engine.joining.webrtc_leg import Legs
from service.engine.change_feed import Live
from service.engine.joining.move import Mover
from service.engine.operators import Operators
from service.engine.browsers import Participants
from service.engine.timeouts import HOUR, Patience
from service.engine.pause import Pause
from service.engine.outbox.retry_write import Persistence
from service.engine.phones import Phones
from service.engine.replica_reporter import Doings
from service.engine.unscheduled_scan import Searcher
from service.engine.standby import Standby
from service.engine.joining.prepared import Stocker
from service.engine.data_loss_watch import StoreWatch
from service.engine.outbox.worker import Worker
from service.invitations import key_for
from service.metrics import Metrics
from service.settings import Settings
from service.store import compression
from service.store.outbound_quota import Admission
from service.store.calls import Calls
from service.store.concurrent_calls import CallsUp
from service.store.redis.client import Client
from service.store.clock import StoreClock
from service.store.health import Evictions
from service.store.unscheduled import Search
from service.store.marker import Markers
from service.store.change_feed import News
from service.store.outbox import Outbox
from service.store.invitations import Passes
from service.store.pause import PauseSwitch
from service.store.replicas import Replicas
from service.store.redis.aof_rewrite import FileRewriter
from service.store.rooms import Rooms
from service.store.standby import StandbyTokens
from service.store.wrong_pins import WrongPins
from service.tasks import Tasks

log = structlog.get_logger()

_LONGEST_RING: Final = 300.0
"""Seconds (voice API, createCall, callTimeout)."""
_LAST_WRITES: Final = 1.0
"""Seconds in which what was cut off writes down what it owes, if the store is there."""


@asynccontextmanager
async def running(
    settings: Settings, *, run_worker: bool, patience: Patience, draining: Callable[[], bool] = lambda: False
) -> AsyncIterator[Bridge]:
    """The whole service. Raises StoreUnavailable when there is no store to begin with."""
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        store = await own_store(settings, stack, metrics)
        clock = StoreClock(store, metrics=metrics)
        await clock.begin()
        rewriter = FileRewriter(store, every=patience.journal, settle=patience.erasures)
        base = _Base(
            settings, clock, Tasks(), Alarm(), store, rewriter, metrics, Doings(), Persistence(clock)
        )
        http = Http(clock=base.clock, metrics=metrics)
        stack.push_async_callback(http.close)
        bandwidth = bandwidth_of(settings, base.clock, http)
        core = _core(base, bandwidth, patience)
        stack.push_async_callback(_finish, base)
        pause = Pause(PauseSwitch(store), metrics)
        await pause.look()
        id_ = secrets.token_hex(4)
        standby = _standby(id_, base, bandwidth)
        loops: dict[str, _Loop] = {
            "pause": pause,
            "standby": standby,
            "watch": _watch(base, patience),
            "report": reporter_of(id_, clock, store, bandwidth, base.doings, draining, standby),
        }
        if settings.redis_url is None:
            loops["rewrite"] = rewriter
        if run_worker:
            loops["worker"] = _worker(base, bandwidth, core, patience, standby)
            loops["search"] = _searcher(base, patience)
        for name, loop in loops.items():
            base.tasks.start(loop.run(), name=name)
            stack.callback(loop.stop)
        for credentials in bandwidth.credentials:
            base.tasks.start(_warm(credentials), name="credentials.warm")
        warmth = Warmth(
            http=http,
            credentials=bandwidth.credentials,
            url=settings.bw_webrtc_url,
            connections=settings.warm_connections,
            clock=base.clock,
        )
        stack.callback(base.tasks.start(warmth.run(), name="warmth").cancel)
        yield _bridge(base, bandwidth, core, pause, standby, patience)


class _Loop(Protocol):
    """What goes on beside the calls."""

    async def run(self) -> None:
        """Until `stop`."""

    def stop(self) -> None: ...


class _Base(NamedTuple):
    settings: Settings
    clock: StoreClock
    tasks: Tasks
    alarm: Alarm
    store: Client
    rewriter: FileRewriter
    metrics: Metrics
    doings: Doings
    persistence: Persistence

    @property
    def compresses(self) -> bool:
        """Whether every release that runs here can read it."""
        return self.settings.store_format >= compression.SINCE

    @property
    def callbacks(self) -> Callbacks:
        return Callbacks(
            self.settings.base_callback_url,
            *_callback_credentials(self.settings),
            fallback=self.settings.fallback_callback_url,
        )


class _Core(NamedTuple):
    calls: Calls
    rooms: Rooms
    doubts: Doubts
    entrance: Entrance
    engine: Engine
    participants: Participants


def _core(base: _Base, bandwidth: Bandwidth, patience: Patience) -> _Core:
    settings, callbacks = base.settings, base.callbacks
    calls = Calls(
        base.store,
        ended_days=settings.ended_call_days,
        compresses=base.compresses,
        on_erasure=base.rewriter.erased,
    )
    rooms = Rooms(
        base.store,
        roll_over=patience.session,
        old_session=patience.old_session,
        check=patience.quiet,
        unused=patience.unused,
        absent=patience.absent,
        stock=settings.prepared_participants,
        page_alone=settings.visitor_alone,
    )
    doubts = Doubts(
        webrtc=bandwidth.webrtc,
        rooms=rooms,
        clock=base.clock,
        tasks=base.tasks,
        alarm=base.alarm,
        patience=patience,
        metrics=base.metrics,
    )
    entrance = Entrance(
        webrtc=bandwidth.webrtc,
        rooms=rooms,
        doubts=doubts,
        clock=base.clock,
        tasks=base.tasks,
        alarm=base.alarm,
        metrics=base.metrics,
        persistence=base.persistence,
    )
    legs = Legs(
        voice=bandwidth.voice,
        entrance=entrance,
        callbacks=callbacks,
        sip_uri=settings.bw_sipx_uri,
        application_id=settings.bw_voice_application_id,
        number=settings.bw_number,
    )
    joiner = Joiner(
        entrance=entrance,
        rooms=rooms,
        interconnect=bandwidth.interconnect,
        callbacks=callbacks,
        legs=legs,
        way=Way(settings.interconnect),
        clock=base.clock,
        alarm=base.alarm,
        metrics=base.metrics,
    )
    engine = Engine(
        calls=calls,
        joiner=joiner,
        rooms=rooms,
        clock=base.clock,
        new_id=lambda: secrets.token_urlsafe(6),
        alarm=base.alarm,
        tasks=base.tasks,
        patience=patience,
        metrics=base.metrics,
        wrong_pins=_wrong_pins(settings, base.store),
        persistence=base.persistence,
    )
    participants = Participants(
        entrance=entrance,
        rooms=rooms,
        callbacks=callbacks,
        budget=settings.webhook_budget,
        patience=patience,
        clock=base.clock,
        tasks=base.tasks,
        alarm=base.alarm,
        new_name=lambda: base64.b32encode(secrets.token_bytes(10)).decode().lower(),
        metrics=base.metrics,
        persistence=base.persistence,
    )
    return _Core(calls, rooms, doubts, entrance, engine, participants)


def _standby(id_: str, base: _Base, bandwidth: Bandwidth) -> Standby:
    return Standby(
        id_=id_,
        apis=bandwidth.apis,
        tokens=StandbyTokens(base.store),
        replicas=Replicas(base.store),
        clock=base.clock,
        metrics=base.metrics,
    )


def _watch(base: _Base, patience: Patience) -> StoreWatch:
    return StoreWatch(
        markers=Markers(base.store, base.clock, every=patience.watch),
        evictions=Evictions(base.store),
        new_id=lambda: secrets.token_hex(8),
        every=patience.watch,
        clock=base.clock,
        metrics=base.metrics,
    )


def _worker(base: _Base, bandwidth: Bandwidth, core: _Core, patience: Patience, standby: Standby) -> Worker:
    mover = Mover(
        entrance=core.entrance,
        webrtc=bandwidth.webrtc,
        rooms=core.rooms,
        clock=base.clock,
        patience=patience,
    )
    phones = Phones(bandwidth.voice, base.callbacks)
    performer = Performer(
        phones=phones,
        webrtc=bandwidth.webrtc,
        calls=core.calls,
        rooms=core.rooms,
        entrance=core.entrance,
        mover=mover,
        participants=core.participants,
        engine=core.engine,
        asker=Asker(
            voice=bandwidth.voice,
            phones=phones,
            webrtc=bandwidth.webrtc,
            calls=core.calls,
            rooms=core.rooms,
            doubts=core.doubts,
            engine=core.engine,
            clock=base.clock,
            patience=patience,
            metrics=base.metrics,
        ),
        stocker=Stocker(
            webrtc=bandwidth.webrtc,
            rooms=core.rooms,
            entrance=core.entrance,
            doubts=core.doubts,
            callbacks=base.callbacks,
            clock=base.clock,
            metrics=base.metrics,
            life=patience.stock,
        ),
        doubts=core.doubts,
        clock=base.clock,
        alarm=base.alarm,
        patience=patience,
    )
    return Worker(
        outbox=Outbox(
            base.store, worker=secrets.token_hex(8), lease=patience.lease, compresses=base.compresses
        ),
        performer=performer,
        alarm=base.alarm,
        clock=base.clock,
        tasks=base.tasks,
        jitter=lambda: secrets.randbelow(1000) / 1000,
        give_up=base.settings.owed_hours * HOUR,
        metrics=base.metrics,
        aside=lambda: standby.aside,
    )


def _searcher(base: _Base, patience: Patience) -> Searcher:
    # A little less than a round, so that a replica which is alone finds none of its own traces.
    search = Search(
        base.store,
        every=patience.searched * 0.8,
        rings=patience.unheard + _LONGEST_RING,
        roll_over=patience.session,
    )
    return Searcher(
        search=search, alarm=base.alarm, clock=base.clock, metrics=base.metrics, every=patience.searched
    )


def _operators(base: _Base, bandwidth: Bandwidth, core: _Core, patience: Patience) -> Operators:
    settings = base.settings
    return Operators(
        engine=core.engine,
        calls=core.calls,
        rooms=core.rooms,
        admission=Admission(base.store, per_hour=settings.calls_per_hour),
        up=CallsUp(base.store, core.calls, base.clock.now),
        voice=bandwidth.voice,
        callbacks=base.callbacks,
        application_id=settings.bw_voice_application_id,
        per_hour=settings.calls_per_hour,
        budget=settings.webhook_budget,
        patience=patience,
        clock=base.clock,
        tasks=base.tasks,
        persistence=base.persistence,
        new_ref=lambda: ref_of_call(secrets.token_hex(16)),
    )


def _bridge(
    base: _Base, bandwidth: Bandwidth, core: _Core, pause: Pause, standby: Standby, patience: Patience
) -> Bridge:
    settings = base.settings
    return Bridge(
        account_id=settings.bw_account_id,
        number=settings.bw_number,
        policy=_policy(settings, patience),
        dial_plan=outbound.dial_plan(settings),
        called_numbers=CalledNumbers(),
        callers=frozenset(settings.outbound_from),
        api_keys=settings.api_keys,
        engine=core.engine,
        operators=_operators(base, bandwidth, core, patience),
        participants=core.participants,
        calls=core.calls,
        rooms=core.rooms,
        pause=pause,
        standby=standby,
        live=Live(News(base.store), base.clock, base.tasks, quiet=patience.listening),
        cursors=Cursors(*_passwords(settings)),
        alarm=base.alarm,
        renderer=Renderer(bandwidth.interconnect, base.callbacks, _words(settings)),
        callbacks=base.callbacks,
        door=_door(base),
        callback_credentials=CallbackCredentials(*_callback_credentials(settings)),
        bandwidth_credentials=bandwidth.credentials,
        circuits=bandwidth.circuits,
        doings=base.doings,
        replicas=Replicas(base.store),
        store=base.store,
        metrics=base.metrics,
        clock=base.clock,
        tasks=base.tasks,
    )


def _door(base: _Base) -> Door:
    settings = base.settings
    return door_of(
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
    return WrongPins(client, key_for("wrong pins", password or ""))


def _policy(settings: Settings, patience: Patience) -> Policy:
    return Policy(
        room_policy=settings.room_policy,
        room_map=settings.room_map,
        announcement=settings.announcement or "",
        fallback=outbound.fallback_number(settings),
        ours=outbound.own_numbers(settings),
        pin_numbers=frozenset(settings.pin_numbers),
        pin_tries=settings.pin_tries,
        budget=settings.webhook_budget,
        short_leg=patience.short_leg,
        limits=Limits(
            call=settings.call_limit,
            hold=settings.hold_limit,
            visitor_call=settings.visitor_call_limit,
            visitor_alone=settings.visitor_alone,
        ),
    )


def _words(settings: Settings) -> Words:
    return Words(
        hold_message=settings.hold_message or PLEASE_HOLD,
        hold_music=settings.hold_music_url or "",
        pin_prompt=settings.pin_prompt,
        pin_wrong=settings.pin_wrong,
        pin_goodbye=settings.pin_goodbye,
        pin_first_digit_timeout=settings.pin_first_digit_timeout,
        pin_digit_timeout=settings.pin_digit_timeout,
    )


async def _warm(credentials: Credentials) -> None:
    """The first caller should not wait for a token."""
    try:
        await credentials.warm()
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
