"""Phone numbers as they are shown to whoever may not see the whole of them."""

import re
from typing import Final

_WORDS: Final = re.compile(r"[A-Za-z]*")


def masked(number: str) -> str:
    """Country and last two digits of a number; words such as `Anonymous` stay."""
    if _WORDS.fullmatch(number):
        return number
    if len(number) <= 6:
        return "*" * len(number)
    return f"{number[:2]}{'*' * (len(number) - 4)}{number[-2:]}"
