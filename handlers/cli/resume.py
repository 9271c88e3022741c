"""`pstn-bridge resume`: take new calls again."""

import sys
from typing import Final

from handlers.cli import runtime
from handlers.cli.options import AsJson, application
from handlers.cli.pause import view
from handlers.cli.printing import show_json
from handlers.cli.times import span
from service.settings import Settings
from service.store.pause import PauseSwitch
from service.store.redis.client import Client

_HELP: Final = """\
End `pause`: take new calls again, on all replicas, within two seconds.

\b
Example:
  pstn-bridge resume
"""

app = application()


@app.command(help=_HELP)
def resume(*, json: AsJson = False) -> None:
    async def work(client: Client, _settings: Settings) -> int:
        switch = PauseSwitch(client)
        before, now = await switch.read(), await runtime.store_time(client)
        await switch.set(None)
        if json:
            show_json([view(None)])
        else:
            lasted = f" after {span(now - before.since)}" if before else "; they were before"
            sys.stdout.write(f"resumed: new calls are taken{lasted}\n")
        return runtime.DONE

    runtime.run_with_store(work)
