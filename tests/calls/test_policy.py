"""The room of a call that arrives: its name is safe to show, and strangers share none by accident."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.calls.policy import PER_CALL, PER_NUMBER, Policy, is_private_room
from service.calls.refs import ref_of_call

REF = ref_of_call("c-1")
NUMBER = "+15550100100"
ROOM_NAME = re.compile(r"[a-z0-9-]{1,64}")

numbers = st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True)
refs = st.text(min_size=1, max_size=40).map(ref_of_call)
policies = st.sampled_from([PER_CALL, PER_NUMBER, "sales"])


@pytest.mark.parametrize(
    ("policy", "number", "room"),
    [
        (Policy(), NUMBER, f"call-{REF}"),
        (Policy(), "", f"call-{REF}"),
        (Policy(room_policy=PER_NUMBER), NUMBER, "number-0100-e54d0c43"),
        (Policy(room_policy=PER_NUMBER), "", f"call-{REF}"),
        (Policy(room_policy="per-number"), NUMBER, "number-0100-e54d0c43"),
        (Policy(room_policy="sales"), NUMBER, "sales"),
        (Policy(room_policy="sales"), "", "sales"),
        (Policy(room_map={NUMBER: "support"}), NUMBER, "support"),
        (Policy(room_policy=PER_NUMBER, room_map={NUMBER: "support"}), NUMBER, "support"),
        (Policy(room_policy="sales", room_map={NUMBER: "support"}), NUMBER, "support"),
        (Policy(room_policy="sales", room_map={NUMBER: "support"}), "+15550100101", "sales"),
        (Policy(room_map={NUMBER: "support"}), "", f"call-{REF}"),
    ],
)
def test_the_room_of_a_call(policy: Policy, number: str, room: str) -> None:
    assert policy.room_for(REF, number) == room


@pytest.mark.parametrize(
    ("room", "own"),
    [
        (Policy().room_for(REF, NUMBER), True),
        (Policy(room_policy=PER_NUMBER).room_for(REF, NUMBER), False),
        ("sales", False),
        # Somebody's own names that look like it.
        ("call-centre", False),
        (REF, False),
        (f"call-call-{REF}", False),
    ],
)
def test_the_room_of_one_caller_is_told_from_others(room: str, *, own: bool) -> None:
    assert is_private_room(room) == own


@settings(derandomize=True, deadline=None)
@given(policies, refs, numbers)
def test_a_room_name_is_one_and_hides_the_number(policy: str, ref: str, number: str) -> None:
    room = Policy(room_policy=policy).room_for(ref, number)
    assert ROOM_NAME.fullmatch(room)
    assert number.removeprefix("+") not in room


@settings(derandomize=True, deadline=None)
@given(numbers, numbers, refs, refs)
def test_calls_meet_in_the_room_of_a_number_only(one: str, other: str, first: str, second: str) -> None:
    per_number = Policy(room_policy=PER_NUMBER)
    assert per_number.room_for(first, one) == per_number.room_for(second, one)
    assert (per_number.room_for(first, one) == per_number.room_for(first, other)) == (one == other)
    assert (Policy().room_for(first, one) == Policy().room_for(second, one)) == (first == second)


@pytest.mark.parametrize("number", ["sip:sales@EXAMPLE.com", "ANONYMOUS", "+1 (555) 010-01 0", "+49 30/1_2"])
def test_an_odd_number_still_gives_a_room_name(number: str) -> None:
    assert ROOM_NAME.fullmatch(Policy(room_policy=PER_NUMBER).room_for(REF, number))


def test_what_nobody_has_set() -> None:
    words = Policy(room_policy="per-call", announcement="", fallback_number="")
    assert (
        words
        == Policy()
        == Policy(room_map={}, pin_numbers=frozenset(), max_pin_attempts=3, webhook_budget=8.0)
    )


@pytest.mark.parametrize(("number", "asks"), [(NUMBER, 2), ("+15550100101", 0), ("", 2)])
def test_digits_are_asked_for_on_numbers_that_are_set_so(number: str, asks: int) -> None:
    assert Policy(pin_numbers=frozenset({NUMBER}), max_pin_attempts=2).pin_attempts_for(number) == asks


@pytest.mark.parametrize("number", ["911", "1234", "+1234"])
def test_a_short_number_is_hidden_too(number: str) -> None:
    assert number.removeprefix("+") not in Policy(room_policy=PER_NUMBER).room_for(REF, number)


@pytest.mark.parametrize(("number", "shown"), [("123456", ""), ("1234567", "4567-")])
def test_the_last_digits_of_a_long_number_only_are_shown(number: str, shown: str) -> None:
    room = Policy(room_policy=PER_NUMBER).room_for(REF, number)
    assert re.fullmatch(rf"number-{shown}[0-9a-f]{{8}}", room)


FALLBACK, OURS, THEIRS = "+15550100199", "+15550100101", "+15550100111"


@pytest.mark.parametrize(
    ("number", "diverted", "expected"),
    [
        (NUMBER, "", FALLBACK),
        (NUMBER, THEIRS, FALLBACK),  # somebody's own phone is forwarded to us
        ("", "", FALLBACK),
        (FALLBACK, "", ""),  # it is a number of ours, whatever settings say
        (NUMBER, FALLBACK, ""),  # who answers there has forwarded the call
        (NUMBER, OURS, ""),
        (NUMBER, NUMBER, ""),
    ],
)
def test_a_call_that_came_by_way_of_the_fallback_has_none(number: str, diverted: str, expected: str) -> None:
    policy = Policy(fallback_number=FALLBACK, our_numbers=frozenset({OURS}))
    assert policy.fallback_for(number, diverted) == expected
    assert Policy(our_numbers=frozenset({OURS})).fallback_for(number, diverted) == ""
