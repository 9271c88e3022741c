"""What `make chaos` is told: settings in the environment, since make passes no arguments on."""

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from tests.chaos.plan import fault_profiles_named

HELP = """\
CHAOS_CALLS    calls in all, among them browsers and listeners; default 2000. With fewer calls than kinds of
               weather, the first of these alone are played
CHAOS_SEED     a number; the same seed makes the same decisions. Default: a new one, which is printed
CHAOS_WEATHER  kinds of weather, with commas; default all of them, in turns:
               {weathers}
CHAOS_ONLY     numbers of the calls that take part, from 0 on, with commas; of one turn
CHAOS_WINDOW   seconds of the turn in which the weather blows, as 4-8; of one turn
CHAOS_SHRINK   minutes for which a smaller case of a failure is looked for; default 5, 0 for none
CHAOS_KEEP     1: keep the logs of turns that passed, too
"""
NAMES: Final = frozenset(re.findall("^CHAOS_[A-Z]+", HELP, re.MULTILINE))


class Options(msgspec.Struct, frozen=True, kw_only=True):
    calls: int
    seed: int
    fault_profiles: list[str]
    only: tuple[int, ...]
    window: tuple[float, float] | None
    shrink: float
    """Minutes."""
    keep: bool


def options(known: Sequence[str], environ: Mapping[str, str] | None = None) -> Options:
    """Raises ValueError with a line that names the setting and what it wants."""
    given = os.environ if environ is None else environ  # noqa: TID251 - these are not the service's
    # One that is misspelt would play the whole storm.
    if unknown := sorted(name for name in given if name.startswith("CHAOS_") and name not in NAMES):
        raise ValueError(f"there is no setting {', '.join(unknown)}; there are: {', '.join(sorted(NAMES))}")
    weathers = fault_profiles_named(given.get("CHAOS_WEATHER", ""), known)
    only, window = _numbers(given.get("CHAOS_ONLY", "")), _window(given.get("CHAOS_WINDOW", ""))
    if (only or window) and len(weathers) != 1:
        raise ValueError("CHAOS_ONLY and CHAOS_WINDOW are for one kind of weather: set CHAOS_WEATHER too")
    calls = _number(given, "CHAOS_CALLS", 2000)
    if only and only[-1] >= calls:
        raise ValueError(f"CHAOS_ONLY is {only[-1]}; with CHAOS_CALLS={calls} the last one is {calls - 1}")
    return Options(
        calls=calls,
        seed=_number(given, "CHAOS_SEED", secrets.randbelow(10**6) + 1),
        fault_profiles=weathers,
        only=only,
        window=window,
        shrink=_minutes(given.get("CHAOS_SHRINK", "").strip() or "5"),
        keep=given.get("CHAOS_KEEP", "").strip() not in {"", "0"},
    )


def _number(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name, "").strip() or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name} is {text!r}; wants a whole number from 1 on")
    return int(text)


def _numbers(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(word.isdecimal() for word in words):
        raise ValueError(f"CHAOS_ONLY is {text!r}; wants numbers of calls with commas, as 17,18")
    return tuple(sorted({int(word) for word in words}))


def _window(text: str) -> tuple[float, float] | None:
    if not text.strip():
        return None
    try:
        begin, end = (float(word) for word in text.split("-"))
    except ValueError:
        begin, end = 0.0, 0.0
    if not 0 <= begin < end:
        raise ValueError(f"CHAOS_WINDOW is {text!r}; wants two numbers of seconds, as 4-8")
    return begin, end


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = -1.0
    if not 0 <= minutes < float("inf"):
        raise ValueError(f"CHAOS_SHRINK is {text!r}; wants minutes, 0 for none")
    return minutes
