import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.calls.display import displayed


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
        ("", ""),
    ],
)
def test_what_is_shown(written: str, shown: str) -> None:
    assert displayed(written) == shown


@given(st.text())
def test_of_any_text_nothing_is_left_that_is_not_seen(text: str) -> None:
    shown = displayed(text)
    assert displayed(shown) == shown
    assert not any(unicodedata.category(one) == "Cf" for one in shown)
