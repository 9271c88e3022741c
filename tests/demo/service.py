"""The service of the demo: its command, for which a talk of a moment was one."""

import sys

from handlers.cli import main
from tests.harness import SHORT_TIMEOUTS

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], timeouts=SHORT_TIMEOUTS))
