"""Remembers the numbers on which this process has been called: a call to them would loop back."""

import re
from collections import OrderedDict
from typing import Final

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_KEPT: Final = 1000
"""Numbers that are remembered, the latest."""


class CalledNumbers:
    """Forgotten when the process ends."""

    def __init__(self) -> None:
        self._numbers: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, number: object) -> bool:
        return number in self._numbers

    def add(self, number: str) -> None:
        """A phone has called this number. SIP URIs are not kept: they name what their callers like."""
        if not _E164.fullmatch(number):
            return
        self._numbers[number] = None
        self._numbers.move_to_end(number)
        if len(self._numbers) > _KEPT:
            self._numbers.popitem(last=False)
