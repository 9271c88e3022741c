"""The strict BXML parser: what it refuses ends the call with `invalid-bxml`."""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from urllib.parse import urljoin

import msgspec

from tests.simulator.verbs import (
    ATTRIBUTES,
    CHILDREN,
    E164,
    SIP_URI,
    SSML,
    TAG_LIMIT,
    TOP_LEVEL,
    WITH_TEXT,
    Document,
    Verb,
    url,
)

# "Document <= 64 KB" (BXML about page).
MAX_BYTES = 64 * 1024
CONTENT_TYPES = {"application/xml", "text/xml"}


class InvalidBxml(Exception):
    """The document is not BXML as documented; the text says where."""


class Rules(msgspec.Struct, frozen=True):
    """`may_send_credentials` tells whether a full URL may be given a user name and password."""

    uui_limit: int
    may_send_credentials: Callable[[str], bool]


def parse(body: bytes, content_type: str, base_url: str, rules: Rules) -> Document:
    """Raise InvalidBxml at the first thing the BXML reference does not allow."""
    if content_type.partition(";")[0].strip().lower() not in CONTENT_TYPES:
        raise InvalidBxml(f"content type {content_type!r} is not application/xml")
    if len(body) > MAX_BYTES:
        raise InvalidBxml(f"{len(body)} bytes are more than 64 KB")
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise InvalidBxml("document types are not allowed")
    try:
        root = ET.fromstring(body)
    except ET.ParseError as error:
        raise InvalidBxml(f"not well-formed: {error}") from None
    if root.tag != "Response":
        raise InvalidBxml(f"root is <{root.tag}>, not <Response>")
    if root.attrib:
        raise InvalidBxml("<Response> has no attributes")
    _no_text(root)
    parser = _Parser(base_url, rules)
    return Document(tuple(parser.verb(child, TOP_LEVEL) for child in root), base_url)


def _no_text(element: ET.Element) -> None:
    strays = [element.text, *(child.tail for child in element)]
    if any(stray and stray.strip() for stray in strays):
        raise InvalidBxml(f"text between the verbs of <{element.tag}>")


class _Parser:
    def __init__(self, base_url: str, rules: Rules) -> None:
        self._base_url = base_url
        self._rules = rules

    def verb(self, element: ET.Element, allowed: set[str]) -> Verb:
        name = element.tag
        if name not in allowed:
            raise InvalidBxml(f"<{name}> is unknown here or not simulated")
        self._attributes(name, dict(element.attrib))
        children: tuple[Verb, ...] = ()
        if name in CHILDREN:
            children = self._children(element)
        elif name == "SpeakSentence":
            _ssml(element)
        elif len(element):
            raise InvalidBxml(f"<{name}> nests nothing")
        return Verb(name, dict(element.attrib), self._text(name, element), children)

    def _children(self, element: ET.Element) -> tuple[Verb, ...]:
        names, least, most = CHILDREN[element.tag]
        _no_text(element)
        if not least <= len(element) <= most:
            raise InvalidBxml(f"<{element.tag}> nests {least} to {most} elements, not {len(element)}")
        if element.tag == "Gather" and len(element) * int(element.get("repeatCount", "1")) > 20:
            raise InvalidBxml("<Gather> repeats more than 20 nested verbs")
        return tuple(self.verb(child, names) for child in element)

    def _attributes(self, name: str, attributes: dict[str, str]) -> None:
        known = ATTRIBUTES[name]
        for attribute, value in attributes.items():
            if attribute not in known:
                raise InvalidBxml(f"<{name}> has no attribute {attribute}")
            try:
                known[attribute](value)
            except ValueError as error:
                raise InvalidBxml(f"<{name} {attribute}>: {error}") from None
        if name == "Redirect" and "redirectUrl" not in attributes:
            raise InvalidBxml("<Redirect> needs redirectUrl")
        if len(attributes.get("uui", "")) > self._rules.uui_limit:
            raise InvalidBxml(f"<{name} uui> is longer than {self._rules.uui_limit}")
        if "diversionReason" in attributes and attributes.get("diversionTreatment") != "stack":
            raise InvalidBxml("diversionReason goes with diversionTreatment stack only")
        self._credentials(name, attributes)

    def _credentials(self, name: str, attributes: dict[str, str]) -> None:
        """Stated for some verbs and createCall, assumed for all: credentials travel over https only."""
        for attribute, value in attributes.items():
            if not attribute.endswith("Url"):
                continue
            fallback = attribute.endswith("FallbackUrl")
            given = {"fallbackUsername", "fallbackPassword"} if fallback else {"username", "password"}
            full = urljoin(self._base_url, value)
            if given & set(attributes) and not self._rules.may_send_credentials(full):
                raise InvalidBxml(f"<{name}> gives credentials to {full}, which is not https")

    def _text(self, name: str, element: ET.Element) -> str:
        text = "".join(element.itertext()).strip()
        if name not in WITH_TEXT:
            if text and name not in CHILDREN:
                raise InvalidBxml(f"<{name}> has no text")
            return ""
        if name == "Tag":
            # No limit is documented for this verb; taken from the tag attribute of all others.
            if len(text) > TAG_LIMIT:
                raise InvalidBxml(f"<Tag> is longer than {TAG_LIMIT}")
            return text
        if not text:
            raise InvalidBxml(f"<{name}> is blank")
        if name == "PhoneNumber" and not E164.fullmatch(text):
            raise InvalidBxml(f"<PhoneNumber> is not E.164: {text}")
        if name == "SipUri" and not SIP_URI.fullmatch(text):
            raise InvalidBxml(f"<SipUri> is no SIP URI: {text}")
        if name == "PlayAudio":
            try:
                url(text)
            except ValueError as error:
                raise InvalidBxml(f"<PlayAudio>: {error}") from None
            self._audio_credentials(element, urljoin(self._base_url, text))
        return text

    def _audio_credentials(self, element: ET.Element, full: str) -> None:
        if element.attrib and not self._rules.may_send_credentials(full):
            raise InvalidBxml(f"<PlayAudio> gives credentials to {full}, which is not https")


def _ssml(element: ET.Element) -> None:
    for inner in element.iter():
        if inner is not element and inner.tag not in SSML:
            raise InvalidBxml(f"<{inner.tag}> is no SSML that is spoken")
