"""The BXML verbs that are simulated, with their attributes and limits (voice API, BXML reference)."""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

Check = Callable[[str], None]

E164 = re.compile(r"\+[1-9]\d{1,14}")
SIP_URI = re.compile(r"sips?:[^\s<>]+")
PRIVACY = {"Restricted", "Anonymous", "Private", "Unavailable"}
URL_LIMIT = 2048
CREDENTIAL_LIMIT = 1024
TAG_LIMIT = 256
UUI_LIMIT = 350
VOICES = {
    "julie",
    "kate",
    "susan",
    "dave",
    "paul",
    "bridget",
    "simon",
    "katrin",
    "stefan",
    "esperanza",
    "violeta",
    "jorge",
    "rosa",
    "jolie",
    "bernard",
    "paola",
    "luca",
    "masako",
    "kenji",
    "nadiya",
    "anatoli",
    "zeina",
    "zhiyu",
    "ruth",
    "stephen",
    "lupe",
    "pedro",
    "gabrielle",
    "liam",
}
LOCALES = {"en_US", "en_UK", "de", "es", "es_MX", "fr", "it", "ja", "ru", "arb", "cmn-CN", "es_US", "fr_CA"}
SSML = {"break", "emphasis", "lang", "p", "phoneme", "prosody", "s", "say-as", "sub"}


def is_full_url(value: str) -> bool:
    parts = urlsplit(value)
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def url(value: str) -> None:
    """Full or relative."""
    if not value or len(value) > URL_LIMIT or re.search(r"\s", value):
        raise ValueError("is no URL")
    if urlsplit(value).scheme and not is_full_url(value):
        raise ValueError("is neither http(s) nor relative")


def method(value: str) -> None:
    if value == "GET":
        raise ValueError("GET is not simulated")
    if value != "POST":
        raise ValueError("must be GET or POST")


def up_to(limit: int) -> Check:
    def check(value: str) -> None:
        if len(value) > limit:
            raise ValueError(f"is longer than {limit}")

    return check


def decimal(low: float, high: float) -> Check:
    def check(value: str) -> None:
        if not re.fullmatch(r"\d+(\.\d+)?", value) or not low <= float(value) <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")

    return check


def integer(low: int, high: int) -> Check:
    def check(value: str) -> None:
        if not re.fullmatch(r"\d+", value) or not low <= int(value) <= high:
            raise ValueError(f"must be an integer from {low} to {high}")

    return check


def one_of(values: set[str]) -> Check:
    def check(value: str) -> None:
        if value not in values:
            raise ValueError(f"must be one of {', '.join(sorted(values))}")

    return check


def caller_id(value: str) -> None:
    if value not in PRIVACY and not E164.fullmatch(value):
        raise ValueError("must be E.164 or a privacy word")


def display_name(value: str) -> None:
    if len(value) > TAG_LIMIT or any(ord(char) < 32 or 127 <= ord(char) < 160 for char in value):
        raise ValueError("must have at most 256 characters, none of them control characters")


def uui(value: str) -> None:
    """Comma-separated values, each ending in its encoding (RFC 7433)."""
    if len(value) > UUI_LIMIT:
        raise ValueError(f"is longer than {UUI_LIMIT}")
    for one in value.split(","):
        if not re.fullmatch(r"[^;,\s]+;encoding=(jwt|base64)", one):
            raise ValueError("every value must end in ;encoding=jwt or ;encoding=base64")


def uui_values(value: str, encoding: str) -> list[str]:
    suffix = f";encoding={encoding}"
    return [one.removesuffix(suffix) for one in value.split(",") if one.endswith(suffix)]


def webhook(name: str, *, fallback: bool = True) -> dict[str, Check]:
    attributes: dict[str, Check] = {f"{name}Url": url, f"{name}Method": method}
    if fallback:
        attributes |= {f"{name}FallbackUrl": url, f"{name}FallbackMethod": method}
    return attributes


CREDENTIALS: dict[str, Check] = {
    "username": up_to(CREDENTIAL_LIMIT),
    "password": up_to(CREDENTIAL_LIMIT),
    "fallbackUsername": up_to(CREDENTIAL_LIMIT),
    "fallbackPassword": up_to(CREDENTIAL_LIMIT),
}
TAG: dict[str, Check] = {"tag": up_to(TAG_LIMIT)}
BOOLEAN = one_of({"true", "false"})
DESTINATION = webhook("transferAnswer") | webhook("transferDisconnect", fallback=False) | CREDENTIALS | TAG
DURATION = decimal(0.1, 86400)
REASONS = {
    "unknown",
    "user-busy",
    "no-answer",
    "unavailable",
    "unconditional",
    "time-of-day",
    "do-not-disturb",
    "deflection",
    "follow-me",
    "out-of-service",
    "away",
}

ATTRIBUTES: dict[str, dict[str, Check]] = {
    "Transfer": {
        "transferCallerId": caller_id,
        "transferCallerDisplayName": display_name,
        "callTimeout": decimal(1, 300),
        "diversionTreatment": one_of({"none", "propagate", "stack"}),
        "diversionReason": one_of(REASONS),
    }
    | webhook("transferComplete")
    | CREDENTIALS
    | TAG,
    "PhoneNumber": DESTINATION | {"uui": uui},
    "SipUri": DESTINATION | {"uui": uui},
    "SpeakSentence": {
        "voice": one_of(VOICES),
        "gender": one_of({"male", "female"}),
        "locale": one_of(LOCALES),
    },
    "PlayAudio": {"username": up_to(CREDENTIAL_LIMIT), "password": up_to(CREDENTIAL_LIMIT)},
    "Pause": {"duration": DURATION},
    "Ring": {"duration": DURATION, "answerCall": BOOLEAN},
    "Redirect": webhook("redirect") | CREDENTIALS | TAG,
    "Hangup": {},
    "Tag": {},
    "Gather": {
        "terminatingDigits": up_to(16),
        "maxDigits": integer(1, 50),
        "interDigitTimeout": decimal(1, 60),
        "firstDigitTimeout": decimal(0, 60),
        "repeatCount": integer(1, 20),
    }
    | webhook("gather")
    | CREDENTIALS
    | TAG,
    "Bridge": webhook("bridgeComplete") | webhook("bridgeTargetComplete") | CREDENTIALS | TAG,
}
CHILDREN: dict[str, tuple[set[str], int, int]] = {
    "Transfer": ({"PhoneNumber", "SipUri"}, 1, 8),
    "Gather": ({"SpeakSentence", "PlayAudio"}, 0, 20),
}
TOP_LEVEL = set(ATTRIBUTES) - {"PhoneNumber", "SipUri"}
WITH_TEXT = {"PhoneNumber", "SipUri", "SpeakSentence", "PlayAudio", "Tag", "Bridge"}
# Verbs the transferAnswer page allows, among those simulated.
ON_TRANSFER_ANSWER = {"Gather", "Hangup", "Pause", "PlayAudio", "Redirect", "Ring", "SpeakSentence", "Tag"}


class Verb(msgspec.Struct, frozen=True):
    """A verb that has passed every check."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: tuple["Verb", ...] = ()

    def get(self, attribute: str) -> str | None:
        return self.attributes.get(attribute)

    def seconds(self, attribute: str, default: float) -> float:
        return float(self.attributes.get(attribute, default))


class Document(msgspec.Struct, frozen=True):
    """A valid document and the URL it came from, against which its relative URLs resolve."""

    verbs: tuple[Verb, ...]
    base_url: str
