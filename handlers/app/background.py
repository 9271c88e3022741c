"""Builds what runs beside the calls: the worker, and what watches the store, the replica and Bandwidth."""

import secrets
import socket
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from handlers.app.bandwidth import Bandwidth
from handlers.app.core import Base, Core
from service.bandwidth.auth import ApiCredentials
from service.bandwidth.errors import BandwidthError
from service.engine.data_loss_watch import DataLossWatch
from service.engine.effect_executor import EffectExecutor
from service.engine.joining.move import ParticipantMover
from service.engine.joining.prepared import ParticipantPool
from service.engine.member_restore import MemberRestorer
from service.engine.outbox.worker import Worker
from service.engine.phones import PhoneControl
from service.engine.reconciler import Reconciler
from service.engine.replica_reporter import ReplicaReporter, WebhookCounts
from service.engine.standby import Standby
from service.engine.timeouts import HOUR, Timeouts
from service.engine.unscheduled_scan import UnscheduledScanner
from service.store.clock import StoreClock
from service.store.health import EvictionCounter
from service.store.marker import Markers
from service.store.outbox import Outbox
from service.store.redis.client import Client
from service.store.replicas import Replicas
from service.store.standby import StandbyLeases
from service.store.unscheduled import UnscheduledSearch

log = structlog.get_logger()

_LONGEST_RING: Final = 300.0
"""Seconds (voice API, createCall, callTimeout)."""


class BackgroundLoop(Protocol):
    """What goes on beside the calls."""

    async def run(self) -> None:
        """Until `stop`."""

    def stop(self) -> None: ...


def create_standby(id_: str, base: Base, bandwidth: Bandwidth) -> Standby:
    return Standby(
        id_=id_,
        apis=bandwidth.apis,
        tokens=StandbyLeases(base.store),
        replicas=Replicas(base.store),
        clock=base.clock,
        metrics=base.metrics,
    )


def create_replica_reporter(
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


def create_data_loss_watch(base: Base, timeouts: Timeouts) -> DataLossWatch:
    return DataLossWatch(
        markers=Markers(base.store, base.clock, every=timeouts.store_check),
        evictions=EvictionCounter(base.store),
        new_id=lambda: secrets.token_hex(8),
        every=timeouts.store_check,
        clock=base.clock,
        metrics=base.metrics,
    )


def create_worker(
    base: Base, bandwidth: Bandwidth, core: Core, timeouts: Timeouts, standby: Standby
) -> Worker:
    mover = ParticipantMover(
        session_joiner=core.session_joiner,
        webrtc=bandwidth.webrtc,
        rooms=core.rooms,
        clock=base.clock,
        timeouts=timeouts,
    )
    phones = PhoneControl(bandwidth.voice, base.callback_urls)
    executor = EffectExecutor(
        phones=phones,
        webrtc=bandwidth.webrtc,
        calls=core.calls,
        rooms=core.rooms,
        session_joiner=core.session_joiner,
        mover=mover,
        browsers=core.browsers,
        member_restorer=MemberRestorer(
            webrtc=bandwidth.webrtc,
            calls=core.calls,
            browsers=core.browsers,
            session_joiner=core.session_joiner,
            event_handler=core.event_handler,
            clock=base.clock,
            timeouts=timeouts,
        ),
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
        executor=executor,
        signal=base.signal,
        clock=base.clock,
        tasks=base.tasks,
        jitter=lambda: secrets.randbelow(1000) / 1000,
        give_up_after=base.settings.owed_hours * HOUR,
        metrics=base.metrics,
        stands_aside=lambda: standby.is_aside,
    )


def create_unscheduled_scan(base: Base, timeouts: Timeouts) -> UnscheduledScanner:
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


async def prefetch_token(credentials: ApiCredentials) -> None:
    """The first caller should not wait for a token."""
    try:
        await credentials.prefetch()
    except BandwidthError as error:
        log.warning("token.unavailable", error=str(error))
