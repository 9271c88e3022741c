"""The page about calls says what the state machine does."""

import re

import pytest

from service.calls.decide import TABLE
from service.calls.model import Intent, Media, Phone, Status
from tests.calls.diagram import COMMAND, PAGE, page
from tests.calls.representative import on_no_call

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_page_is_up_to_date() -> None:
    assert page(TEXT) == TEXT, f"docs/calls.md is stale; renew it with: {COMMAND}"


@pytest.mark.parametrize("state", [*Phone, *Media, *Intent, *Status])
def test_every_state_is_explained(state: str) -> None:
    assert f"`{state}`" in TEXT


def test_a_page_without_a_place_for_a_table_is_not_written() -> None:
    with pytest.raises(ValueError, match=r"calls\.md has no place for diagram"):
        page("# What a call does\n")


def test_each_rule_for_every_media_says_why() -> None:
    one_rule = [
        name
        for name, rules in zip(on_no_call(), TABLE.values(), strict=True)
        if set(rules) == set(Media) and len(set(rules.values())) == 1
    ]
    section = TEXT.split("<!-- always -->\n")[1].split("\n\n")[0]
    rows = re.findall(r"^\| (`.+?`) \| \S", section, re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(one_rule)
