"""Counts how often one inbound `initiate` goes from one file of ours to another: `python -m tests.hops`.

It prints the trunk, which is every file in the order in which it is reached first, and the total. Only calls
count, in the task of the webhook and in those that it has started: neither returns nor coroutines that go on.
"""

import asyncio
import sys
import tempfile
from collections import Counter
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import Final

from service.store.embedded import EmbeddedServer
from tests.harness import serving
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator

ROOT: Final = Path(__file__).parents[1]
OURS: Final = (f"{ROOT}/service/", f"{ROOT}/handlers/")
WEBHOOK: Final = "/callbacks/voice"
_counted: ContextVar[bool] = ContextVar("counted", default=False)


class Hops:
    """Takes what `sys.setprofile` tells, from the first frame of ours that is given a webhook."""

    def __init__(self) -> None:
        self.between: Counter[tuple[str, str]] = Counter()
        """Hops by file of the caller and of the called."""
        self.files: dict[str, str] = {}
        """By file, in the order in which they are reached: from where."""

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or frame.f_lasti > 0:
            return
        file = frame.f_code.co_filename
        if not file.startswith(OURS):
            return
        if not _counted.get():
            scope = frame.f_locals.get("scope")
            if self.files or not isinstance(scope, dict) or scope.get("path") != WEBHOOK:
                return
            _counted.set(True)
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(OURS):
            caller = caller.f_back
        source = _short(caller.f_code.co_filename) if caller else "outside"
        target = _short(file)
        if source != target:
            self.between[source, target] += 1
            self.files.setdefault(target, source)


def _short(file: str) -> str:
    return file.removeprefix(f"{ROOT}/")


async def count() -> Hops:
    """The second call: what the first one loads and connects is there."""
    hops = Hops()
    with tempfile.TemporaryDirectory(prefix="pstn-hops-") as directory:
        server = EmbeddedServer(Path(directory))
        url = await server.start()
        try:
            async with Simulator(SimulatorSettings()) as simulator, serving(simulator, url):
                await _bridged(simulator)
                sys.setprofile(hops)
                try:
                    await _bridged(simulator)
                finally:
                    sys.setprofile(None)
        finally:
            await server.stop()
    return hops


async def _bridged(simulator: Simulator) -> None:
    phone = await simulator.dial()
    await phone.until("bridged")
    await phone.hang_up()


def main() -> None:
    hops = asyncio.run(count())
    for file, source in hops.files.items():
        into = sum(number for (_, target), number in hops.between.items() if target == file)
        print(f"{into:4} {file:48} from {source}")
    print(f"{len(hops.files)} files, {hops.between.total()} hops")


if __name__ == "__main__":
    main()
