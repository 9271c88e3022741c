"""Keys that are pressed in a browser: the RTP packets of RFC 4733, which aiortc throws away."""

from collections.abc import Callable

from aiortc import RTCPeerConnection
from aiortc.rtcdtlstransport import RtpReceiver
from aiortc.rtp import RtpPacket

KEYS = "0123456789*#ABCD"


class DtmfReceiver:
    """Stands in front of the router of a peer connection, and takes the events out of what comes in."""

    def __init__(self, peer: RTCPeerConnection, pressed: Callable[[str], None]) -> None:
        if peer.sctp is None:
            raise ValueError("the peer connection has no transport yet")
        router = peer.sctp.transport._rtp_router  # noqa: SLF001 - nothing public sees these packets
        self.payloads: set[int] = set()
        self._pressed = pressed
        self._route = router.route_rtp
        # By source: the event that is on its way, and how many packets have been taken out so far.
        self._event: dict[int, int] = {}
        self._taken: dict[int, int] = {}
        vars(router)["route_rtp"] = self._look

    def _look(self, packet: RtpPacket) -> RtpReceiver | None:
        source = packet.ssrc
        if packet.payload_type not in self.payloads:
            # Else the gap would hold up the receiver's jitter buffer.
            packet.sequence_number = (packet.sequence_number - self._taken.get(source, 0)) & 0xFFFF
            return self._route(packet)
        self._taken[source] = self._taken.get(source, 0) + 1
        # All packets of one event carry the time of its beginning.
        if packet.payload and self._event.get(source) != packet.timestamp:
            self._event[source] = packet.timestamp
            if packet.payload[0] < len(KEYS):
                self._pressed(KEYS[packet.payload[0]])
        return None
