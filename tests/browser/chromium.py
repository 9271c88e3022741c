"""A real browser with a microphone that hears one tone, and nobody in front of it."""

import math
import shutil
import struct
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, async_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_RATE: Final = 48_000


def chromium() -> str | None:
    """Where it is; None when there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def tone(path: Path, hz: int) -> Path:
    """A second of it, which the browser repeats; whole waves, so that nothing clicks."""
    frames = (round(12_000 * math.sin(2 * math.pi * hz * frame / _RATE)) for frame in range(_RATE))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(b"".join(struct.pack("<h", frame) for frame in frames))
    return path


@asynccontextmanager
async def running(microphone: Path | None, *, allowed: bool = True) -> AsyncIterator[Browser]:
    """`microphone`: what it hears, as a wav file; None for none. `allowed`: pages that ask may use it."""
    options = [
        "--allow-loopback-in-peer-connection",  # host candidates are 127.0.0.1 here
        "--autoplay-policy=no-user-gesture-required",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-sandbox",  # the tests may run as root
    ]
    if microphone:
        options += ["--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={microphone}"]
    if allowed:
        options.append("--use-fake-ui-for-media-stream")
    more: dict[str, Any] = {"executable_path": chromium(), "args": options}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(**more)
        try:
            yield browser
        finally:
            await browser.close()
