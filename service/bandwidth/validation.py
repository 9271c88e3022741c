"""Checks what may stand in BXML and in createCall: characters, numbers, lengths. Raises ValueError.

None of them quotes a value that may be a phone number.
"""

import re
from decimal import Decimal
from urllib.parse import urlsplit

# The characters of XML 1.0 (section 2.2); everything else makes a document malformed.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Of a path these stand for themselves, encoded or not (RFC 3986, 2.3). Bandwidth's ids have some 40 of them.
_ID = re.compile(r"[A-Za-z0-9._~-]{1,200}")
# The voice API's BXML pages. Of `uui` they say 256 in one place and 350 in another.
DOCUMENT_LIMIT = 64 * 1024
TAG_LIMIT = 256
UUI_LIMIT = 350
MAX_TRANSFER_TARGETS = 8
MAX_GATHER_PROMPTS = 20
DAY = 86_400
# createCall only; older documents have 256 for its tag too.
CALL_TAG_LIMIT = 4096
URL_LIMIT = 2048
CREDENTIAL_LIMIT = 1024
HIDDEN_NUMBERS = frozenset({"Restricted", "Anonymous", "Private", "Unavailable"})


def xml_text(text: str) -> str:
    """Without what XML 1.0 cannot carry, and with its line ends, which a parser would put there anyway."""
    return _NOT_XML.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def is_visible(text: str, *, longest: int) -> bool:
    """Whether it is 1 to `longest` characters of ASCII that can be seen, without a pattern."""
    return 0 < len(text) <= longest and text.isascii() and text.isprintable() and " " not in text


def format_decimal(number: float) -> str:
    """A decimal without exponent and trailing zeros."""
    text = format(Decimal(str(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def check_between(name: str, number: float, low: float, high: float) -> None:
    if not low <= number <= high:
        raise ValueError(
            f"{name}: {number} is not between {format_decimal(low)} and {format_decimal(high)} seconds"
        )


def check_count(name: str, number: int, low: int, high: int) -> None:
    if not low <= number <= high:
        raise ValueError(f"{name}: {number} is not between {low} and {high}")


def check_length(name: str, text: str | None, limit: int) -> None:
    if text is not None and len(text) > limit:
        raise ValueError(f"{name}: {len(text)} characters, at most {limit}")


def check_tag(name: str, tag: str | None) -> None:
    check_length(name, tag, TAG_LIMIT)


def check_number(name: str, number: str) -> None:
    if not re.fullmatch(r"\+[1-9][0-9]{1,14}", number):
        raise ValueError(f"{name}: not an E.164 number")


def check_caller_id(name: str, caller_id: str | None) -> None:
    if caller_id is not None and caller_id not in HIDDEN_NUMBERS:
        check_number(name, caller_id)


def check_sip_uri(name: str, uri: str) -> None:
    if not re.fullmatch(r"sips?:[\x21-\x7e]+", uri):
        raise ValueError(f"{name}: not a SIP URI")


def check_callee(name: str, callee: str) -> None:
    if callee.startswith(("sip:", "sips:")):
        check_sip_uri(name, callee)
    else:
        check_number(name, callee)


def is_id(text: str) -> bool:
    """Whether it can be one of Bandwidth's: fit for a path, for BXML and as a name in the store.

    A slash leads elsewhere even where it is encoded, as a proxy may decode it; and so do segments of dots.
    """
    return _ID.fullmatch(text) is not None and bool(text.strip("."))


def check_id(name: str, value: str) -> None:
    if not is_id(value):
        raise ValueError(f"{name}: not an id")


def check_dtmf_digits(name: str, digits: str | None) -> None:
    if digits is not None and not re.fullmatch(r"[0-9*#A-Da-d]*", digits):
        raise ValueError(f"{name}: not keys of a phone")


def check_voice(name: str, value: str | None) -> None:
    if value is not None and not re.fullmatch(r"[A-Za-z][A-Za-z_-]*", value):
        raise ValueError(f"{name}: not a name of letters")


def check_url(name: str, url: str | None) -> None:
    """Relative ones are refused although Bandwidth takes some: what they are relative to is a trap."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
        absolute = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        absolute = False
    if not absolute or not re.fullmatch(r"[\x21-\x7e]+", url):
        raise ValueError(f"{name}: not an absolute http or https URL")
