"""Names as they are shown: what others read is what was written, and stands where it was written."""

import unicodedata
from typing import Final

_UNSEEN: Final = "Cf"
"""Marks that turn the direction of what follows, blanks without width, and such.

With them a name could pass for another, or rearrange the line that it is shown in.
"""


def displayed(text: str) -> str:
    """In compatible form (NFKC), without characters that only say how others are shown."""
    if text.isascii():
        return text
    seen = [one for one in unicodedata.normalize("NFKC", text) if unicodedata.category(one) != _UNSEEN]
    return unicodedata.normalize("NFKC", "".join(seen))
