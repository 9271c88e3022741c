"""A browser for tests that need none: on aiortc, and at every turn what `@bandwidth/webrtc-browser` does."""

import asyncio
import contextlib
import re
from collections.abc import Callable
from fractions import Fraction
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import aiohttp
import av
import msgspec
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtpPacket

from tests.simulator.background import Background
from tests.simulator.clock import monotonic
from tests.simulator.media import pcm, sections
from tests.simulator.media.digits import KEYS
from tests.simulator.media.hearing import RecordedAudio, Recording
from tests.simulator.media.peers import peer_connection
from tests.simulator.media.sections import Description, Section

# Payload type of telephone-event.
DIGITS = 110


class Tone(MediaStreamTrack):
    """A microphone that somebody whistles into."""

    kind = "audio"

    def __init__(self, hz: int) -> None:
        super().__init__()
        self.hz = hz
        self._began = monotonic()
        self._tick = 0

    async def recv(self) -> av.AudioFrame:
        self._tick += 1
        await asyncio.sleep(self._began + self._tick * pcm.SECONDS_A_FRAME - monotonic())
        sound = pcm.tone(self.hz, self._tick).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(sound, format="s16", layout="mono")
        frame.sample_rate, frame.pts = pcm.RATE, self._tick * pcm.FRAME
        frame.time_base = Fraction(1, pcm.RATE)
        return frame


class Stream:
    """What the SDK gives to onStreamAvailable, and what is heard of it."""

    def __init__(self, metadata: dict[str, Any]) -> None:
        self.participant_id: str = metadata["participantId"]
        self.alias: str | None = metadata.get("alias")
        self.recording = Recording()

    def heard(self) -> RecordedAudio:
        return RecordedAudio(self.recording)


class SdkBrowser:
    """`streams` are those that are available now, by id; `unavailable` the ids of those that went."""

    def __init__(self, device_url: str, token: str) -> None:
        self.streams: dict[str, Stream] = {}
        self.unavailable: list[str] = []
        self.revisions: list[int] = []
        self.closed: list[int | None] = []
        self.opened = 0
        self.deaf = False
        """Offers are not heard of: a page that is busy while its socket is lost."""
        self.pause = 0.1
        """Seconds until a lost socket is opened again; the SDK takes one."""
        self.comes_back = True
        self.published: dict[str, Any] = {}
        """The latest answer to an offer of ours."""
        self._unique_id = str(uuid4())
        self._url = (
            f"{device_url}/v3/?token={token}&client=browser&sdkVersion=0.12&uniqueId={self._unique_id}"
        )
        self.failures: list[str] = []
        self._background = Background(self.failures.append)
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._calls = 0
        self._digits = 0
        self._publishing: RTCPeerConnection | None = None
        self._subscribing: RTCPeerConnection | None = None
        self._published: dict[str, str] = {}
        self._receiving: dict[str, Stream] = {}
        self._one_at_a_time = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        await self._open()
        await self.call("setMediaPreferences", {"protocol": "WEBRTC"})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()
        assert kind or not self.failures, self.failures

    async def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result; an error is an AssertionError."""
        self._calls += 1
        answer = asyncio.get_running_loop().create_future()
        self._waiting[self._calls] = answer
        await self._send({"method": method, "params": params, "id": self._calls})
        reply: dict[str, Any] = await answer
        assert "error" not in reply, reply["error"]
        result: dict[str, Any] = reply["result"]
        return result

    async def publish(self, hz: int, alias: str | None = None) -> str:
        """Whistle; the id of the stream."""
        if self._publishing is None:
            self._publishing = peer_connection()
            _data_channels(self._publishing)
            await self._offer(self._publishing)
        stream_id = str(uuid4())
        transceiver = self._publishing.addTransceiver(Tone(hz), "sendonly")
        transceiver.sender._stream_id = stream_id  # noqa: SLF001 - aiortc has one stream for each connection
        self._published[stream_id] = alias or ""
        self.published = await self._offer(self._publishing)
        return stream_id

    async def leave(self) -> None:
        """The application's disconnect()."""
        self.comes_back = False
        await self._send({"method": "leave", "params": None})
        await self._send({"method": "deviceDiagnostics", "params": {"logs": []}})
        if self._socket is not None:
            await self._socket.close(code=1000)

    async def disconnect(self) -> None:
        if self._socket is not None and not self._socket.closed:
            await self.leave()
        self.comes_back = False
        for peer in (self._publishing, self._subscribing):
            if peer is not None:
                await peer.close()
        await self._background.stop()
        if self._session is not None:
            await self._session.close()

    @property
    def states(self) -> list[str]:
        """Of its peer connections: publishing, subscribing."""
        return [peer.connectionState for peer in (self._publishing, self._subscribing) if peer is not None]

    @property
    def sections(self) -> int:
        """Of the latest offer: one for data, and those for sound, in use or not."""
        assert self._subscribing is not None
        return len(sections.parse(self._subscribing.remoteDescription.sdp).sections)

    def hears(self, participant_id: str) -> RecordedAudio:
        """The one stream of a participant; KeyError when there is none."""
        for stream in self.streams.values():
            if stream.participant_id == participant_id:
                return stream.heard()
        raise KeyError(participant_id)

    def heard(self) -> dict[str, list[int]]:
        """By participant, what stands out in its stream."""
        return {one.participant_id: one.heard().frequencies(0.05) for one in self.streams.values()}

    async def _open(self) -> None:
        assert self._session is not None
        self._socket = await self._session.ws_connect(self._url)
        self.opened += 1
        self._background.start(self._read(self._socket), name="socket")

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            frame = msgspec.json.decode(message.data)
            if "id" in frame:
                self._waiting.pop(frame["id"]).set_result(frame)
            elif not self.deaf:
                assert frame["method"] == "sdpOffer"
                self._background.start(self._handle(frame["params"]), name="offer")
        self.closed.append(socket.close_code)
        if self.comes_back and socket.close_code != 1000:
            await asyncio.sleep(self.pause)
            await self._open()

    async def _send(self, content: dict[str, Any]) -> None:
        assert self._socket is not None
        await self._socket.send_str(msgspec.json.encode({"jsonrpc": "2.0"} | content).decode())

    async def _offer(self, peer: RTCPeerConnection) -> dict[str, Any]:
        """The description is applied after the server has answered it, so it has no candidates."""
        offer = await peer.createOffer()
        described = sections.parse(sections.without_candidates(offer.sdp))
        for section in described.sections:
            if section.kind == "audio":
                section.accept_events({DIGITS: "48000"})
        result = await self.propose(str(described))
        await peer.setLocalDescription(offer)
        await peer.setRemoteDescription(RTCSessionDescription(result["sdpAnswer"], "answer"))
        return result

    async def unpublish(self, stream_id: str) -> Description:
        """What a browser offers then: the section is rejected and out of the bundle. Returns the answer."""
        del self._published[stream_id]
        return await self._vary(lambda section: section.reject(), bundled="0")

    async def publish_again(self, stream_id: str) -> Description:
        """The section of a stream that was unpublished, used again: under a new name."""
        self._published[stream_id] = ""

        def renamed(section: Section) -> None:
            text = re.sub(r"a=msid:\S+", f"a=msid:{stream_id}", "\n".join(section.lines))
            section.lines = text.replace("a=mid:1", "a=mid:2").split("\n")

        return await self._vary(renamed, bundled="0 2")

    async def _vary(self, vary: Callable[[Section], None], bundled: str) -> Description:
        """Offer what is published with its one audio section changed: aiortc cannot stop one by itself."""
        assert self._publishing is not None
        described = sections.parse(sections.without_candidates(self._publishing.localDescription.sdp))
        for section in described.sections:
            if section.kind == "audio":
                vary(section)
        head = [f"a=group:BUNDLE {bundled}" if "BUNDLE" in line else line for line in described.head]
        result = await self.propose(str(Description(head, described.sections)))
        return sections.parse(result["sdpAnswer"])

    async def propose(self, sdp: str) -> dict[str, Any]:
        """The call offerSdp, with whatever is published at present."""
        streams = {stream: {"alias": alias} if alias else {} for stream, alias in self._published.items()}
        channels = {"__heartbeat__": {"label": "__heartbeat__", "streamId": 0}}
        metadata = {"mediaStreams": streams, "dataChannels": channels}
        return await self.call("offerSdp", {"sdpOffer": sdp, "mediaMetadata": metadata})

    async def press(self, key: str) -> None:
        """As browsers do it: several packets with the time of the beginning (RFC 4733)."""
        assert self._publishing is not None
        assert self._publishing.sctp is not None
        began = self._digits * pcm.FRAME
        for number in range(3):
            self._digits += 1
            packet = RtpPacket(DIGITS, sequence_number=self._digits, timestamp=began)
            # A source of its own: the numbers of the other one are known to aiortc alone.
            packet.ssrc = DIGITS
            packet.payload = bytes([KEYS.index(key), 10, 3, 32 * (number + 1)])
            await self._publishing.sctp.transport._send_rtp(packet.serialize())  # noqa: SLF001 - aiortc has no way to send them

    async def _handle(self, offer: dict[str, Any]) -> None:
        async with self._one_at_a_time:
            if offer["sdpRevision"] <= max(self.revisions, default=0):
                return
            if self._subscribing is None:
                self._subscribing = peer_connection()
                _data_channels(self._subscribing)
            peer = self._subscribing
            await peer.setRemoteDescription(RTCSessionDescription(offer["sdpOffer"], "offer"))
            answer = await peer.createAnswer()
            munged = re.sub(r"a=setup:\w+", "a=setup:passive", answer.sdp)
            await peer.setLocalDescription(RTCSessionDescription(munged, "answer"))
            self._show(peer, offer)
            # An offer whose answer finds no socket comes again.
            with contextlib.suppress(aiohttp.ClientConnectionError):
                await self.call("answerSdp", {"sdpAnswer": sections.without_candidates(munged)})
                self.revisions.append(offer["sdpRevision"])

    def _show(self, peer: RTCPeerConnection, offer: dict[str, Any]) -> None:
        described = {one.mid: one for one in sections.parse(offer["sdpOffer"]).sections}
        now = {one.stream for one in described.values() if one.kind == "audio" and one.sends}
        for stream_id in self.streams.keys() - now:
            del self.streams[stream_id]
            self.unavailable.append(stream_id)
        for transceiver in peer.getTransceivers():
            section = described[transceiver.mid or ""]
            if not section.sends or section.stream in self.streams:
                continue
            stream = Stream(offer["streamMetadata"][section.stream])
            self.streams[section.stream] = stream
            if section.mid not in self._receiving:
                self._background.start(self._follow(section.mid, transceiver.receiver.track), name="track")
            self._receiving[section.mid] = stream

    async def _follow(self, mid: str, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(frame, av.AudioFrame):
                sound = frame.to_ndarray().reshape(-1)[::2]
                self._receiving[mid].recording.add(np.ascontiguousarray(sound, dtype=np.int16))


def _data_channels(peer: RTCPeerConnection) -> None:
    """Both sides open them without a word; PING is answered."""
    heartbeat = peer.createDataChannel("__heartbeat__", negotiated=True, id=0, protocol="udp")
    peer.createDataChannel("__diagnostics__", negotiated=True, id=1, protocol="udp")
    heartbeat.on("message", lambda message: heartbeat.send("PONG") if message == "PING" else None)
