"""A replica whose machine is an hour ahead: `python -m tests.clock_ahead serve`, as the service starts."""

import sys
import time

from handlers.cli import main

AHEAD = 3600.0

if __name__ == "__main__":
    right = time.time  # noqa: TID251 - as the machine has it
    time.time = lambda: right() + AHEAD  # noqa: TID251
    sys.exit(main(sys.argv[1:]))
