"""The service, with a watch on its event loop: `python -m tests.attack.replica FILE serve ...`.

A pause of the loop is how late something wakes that wanted to wake by now: nobody is answered meanwhile. The
service has no such metric, and needs none to serve.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from handlers.app.asgi import create_app
from handlers.cli import main, server

EVERY: Final = 0.005
"""Seconds between two wakes."""
_WINDOW: Final = 0.25
"""Seconds of which the longest pause is told."""


class LoopPause(msgspec.Struct, frozen=True):
    """The longest one of a window."""

    at: float
    """When it was over, by the machine's monotonic clock, which all processes share."""
    seconds: float
    own: float
    """Seconds of them, and of the sleep before, in which the loop's thread itself computed."""


async def watch(tell: Callable[[LoopPause], None]) -> None:
    """Until it is cancelled."""
    longest, told = LoopPause(0, 0, 0), time.monotonic()
    begun, computed = told, time.thread_time()
    while True:
        await asyncio.sleep(EVERY)
        now, used = time.monotonic(), time.thread_time()
        late = max(0.0, now - begun - EVERY)
        if late >= longest.seconds:
            longest = LoopPause(now, late, used - computed)
        if now - told >= _WINDOW:
            tell(longest)
            longest, told = LoopPause(now, 0, 0), now
        begun, computed = now, used


def longest(file: Path, begun: float, ended: float) -> LoopPause:
    """Of those between the two times. Raises ValueError where nothing was told of them."""
    every = [msgspec.json.decode(line, type=LoopPause) for line in file.read_bytes().splitlines()]
    within = [one for one in every if begun <= one.at <= ended]
    if not within:
        raise ValueError("nothing was told of the event loop")
    return max(within, key=lambda one: one.seconds)


class _Watched:
    """An application whose loop is watched for as long as its lifespan lasts."""

    def __init__(self, app: ASGIApp, file: Path) -> None:
        self._app = app
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        with self._file.open("wb", buffering=0) as output:
            watching = asyncio.get_running_loop().create_task(
                watch(lambda pause: _write(output.write, pause))
            )
            try:
                await self._app(scope, receive, send)
            finally:
                watching.cancel()


def _write(write: Callable[[bytes], Any], pause: LoopPause) -> None:
    write(msgspec.json.encode(pause) + b"\n")


if __name__ == "__main__":
    FILE = Path(sys.argv[1])
    server.create_app = lambda *args, **named: _Watched(create_app(*args, **named), FILE)  # type: ignore[assignment, attr-defined]
    sys.exit(main(sys.argv[2:]))
