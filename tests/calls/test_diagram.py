"""The page about calls says what the state machine does."""

import pytest

from service.calls.model import Intent, Media, Phone, Status
from tests.calls.diagram import COMMAND, PAGE, page

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_page_is_up_to_date() -> None:
    assert page(TEXT) == TEXT, f"docs/calls.md is stale; renew it with: {COMMAND}"


@pytest.mark.parametrize("state", [*Phone, *Media, *Intent, *Status])
def test_every_state_is_explained(state: str) -> None:
    assert f"`{state}`" in TEXT


def test_a_page_without_a_place_for_a_table_is_not_written() -> None:
    with pytest.raises(ValueError, match=r"calls\.md has no place for diagram"):
        page("# What a call does\n")
