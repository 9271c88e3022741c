"""The SDK's two data channels: a PING on the heartbeat is answered with PONG."""

from aiortc import RTCPeerConnection

HEARTBEAT = "__heartbeat__"
DIAGNOSTICS = "__diagnostics__"


class Heartbeat:
    """Nobody announces the channels: both sides open the same two. `pongs` have come back."""

    def __init__(self, peer: RTCPeerConnection) -> None:
        self.pongs = 0
        self._channel = peer.createDataChannel(HEARTBEAT, negotiated=True, id=0, protocol="udp")
        peer.createDataChannel(DIAGNOSTICS, negotiated=True, id=1, protocol="udp")
        self._channel.on("message", self._heard)
        self._channel.on("open", self.beat)

    def beat(self) -> None:
        if self._channel.readyState == "open":
            self._channel.send("PING")

    def _heard(self, message: str | bytes) -> None:
        self.pongs += message == "PONG"
