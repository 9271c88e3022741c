"""Which numbers are called, told by rule."""

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.dial_plan import DialPlan

EXPLICIT = DialPlan(("+1",))
BRITISH = DialPlan.from_settings(None, "+442071838750")
AMERICAN = DialPlan.from_settings(None, "+19195550100")
EVERYWHERE = DialPlan(tuple(f"+{digit}" for digit in range(1, 10)))


def rule(plan: DialPlan, number: str) -> str | None:
    refusal = plan.refusal(number)
    return refusal.rule if refusal else None


@pytest.mark.parametrize(
    "number",
    [
        "+1911",
        "+44999",
        "+44112",
        "+49110",
        "+61000",
        "+19115550100",
        "+4499912345",
        "+3311255501",
    ],
)
@pytest.mark.parametrize("plan", [EXPLICIT, AMERICAN, EVERYWHERE, DialPlan(("+1911", "+44999"))])
def test_emergency_numbers_are_never_called(plan: DialPlan, number: str) -> None:
    assert rule(plan, number) == "emergency"


@pytest.mark.parametrize("number", ["+19192121234", "+33112345678", "+4681121234", "+251911234567"])
def test_numbers_that_begin_like_an_emergency_number_and_are_none(number: str) -> None:
    assert rule(EVERYWHERE, number) is None


@pytest.mark.parametrize(
    "number",
    [
        "+19005550100",
        "+449098790000",
        "+979123456789",
        "+190055501009",  # with a digit to spare
        "+119005550100",  # with the national prefix
    ],
)
@pytest.mark.parametrize("plan", [EXPLICIT, BRITISH, EVERYWHERE, DialPlan(("+1900", "+44909", "+979"))])
def test_premium_numbers_are_never_called(plan: DialPlan, number: str) -> None:
    assert rule(plan, number) == "premium"


def test_shared_cost_is_not_premium() -> None:
    number = "+4918012345"
    kind = phonenumbers.number_type(phonenumbers.parse(number))
    assert kind == phonenumbers.PhoneNumberType.SHARED_COST
    assert rule(EVERYWHERE, number) is None


@pytest.mark.parametrize(
    ("prefixes", "number", "expected"),
    [
        (("+1", "+44207"), "+19195550100", None),
        (("+1", "+44207"), "+442071838750", None),
        (("+1", "+44207"), "+441612345678", "prefix"),
        (("+1",), "+18765230123", None),
        (("+1876",), "+19195550100", "prefix"),
        (("+1",), "+999123456789", "prefix"),
    ],
)
def test_prefixes(prefixes: tuple[str, ...], number: str, expected: str | None) -> None:
    assert rule(DialPlan.from_settings(prefixes, "+442071838750"), number) == expected


@pytest.mark.parametrize("number", ["+15551234567", "+15550100111", "+1212555", "+119195550100"])
def test_an_invalid_number_passes_under_an_explicit_prefix_only(number: str) -> None:
    assert rule(EXPLICIT, number) is None
    assert rule(AMERICAN, number) == "invalid"
    assert rule(BRITISH, number) == "prefix"


def test_a_valid_number_with_a_digit_that_does_not_belong_is_invalid() -> None:
    assert rule(BRITISH, "+442071838750") is None
    assert rule(BRITISH, "+4402071838750") == "invalid"


@pytest.mark.parametrize(
    ("own", "number", "expected"),
    [
        ("+19195550100", "+12125550100", None),
        ("+19195550100", "+18005550100", None),
        ("+19195550100", "+18765230123", "prefix"),  # Jamaica, under +1 too
        ("+19195550100", "+16135550100", "prefix"),  # Canada
        ("+16135550100", "+18005550100", None),
        ("+16135550100", "+12125550100", "prefix"),
        ("+15550100100", "+12125550100", None),  # an invalid number of ours: the main country of +1
        ("+19195550100", "+442071838750", "prefix"),
        ("+999123456789", "+999123456788", "prefix"),
        (None, "+12125550100", "prefix"),
    ],
)
def test_by_default_the_country_of_our_number(own: str | None, number: str, expected: str | None) -> None:
    assert rule(DialPlan.from_settings(None, own), number) == expected


@pytest.mark.parametrize(
    "number",
    [
        "",
        "+",
        "+1",
        "+911",
        "+123456",
        "+1234567890123456",
        "+0123456789",
        "19195550100",
        "+1 919 555 0100",
        "+19195550100\n",
        "+1919555010x",
        "+1919555010\u0661",
        "sip:19195550100@example.com",
        "+1" * 100_000,
    ],
)
def test_what_is_no_number(number: str) -> None:
    with pytest.raises(ValueError, match=r"^is no number in E\.164 form$"):
        EVERYWHERE.refusal(number)


@settings(derandomize=True, deadline=None)
@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True), st.sampled_from([EXPLICIT, BRITISH, AMERICAN]))
def test_any_number_is_judged_and_the_judgement_holds_no_digit_of_it(number: str, plan: DialPlan) -> None:
    refusal = plan.refusal(number)
    if refusal is None:
        assert number.startswith(plan.prefixes)
    else:
        assert number[1:] not in refusal.detail
        assert not any(letter.isdigit() for letter in refusal.detail)
