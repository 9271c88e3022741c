"""What a phone hears, kept for measuring and for listening to."""

import wave
from collections import deque
from pathlib import Path

import numpy as np

from tests.simulator.media import pcm

# Seconds that are measured, and that are kept.
WINDOW = 0.5
KEPT = 60.0


class Recording:
    """The last minute."""

    def __init__(self) -> None:
        self._frames: deque[pcm.Pcm] = deque(maxlen=round(KEPT / pcm.SECONDS_A_FRAME))

    def add(self, frame: pcm.Pcm) -> None:
        self._frames.append(frame)

    @property
    def seconds(self) -> float:
        return len(self._frames) * pcm.SECONDS_A_FRAME

    def last(self, seconds: float) -> pcm.Pcm:
        """Fewer when there are not as many yet."""
        wanted = round(seconds / pcm.SECONDS_A_FRAME)
        frames = list(self._frames)[-wanted:]
        return np.concatenate(frames) if frames else np.zeros(0, dtype=np.int16)

    def save(self, path: Path) -> None:
        """As a wav file: mono, 48 kHz, 16 bits."""
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(pcm.RATE)
            file.writeframes(self.last(KEPT).tobytes())


class RecordedAudio:
    """Levels are amplitudes of the last half second, 1.0 being full scale; a phone's tone has 0.2."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    def level(self, hz: float) -> float:
        return pcm.level(self.recording.last(WINDOW), hz)

    def frequencies(self, threshold: float = 0.02) -> list[int]:
        """Those that stand out, in hertz, lowest first."""
        return pcm.frequencies(self.recording.last(WINDOW), threshold)
