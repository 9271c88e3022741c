"""Which numbers may be called: the guard between whoever holds an API key and the telephone bill.

What a number is comes from phonenumbers, Google's numbering plans. Four rules, in this order:

- `emergency`: never called, because nobody at our end can be asked where the emergency is. Exactly such a
  number behind its country code (+1911), or one with digits after it when the whole is no valid number. Valid
  numbers may begin like that: +1 919 is Raleigh, and 919 is an emergency number elsewhere under +1.
- `premium`: never called, not even under a prefix that names it; the same with digits to spare at its end,
  which networks ignore. Shared-cost numbers are not premium: some are help desks, so the prefixes decide.
- `prefix`: under none of OUTBOUND_PREFIXES; while those are unset, outside of the country of BW_NUMBER. The
  country, not its country code: +1 is shared with islands whose numbers are dear to call.
- `invalid`: a number that the library calls invalid passes only under an explicit prefix. Whoever set
  OUTBOUND_PREFIXES vouches for what is below; numbering plans are at times newer than the library.
"""

import re
from typing import Literal, Self

import msgspec
import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType

Rule = Literal["emergency", "premium", "prefix", "invalid"]
_DIGITS = re.compile(r"\+[1-9][0-9]{1,14}")
_LEAST = len("+1234567")  # as everywhere in this service; only emergency numbers are told when shorter


class Refusal(msgspec.Struct, frozen=True):
    """Why a number is not called; `detail` is fit for logs and answers, as it never holds the number."""

    rule: Rule
    detail: str


class DialPlan(msgspec.Struct, frozen=True):
    """What may be called: numbers under `prefixes`; with a `home` region, valid numbers of that region only.

    `home` is set when nobody said what may be called and the prefix was derived from a number of ours.
    """

    prefixes: tuple[str, ...]
    home: str | None = None

    @classmethod
    def from_settings(cls, prefixes: tuple[str, ...] | None, own_number: str | None) -> Self:
        """The plan of OUTBOUND_PREFIXES; without those, the country of BW_NUMBER; without both, nothing.

        A BW_NUMBER that the library calls invalid counts for the main country of its country code.
        """
        if prefixes:
            return cls(prefixes)
        own = _parsed(own_number) if own_number else None
        if own is None or own.country_code is None:
            return cls(())
        main = phonenumbers.region_code_for_country_code(own.country_code)
        home = phonenumbers.region_code_for_number(own) or main
        return cls((f"+{own.country_code}",), home)

    def refusal(self, number: str) -> Refusal | None:
        """Why `number` is not called, None if it may be.

        Raises ValueError for what is not E.164 with 7 to 15 digits, save that a shorter emergency number is
        told as such.
        """
        if not _DIGITS.fullmatch(number):
            raise ValueError("is no number in E.164 form")
        parsed = _parsed(number)
        # Parsing drops what does not belong, such as the 0 in +44020...: valid is what stays as it was.
        valid = (
            parsed is not None
            and phonenumbers.is_valid_number(parsed)
            and phonenumbers.format_number(parsed, PhoneNumberFormat.E164) == number
        )
        if parsed is not None and _emergency(parsed, number, valid=valid):
            return Refusal("emergency", "reaches an emergency service, which is never called")
        if len(number) < _LEAST:
            raise ValueError("is no number in E.164 form")
        if parsed is not None and _premium(parsed):
            return Refusal("premium", "is a premium-rate number, which is never called")
        if not number.startswith(self.prefixes):
            return Refusal("prefix", "is under none of the prefixes that may be called")
        if parsed is not None and valid and self.home:
            if not phonenumbers.is_valid_number_for_region(parsed, self.home):
                return Refusal("prefix", f"is not in {self.home}; other countries need OUTBOUND_PREFIXES")
        elif not valid and self.home:
            return Refusal("invalid", "is no valid number; OUTBOUND_PREFIXES has to allow it by a prefix")
        return None


def _parsed(number: str) -> PhoneNumber | None:
    """None where the country code belongs to nobody, or nearly nothing follows it."""
    try:
        return phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None


def _emergency(parsed: PhoneNumber, number: str, *, valid: bool) -> bool:
    code = parsed.country_code or 0
    dialled = number[len(f"+{code}") :]  # the library knows emergency numbers as they are dialled locally
    matches = phonenumbers.is_emergency_number if valid else phonenumbers.connects_to_emergency_number
    return any(matches(dialled, region) for region in phonenumbers.region_codes_for_country_code(code))


def _premium(parsed: PhoneNumber) -> bool:
    if phonenumbers.number_type(parsed) == PhoneNumberType.PREMIUM_RATE:
        return True
    shorter = PhoneNumber()
    shorter.merge_from(parsed)
    return (
        phonenumbers.truncate_too_long_number(shorter)
        and phonenumbers.number_type(shorter) == PhoneNumberType.PREMIUM_RATE
    )
