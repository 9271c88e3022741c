"""Who can be heard: a browser's microphone, a phone; each is encoded once for all listeners."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from fractions import Fraction
from typing import TypeAlias

import av
import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.stream import Stream

from tests.simulator.media import pcm
from tests.simulator.media.hearing import Recording
from tests.simulator.media.scripts import Echo
from tests.simulator.phones import Phone

Packet: TypeAlias = "av.Packet[Stream]"
TIME_BASE = Fraction(1, pcm.RATE)
# Frames that may wait for a sender, which takes them as fast as they come, or not at all.
QUEUE = 10
# Frames of a microphone that are held back, since they come with jitter, and how many are too late to matter.
CUSHION = 3
TOO_MANY = 12


class Feed(MediaStreamTrack):
    """What one section of a subscription sends. It outlives the voice: sections are used again."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._packets: asyncio.Queue[Packet] = asyncio.Queue(QUEUE)

    def push(self, packet: Packet) -> None:
        if self._packets.full():
            self._packets.get_nowait()
        self._packets.put_nowait(packet)

    async def recv(self) -> Packet:
        return await self._packets.get()


class Encoder:
    """Opus, mono. Timestamps are the clock's, so that a section which is used again goes on where it was."""

    def __init__(self) -> None:
        codec = av.AudioCodecContext.create("libopus", "w")
        codec.format = av.AudioFormat("s16")
        codec.layout = av.AudioLayout("mono")
        codec.sample_rate = pcm.RATE
        codec.bit_rate = 48_000
        # Music sounds like music, and both cost little.
        codec.options = {"application": "audio", "compression_level": "3"}
        self._codec = codec

    def encode(self, frame: pcm.Pcm, tick: int) -> list[Packet]:
        sound = av.AudioFrame.from_ndarray(frame.reshape(1, -1), format="s16", layout="mono")
        sound.sample_rate = pcm.RATE
        packets = []
        for encoded in self._codec.encode(sound):
            packet = av.Packet(bytes(encoded))
            packet.pts, packet.time_base = tick * pcm.FRAME, TIME_BASE
            packets.append(packet)
        return packets


class AudioSource(ABC):
    """One stream of one participant; `alias` is the name it was published under."""

    def __init__(self, participant_id: str, alias: str = "") -> None:
        self.participant_id = participant_id
        self.alias = alias
        self.frame: pcm.Pcm = pcm.SILENCE
        self.feeds: set[Feed] = set()
        self._encoder: Encoder | None = None

    @abstractmethod
    def read(self, tick: int) -> pcm.Pcm: ...

    def speak(self, tick: int) -> None:
        self.frame = self.read(tick)
        if not self.feeds:
            return
        if self._encoder is None:
            self._encoder = Encoder()
        for packet in self._encoder.encode(self.frame, tick):
            for feed in self.feeds:
                feed.push(packet)


class Microphone(AudioSource):
    """A track that a browser publishes; `follow` decodes it until it ends."""

    def __init__(self, participant_id: str, alias: str) -> None:
        super().__init__(participant_id, alias)
        self._frames: deque[pcm.Pcm] = deque()
        self._rest: pcm.Pcm = np.zeros(0, dtype=np.int16)
        self._flowing = False

    async def follow(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(frame, av.AudioFrame):
                # Interleaved stereo, whose sides are the same for a microphone.
                self._push(np.ascontiguousarray(frame.to_ndarray().reshape(-1)[::2], dtype=np.int16))

    def _push(self, sound: pcm.Pcm) -> None:
        if self._rest.size:
            sound = np.concatenate([self._rest, sound])
        whole = sound.size // pcm.FRAME * pcm.FRAME
        for start in range(0, whole, pcm.FRAME):
            self._frames.append(sound[start : start + pcm.FRAME])
        self._rest = sound[whole:]

    def read(self, tick: int) -> pcm.Pcm:
        if len(self._frames) > TOO_MANY:
            while len(self._frames) > CUSHION:
                self._frames.popleft()
        if not self._flowing and len(self._frames) >= CUSHION:
            self._flowing = True
        if not self._flowing or not self._frames:
            self._flowing = False
            return pcm.SILENCE
        return self._frames.popleft()


class PhoneLine:
    """What one phone hears, mixed and recorded, and what it says by its script."""

    def __init__(self, phone: Phone) -> None:
        self.phone = phone
        self.recording = Recording()
        self.hears: list[AudioSource] = []
        self._echo = Echo()

    def say(self, tick: int) -> pcm.Pcm:
        if self.phone.script == "echo":
            return self._echo.next()
        return pcm.tone(self.phone.tone, tick)

    def listen(self) -> None:
        heard = pcm.mixed([voice.frame for voice in self.hears])
        self.recording.add(heard)
        if self.phone.script == "echo":
            self._echo.hear(heard)


class PhoneVoice(AudioSource):
    """A phone as it sounds through one leg into WebRTC."""

    def __init__(self, participant_id: str, line: PhoneLine) -> None:
        super().__init__(participant_id)
        self.line = line

    def read(self, tick: int) -> pcm.Pcm:
        return self.line.say(tick)
