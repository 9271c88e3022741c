"""Which ids the store has ever been given: its append-only file is a journal of all that was written down."""

from pathlib import Path

from tests.chaos.story import IDS

PIECE = 256 * 1024
"""Bytes that are looked through at once: no other thread runs meanwhile."""
LONGEST = 128
"""Bytes of an id at most; one may lie across two pieces."""


class StoreJournal:
    """Each byte is read once, however often it is asked."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._ids: set[str] = set()
        self._read: dict[Path, int] = {}

    def ids(self) -> set[str]:
        for part in sorted(self._journal.glob("*.aof")):
            with part.open("rb") as file:
                file.seek(max(self._read.get(part, 0) - LONGEST, 0))
                rest = b""
                while piece := file.read(PIECE):
                    text = (rest + piece).decode("ascii", "replace")
                    self._ids.update(IDS.findall(text))
                    rest = piece[-LONGEST:]
                self._read[part] = file.tell()
        return self._ids
