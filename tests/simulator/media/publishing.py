"""What a browser publishes: the connection on which it makes the offers and we answer."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from aiortc import RTCPeerConnection, RTCSessionDescription

from tests.simulator.background import Background
from tests.simulator.media import sections
from tests.simulator.media.digits import DtmfReceiver
from tests.simulator.media.heartbeat import Heartbeat
from tests.simulator.media.peers import close_dtls, connected, peer_connection
from tests.simulator.media.rpc import RpcError
from tests.simulator.media.sections import Description, Section
from tests.simulator.media.voices import Microphone
from tests.simulator.sessions import Participant


class Publishing:
    """`changed` is called when the microphones are others, `pressed` with every key."""

    def __init__(
        self,
        participant: Participant,
        background: Background,
        changed: Callable[[], None],
        pressed: Callable[[str], None],
    ) -> None:
        self.endpoint_id = str(uuid4())
        self.heartbeat: Heartbeat | None = None
        self._participant = participant
        self._background = background
        self._changed = changed
        self._pressed = pressed
        self._peer: RTCPeerConnection | None = None
        self._digits: DtmfReceiver | None = None
        self._ufrag = ""
        self._microphones: dict[str, Microphone] = {}
        self._one_at_a_time = asyncio.Lock()

    @property
    def microphones(self) -> list[Microphone]:
        return list(self._microphones.values())

    async def close(self) -> None:
        self._microphones.clear()
        if self._peer is not None:
            await self._peer.close()

    async def close_media(self) -> None:
        if self._peer is not None:
            await close_dtls(self._peer)

    async def offer(self, sdp: str, aliases: dict[str, str]) -> dict[str, Any]:
        """The answer, and what is taken of each stream; `aliases` by stream. Raises RpcError, Unconnected."""
        async with self._one_at_a_time:
            offered = sections.parse(sdp)
            answer = await self._negotiate(offered)
            self._listen(offered, aliases)
        taken = {section.stream for section in offered.sections if self._taken(section)}
        return {
            "endpointId": self.endpoint_id,
            "sdpAnswer": answer,
            "streamMetadata": {
                stream: {
                    "endpointId": self.endpoint_id,
                    "mediaTypes": ["AUDIO"],
                    "participantId": self._participant.id,
                }
                | ({"alias": alias} if alias else {})
                for stream, alias in aliases.items()
                if stream in taken
            },
        }

    async def _negotiate(self, offered: Description) -> str:
        if self._peer is None:
            self._peer = peer_connection()
            self.heartbeat = Heartbeat(self._peer)
            self._digits = DtmfReceiver(self._peer, self._pressed)
            self._ufrag = offered.ufrag
        else:
            await connected(self._peer)
        if offered.ufrag != self._ufrag:
            raise RpcError("an ICE restart is not simulated")
        peer = self._peer
        await _retire(peer, offered)
        offer = sections.without_candidates(str(offered))
        await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        taken = {section.mid for section in offered.sections if self._taken(section)}
        for transceiver in peer.getTransceivers():
            if transceiver.mid not in taken:
                transceiver.direction = "inactive"
        await peer.setLocalDescription(await peer.createAnswer())
        return sections.completed(peer.localDescription.sdp, offered)

    def _taken(self, section: Section) -> bool:
        allowed = "AUDIO" in self._participant.publish_permissions
        return section.kind == "audio" and section.sends and allowed and not section.rejected

    def _listen(self, offered: Description, aliases: dict[str, str]) -> None:
        taken = {section.mid: section for section in offered.sections if self._taken(section)}
        for mid in self._microphones.keys() - taken.keys():
            del self._microphones[mid]
        if self._peer is None or self._digits is None:
            return
        for transceiver in self._peer.getTransceivers():
            section = taken.get(transceiver.mid or "")
            if section is None or section.mid in self._microphones:
                continue
            microphone = Microphone(self._participant.id, aliases.get(section.stream, ""))
            self._microphones[section.mid] = microphone
            self._digits.payloads |= set(section.events)
            track = transceiver.receiver.track
            self._background.start(microphone.follow(track), name=f"microphone of {self._participant.id}")
        self._changed()


async def _retire(peer: RTCPeerConnection, offered: Description) -> None:
    """Stop what the browser has stopped; and forget it where its section has become another's."""
    transceivers = {transceiver.mid: transceiver for transceiver in peer.getTransceivers()}
    now = [section.mid for section in offered.sections]
    for section in offered.sections:
        gone = transceivers.get(section.mid)
        if section.rejected and gone is not None and not gone.stopped:
            await gone.stop()
    for mid, transceiver in transceivers.items():
        if mid not in now:
            await transceiver.stop()
            # aiortc finds transceivers by the number of their section, and would find the old one.
            vars(peer)["_RTCPeerConnection__transceivers"].remove(transceiver)
