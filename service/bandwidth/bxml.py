"""Builds BXML, the documents that tell Bandwidth what a call does next.

A verb is checked when it is made (ValueError, which names the attribute), because Bandwidth ends a call on
a document with a mistake in it. Durations are seconds. Names and limits: voice API, BXML pages.
"""

import xml.etree.ElementTree as ET
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, NamedTuple

from service.bandwidth import validation

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'


@dataclass(frozen=True, slots=True)
class SpeakSentence:
    """`voice` wins over `locale`. Markup in the text is spoken, not obeyed: there is no SSML here."""

    text: str
    _: KW_ONLY
    voice: str | None = None
    locale: str | None = None

    def __post_init__(self) -> None:
        if not validation.xml_text(self.text).strip():
            raise ValueError("SpeakSentence: text must not be blank")
        validation.check_voice("voice", self.voice)
        validation.check_voice("locale", self.locale)


@dataclass(frozen=True, slots=True)
class PlayAudio:
    url: str

    def __post_init__(self) -> None:
        validation.check_url("PlayAudio", self.url)


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float

    def __post_init__(self) -> None:
        validation.check_between("duration", self.seconds, 0.1, validation.DAY)


@dataclass(frozen=True, slots=True)
class Ring:
    """`answer_call` false: ringing is heard without the call being answered."""

    seconds: float
    answer_call: bool = True

    def __post_init__(self) -> None:
        validation.check_between("duration", self.seconds, 0.1, validation.DAY)


@dataclass(frozen=True, slots=True)
class Hangup:
    """Rejects an inbound call that has not been answered."""


@dataclass(frozen=True, slots=True)
class Tag:
    """Sets the tag of all webhooks that follow; a blank one clears it. No webhook comes of it."""

    text: str

    def __post_init__(self) -> None:
        validation.check_tag("Tag", self.text)


@dataclass(frozen=True, slots=True)
class Redirect:
    """Asks `url` for the next document. Nothing after it runs."""

    url: str
    _: KW_ONLY
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    fallback_url: str | None = None
    fallback_username: str | None = None
    fallback_password: str | None = field(default=None, repr=False)
    tag: str | None = None

    def __post_init__(self) -> None:
        validation.check_url("redirectUrl", self.url)
        validation.check_url("redirectFallbackUrl", self.fallback_url)
        validation.check_tag("tag", self.tag)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """What both kinds of target share: where Bandwidth tells about the new leg.

    `username`, `password`: for the answer and the disconnect URL. A disconnect has no fallback.
    """

    answer_url: str | None = None
    disconnect_url: str | None = None
    answer_fallback_url: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    fallback_username: str | None = None
    fallback_password: str | None = field(default=None, repr=False)
    tag: str | None = None

    def check(self) -> None:
        validation.check_url("transferAnswerUrl", self.answer_url)
        validation.check_url("transferDisconnectUrl", self.disconnect_url)
        validation.check_url("transferAnswerFallbackUrl", self.answer_fallback_url)
        validation.check_tag("tag", self.tag)


@dataclass(frozen=True, slots=True)
class PhoneNumber(_Target):
    number: str

    def __post_init__(self) -> None:
        validation.check_number("PhoneNumber", self.number)
        self.check()


@dataclass(frozen=True, slots=True)
class SipUri(_Target):
    """`uui`: User-To-User values with their encodings. One may be a device token, so it is not shown."""

    uri: str
    _: KW_ONLY
    uui: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        validation.check_sip_uri("SipUri", self.uri)
        validation.check_length("uui", self.uui, validation.UUI_LIMIT)
        self.check()


@dataclass(frozen=True, slots=True)
class Transfer:
    """Rings all targets and connects the call with the first that answers.

    With `complete_url` nothing after it in the document runs. `caller_id`: E.164 or one of the words for a
    hidden number; without it the remote party's number is passed on. `call_timeout`: 30 without one.
    `diversion`: what becomes of Diversion headers, for inbound calls only.
    """

    targets: tuple[SipUri | PhoneNumber, ...]
    _: KW_ONLY
    complete_url: str | None = None
    caller_id: str | None = None
    call_timeout: float | None = None
    tag: str | None = None
    diversion: Literal["none", "propagate", "stack"] | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    fallback_url: str | None = None
    fallback_username: str | None = None
    fallback_password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.targets) <= validation.MAX_TRANSFER_TARGETS:
            raise ValueError(
                f"Transfer: 1 to {validation.MAX_TRANSFER_TARGETS} targets, not {len(self.targets)}"
            )
        validation.check_url("transferCompleteUrl", self.complete_url)
        validation.check_url("transferCompleteFallbackUrl", self.fallback_url)
        validation.check_caller_id("transferCallerId", self.caller_id)
        validation.check_tag("tag", self.tag)
        if self.call_timeout is not None:
            validation.check_between("callTimeout", self.call_timeout, 1, 300)


@dataclass(frozen=True, slots=True)
class Gather:
    """Collects keys, while the prompts play until the first of them.

    With `url` nothing after it in the document runs; without one the keys are thrown away. `max_digits`: 50
    without one. `terminating_digits`: each of them ends it, "" for none. `inter_digit_timeout`: from key to
    key, 5 without one. `first_digit_timeout`: after the prompts, and between their repetitions, 5 without
    one. `repeat_count`: how often the prompts play, 1 without one.
    """

    prompts: tuple[SpeakSentence | PlayAudio, ...] = ()
    _: KW_ONLY
    url: str | None = None
    terminating_digits: str | None = None
    max_digits: int | None = None
    inter_digit_timeout: float | None = None
    first_digit_timeout: float | None = None
    repeat_count: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    fallback_url: str | None = None
    fallback_username: str | None = None
    fallback_password: str | None = field(default=None, repr=False)
    tag: str | None = None

    def __post_init__(self) -> None:
        validation.check_url("gatherUrl", self.url)
        validation.check_url("gatherFallbackUrl", self.fallback_url)
        validation.check_tag("tag", self.tag)
        validation.check_dtmf_digits("terminatingDigits", self.terminating_digits)
        if self.max_digits is not None:
            validation.check_count("maxDigits", self.max_digits, 1, 50)
        if self.inter_digit_timeout is not None:
            validation.check_between("interDigitTimeout", self.inter_digit_timeout, 1, 60)
        if self.first_digit_timeout is not None:
            validation.check_between("firstDigitTimeout", self.first_digit_timeout, 0, 60)
        validation.check_count("Gather: prompts", len(self.prompts), 0, validation.MAX_GATHER_PROMPTS)
        if self.repeat_count is not None:
            most = validation.MAX_GATHER_PROMPTS // max(len(self.prompts), 1)
            validation.check_count("repeatCount", self.repeat_count, 1, most)


@dataclass(frozen=True, slots=True)
class Bridge:
    """Connects this call with another one, `call_id`, and cuts off what that one runs.

    `complete_url`: asked what this call does next, when the other one has left or could not be bridged;
    without it the verbs that follow run. `target_complete_url`: asked what the other one does next, when
    this call has left; without it the other one is hung up. The credentials are for both.
    """

    call_id: str
    _: KW_ONLY
    complete_url: str | None = None
    target_complete_url: str | None = None
    complete_fallback_url: str | None = None
    target_complete_fallback_url: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    fallback_username: str | None = None
    fallback_password: str | None = field(default=None, repr=False)
    tag: str | None = None

    def __post_init__(self) -> None:
        validation.check_id("Bridge", self.call_id)
        validation.check_url("bridgeCompleteUrl", self.complete_url)
        validation.check_url("bridgeTargetCompleteUrl", self.target_complete_url)
        validation.check_url("bridgeCompleteFallbackUrl", self.complete_fallback_url)
        validation.check_url("bridgeTargetCompleteFallbackUrl", self.target_complete_fallback_url)
        validation.check_tag("tag", self.tag)


Verb = SpeakSentence | PlayAudio | Pause | Ring | Hangup | Tag | Redirect | Transfer | Gather | Bridge


class VerbFields(NamedTuple):
    """A verb's fields: its element's text, attributes (under Bandwidth's names) and elements inside."""

    text: str | None
    attributes: dict[str, str]
    children: str | None = None


_CREDENTIALS = {
    "username": "username",
    "password": "password",
    "fallback_username": "fallbackUsername",
    "fallback_password": "fallbackPassword",
}
_LEG = {
    "answer_url": "transferAnswerUrl",
    "answer_fallback_url": "transferAnswerFallbackUrl",
    "disconnect_url": "transferDisconnectUrl",
    **_CREDENTIALS,
    "tag": "tag",
}
VERB_FIELDS: dict[type[Verb | SipUri | PhoneNumber], VerbFields] = {
    SpeakSentence: VerbFields("text", {"voice": "voice", "locale": "locale"}),
    PlayAudio: VerbFields("url", {}),
    Pause: VerbFields(None, {"seconds": "duration"}),
    Ring: VerbFields(None, {"seconds": "duration", "answer_call": "answerCall"}),
    Hangup: VerbFields(None, {}),
    Tag: VerbFields("text", {}),
    Redirect: VerbFields(
        None, {"url": "redirectUrl", "fallback_url": "redirectFallbackUrl", **_CREDENTIALS, "tag": "tag"}
    ),
    Transfer: VerbFields(
        None,
        {
            "caller_id": "transferCallerId",
            "call_timeout": "callTimeout",
            "complete_url": "transferCompleteUrl",
            "fallback_url": "transferCompleteFallbackUrl",
            **_CREDENTIALS,
            "tag": "tag",
            "diversion": "diversionTreatment",
        },
        "targets",
    ),
    SipUri: VerbFields("uri", {"uui": "uui", **_LEG}),
    PhoneNumber: VerbFields("number", _LEG),
    Gather: VerbFields(
        None,
        {
            "url": "gatherUrl",
            "fallback_url": "gatherFallbackUrl",
            **_CREDENTIALS,
            "tag": "tag",
            "terminating_digits": "terminatingDigits",
            "max_digits": "maxDigits",
            "inter_digit_timeout": "interDigitTimeout",
            "first_digit_timeout": "firstDigitTimeout",
            "repeat_count": "repeatCount",
        },
        "prompts",
    ),
    Bridge: VerbFields(
        "call_id",
        {
            "complete_url": "bridgeCompleteUrl",
            "complete_fallback_url": "bridgeCompleteFallbackUrl",
            "target_complete_url": "bridgeTargetCompleteUrl",
            "target_complete_fallback_url": "bridgeTargetCompleteFallbackUrl",
            **_CREDENTIALS,
            "tag": "tag",
        },
    ),
}


def render(*verbs: Verb) -> bytes:
    """The document, in UTF-8. No verbs: an empty one, which hangs up. Raises ValueError over 64 KB."""
    root = ET.Element("Response")
    root.extend(_element(verb) for verb in verbs)
    text = ET.tostring(root, encoding="unicode")
    # ElementTree escapes every `>` in texts and attributes, so ` />` is always the end of an empty element.
    document = (DECLARATION + text.replace(" />", "/>")).encode()
    if len(document) > validation.DOCUMENT_LIMIT:
        raise ValueError(f"document: {len(document)} bytes, at most {validation.DOCUMENT_LIMIT}")
    return document


def _element(verb: Verb | SipUri | PhoneNumber) -> ET.Element:
    shape = VERB_FIELDS[type(verb)]
    values = {name: getattr(verb, field_) for field_, name in shape.attributes.items()}
    attributes = {name: _written(value) for name, value in values.items() if value is not None}
    element = ET.Element(type(verb).__name__, attributes)
    if shape.text is not None:
        element.text = validation.xml_text(getattr(verb, shape.text))
    if shape.children is not None:
        element.extend(_element(one) for one in getattr(verb, shape.children))
    return element


def _written(value: str | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return validation.xml_text(value) if isinstance(value, str) else validation.format_decimal(value)
