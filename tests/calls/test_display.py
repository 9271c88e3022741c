import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.calls.display import clean_display_text


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Ada", "Ada"),
        ("Ada \u202egnp.exe", "Ada gnp.exe"),
        ("\u2066Ada\u2069\u200f", "Ada"),
        ("A\u200bd\u2060a\ufeff\u00ad", "Ada"),
        ("\uff21\uff44\uff41", "Ada"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("e\u200d\u0301", "\u00e9"),
        ("\u05d3\u05e0\u05d4", "\u05d3\u05e0\u05d4"),
        ("\u202e", ""),
        ("A\u034fda\ufe0f\u180b\U000e0100", "Ada"),
        ("\uc544\ub2e4", "\uc544\ub2e4"),
        ("\u2803 \u2801", "\u2803 \u2801"),
        ("", ""),
    ],
)
def test_what_is_shown(written: str, shown: str) -> None:
    assert clean_display_text(written) == shown


@pytest.mark.parametrize(
    "name",
    [
        "HANGUL FILLER",
        "HALFWIDTH HANGUL FILLER",
        "HANGUL CHOSEONG FILLER",
        "HANGUL JUNGSEONG FILLER",
        "BRAILLE PATTERN BLANK",
        "COMBINING GRAPHEME JOINER",
        "KHMER VOWEL INHERENT AQ",
        "MONGOLIAN FREE VARIATION SELECTOR ONE",
        "VARIATION SELECTOR-1",
        "VARIATION SELECTOR-16",
        "VARIATION SELECTOR-17",
        "VARIATION SELECTOR-256",
        "TAG SPACE",
        "SHORTHAND FORMAT UP STEP",
    ],
)
def test_what_nobody_sees_is_no_name(name: str) -> None:
    assert clean_display_text(unicodedata.lookup(name) * 3) == ""


@given(st.text() | st.text("Ad\u1160\u2800\u3164\uffa0\ufe0f\u1161\u200d\u0301"))
def test_of_any_text_nothing_is_left_that_is_not_seen(text: str) -> None:
    shown = clean_display_text(text)
    assert clean_display_text(shown) == shown
    assert not any(unicodedata.category(one) == "Cf" for one in shown)
    assert not {"\u1160", "\u2800", "\u3164", "\uffa0", "\ufe0f"} & set(shown)
