"""Reads phone numbers in the forms that networks write, and masks most of their digits."""

import re
from functools import lru_cache
from typing import Final

_WORDS: Final = re.compile(r"[A-Za-z]*")
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_TEN_DIGITS: Final = re.compile(r"[2-9][0-9]{2}[2-9][0-9]{6}")
"""A number of North America without its country code (NANP)."""
_SCHEMES: Final = frozenset({"sip", "sips", "tel"})
_SEPARATORS: Final = str.maketrans("", "", " \t-.()/")
_MIN_NATIONAL_DIGITS: Final = 7
"""Fewest digits by which a number of ours is known without its country code."""
_MIN_INTERNATIONAL_DIGITS: Final = 11
"""Fewest digits that are taken to begin with a country code where no plus says so."""
_ANY_NUMBER: Final = re.compile(
    r"""
    (?P<id> (?<![\w-]) (?:[a-z]-)? [0-9a-f]{8}- (?:[0-9a-f]{4,8}-){1,5} [0-9a-f]{12} (?![\w-]) )
    | (?P<time> (?<![\d.-]) (?:19|20)\d\d-(?:0\d|1[0-2])-(?:[0-2]\d|3[01])
        (?: [T ] \d\d:\d\d:\d\d (?:\.\d{1,9})? )? (?! [.-]?\d ) )
    | \d (?: [\s.,_/()\[\]+\u2010-\u2015\u2212-]{0,4}+ \d ){6,}+
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Seven digits or more with anything between them that people write there; UUIDs, Bandwidth's call ids and
ISO 8601 times apart. Each digit is looked at a few times at most: the time grows with the text, no faster."""


@lru_cache(maxsize=1024)
def e164(text: str, our_numbers: frozenset[str] = frozenset()) -> str:
    """The number in `text` in E.164 form, empty where there is none to be read.

    Reads E.164, with separators, without the plus or with 00 in its place, and the user part of a sip, sips
    or tel URI with or without parameters and name. Digits without a country code are read only where exactly
    one of `our_numbers` (in E.164 form) ends with them, or where they are ten of North America and all of
    `our_numbers` are there. Each webhook of a call names the same two, so what was read is kept for a while.
    """
    if _E164.fullmatch(text):
        return text
    if "<" in text:
        text = text.partition("<")[2].partition(">")[0]
    scheme, colon, rest = text.strip().partition(":")
    address = rest if colon and scheme.lower() in _SCHEMES else text.strip()
    user = address.partition("@")[0].partition(";")[0].replace("%2B", "+").replace("%2b", "+")
    number = user.translate(_SEPARATORS)
    if number.startswith("00"):
        number = f"+{number[2:]}"
    if _E164.fullmatch(number):
        return number
    if not (number.isascii() and number.isdigit()):
        return ""
    national = number.lstrip("0")
    known = (
        [one for one in our_numbers if one.endswith(national)]
        if len(national) >= _MIN_NATIONAL_DIGITS
        else []
    )
    if len(known) == 1:
        return known[0]
    if (
        _TEN_DIGITS.fullmatch(number)
        and not known
        and our_numbers
        and all(one.startswith("+1") for one in our_numbers)
    ):
        return f"+1{number}"
    whole = f"+{number}"
    return whole if len(number) >= _MIN_INTERNATIONAL_DIGITS and _E164.fullmatch(whole) else ""


def masked(number: str) -> str:
    """Country and last two digits of a number; words such as `Anonymous` stay."""
    if _WORDS.fullmatch(number):
        return number
    if len(number) <= 6:
        return "*" * len(number)
    return f"{number[:2]}{'*' * (len(number) - 4)}{number[-2:]}"


def hide_numbers(text: str) -> str:
    """Bandwidth's words without phone numbers and account ids: of each run of digits the last two stay.

    Only for foreign words. Ours have counts and times of seven digits, and numbers under keys of their own.
    """
    return _ANY_NUMBER.sub(_hidden, text)


def _hidden(found: re.Match[str]) -> str:
    run = found[0]
    if found["id"] or found["time"]:
        return run
    left = sum(map(str.isdecimal, run)) - 2
    hidden = []
    for char in run:
        if char.isdecimal() and left > 0:
            left -= 1
            hidden.append("*")
        else:
            hidden.append(char)
    return "".join(hidden)
