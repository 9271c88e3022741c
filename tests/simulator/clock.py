"""The simulator's own clock: it may not borrow the service's."""

import time
from datetime import UTC, datetime


def monotonic() -> float:
    return time.monotonic()


def timestamp() -> str:
    """Now, as webhooks and call states write it: UTC, ISO 8601, milliseconds, `Z`."""
    now = datetime.now(UTC)  # noqa: TID251 - the simulator stands for another company's clock
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch_ms() -> int:
    return time.time_ns() // 1_000_000
