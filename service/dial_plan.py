"""Decides which numbers may be called: the guard between an API key and the telephone bill.

What a number is comes from phonenumbers, Google's numbering plans. The rules, in this order:

- `emergency`: never called, because nobody at our end can be asked where the emergency is. Exactly such a
  number behind its country code (+1911), or one with digits after it when the whole is no valid number. Valid
  numbers may begin like that: +1 919 is Raleigh, and 919 is an emergency number elsewhere under +1.
- `premium`: never called, not even under a prefix that names it: premium-rate and personal numbers, directory
  enquiries, and under +1 the area codes 5YY, 700 and 900, NPA-976 and 555-1212. The same with digits to spare
  at the end, which networks ignore. Shared-cost numbers are not premium: some are help desks.
- `own-number`: a number of ours. The call would come back as a new one, and could go round for ever.
- `prefix`: under none of OUTBOUND_PREFIXES, or in none of OUTBOUND_COUNTRIES; while both are unset, outside
  of the country of BW_NUMBER. The country, not its country code: +1 is shared with islands whose numbers are
  dear to call. Where both are set, a number has to pass both.
- `invalid`: numbers that cannot exist, by their length or by what they begin with: a trunk 0, and under +1 an
  exit code (011) or a dial-around code (101XXXX). Numbers that could exist and that the library calls
  invalid pass only where prefixes alone decide: who names a prefix vouches for what is below, and numbering
  plans are at times newer than the library.
"""

import re
from typing import Final, Literal, Self

import msgspec
import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult

Rule = Literal["emergency", "premium", "own-number", "prefix", "invalid", "from"]
_DIGITS: Final = re.compile(r"\+[1-9][0-9]{1,14}")
_SHORTEST: Final = 7  # digits of a number
_LEAST: Final = (
    len("+") + _SHORTEST
)  # as everywhere in this service; only emergency numbers are told when shorter
_NEVER: Final = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.PERSONAL_NUMBER})
_UNIVERSAL: Final = "+878"  # universal personal telecommunications, which the library calls VoIP
_DIRECTORY: Final = "118"  # directory enquiries of most of Europe, behind a country code
_NANP: Final = 1
_NON_GEOGRAPHIC: Final = re.compile(
    # Personal numbers (NANPA: 5XX-NPA, the codes that are in no place), carriers' own services, premium rate.
    r"\+1(?:5(?:00|2[1-9]|3[2358]|4[2-79]|5[02-468]|6[69]|7[78]|8[89])|700|900)"
)
_PAY_PER_CALL: Final = re.compile(r"\+1(?:[2-9][0-9]{2}(?:976|5551212)|976)")
_NORTH_AMERICA: Final = frozenset({None, "US", "CA"})
"""Regions where exchange 976 is pay-per-call; on Jamaica it is an exchange like others."""


class DialRefusal(msgspec.Struct, frozen=True):
    """Why a number is not called; `detail` is fit for logs and answers, as it never holds the number."""

    rule: Rule
    detail: str


EMERGENCY_REFUSAL: Final = DialRefusal("emergency", "reaches an emergency service, which is never called")
OWN_NUMBER_REFUSAL: Final = DialRefusal(
    "own-number", "is a number of ours: the call would come back to this service"
)


_OUTSIDE: Final = DialRefusal(
    "prefix", "is outside of what may be called: OUTBOUND_COUNTRIES and OUTBOUND_PREFIXES say what that is"
)


class DialPlan(msgspec.Struct, frozen=True):
    """What may be called: numbers under `prefixes`; where `countries` are named, valid numbers of those only.

    `own_numbers` are the numbers that lead back to this service.
    """

    prefixes: tuple[str, ...]
    countries: tuple[str, ...] = ()
    own_numbers: frozenset[str] = frozenset()

    @classmethod
    def from_settings(
        cls,
        prefixes: tuple[str, ...] | None,
        own_number: str | None,
        *,
        countries: tuple[str, ...] | None = None,
        own_numbers: frozenset[str] = frozenset(),
    ) -> Self:
        """The plan of OUTBOUND_PREFIXES and OUTBOUND_COUNTRIES; without those, the country of BW_NUMBER.

        Without a number either, nothing may be called. A BW_NUMBER that the library calls invalid counts for
        the main country of its country code.
        """
        if prefixes or countries:
            countries = countries or ()
            return cls(prefixes or _codes_of(countries), countries, own_numbers)
        home = _country_of(own_number) if own_number else None
        return cls(_codes_of((home,)), (home,), own_numbers) if home else cls((), (), own_numbers)

    def refusal_for(self, number: str) -> DialRefusal | None:
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
            return EMERGENCY_REFUSAL
        if len(number) < len("+") + _SHORTEST:
            raise ValueError("is no number in E.164 form")
        if number.startswith(_UNIVERSAL) or (parsed is not None and _premium(parsed, number, valid=valid)):
            return DialRefusal("premium", "is a premium-rate number, which is never called")
        if number in self.own_numbers:
            return OWN_NUMBER_REFUSAL
        if not number.startswith(self.prefixes):
            return _OUTSIDE
        if parsed is None or not (valid or _possible(parsed, number)):
            return DialRefusal("invalid", "is a number that cannot exist")
        return self._country_refusal(parsed, valid=valid) if self.countries else None

    def _country_refusal(self, parsed: PhoneNumber, *, valid: bool) -> DialRefusal | None:
        if not valid:
            return DialRefusal("invalid", "is no valid number; OUTBOUND_PREFIXES alone would let it pass")
        if any(phonenumbers.is_valid_number_for_region(parsed, country) for country in self.countries):
            return None
        return _OUTSIDE


def is_emergency(typed: str) -> bool:
    """Whether this is an emergency number as people type it: 911, 9-1-1, +1911, 0044 999.

    `typed` is of bounded length. Numbers of 7 digits and more are the plan's to judge, once they are E.164.
    """
    digits = phonenumbers.normalize_digits_only(typed)
    whole = digits.removeprefix("00")
    if len(digits) < 2 or len(whole) >= _SHORTEST:
        return False
    if any(phonenumbers.is_emergency_number(digits, one) for one in phonenumbers.SUPPORTED_SHORT_REGIONS):
        return True
    with_code = whole != digits or "+" in typed or digits.startswith(str(_NANP))
    return with_code and any(
        phonenumbers.is_emergency_number(whole[length:], region)
        for length in (1, 2, 3)
        for region in phonenumbers.region_codes_for_country_code(int(whole[:length] or 0))
    )


def _country_of(number: str) -> str | None:
    """The region of a number of ours; None where its country code belongs to nobody."""
    parsed = _parsed(number)
    if parsed is None or parsed.country_code is None:
        return None
    main = phonenumbers.region_code_for_country_code(parsed.country_code)
    return phonenumbers.region_code_for_number(parsed) or main


def countries_under(prefix: str) -> int:
    """How many countries a prefix opens as a whole; 0 for one that is inside of a country code."""
    digits = prefix.removeprefix("+")
    codes = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    return sum(len(regions) for code, regions in codes.items() if str(code).startswith(digits))


def can_overlap(prefixes: tuple[str, ...], countries: tuple[str, ...]) -> bool:
    """Whether a number can be under one of `prefixes` and in one of `countries`, going by country codes.

    False is certain. True is not: which country an area code is in, as +1416 is Canada's, is not looked at.
    """
    codes = _codes_of(countries)
    return any(code.startswith(one) or one.startswith(code) for code in codes for one in prefixes)


def is_country(region: str) -> bool:
    return region in phonenumbers.SUPPORTED_REGIONS


def _codes_of(countries: tuple[str, ...]) -> tuple[str, ...]:
    codes = {country: phonenumbers.country_code_for_region(country) for country in countries}
    return tuple(dict.fromkeys(f"+{code}" for code in codes.values()))


def _parsed(number: str) -> PhoneNumber | None:
    """None where the country code belongs to nobody, or nearly nothing follows it."""
    try:
        return phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None


def _national_part(parsed: PhoneNumber, number: str) -> str:
    """What follows the country code, as it was given."""
    return number[len(f"+{parsed.country_code or 0}") :]


def _emergency(parsed: PhoneNumber, number: str, *, valid: bool) -> bool:
    dialled = _national_part(
        parsed, number
    )  # the library knows emergency numbers as they are dialled locally
    matches = phonenumbers.is_emergency_number if valid else phonenumbers.connects_to_emergency_number
    return any(
        matches(dialled, region)
        for region in phonenumbers.region_codes_for_country_code(parsed.country_code or 0)
    )


def _premium(parsed: PhoneNumber, number: str, *, valid: bool) -> bool:
    if phonenumbers.number_type(parsed) in _NEVER or _NON_GEOGRAPHIC.match(number):
        return True
    if _PAY_PER_CALL.match(number) and phonenumbers.region_code_for_number(parsed) in _NORTH_AMERICA:
        return True
    if not valid and _national_part(parsed, number).startswith(_DIRECTORY):
        return True
    shorter = PhoneNumber()
    shorter.merge_from(parsed)
    return phonenumbers.truncate_too_long_number(shorter) and phonenumbers.number_type(shorter) in _NEVER


def _possible(parsed: PhoneNumber, number: str) -> bool:
    """Whether an invalid number could exist: by its length, and by not beginning with a code to dial out."""
    begins = ("0", "1") if parsed.country_code == _NANP else ("0",)
    reason = phonenumbers.is_possible_number_with_reason(parsed)
    return reason == ValidationResult.IS_POSSIBLE and not _national_part(parsed, number).startswith(begins)
