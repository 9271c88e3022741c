"""Peer connections of aiortc on loopback.

Private parts of aiortc 1.16.0 and aioice 0.13.0 are touched here and next door, so both are pinned.
"""

import asyncio

import aioice.ice
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection

# Seconds that a browser has from our SDP to media; on loopback it takes a tenth of one.
PATIENCE = 10.0


class Unconnected(Exception):
    """The other side has not come, or went."""


def _only_loopback(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    return ["127.0.0.1"] if use_ipv4 else []


# It leaves 127.0.0.1 out by itself, and the machine's other addresses are none of a test's business.
aioice.ice.get_host_addresses = _only_loopback


def peer_connection() -> RTCPeerConnection:
    """Without servers: the default asks a public STUN server for our address."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))


async def connected(peer: RTCPeerConnection) -> None:
    """Wait for the transport: a description that is applied before starts neither sender nor receiver.

    Raises Unconnected after `PATIENCE` seconds, or when it has failed.
    """
    settled = asyncio.Event()

    def look() -> None:
        if peer.connectionState in {"connected", "failed", "closed"}:
            settled.set()

    peer.on("connectionstatechange", look)
    look()
    try:
        async with asyncio.timeout(PATIENCE):
            await settled.wait()
    except TimeoutError:
        raise Unconnected(f"still {peer.connectionState} after {PATIENCE} s") from None
    finally:
        if look in peer.listeners("connectionstatechange"):
            peer.remove_listener("connectionstatechange", look)
    if peer.connectionState != "connected":
        raise Unconnected(f"{peer.connectionState}")


async def close_dtls(peer: RTCPeerConnection) -> None:
    """Say close_notify. Sound and data channels share one transport."""
    if peer.sctp is not None:
        await peer.sctp.transport.stop()
