"""A replica of the service that is not patient: what takes it a quarter of an hour takes this one seconds."""

import os
import sys
from pathlib import Path

from handlers.cli import main
from service.engine.timeouts import Patience
from tests.chaos import clock_offset

PATIENCE = Patience(
    asked=3,
    unheard=float(os.environ.get("CHAOS_UNHEARD") or 15),  # noqa: TID251 - this is ours, not the service's
    session=8,
    old_session=2,
    joining=4,
    transferring=4,
    quiet=4,
    longest=8,
    # As speech and pauses: callers wait for that decision, three rounds long.
    gone=0.8,
    unknown=6,
    strangers=3,
    lease=12,
    short_leg=0,
    unused=8,
    absent=8,
    listening=2,
)

if __name__ == "__main__":
    if clock := os.environ.get(clock_offset.VARIABLE):  # noqa: TID251 - this is ours, not the service's
        clock_offset.go_by(Path(clock))
    sys.exit(main(sys.argv[1:], patience=PATIENCE))
