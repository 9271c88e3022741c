"""Property tests go the same ways each time; with PROPERTY_SEED and pytest's --hypothesis-seed, others.

Then nothing is shrunk: who asks for a seed wants to know whether something is found, soon.
"""

import os
from typing import Final

from hypothesis import Phase

SEED: Final = int(os.getenv("PROPERTY_SEED", "0"))
"""0: the same ways each time."""
PHASES: Final = (Phase.generate,) if SEED else tuple(Phase)
