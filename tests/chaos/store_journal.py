"""Which ids the store has ever been given: its append-only file is a journal of all that was written down."""

import re
from collections.abc import Iterable
from pathlib import Path

from tests.chaos.finding_timeline import IDS

PIECE = 256 * 1024
"""Bytes that are looked through at once: no other thread runs meanwhile."""
_STRANGERS = re.compile(rb'"strangers":\{[^}]*\}')
"""Whom a look at a session has found there. It is noted until the next look; nobody owns them by that."""


class StoreJournal:
    """Each byte is read once, however often it is asked, but for the end of a line."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._ids: set[str] = set()
        self._read: dict[Path, int] = {}

    def ids(self) -> set[str]:
        for part in sorted(self._journal.glob("*.aof")):
            with part.open("rb") as file:
                file.seek(self._read.get(part, 0))
                rest = b""
                while piece := file.read(PIECE):
                    whole, end, rest = (rest + piece).rpartition(b"\n")
                    self._ids.update(_ids(whole + end))
                self._ids.update(_ids(rest))
                self._read[part] = file.tell() - len(rest)
        return self._ids


def _ids(text: bytes) -> Iterable[str]:
    return IDS.findall(_STRANGERS.sub(b"", text).decode("ascii", "replace"))
