"""`python -m tests.demo.live`: a room to talk in, and a simulated caller who repeats what is said."""

import argparse
import asyncio
import contextlib
import signal
import sys
from typing import Final

from handlers.page import assets
from tests.demo.bridge import API_KEY, ServiceProcess, running
from tests.demo.checks import CheckFailed
from tests.operators import Operator
from tests.simulator.phones import Phone
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator

DONE, FAILED = 0, 1
ROOM: Final = "live"
_LOOK: Final = 0.5
"""Seconds between two looks at who is there."""
_ABOUT = """\
Starts a Bandwidth on loopback that carries sound, and beside it the real service with its embedded store and
the page. Open the link that is printed in a browser on this machine: a simulated caller rings in, plays a
melody, and then repeats whatever is said, a second later. Ctrl-C ends it all."""


class LiveDemo:
    """A room for whoever opens the link; the caller rings once somebody is there, and again when hung up."""

    def __init__(self, simulator: Simulator, bridge: ServiceProcess, operator: Operator) -> None:
        self._simulator = simulator
        self._bridge = bridge
        self._operator = operator
        self._phone: Phone | None = None

    async def go_on(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then the room is closed."""
        loop, entered = asyncio.get_running_loop(), asyncio.Event()
        await self._invite()
        _tell("A caller rings in as soon as you are there. Press Enter for another link, Ctrl-C to end.")
        with contextlib.suppress(ValueError, OSError):  # there may be no terminal
            loop.add_reader(sys.stdin, lambda: entered.set() if sys.stdin.readline() else None)
        while not stop.is_set():
            if entered.is_set():
                entered.clear()
                await self._invite()
            await self._ring()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await stop.wait()
        await self._operator.send("DELETE", f"/rooms/{ROOM}")
        await self._simulator.until(lambda: self._simulator.ledger.empty, timeout=15, what="nothing is left")

    async def _invite(self) -> None:
        scopes = {"scopes": ["talk", "dial", "hangup"], "expiresIn": 3600}
        made = await self._operator.ask("POST", f"/rooms/{ROOM}/invitations", scopes)
        path = str(made["url"]).partition("/join/")[2]
        _tell("\nOpen this link, once, in a browser on this machine:\n")
        _tell(f"  {self._bridge.url}/join/{path}\n")

    async def _ring(self) -> None:
        if self._phone is not None and self._phone.stage != "ended":
            return
        answer = await self._operator.send("GET", f"/rooms/{ROOM}")
        members = answer.json()["members"] if answer.is_success else []
        if any(one["kind"] == "browser" and one["state"] == "in" for one in members):
            self._phone = await self._simulator.dial()
            self._phone.script = "echo"
            _tell("Somebody is there: the caller rings in, greets, and repeats what is said.")


async def live(*, port: int, stop: asyncio.Event) -> int:
    """Runs until `stop` is set; the exit code."""
    if assets.page() is None:
        raise CheckFailed("the page is not built: run `make page` first")
    async with Simulator(SimulatorSettings(media=True, time_scale=1.0)) as simulator:
        settings = {
            "BW_DEVICE_URL": simulator.device_url,
            "ROOM_POLICY": ROOM,
            # A cookie that is for https only would not come back over plain http.
            "BASE_CALLBACK_URL": "http://localhost",
        }
        async with (
            running(simulator, _tell, port=port, **settings) as bridge,
            Operator.at(bridge.url, API_KEY) as operator,
        ):
            await LiveDemo(simulator, bridge, operator).go_on(stop)
    _tell("\nEverybody has left; nothing is left at Bandwidth.")
    return DONE


def _tell(line: str) -> None:
    print(line, flush=True)


async def _main(port: int) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return await live(port=port, stop=stop)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.demo.live",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="of the service and the page; 0 takes a free one")
    options = parser.parse_args()
    try:
        return asyncio.run(_main(options.port))
    except CheckFailed as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
