"""What a browser receives: the connection on which we make the offers, one at a time, with revisions."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from aiortc import RTCPeerConnection, RTCRtpTransceiver, RTCSessionDescription

from tests.simulator.media.heartbeat import Heartbeat
from tests.simulator.media.peers import Unconnected, close_dtls, connected, peer_connection
from tests.simulator.media.rpc import RpcError
from tests.simulator.media.voices import AudioSource, Feed

Send = Callable[[str, dict[str, Any]], Awaitable[None]]


@dataclass(eq=False)
class Slot:
    """A section of the description. Sections never go away, so those that are free are used again."""

    feed: Feed
    transceiver: RTCRtpTransceiver
    stream_id: str = ""


class Subscribing:
    """`send` takes a notification to the browser, or loses it; `resend` follows on a new socket."""

    def __init__(self, send: Send) -> None:
        self.heartbeat: Heartbeat | None = None
        self.revision = 0
        self._send = send
        self._endpoint_id = str(uuid4())
        self._peer: RTCPeerConnection | None = None
        self._wanted: list[AudioSource] = []
        self._slots: dict[AudioSource, Slot] = {}
        self._free: list[Slot] = []
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()
        self._outstanding: dict[str, Any] | None = None
        self._closing = False

    async def close(self) -> None:
        self.want([])
        if self._peer is not None:
            await self._peer.close()

    async def close_media(self) -> None:
        self._closing = True
        if self._peer is not None:
            await close_dtls(self._peer)

    def want(self, voices: list[AudioSource]) -> None:
        """What the browser is to receive from now on; what it is not to falls silent at once."""
        for voice, slot in self._slots.items():
            if voice in voices:
                voice.feeds.add(slot.feed)
            else:
                voice.feeds.discard(slot.feed)
        self._wanted = voices
        self._changed.set()

    async def run(self) -> None:
        """Offers until it is cancelled; first of all the data channels, since audio first breaks bundling."""
        self._peer = peer_connection()
        self.heartbeat = Heartbeat(self._peer)
        await self._offer(self._peer)
        try:
            await connected(self._peer)
        except Unconnected:
            return
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._closing:
                return
            if self._arrange(self._peer):
                await self._offer(self._peer)

    async def resend(self) -> None:
        """An offer that has not been answered goes out again, as a newer one."""
        if self._outstanding is not None:
            await self._announce(self._outstanding)

    async def answer(self, sdp: str) -> None:
        """Raises RpcError when nobody asked."""
        if self._peer is None or self._outstanding is None:
            raise RpcError("there is no offer to answer")
        self._outstanding = None
        try:
            await self._peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        finally:
            self._answered.set()

    def _arrange(self, peer: RTCPeerConnection) -> bool:
        """Give each voice a section of its own; False when all is as it was."""
        gone = [voice for voice in self._slots if voice not in self._wanted]
        new = [voice for voice in self._wanted if voice not in self._slots]
        for voice in gone:
            slot = self._slots.pop(voice)
            slot.transceiver.direction = "inactive"
            self._free.append(slot)
        # Those that fall free now are used at the next change: sections are inactive for a revision at least.
        free = [slot for slot in self._free if slot.transceiver.currentDirection == "inactive"]
        for voice in new:
            slot = free.pop() if free else _slot(peer)
            if slot in self._free:
                self._free.remove(slot)
            slot.transceiver.direction = "sendonly"
            # aiortc has one stream for a whole connection; here each voice is a stream.
            slot.stream_id = slot.transceiver.sender._stream_id = str(uuid4())  # noqa: SLF001 - no public way
            self._slots[voice] = slot
            voice.feeds.add(slot.feed)
        return bool(gone or new)

    async def _offer(self, peer: RTCPeerConnection) -> None:
        await peer.setLocalDescription(await peer.createOffer())
        self._answered.clear()
        await self._announce(
            {
                "endpointId": self._endpoint_id,
                "sdpOffer": peer.localDescription.sdp,
                "streamMetadata": {
                    slot.stream_id: self._metadata(voice) for voice, slot in self._slots.items()
                },
            }
        )
        await self._answered.wait()

    async def _announce(self, offer: dict[str, Any]) -> None:
        self._outstanding = offer
        self.revision += 1
        await self._send("sdpOffer", offer | {"sdpRevision": self.revision})

    def _metadata(self, voice: AudioSource) -> dict[str, Any]:
        content: dict[str, Any] = {
            "endpointId": self._endpoint_id,
            "mediaTypes": ["AUDIO"],
            "participantId": voice.participant_id,
        }
        return content | ({"alias": voice.alias} if voice.alias else {})


def _slot(peer: RTCPeerConnection) -> Slot:
    feed = Feed()
    return Slot(feed, peer.addTransceiver(feed, "sendonly"))
