"""The shell put together for tests, around a simulator and a store."""

from service.bandwidth.auth import Basic
from service.bandwidth.api_client import Http
from service.bandwidth.interconnect import SipTransfer
from service.bandwidth.voice import VoiceApi
from service.bandwidth.webrtc import WebRtcApi
from service.calls.effects import Effect
from service.calls.room_settings import Way
from service.clock import Clock, SystemClock
from service.engine.outbox.wakeup import Alarm
from service.engine.reconciler import Asker
from service.bandwidth.callback_urls import Callbacks
from service.engine.session_checks import Doubts
from service.engine.effect_executor import Performer
from service.engine.joining.session_join import Entrance
from service.engine.joining.call_join import Joiner
from service.engine.joining.webrtc_leg import Legs
from service.engine.joining.move import Mover
from service.engine.browsers import Participants
from service.engine.timeouts import PATIENCE, Patience
from service.engine.outbox.protocols import Handles, NotYet
from service.engine.phones import Phones
from service.engine.joining.prepared import Stocker
from service.metrics import Metrics
from service.store.calls import Calls
from service.store.redis.client import Client
from service.store.rooms import Rooms
from service.tasks import Tasks
from tests.clocks import SetClock
from tests.simulator.simulator import Simulator


async def looked_at(performer: Performer, clock: SetClock, effect: Effect) -> list[float]:
    """Performed as what was learned of it until it is done; the seconds in between."""
    waited: list[float] = []
    while (again := await _tried(performer, effect)) is not None:
        assert again.instead is not None
        effect = again.instead
        waited.append(again.seconds)
        clock.advance(again.seconds)
    return waited


async def _tried(performer: Performer, effect: Effect) -> NotYet | None:
    try:
        await performer.perform(effect, attempt=1)
    except NotYet as again:
        return again
    return None


class Parts:
    def __init__(
        self,
        simulator: Simulator,
        client: Client,
        clock: Clock,
        *,
        stock: int = 0,
        patience: Patience = PATIENCE,
    ) -> None:
        credentials = Basic(simulator.username, simulator.password)
        self.clock = clock
        self.tasks = Tasks()
        self.http = Http()
        self.voice = VoiceApi(self.http, simulator.voice_url, simulator.account_id, credentials)
        self.webrtc = WebRtcApi(self.http, simulator.webrtc_url, simulator.account_id, credentials)
        self.calls = Calls(client, ended_days=1)
        self.rooms = Rooms(client, stock=stock)
        self.callbacks = Callbacks("https://bridge.test", "u", "p")
        self.doubts = Doubts(
            webrtc=self.webrtc,
            rooms=self.rooms,
            clock=SystemClock(),
            tasks=self.tasks,
            alarm=Alarm(),
            patience=patience,
            metrics=Metrics(),
        )
        self.entrance = Entrance(
            webrtc=self.webrtc,
            rooms=self.rooms,
            doubts=self.doubts,
            clock=clock,
            tasks=self.tasks,
            alarm=Alarm(),
        )
        self.participants = Participants(
            entrance=self.entrance,
            rooms=self.rooms,
            callbacks=self.callbacks,
            budget=8,
            patience=patience,
            clock=clock,
            tasks=self.tasks,
            alarm=Alarm(),
            new_name=lambda: "a" * 16,
            metrics=Metrics(),
        )

    def joiner(self, way: Way = Way.TRANSFER, application_id: str | None = None) -> Joiner:
        legs = Legs(
            entrance=self.entrance,
            voice=self.voice,
            callbacks=self.callbacks,
            sip_uri="sip:sipx.webrtc.bandwidth.com:5060",
            application_id=application_id,
            number="+15551234567",
        )
        return Joiner(
            entrance=self.entrance,
            rooms=self.rooms,
            interconnect=SipTransfer(),
            callbacks=self.callbacks,
            legs=legs,
            way=way,
            clock=self.clock,
            alarm=Alarm(),
        )

    def performer(self, engine: Handles) -> Performer:
        mover = Mover(
            entrance=self.entrance,
            webrtc=self.webrtc,
            rooms=self.rooms,
            clock=self.clock,
            patience=PATIENCE,
        )
        return Performer(
            phones=Phones(self.voice, self.callbacks),
            webrtc=self.webrtc,
            calls=self.calls,
            rooms=self.rooms,
            entrance=self.entrance,
            mover=mover,
            participants=self.participants,
            engine=engine,
            asker=Asker(
                voice=self.voice,
                phones=Phones(self.voice, self.callbacks),
                webrtc=self.webrtc,
                calls=self.calls,
                rooms=self.rooms,
                doubts=self.doubts,
                engine=engine,
                clock=self.clock,
                patience=PATIENCE,
            ),
            stocker=Stocker(
                webrtc=self.webrtc,
                rooms=self.rooms,
                entrance=self.entrance,
                doubts=self.doubts,
                callbacks=self.callbacks,
                clock=self.clock,
                metrics=Metrics(),
                life=PATIENCE.stock,
            ),
            doubts=self.doubts,
            clock=self.clock,
            alarm=Alarm(),
            patience=PATIENCE,
        )
