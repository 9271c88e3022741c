"""What a reply does to the phone or the leg that it runs on, by the rules of the simulator's interpreter."""

from enum import Enum, auto
from typing import Final

import msgspec

from tests.chaos.call_histories import is_of_leg
from tests.simulator import bxml
from tests.simulator.interpreter import check_leg
from tests.simulator.journal import Delivery
from tests.simulator.verbs import Document, Verb

_LEADS_ON: Final = {"Transfer": "transferCompleteUrl", "Bridge": "bridgeCompleteUrl", "Gather": "gatherUrl"}
"""The attribute without which the verb is followed by the next one, or by the end."""


class ReplyKind(Enum):
    COMES_BACK = auto()
    """It asks again in a moment, and is told then."""
    CONNECTS = auto()
    GATHERS = auto()
    STAYS = auto()
    """A leg goes on being joined with its phone."""
    ENDS = auto()


class ReplyEffect(msgspec.Struct, frozen=True):
    kind: ReplyKind
    words: tuple[str, ...] = ()
    """What is said, in order."""
    target: tuple[str, ...] = ()
    """What it is connected with, or asked for."""
    bridges: bool = False
    """Whether that is a call of ours into WebRTC."""
    turned_away: bool = False
    """Whether it comes back because nothing could be decided."""
    told: tuple[str, ...] = ()
    """All attributes of the verb. Where it comes back the place depends on when it has asked: their names."""

    def __repr__(self) -> str:
        """As it is told in a finding: without what has credentials."""
        return f"{self.kind.name} {' '.join((*self.words, *self.target))}".rstrip()


def read(delivery: Delivery, rules: bxml.Rules) -> ReplyEffect:
    """Of a reply to a webhook that wants BXML. Raises InvalidBxml."""
    return effect_of(document_of(delivery, rules), leg=is_of_leg(delivery))


def document_of(delivery: Delivery, rules: bxml.Rules) -> Document:
    """Raises InvalidBxml."""
    document = bxml.parse(delivery.reply, delivery.content_type, delivery.url, rules)
    if delivery.payload.get("parentCallId") not in {None, "", delivery.call_id}:
        check_leg(document)
    return document


def effect_of(document: Document, *, leg: bool = False) -> ReplyEffect:
    words: list[str] = []
    for verb in document.verbs:
        match verb.name:
            case "SpeakSentence":
                words.append(verb.text)
            case "Hangup":
                return ReplyEffect(ReplyKind.ENDS, tuple(words))
            case "Redirect":
                url = verb.get("redirectUrl") or ""
                told = tuple(sorted(verb.attributes))
                return ReplyEffect(ReplyKind.COMES_BACK, tuple(words), turned_away="again=" in url, told=told)
            case "Transfer" | "Bridge" | "Gather" if verb.get(_LEADS_ON[verb.name]) is not None:
                kind = ReplyKind.GATHERS if verb.name == "Gather" else ReplyKind.CONNECTS
                return ReplyEffect(
                    kind,
                    (*words, *_said(verb)),
                    _target(verb),
                    bridges=verb.name == "Bridge",
                    told=_told(verb),
                )
    # The end of a leg's BXML joins it with its phone, unless the document is empty.
    return ReplyEffect(ReplyKind.STAYS if leg and document.verbs else ReplyKind.ENDS, tuple(words))


def _said(verb: Verb) -> list[str]:
    return [child.text for child in verb.children if child.name == "SpeakSentence"]


def _told(verb: Verb) -> tuple[str, ...]:
    own = (f"{verb.name} {name}={value}" for name, value in sorted(verb.attributes.items()) if name != "uui")
    return (*own, *(one for child in verb.children for one in _told(child)))


def _target(verb: Verb) -> tuple[str, ...]:
    if verb.name == "Gather":
        return (verb.get("gatherUrl") or "",)
    ends = [verb.text, *(f"{child.text} {child.get('uui') or ''}" for child in verb.children)]
    return tuple(one.strip() for one in ends if one.strip())
