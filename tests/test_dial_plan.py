"""Which numbers are called, told by rule."""

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.dial_plan import DialPlan, countries_under, is_emergency

EXPLICIT = DialPlan(("+1",))
BRITISH = DialPlan.from_settings(None, "+442071838750")
AMERICAN = DialPlan.from_settings(None, "+19195550100")
EVERYWHERE = DialPlan(tuple(f"+{digit}" for digit in range(1, 10)))


def rule(plan: DialPlan, number: str) -> str | None:
    refusal = plan.refusal_for(number)
    return refusal.rule if refusal else None


@pytest.mark.parametrize(
    "typed",
    [
        "911",
        "9-1-1",
        " 9 1 1 ",
        "112",
        "999",
        "000",
        "+1911",
        "+1 911",
        "1-911",
        "+44 (999)",
        "0044 999",
        "tel:911",
        "call 112!",
        "\u0661\u0661\u0662",  # 112 in Arabic digits
    ],
)
def test_emergency_numbers_as_people_type_them(typed: str) -> None:
    assert is_emergency(typed)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "+",
        "12",
        "+12",
        "+1555",
        "7911",
        "5550100",
        "9115550100",
        "+19195550100",
        "sales",
        "+00",
        "00",
        "\x00",
    ],
)
def test_what_nobody_types_who_needs_help(typed: str) -> None:
    assert not is_emergency(typed)


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
        "+19001234567",
        "+12129761234",
        "+14159761234",
        "+12125551212",
        "+15001234567",
        "+15331234567",
        "+15882345678",
        "+17005551234",
        "+447012345678",  # a personal number
        "+878101234567890",
        "+44118118",
        "+4911833",
    ],
)
@pytest.mark.parametrize(
    "plan", [EXPLICIT, BRITISH, EVERYWHERE, DialPlan(("+1900", "+44909", "+979", "+1976"))]
)
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


@pytest.mark.parametrize("number", ["+441189123456", "+18769761234", "+15195550100", "+390612345678"])
def test_numbers_that_look_like_premium_or_impossible_ones_and_are_none(number: str) -> None:
    assert rule(EVERYWHERE, number) is None


def test_no_area_code_that_is_a_place_is_taken_for_a_personal_number() -> None:
    codes = [f"+1{code}2345678" for code in range(200, 1000)]
    places = [one for one in codes if phonenumbers.is_valid_number(phonenumbers.parse(one))]
    kinds = {phonenumbers.PhoneNumberType.PREMIUM_RATE, phonenumbers.PhoneNumberType.PERSONAL_NUMBER}
    refused = [one for one in places if rule(EVERYWHERE, one)]
    assert len(places) > 300
    assert {phonenumbers.number_type(phonenumbers.parse(one)) for one in refused} == kinds


@pytest.mark.parametrize(
    "number",
    [
        "+1212555",
        "+119195550100",  # with the national prefix
        "+10115371234567",  # with the way out of the country
        "+10115551234",
        "+109005551234",
        "+11010288190055",  # with a carrier's code
        "+4402071838750",
        "+34012345678",
        "+999123456789",
    ],
)
@pytest.mark.parametrize("plan", [EXPLICIT, EVERYWHERE, DialPlan(("+10", "+11", "+440", "+340", "+999"))])
def test_numbers_that_cannot_exist_are_called_under_no_prefix(plan: DialPlan, number: str) -> None:
    assert rule(plan, number) == ("invalid" if number.startswith(plan.prefixes) else "prefix")


@pytest.mark.parametrize(
    ("countries", "prefixes", "number", "expected"),
    [
        (("US", "CA"), None, "+12125550100", None),
        (("US", "CA"), None, "+16135550100", None),
        (("US", "CA"), None, "+18005550100", None),
        (("US", "CA"), None, "+18765230123", "prefix"),
        (("US", "CA"), None, "+442071838750", "prefix"),
        (("US", "CA"), None, "+15551234567", "invalid"),
        (("US", "GB"), None, "+442071838750", None),
        (("US",), ("+1919", "+1613"), "+19195550100", None),
        (("US",), ("+1919", "+1613"), "+12125550100", "prefix"),
        (("US",), ("+1919", "+1613"), "+16135550100", "prefix"),
        (("US",), ("+44",), "+442071838750", "prefix"),
    ],
)
def test_countries(
    countries: tuple[str, ...], prefixes: tuple[str, ...] | None, number: str, expected: str | None
) -> None:
    assert rule(DialPlan.from_settings(prefixes, "+442071838750", countries=countries), number) == expected


def test_a_number_of_ours_is_not_called() -> None:
    ours = frozenset({"+19195550100"})
    for plan in (
        DialPlan(("+1",), own_numbers=ours),
        DialPlan.from_settings(None, "+442071838750", own_numbers=ours),
    ):
        assert rule(plan, "+19195550100") == "own-number"
    assert rule(DialPlan(("+1",), own_numbers=ours), "+19195550101") is None


@pytest.mark.parametrize(
    ("prefix", "count"),
    [("+1", 25), ("+7", 2), ("+44", 4), ("+4", 16), ("+34", 1), ("+1919", 0), ("+447", 0)],
)
def test_countries_that_a_prefix_opens(prefix: str, count: int) -> None:
    assert countries_under(prefix) == count


@pytest.mark.parametrize("number", ["+15551234567", "+15550100111"])
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
        EVERYWHERE.refusal_for(number)


@settings(derandomize=True, deadline=None)
@given(
    st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True),
    st.sampled_from(
        [EXPLICIT, BRITISH, AMERICAN, DialPlan.from_settings(None, None, countries=("US", "CA"))]
    ),
)
def test_any_number_is_judged_and_the_judgement_holds_no_digit_of_it(number: str, plan: DialPlan) -> None:
    refusal = plan.refusal_for(number)
    if refusal is None:
        assert number.startswith(plan.prefixes)
    else:
        assert number[1:] not in refusal.detail
        assert not any(letter.isdigit() for letter in refusal.detail)
