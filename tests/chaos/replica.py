"""A replica of the service that is not patient: what takes it a quarter of an hour takes this one seconds."""

import os
import sys
from pathlib import Path

from handlers.cli import main
from service.engine.timeouts import Timeouts
from tests.chaos import clock_offset

PATIENCE = Timeouts(
    create_call_wait=3,
    dial_grace=float(os.environ.get("CHAOS_UNHEARD") or 15),  # noqa: TID251 - this is ours, not the service's
    session_max_age=8,
    old_session_grace=2,
    join_check=4,
    transfer_check=4,
    idle_check=4,
    idle_check_max=8,
    # As speech and pauses: callers wait for that decision, three rounds long.
    vanished_grace=0.8,
    not_found_grace=6,
    orphan_grace=3,
    worker_lease=12,
    min_leg_duration=0,
    unused_seat=8,
    browser_absence=8,
    feed_heartbeat=2,
)

if __name__ == "__main__":
    if clock := os.environ.get(clock_offset.VARIABLE):  # noqa: TID251 - this is ours, not the service's
        clock_offset.use_offset(Path(clock))
    sys.exit(main(sys.argv[1:], timeouts=PATIENCE))
