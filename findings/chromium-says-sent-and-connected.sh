#!/usr/bin/env bash
# Chromium 156.0.8078.108 (Debian's), driven by playwright 1.65.2, aiortc 1.16.0 at the other end: what it does not tell.
#
# 1. insertDTMF replaces the tones that have not begun, as the specification says. Tones take longer than one might
#    think: a key with the default duration of 100 ms and gap of 70 ms occupies 240 ms, so keys typed quickly are lost.
# 2. A sender whose track has ended sends nothing. canInsertDTMF stays true, insertDTMF throws nothing, and tonechange
#    tells of the tone as if it were played. Only packetsSent in getStats() shows it.
# 3. When the other end closes DTLS in good order (close_notify), connectionState stays `connected`, as the specification
#    says, until ICE has not been answered for seconds. The state of the sender's transport is `closed` at once.
#
# Needs the command chromium (Debian: apt-get install chromium). Seen:
#   10 keys, one each 400 ms: all arrive
#   10 keys, one each 120 ms: not all arrive
#   the track has ended: canInsertDTMF True, tonechange told '5', arrived [], 0 packets sent
#   DTLS was closed a second ago: connectionState connected, transport.state closed
set -euo pipefail
command -v chromium > /dev/null || { echo "there is no chromium: apt-get install chromium" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check playwright==1.65.2 aiortc==1.16.0 aioice==0.13.0
cat > "$folder/try.py" <<'PY'
import asyncio
import shutil

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from playwright.async_api import async_playwright

KEYS = "0123456789*#ABCD"
PAGE = """
globalThis.offer = async () => {
  const context = new AudioContext();
  const tone = context.createOscillator();
  const out = context.createMediaStreamDestination();
  tone.connect(out);
  tone.start();
  globalThis.connection = new RTCPeerConnection();
  globalThis.sender = connection.addTrack(out.stream.getAudioTracks()[0], out.stream);
  await connection.setLocalDescription(await connection.createOffer());
  while (connection.iceGatheringState !== "complete") await new Promise((done) => setTimeout(done, 20));
  return connection.localDescription.sdp;
};
globalThis.wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
globalThis.connected = async (sdp) => {
  await connection.setRemoteDescription({ type: "answer", sdp });
  while (connection.connectionState !== "connected") await wait(20);
  while (!sender.dtmf.canInsertDTMF) await wait(20);
};
globalThis.press = async (keys, pause) => {
  const told = [];
  sender.dtmf.ontonechange = ({ tone }) => told.push(tone);
  for (const key of keys) {
    sender.dtmf.insertDTMF(key);
    await wait(pause);
  }
  await wait(1000);
  return told.filter((tone) => tone).join("");
};
globalThis.packets = async () => {
  for (const one of (await sender.getStats()).values()) if (one.type === "outbound-rtp") return one.packetsSent;
};
"""


def with_events(answer, offer):
    """aiortc answers without telephone events; take those that were offered."""
    events = [line for line in offer.splitlines() if line.startswith("a=rtpmap:") and "telephone-event" in line]
    numbers = [line[len("a=rtpmap:") :].split()[0] for line in events]
    lines = []
    for line in answer.splitlines():
        lines.append(f"{line} {' '.join(numbers)}" if line.startswith("m=audio") else line)
    return "\r\n".join([*lines, *events, ""]), {int(number) for number in numbers}


async def answered(page):
    """The peer at the other end, and the keys that it is sent."""
    sdp = await page.evaluate("offer()")
    peer, keys, seen = RTCPeerConnection(RTCConfiguration(iceServers=[])), [], set()
    await peer.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
    await peer.setLocalDescription(await peer.createAnswer())
    answer, events = with_events(peer.localDescription.sdp, sdp)
    transport = peer.getTransceivers()[0].receiver.transport
    route = transport._rtp_router.route_rtp

    def look(packet):
        if packet.payload_type in events:
            if packet.timestamp not in seen:
                seen.add(packet.timestamp)
                keys.append(KEYS[packet.payload[0]])
            return None
        return route(packet)

    transport._rtp_router.route_rtp = look
    await page.evaluate("(sdp) => connected(sdp)", answer)
    return peer, transport, keys


async def main():
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-features=WebRtcHideLocalIpsWithMdns"],
        )
        page = await browser.new_page()
        await page.add_init_script(PAGE)
        await page.goto("data:text/html,")
        peer, transport, keys = await answered(page)

        for pause in (400, 120):
            keys.clear()
            await page.evaluate("(pause) => press('1234567890', pause)", pause)
            arrived = "all" if keys == list("1234567890") else "not all"
            print(f"10 keys, one each {pause} ms: {arrived} arrive")

        keys.clear()
        await page.evaluate("sender.track.stop()")
        before = await page.evaluate("packets()")
        told = await page.evaluate("press('5', 0)")
        sent = await page.evaluate("packets()") - before
        able = await page.evaluate("sender.dtmf.canInsertDTMF")
        print(f"the track has ended: canInsertDTMF {able}, tonechange told {told!r}, arrived {keys}, {sent} packets sent")

        await transport.stop()
        await page.evaluate("wait(1000)")
        states = await page.evaluate("[connection.connectionState, sender.transport.state]")
        print("DTLS was closed a second ago: connectionState {}, transport.state {}".format(*states))
        await browser.close()
        await peer.close()


asyncio.run(main())
PY
"$folder/venv/bin/python" "$folder/try.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
10 keys, one each 400 ms: all arrive
10 keys, one each 120 ms: not all arrive
the track has ended: canInsertDTMF True, tonechange told '5', arrived [], 0 packets sent
DTLS was closed a second ago: connectionState connected, transport.state closed
SEEN
