"""The shell put together for tests, around a simulator and a store."""

from service.bandwidth.api_client import HttpClient
from service.bandwidth.auth import Basic
from service.bandwidth.callback_urls import CallbackUrls
from service.bandwidth.interconnect import SipTransfer
from service.bandwidth.voice import VoiceApi
from service.bandwidth.webrtc import WebRtcApi
from service.calls.effects import Effect
from service.calls.room_settings import InterconnectMode
from service.clock import Clock, SystemClock
from service.engine.browsers import Browsers
from service.engine.effect_executor import EffectExecutor
from service.engine.joining.call_join import CallJoiner
from service.engine.joining.move import ParticipantMover
from service.engine.joining.prepared import ParticipantPool
from service.engine.joining.session_join import SessionJoiner
from service.engine.joining.webrtc_leg import LegDialer
from service.engine.member_restore import MemberRestorer
from service.engine.outbox.protocols import RetryLater, SupportsHandle
from service.engine.outbox.wakeup import WorkerSignal
from service.engine.phones import PhoneControl
from service.engine.reconciler import Reconciler
from service.engine.session_checks import SessionChecker
from service.engine.timeouts import DEFAULT_TIMEOUTS, Timeouts
from service.metrics import Metrics
from service.store.calls import Calls
from service.store.redis.client import Client
from service.store.rooms import Rooms
from service.tasks import Tasks
from tests.clocks import SetClock
from tests.simulator.simulator import Simulator


async def execute_until_done(performer: EffectExecutor, clock: SetClock, effect: Effect) -> list[float]:
    """Performed as what was learned of it until it is done; the seconds in between."""
    waited: list[float] = []
    while (again := await _execute_once(performer, effect)) is not None:
        assert again.replacement is not None
        effect = again.replacement
        waited.append(again.delay)
        clock.advance(again.delay)
    return waited


async def _execute_once(performer: EffectExecutor, effect: Effect) -> RetryLater | None:
    try:
        await performer.execute(effect, attempt=1)
    except RetryLater as again:
        return again
    return None


class EngineParts:
    def __init__(
        self,
        simulator: Simulator,
        client: Client,
        clock: Clock,
        *,
        stock: int = 0,
        patience: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        credentials = Basic(simulator.username, simulator.password)
        self.clock = clock
        self.tasks = Tasks()
        self.http = HttpClient()
        self.voice = VoiceApi(self.http, simulator.voice_url, simulator.account_id, credentials)
        self.webrtc = WebRtcApi(self.http, simulator.webrtc_url, simulator.account_id, credentials)
        self.calls = Calls(client, ended_days=1)
        self.rooms = Rooms(client, prepared=stock)
        self.callbacks = CallbackUrls("https://bridge.test", "u", "p")
        self.doubts = SessionChecker(
            webrtc=self.webrtc,
            rooms=self.rooms,
            clock=SystemClock(),
            tasks=self.tasks,
            signal=WorkerSignal(),
            timeouts=patience,
            metrics=Metrics(),
        )
        self.entrance = SessionJoiner(
            webrtc=self.webrtc,
            rooms=self.rooms,
            session_checker=self.doubts,
            clock=clock,
            tasks=self.tasks,
            signal=WorkerSignal(),
        )
        self.participants = Browsers(
            session_joiner=self.entrance,
            rooms=self.rooms,
            callbacks=self.callbacks,
            budget=8,
            timeouts=patience,
            clock=clock,
            tasks=self.tasks,
            signal=WorkerSignal(),
            new_name=lambda: "a" * 16,
            metrics=Metrics(),
        )

    def joiner(
        self, way: InterconnectMode = InterconnectMode.TRANSFER, application_id: str | None = None
    ) -> CallJoiner:
        legs = LegDialer(
            session_joiner=self.entrance,
            voice=self.voice,
            callbacks=self.callbacks,
            sip_uri="sip:sipx.webrtc.bandwidth.com:5060",
            application_id=application_id,
            number="+15551234567",
        )
        return CallJoiner(
            session_joiner=self.entrance,
            rooms=self.rooms,
            interconnect=SipTransfer(),
            callbacks=self.callbacks,
            leg_dialer=legs,
            default_interconnect=way,
            clock=self.clock,
            signal=WorkerSignal(),
        )

    def performer(self, engine: SupportsHandle) -> EffectExecutor:
        mover = ParticipantMover(
            session_joiner=self.entrance,
            webrtc=self.webrtc,
            rooms=self.rooms,
            clock=self.clock,
            timeouts=DEFAULT_TIMEOUTS,
        )
        return EffectExecutor(
            phones=PhoneControl(self.voice, self.callbacks),
            webrtc=self.webrtc,
            calls=self.calls,
            rooms=self.rooms,
            session_joiner=self.entrance,
            mover=mover,
            browsers=self.participants,
            member_restorer=MemberRestorer(
                webrtc=self.webrtc,
                calls=self.calls,
                browsers=self.participants,
                session_joiner=self.entrance,
                event_handler=engine,
                clock=self.clock,
                timeouts=DEFAULT_TIMEOUTS,
            ),
            event_handler=engine,
            reconciler=Reconciler(
                voice=self.voice,
                phones=PhoneControl(self.voice, self.callbacks),
                webrtc=self.webrtc,
                calls=self.calls,
                rooms=self.rooms,
                session_checker=self.doubts,
                event_handler=engine,
                clock=self.clock,
                timeouts=DEFAULT_TIMEOUTS,
            ),
            participant_pool=ParticipantPool(
                webrtc=self.webrtc,
                rooms=self.rooms,
                session_joiner=self.entrance,
                session_checker=self.doubts,
                callbacks=self.callbacks,
                clock=self.clock,
                metrics=Metrics(),
                lifetime=DEFAULT_TIMEOUTS.prepared_lifetime,
            ),
            session_checker=self.doubts,
            clock=self.clock,
            signal=WorkerSignal(),
            timeouts=DEFAULT_TIMEOUTS,
        )
