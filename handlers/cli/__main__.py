"""`python -m handlers.cli` is `pstn-bridge`."""

from __future__ import annotations

import sys

from handlers.cli import main

sys.exit(main())
