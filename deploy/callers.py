"""Somebody who calls again and again: rings the simulator, stays for a while, hangs up.

For the profile `simulator` of deploy/compose.yaml; the address of the simulator is the only argument.
"""

import json
import sys
import time
import urllib.request
from typing import Any

_BETWEEN = 10.0
"""Seconds from the end of one call to the next."""
_STAY = 20.0


def call(simulator: str, stay: float) -> str:
    """One call of `stay` seconds; its id. Raises OSError without a simulator, or where the call has ended."""
    ids: list[str] = _post(f"{simulator}/simulator/dial", {})["callIds"]
    time.sleep(stay)
    _post(f"{simulator}/simulator/phones/{ids[0]}/hangup", {})
    return ids[0]


def _post(url: str, body: dict[str, str]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")  # noqa: S310 - loopback's
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
        return json.load(answer)


def main() -> None:
    while True:
        time.sleep(_BETWEEN)
        try:
            call(sys.argv[1], _STAY)
        except OSError as error:  # the simulator is not up yet, or has hung up first
            sys.stderr.write(f"callers: {error}\n")


if __name__ == "__main__":
    main()
