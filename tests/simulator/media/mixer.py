"""The clock of the media plane: every 20 ms each voice says a frame, and each phone hears one."""

import asyncio

from tests.simulator.clock import monotonic
from tests.simulator.media import pcm
from tests.simulator.media.voices import AudioSource, PhoneLine

# Frames that are made up for at once when the process was held up; what is more is left out.
CATCH_UP = 10


class Mixer:
    """One clock for all: a section that is used again goes on with timestamps that fit."""

    def __init__(self) -> None:
        self.voices: list[AudioSource] = []
        self.lines: list[PhoneLine] = []
        self._needed = asyncio.Event()

    def arrange(self, voices: list[AudioSource], lines: list[PhoneLine]) -> None:
        self.voices, self.lines = voices, lines
        if voices or lines:
            self._needed.set()
        else:
            self._needed.clear()

    async def run(self) -> None:
        began = monotonic()
        tick = 0
        while True:
            await self._needed.wait()
            now = int((monotonic() - began) / pcm.SECONDS_A_FRAME)
            for due in range(max(tick, now - CATCH_UP), now + 1):
                self._sound(due)
            tick = max(tick, now + 1)
            # Timers may be early by a little; the tick is then found not to be due, and waited for once more.
            await asyncio.sleep(max(began + tick * pcm.SECONDS_A_FRAME - monotonic(), 0.0005))

    def _sound(self, tick: int) -> None:
        for voice in self.voices:
            voice.speak(tick)
        for line in self.lines:
            line.listen()
