"""Sound as arrays: frames of 20 ms at 48 kHz, tones, and what is in a piece of sound."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

RATE = 48_000
FRAME = 960
SECONDS_A_FRAME = FRAME / RATE
FULL_SCALE = 32_767

Pcm = npt.NDArray[np.int16]
SILENCE: Pcm = np.zeros(FRAME, dtype=np.int16)
SILENCE.setflags(write=False)

# Of full scale: four phones at once do not clip.
LOUDNESS = 0.2


@lru_cache(maxsize=64)
def _second(hz: int) -> Pcm:
    """One second of a tone and a frame more; with whole hertz it goes on where it began."""
    angles = 2 * np.pi * hz * np.arange(RATE + FRAME) / RATE
    return np.asarray(np.round(np.sin(angles) * LOUDNESS * FULL_SCALE), dtype=np.int16)


def tone(hz: int, tick: int) -> Pcm:
    """The frame of the tone that belongs to a tick of the clock; 0 Hz is silence."""
    if not hz:
        return SILENCE
    start = tick * FRAME % RATE
    return _second(hz)[start : start + FRAME]


def mixed(frames: list[Pcm]) -> Pcm:
    if not frames:
        return SILENCE
    if len(frames) == 1:
        return frames[0]
    total = np.sum(frames, axis=0, dtype=np.int32)
    return np.asarray(np.clip(total, -FULL_SCALE, FULL_SCALE), dtype=np.int16)


def level(sound: Pcm, hz: float) -> float:
    """The amplitude of one frequency, 1.0 being full scale; a Hann window keeps neighbours out of it."""
    if not sound.size:
        return 0.0
    window = np.hanning(sound.size)
    turning = np.exp(-2j * np.pi * hz * np.arange(sound.size) / RATE)
    return float(2 * abs(np.dot(sound * window, turning)) / window.sum() / FULL_SCALE)


def frequencies(sound: Pcm, threshold: float) -> list[int]:
    """The peaks of the spectrum whose amplitude is above the threshold, in whole hertz, lowest first."""
    if not sound.size:
        return []
    window = np.hanning(sound.size)
    # A second at least, so that there is a value for each hertz.
    size = max(RATE, sound.size)
    levels = 2 * np.abs(np.fft.rfft(sound * window, size)) / window.sum() / FULL_SCALE
    inner = levels[1:-1]
    peaks = np.flatnonzero((inner > threshold) & (inner >= levels[:-2]) & (inner > levels[2:])) + 1
    return [round(float(peak) * RATE / size) for peak in peaks]
