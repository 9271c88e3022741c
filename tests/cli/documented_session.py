"""The session in docs/operations.md: somebody looks into a bad call. Run as a module, it renews it.

Ids and times are other ones each time; `normalized` leaves them out, so that a test can compare the rest.
"""

import asyncio
import re
import tempfile
from pathlib import Path
from typing import Final

from service.store.redis.embedded import EmbeddedServer
from tests.cli.shell import Shell
from tests.harness import serving
from tests.operators import Operator, bridged
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "operations.md"
_SESSION: Final = re.compile(r"(<!-- captured -->\n```text\n)(.*?)(```\n)", re.DOTALL)
_VARYING: Final = (
    (r"\d{4}-\d\d-\d\d ", ""),
    (r"\d\d:\d\d:\d\d(\.\d{3})?Z?", "TIME"),
    (r"(call-)?p\d\d(-[a-z2-7]{8,20}|~)", "REF"),
    (r"c-[0-9a-f-]{20,}", "CALL"),
    (r"\d+(\.\d+)?(?= ?ms)", "N"),
    (r"\d+(\.\d)?s\b", "Ns"),
    (r"-{2,}", "--"),
)


async def record_session(shell: Shell, simulator: Simulator, operator: Operator) -> str:
    """A call that Bandwidth would not make a session for, beside one that is up; what is typed and said."""
    phone, _ = await bridged(simulator, operator)
    simulator.faults.add("createSession", status=500, times=2)
    bad = await simulator.dial()
    await bad.until("ended")
    await operator.until(bad.call_id, "ended")
    ref = (await operator.call(bad.call_id))["id"]

    async def struck_off() -> bool:
        return "effectDone" in str((await operator.call(ref))["timeline"])

    await wait_until(struck_off)
    shown = []
    for words in (("calls",), ("call", ref[:12])):
        said = await shell.run(*words, COLUMNS="80")
        shown.append(f"$ pstn-bridge {' '.join(words)}\n{said.out}")
    await phone.hang_up()
    return "\n".join(shown)


def normalized(text: str) -> list[str]:
    """Its words without what is another each time, in no order: requests sent at once have none."""
    for pattern, word in _VARYING:
        text = re.sub(pattern, word, text)
    return sorted(text.split())


def documented() -> str:
    found = _SESSION.search(DOCUMENT.read_text())
    assert found, "docs/operations.md has no captured session"
    return found[2]


async def _rewrite_document() -> None:
    with tempfile.TemporaryDirectory(prefix="bridge-captured-") as directory:
        server = EmbeddedServer(Path(directory))
        url = await server.start()
        async with (
            Simulator(SimulatorSettings(latency=0.04)) as simulator,
            serving(simulator, url) as service,
            Operator.of(service) as operator,
        ):
            text = await record_session(Shell.at(simulator, service, url), simulator, operator)
        await server.stop()
    before = DOCUMENT.read_text()
    DOCUMENT.write_text(_SESSION.sub(lambda found: f"{found[1]}{text}{found[3]}", before))


if __name__ == "__main__":
    asyncio.run(_rewrite_document())
