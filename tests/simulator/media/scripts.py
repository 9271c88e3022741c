"""What a phone says that is more than a tone: a greeting, and then what it has heard a second ago."""

from collections import deque

import numpy as np

from tests.simulator.media import pcm

DELAY = 1.0
# Hertz and seconds: up, up, and the chord's end; then a pause, so that the echo has a beginning.
GREETING = [(523, 0.18), (659, 0.18), (784, 0.18), (1047, 0.4), (0, 0.3)]


def _note(hz: int, seconds: float) -> pcm.Pcm:
    """A bell: it begins at once, without a click, and fades."""
    time = np.arange(round(seconds * pcm.RATE)) / pcm.RATE
    fading = np.minimum(time / 0.005, 1) * np.exp(-4 * time)
    sound = np.sin(2 * np.pi * hz * time) + 0.3 * np.sin(4 * np.pi * hz * time)
    return np.asarray(np.round(sound * fading * pcm.LOUDNESS * pcm.FULL_SCALE), dtype=np.int16)


def greeting() -> list[pcm.Pcm]:
    """In whole frames."""
    melody = np.concatenate([_note(*note) for note in GREETING])
    whole = np.pad(melody, (0, -melody.size % pcm.FRAME))
    return list(whole.reshape(-1, pcm.FRAME))


class Echo:
    """Greets whoever is there when it is asked for the first frame."""

    def __init__(self) -> None:
        self._coming: deque[pcm.Pcm] | None = None
        self._delay = round(DELAY / pcm.SECONDS_A_FRAME)

    def next(self) -> pcm.Pcm:
        if self._coming is None:
            self._coming = deque([*greeting(), *[pcm.SILENCE] * self._delay])
        return self._coming.popleft() if self._coming else pcm.SILENCE

    def hear(self, frame: pcm.Pcm) -> None:
        """It comes back after all that is to be said before: for each frame that is heard one is said."""
        if self._coming is not None:
            self._coming.append(frame)
