"""Numbers as networks write them."""

import pytest

from service.calls.numbers import e164, hide_numbers

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


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("9195550188", "********88"),
        ("+19195550188", "+*********88"),
        ("(919) 555-0188", "(***) ***-**88"),
        ("+1 919.555.0188", "+* ***.***.**88"),
        ("06 12 34 56 78", "** ** ** ** 78"),
        ("919\u2011555\u20110188", "***\u2011***\u2011**88"),
        ("919, 555, 0188", "***, ***, **88"),
        ("tel:%2B19195550188", "tel:%2B*********88"),
        ("sip:9195550188@trunk.example", "sip:********88@trunk.example"),
        ("\uff19\uff11\uff19\uff15\uff15\uff15\uff10\uff11\uff18\uff18", "********\uff18\uff18"),
        ("account 9900123 has no 9195550188", "account *****23 has no ********88"),
        ("/accounts/9900123/calls", "/accounts/*****23/calls"),
        ("9195550188 9195550100", "********** ********00"),
        ("to=19195550188x", "to=*********88x"),
        ("number19195550188", "number*********88"),
    ],
)
def test_numbers_in_foreign_words_are_hidden(text: str, left: str) -> None:
    assert hide_numbers(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "call c-95ac8d6e-1a31c52e-b38f-4198-93c1-51633ec68f8d is not there",
        "session 04e88489-1234-5678-1234-123456789012 is full",
        "at 2026-11-22T09:59:58.123456Z",
        "at 2026-11-22 09:59:58, for the 2nd time",
        "no more than 20 participants, 10000 calls, 30.5 s, HTTP 429",
        "from 10.0.0.1:8080",
        "busy",
        "made-up-cause",
        "",
    ],
)
def test_what_is_no_number_stays(text: str) -> None:
    assert hide_numbers(text) == text
