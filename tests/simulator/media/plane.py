"""The media plane, composed: who hears whom, kept up as sessions, calls and browsers change."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Literal

from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from tests.simulator.background import Background
from tests.simulator.calls import Call
from tests.simulator.events import ParticipantEvent
from tests.simulator.media.device import NORMAL, Device, DeviceOwner
from tests.simulator.media.hearing import RecordedAudio
from tests.simulator.media.mixer import Mixer
from tests.simulator.media.voices import AudioSource, PhoneLine, PhoneVoice
from tests.simulator.phones import Phone
from tests.simulator.sessions import Participant, Sessions

Tell = Callable[[Participant, ParticipantEvent, str], None]
ConnectionRefusal = Literal["close", 401]
GOING_AWAY = 1001


class MediaPlane(DeviceOwner):
    """`refusal` is what a token of no live participant gets; the SDK tries again for ever after a 401."""

    def __init__(
        self,
        sessions: Sessions,
        live: Callable[[], Iterable[Call]],
        phone: Callable[[str], Phone],
        tell: Tell,
        background: Background,
        *,
        grace: float,
        refusal: ConnectionRefusal,
    ) -> None:
        self.refusal = refusal
        self._sessions = sessions
        self._live = live
        self._phone = phone
        self._tell = tell
        self._background = background
        self._grace = grace
        self._mixer = Mixer()
        self._devices: dict[tuple[str, str], Device] = {}
        self._lines: dict[str, PhoneLine] = {}
        self._callers: dict[str, PhoneVoice] = {}
        self._stale = asyncio.Event()
        self._stopped = False

    def routes(self) -> list[WebSocketRoute]:
        return [WebSocketRoute("/v3/", self._connect)]

    def start(self) -> None:
        self._background.start(self._mixer.run(), name="mixer")
        self._background.start(self._keep_up(), name="media plane")

    async def stop(self) -> None:
        """Before the server: sockets are closed, and nobody is told."""
        self._stopped = True
        devices = list(self._devices.values())
        self._devices.clear()
        await asyncio.gather(*(device.end(GOING_AWAY) for device in devices))

    def changed(self) -> None:
        """Somebody came, went or subscribed: all is arranged anew, once for what happens at a time."""
        self._stale.set()

    def happened(self, device: Device, event: ParticipantEvent) -> None:
        if not self._stopped:
            self._tell(device.participant, event, device.id)

    def over(self, device: Device) -> None:
        if self._devices.pop((device.participant.id, device.unique_id), None) is device:
            self._background.start(device.end(), name=f"end of device {device.id}")
            self.changed()

    @property
    def devices(self) -> list[Device]:
        """Those that are connected or may come back."""
        return list(self._devices.values())

    def devices_of(self, participant_id: str) -> list[Device]:
        return [device for device in self.devices if device.participant.id == participant_id]

    def heard(self, phone: Phone | Call) -> RecordedAudio:
        """What a phone hears through its leg into WebRTC, from the first such leg on."""
        return RecordedAudio(self._line(phone.call_id).recording)

    def digits(self, participant_id: str) -> str:
        """Keys that have been pressed in its browser."""
        return "".join(device.digits for device in self.devices_of(participant_id))

    def drop(self, participant_id: str) -> None:
        """Cut its sockets, as a network does; the SDK comes back within about a second."""
        for device in self.devices_of(participant_id):
            device.drop()

    async def close(self, participant_id: str, code: int) -> None:
        """Close its sockets; with 1000 the SDK does not come back."""
        for device in self.devices_of(participant_id):
            await device.close(code)

    async def close_media(self, participant_id: str, side: Literal["publishing", "subscribing"]) -> None:
        """Close DTLS of one connection in good order; the socket and the other connection are left alone."""
        for device in self.devices_of(participant_id):
            await getattr(device, side).close_media()

    def forget(self, participant_id: str) -> None:
        """As if the gateway had lost its memory: sockets and media are gone, unique ids mean nothing."""
        for device in self.devices_of(participant_id):
            device.drop()
            self.over(device)

    async def _connect(self, socket: WebSocket) -> None:
        participant = self._sessions.by_token(socket.query_params.get("token", ""))
        if participant is None:
            await self._refuse(socket)
            return
        unique_id = socket.query_params.get("uniqueId", "")
        device = self._devices.get((participant.id, unique_id))
        if device is None:
            device = Device(participant, unique_id, self._background, self, self._grace)
            self._devices[participant.id, unique_id] = device
            self.changed()
        await device.serve(socket)

    async def _refuse(self, socket: WebSocket) -> None:
        if self.refusal == "close":
            await socket.accept()
            await socket.close(NORMAL)
        else:
            await socket.send_denial_response(Response(status_code=self.refusal))

    async def _keep_up(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            self._arrange()

    def _arrange(self) -> None:
        for device in self.devices:
            if device.participant.id not in self._sessions.participants:
                self.over(device)
        self._callers = self._connected_callers()
        voices: dict[str, list[AudioSource]] = defaultdict(list)
        for caller in self._callers.values():
            voices[caller.participant_id].append(caller)
        for device in self.devices:
            voices[device.participant.id] += device.publishing.microphones
        for line in self._lines.values():
            line.hears = []
        for caller in self._callers.values():
            caller.line.hears += self._heard(caller.participant_id, voices)
        for device in self.devices:
            device.subscribing.want(self._heard(device.participant.id, voices))
        live = {call.call_id for call in self._live()}
        self._mixer.arrange(
            [voice for several in voices.values() for voice in several],
            [line for call_id, line in self._lines.items() if call_id in live],
        )

    def _connected_callers(self) -> dict[str, PhoneVoice]:
        """Phones that are through to their participant, by the leg into WebRTC."""
        return {
            leg.call_id: self._callers.get(leg.call_id)
            or PhoneVoice(leg.participant_id, self._line(leg.peer.call_id))
            for leg in self._live()
            if leg.participant_id is not None and leg.peer is not None
        }

    def _heard(self, participant_id: str, voices: dict[str, list[AudioSource]]) -> list[AudioSource]:
        participant = self._sessions.participants.get(participant_id)
        if participant is None:
            return []
        return [
            voice
            for speaker, aliases in self._sessions.streams_heard_by(participant).items()
            for voice in voices.get(speaker, [])
            if not aliases or voice.alias in aliases
        ]

    def _line(self, call_id: str) -> PhoneLine:
        if call_id not in self._lines:
            self._lines[call_id] = PhoneLine(self._phone(call_id))
        return self._lines[call_id]
