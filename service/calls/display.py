"""Cleans names for display: removes characters that are invisible or change the direction of text."""

import unicodedata
from typing import Final

_FORMAT_CATEGORY: Final = "Cf"
"""The category of marks that turn the direction of what follows, blanks without width, and such.

With them a name could pass for another, or rearrange the line that it is shown in.
"""
_INVISIBLE: Final = frozenset(
    chr(point)
    for first, last in (
        # Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt, the same from 14.0 to 17.0;
        # Python's unicodedata does not tell it. Fillers and variation selectors among them are not in Cf.
        (0x00AD, 0x00AD),
        (0x034F, 0x034F),
        (0x061C, 0x061C),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x200B, 0x200F),
        (0x202A, 0x202E),
        (0x2060, 0x206F),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFEFF, 0xFEFF),
        (0xFFA0, 0xFFA0),
        (0xFFF0, 0xFFF8),
        (0x1BCA0, 0x1BCA3),
        (0x1D173, 0x1D17A),
        (0xE0000, 0xE0FFF),
        # Drawn as nothing, and no blank by any property: Braille's empty pattern.
        (0x2800, 0x2800),
    )
    for point in range(first, last + 1)
)


def clean_display_text(text: str) -> str:
    """In compatible form (NFKC), without characters that are not seen."""
    if text.isascii():
        return text
    seen = [one for one in unicodedata.normalize("NFKC", text) if not _is_invisible(one)]
    return unicodedata.normalize("NFKC", "".join(seen))


def _is_invisible(one: str) -> bool:
    return one in _INVISIBLE or unicodedata.category(one) == _FORMAT_CATEGORY
