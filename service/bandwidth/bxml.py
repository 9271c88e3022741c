"""BXML, Bandwidth's language for what a call does next: the verbs this service uses, and their document.

A verb is checked when it is made (ValueError, which names the attribute), because Bandwidth ends a call on
a document with a mistake in it. Durations are seconds. Names and limits: voice API, BXML pages.
"""

import xml.etree.ElementTree as ET
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, NamedTuple

from service.bandwidth import limits

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'


@dataclass(frozen=True, slots=True)
class SpeakSentence:
    """`voice` wins over `locale`. Markup in the text is spoken, not obeyed: there is no SSML here."""

    text: str
    _: KW_ONLY
    voice: str | None = None
    locale: str | None = None

    def __post_init__(self) -> None:
        if not limits.xml_text(self.text).strip():
            raise ValueError("SpeakSentence: text must not be blank")
        limits.check_voice("voice", self.voice)
        limits.check_voice("locale", self.locale)


@dataclass(frozen=True, slots=True)
class PlayAudio:
    url: str

    def __post_init__(self) -> None:
        limits.check_url("PlayAudio", self.url)


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float

    def __post_init__(self) -> None:
        limits.check_between("duration", self.seconds, 0.1, limits.DAY)


@dataclass(frozen=True, slots=True)
class Ring:
    """`answer_call` false: ringing is heard without the call being answered."""

    seconds: float
    answer_call: bool = True

    def __post_init__(self) -> None:
        limits.check_between("duration", self.seconds, 0.1, limits.DAY)


@dataclass(frozen=True, slots=True)
class Hangup:
    """Rejects an inbound call that has not been answered."""


@dataclass(frozen=True, slots=True)
class Tag:
    """Sets the tag of all webhooks that follow; a blank one clears it. No webhook comes of it."""

    text: str

    def __post_init__(self) -> None:
        limits.check_tag("Tag", self.text)


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
        limits.check_url("redirectUrl", self.url)
        limits.check_url("redirectFallbackUrl", self.fallback_url)
        limits.check_tag("tag", self.tag)


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
        limits.check_url("transferAnswerUrl", self.answer_url)
        limits.check_url("transferDisconnectUrl", self.disconnect_url)
        limits.check_url("transferAnswerFallbackUrl", self.answer_fallback_url)
        limits.check_tag("tag", self.tag)


@dataclass(frozen=True, slots=True)
class PhoneNumber(_Target):
    number: str

    def __post_init__(self) -> None:
        limits.check_number("PhoneNumber", self.number)
        self.check()


@dataclass(frozen=True, slots=True)
class SipUri(_Target):
    """`uui`: User-To-User values with their encodings. One may be a device token, so it is not shown."""

    uri: str
    _: KW_ONLY
    uui: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        limits.check_sip_uri("SipUri", self.uri)
        limits.check_length("uui", self.uui, limits.UUI_LIMIT)
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
        if not 1 <= len(self.targets) <= limits.TARGETS:
            raise ValueError(f"Transfer: 1 to {limits.TARGETS} targets, not {len(self.targets)}")
        limits.check_url("transferCompleteUrl", self.complete_url)
        limits.check_url("transferCompleteFallbackUrl", self.fallback_url)
        limits.check_caller_id("transferCallerId", self.caller_id)
        limits.check_tag("tag", self.tag)
        if self.call_timeout is not None:
            limits.check_between("callTimeout", self.call_timeout, 1, 300)


Verb = SpeakSentence | PlayAudio | Pause | Ring | Hangup | Tag | Redirect | Transfer


class Shape(NamedTuple):
    """Which field of a verb is its element's text, and which are attributes, under Bandwidth's names."""

    text: str | None
    attributes: dict[str, str]


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
SHAPES: dict[type[Verb | SipUri | PhoneNumber], Shape] = {
    SpeakSentence: Shape("text", {"voice": "voice", "locale": "locale"}),
    PlayAudio: Shape("url", {}),
    Pause: Shape(None, {"seconds": "duration"}),
    Ring: Shape(None, {"seconds": "duration", "answer_call": "answerCall"}),
    Hangup: Shape(None, {}),
    Tag: Shape("text", {}),
    Redirect: Shape(
        None, {"url": "redirectUrl", "fallback_url": "redirectFallbackUrl", **_CREDENTIALS, "tag": "tag"}
    ),
    Transfer: Shape(
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
    ),
    SipUri: Shape("uri", {"uui": "uui", **_LEG}),
    PhoneNumber: Shape("number", _LEG),
}


def render(*verbs: Verb) -> bytes:
    """The document, in UTF-8. No verbs: an empty one, which hangs up. Raises ValueError over 64 KB."""
    root = ET.Element("Response")
    root.extend(_element(verb) for verb in verbs)
    text = ET.tostring(root, encoding="unicode")
    # ElementTree escapes every `>` in texts and attributes, so ` />` is always the end of an empty element.
    document = (DECLARATION + text.replace(" />", "/>")).encode()
    if len(document) > limits.DOCUMENT_LIMIT:
        raise ValueError(f"document: {len(document)} bytes, at most {limits.DOCUMENT_LIMIT}")
    return document


def _element(verb: Verb | SipUri | PhoneNumber) -> ET.Element:
    shape = SHAPES[type(verb)]
    values = {name: getattr(verb, field_) for field_, name in shape.attributes.items()}
    attributes = {name: _written(value) for name, value in values.items() if value is not None}
    element = ET.Element(type(verb).__name__, attributes)
    if shape.text is not None:
        element.text = limits.xml_text(getattr(verb, shape.text))
    if isinstance(verb, Transfer):
        element.extend(_element(target) for target in verb.targets)
    return element


def _written(value: str | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return limits.xml_text(value) if isinstance(value, str) else limits.plain(value)
