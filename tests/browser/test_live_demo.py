"""`make demo-live`, as somebody uses it: the link that it prints, opened and talked at."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.browser.chromium import running, tone
from tests.browser.people import Person


@asynccontextmanager
async def demo() -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The process, and the link."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.demo.live",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout
    try:
        async with asyncio.timeout(30):
            said = ""
            while not (link := re.search(r"http://\S+/join/\S+", said)):
                line = await process.stdout.readline()
                assert line, said
                said += line.decode()
        yield process, link[0]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_caller_greets_and_repeats(tmp_path: Path) -> None:
    async with demo() as (process, link), running(tone(tmp_path / "ada.wav", 1000)) as browser:
        ada = Person(await browser.new_page(), 1000)
        await ada.join(link, "Ada")
        greeting: set[int] = set()
        async with asyncio.timeout(20):
            # The notes of a melody, then herself.
            while not any(abs(hz - 1000) < 12 for hz in greeting):
                greeting |= set((await ada.heard()).values())
        assert len(greeting) > 1, "it does not greet"
        await ada.leave()
        process.send_signal(signal.SIGINT)
        assert process.stdout
        said = (await process.stdout.read()).decode()
        assert await process.wait() == 0, said
        assert "nothing is left" in said
