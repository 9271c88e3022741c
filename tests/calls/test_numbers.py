"""Numbers as networks write them."""

import pytest

from service.calls.numbers import e164

OURS = frozenset({"+19195550101", "+442071838750"})
AMERICAN = frozenset({"+19195550101"})


@pytest.mark.parametrize(
    "text",
    [
        "+19195550101",
        "19195550101",
        "9195550101",
        "+1 919 555 0101",
        "+1-919-555-0101",
        "+1 (919) 555.0101",
        " +19195550101 ",
        "0019195550101",
        "+19195550101;npdi=yes",
        "tel:+19195550101",
        "sip:+19195550101@trunk.example",
        "SIPS:%2B19195550101@trunk.example:5060;user=phone",
        "sip:9195550101;phone-context=example.com@trunk.example",
        '"Sales" <sip:+19195550101@trunk.example>;tag=1',
    ],
)
def test_one_number_in_many_forms(text: str) -> None:
    assert e164(text, OURS) == "+19195550101"


def test_digits_without_country_code_are_those_of_one_number_of_ours() -> None:
    assert e164("02071838750", OURS) == "+442071838750"
    assert e164("9195550101") == ""
    assert e164("9195550101", frozenset({"+19195550101", "+449195550101"})) == ""
    assert e164("550101", OURS) == ""


def test_ten_digits_are_of_north_america_where_all_of_ours_are() -> None:
    assert e164("2125550199", AMERICAN) == "+12125550199"
    assert e164("2125550199", OURS) == e164("1125550199", AMERICAN) == ""


def test_digits_with_country_code_need_no_plus() -> None:
    assert e164("4915112345678", OURS) == "+4915112345678"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "Anonymous",
        "sip:anonymous@anonymous.invalid",
        "sip:sales@example.com",
        "+012345678",
        "+1234567890123456",
        "12345678901234567",
        "+1919555010\u0661",
        "9195550\u0661\u0660\u0661",
        "\x00",
        "sip:" * 64,
    ],
)
def test_what_is_no_number(text: str) -> None:
    assert e164(text, OURS) == ""
