"""The eye for replies: the second address beside each first, and the attributes of what is told once more."""

import re

import pytest

from tests.chaos.checks import replies
from tests.chaos.evidence import ReplicaLogLine
from tests.chaos.previous_release import VERSION
from tests.chaos_evidence_builder import CALL, REF, WAIT, A, B, EvidenceBuilder

LOGIN = 'username="bandwidth" password="secret" fallbackUsername="bandwidth" fallbackPassword="secret"'
SITE = {
    "BASE_CALLBACK_URL": "https://a.test",
    "FALLBACK_CALLBACK_URL": "https://b.test",
    "CALLBACK_USERNAME": "bandwidth",
    "CALLBACK_PASSWORD": "secret",
}
HERE = f"/voice/{REF}/1"


@pytest.fixture
def turn() -> EvidenceBuilder:
    """One phone, which rings at 1.0."""
    turn = EvidenceBuilder()
    turn.phone()
    turn.stage(1.0, "ringing")
    turn.calls[CALL] = {"id": REF}
    return turn


def _found(turn: EvidenceBuilder) -> list[str]:
    return [one.what for one in replies.check(turn.evidence())]


def _with_site(turn: EvidenceBuilder) -> list[str]:
    """What is found where there is a second address."""
    evidence = turn.evidence()
    for address in evidence.fleet.addresses:
        address.settings.update(SITE)
    return [one.what.rpartition(": ")[2] for one in replies.check(evidence)]


def _whole(verb: str, *names: str, inside: str = "") -> str:
    """A verb with all that is due beside these addresses."""
    pairs = " ".join(f'{name}Url="{A}{HERE}" {name}FallbackUrl="{B}{HERE}"' for name in names)
    return f"<{verb} {pairs} {LOGIN}>{inside}</{verb}>"


SIP = (
    f'<SipUri uui="t;encoding=jwt" transferAnswerUrl="{A}{HERE}" transferAnswerFallbackUrl="{B}{HERE}" '
    f'transferDisconnectUrl="{A}{HERE}" {LOGIN}>sip:x@y</SipUri>'
)
WHOLE = [
    _whole("Redirect", "redirect"),
    _whole("Gather", "gather"),
    _whole("Transfer", "transferComplete", inside=SIP),
    _whole("Bridge", "bridgeComplete", "bridgeTargetComplete", inside="c-3"),
]
ATTRIBUTES = re.compile(r' (\w*(?:FallbackUrl|sername|assword))="[^"]*"')


@pytest.mark.parametrize("reply", WHOLE)
def test_a_reply_with_all_addresses(turn: EvidenceBuilder, reply: str) -> None:
    turn.webhook("redirect", 1.0, reply)
    assert _with_site(turn) == []


@pytest.mark.parametrize(
    ("reply", "lacking"), [(one, found.span()) for one in WHOLE for found in ATTRIBUTES.finditer(one)]
)
def test_a_reply_that_lacks_one(turn: EvidenceBuilder, reply: str, lacking: tuple[int, int]) -> None:
    """Of each attribute, one after the other: it is named, and no secret is told."""
    begin, end = lacking
    found = ATTRIBUTES.match(reply, begin)
    assert found
    turn.webhook("redirect", 1.0, reply[:begin] + reply[end:])
    [what] = _with_site(turn)
    assert found[1] in what
    assert "secret" not in what
    turn.deliveries.clear()
    turn.webhook("redirect", 1.0, reply[:begin] + found[0].replace("b.test", "a.test") + reply[end:])
    assert len(_with_site(turn)) == ("FallbackUrl" in found[1])


def test_without_a_second_address_none_is_due(turn: EvidenceBuilder) -> None:
    turn.webhook("redirect", 1.0, WAIT)
    assert _found(turn) == []


NEW_CALL = {
    "answerUrl": f"{A}{HERE}",
    "answerFallbackUrl": f"{B}{HERE}",
    "disconnectUrl": f"{A}{HERE}",
    "username": "bandwidth",
    "password": "secret",
    "fallbackUsername": "bandwidth",
    "fallbackPassword": "secret",
}
DETECTION = {
    "callbackUrl": f"{A}{HERE}",
    "fallbackUrl": f"{B}{HERE}",
    **{name: value for name, value in NEW_CALL.items() if "Url" not in name},
}


@pytest.mark.parametrize(
    ("lacks", "lacks_of_detection"),
    [("", ""), *((one, "") for one in NEW_CALL if "allback" in one), *(("", one) for one in DETECTION)],
)
def test_a_request_with_addresses(turn: EvidenceBuilder, lacks: str, lacks_of_detection: str) -> None:
    detection = {name: value for name, value in DETECTION.items() if name != lacks_of_detection}
    body = {name: value for name, value in NEW_CALL.items() if name != lacks}
    turn.request("createCall", 1.0, created=CALL, body={**body, "machineDetection": detection})
    # Whatever names no address needs no second one.
    assert len(_with_site(turn)) == (lacks != "" or lacks_of_detection not in {"", "callbackUrl"})


@pytest.mark.parametrize(
    ("again", "differs"),
    [
        (WHOLE[2], ""),
        (WHOLE[2].replace(f' transferCompleteFallbackUrl="{B}{HERE}"', ""), "transferCompleteFallbackUrl"),
        (WHOLE[2].replace(f' transferDisconnectUrl="{A}{HERE}"', ""), "transferDisconnectUrl"),
        (WHOLE[2].replace("<Transfer ", '<Transfer callTimeout="30" '), "callTimeout"),
        (WHOLE[2].replace("transferDisconnectUrl", 'tag="x" transferDisconnectUrl'), "tag"),
    ],
)
def test_a_copy_with_other_attributes(turn: EvidenceBuilder, again: str, differs: str) -> None:
    turn.webhook("initiate", 1.0, WHOLE[2])
    turn.webhook("initiate", 3.0, again)
    found = _found(turn)
    assert all("with other attributes" in one and one.endswith(differs) for one in found)
    assert len(found) == bool(differs)


def test_who_comes_back_does_so_elsewhere(turn: EvidenceBuilder) -> None:
    """The next attempt, or another round; but that has a second address as well."""
    turn.webhook("redirect", 1.0, WHOLE[0])
    turn.webhook("redirect", 3.0, WHOLE[0].replace("/1", "/2"))
    assert _found(turn) == []
    turn.webhook("redirect", 4.0, WHOLE[0].replace(f' redirectFallbackUrl="{B}{HERE}"', ""))
    assert len(_found(turn)) == 1


def test_two_releases_may_tell_the_same_in_other_words(turn: EvidenceBuilder) -> None:
    turn.webhook("initiate", 1.0, WHOLE[2])
    turn.webhook("initiate", 3.0, WHOLE[2].replace("<Transfer ", '<Transfer callTimeout="30" '))
    assert len(_found(turn)) == 1
    fields = {"event": "service.started", "version": VERSION}
    turn.logs.append(ReplicaLogLine("a", "replica-a0.log", "", fields))
    assert _found(turn) == []


def test_participant_events_have_one_address(turn: EvidenceBuilder) -> None:
    url = {"callbackUrl": f"{A}/participants/x"}
    turn.request("createParticipant", 1.0, body=url)
    assert _with_site(turn) == []
    turn.request("updateCall", 1.0, body={"redirectUrl": f"{A}{HERE}"}, callId=CALL)
    assert len(_with_site(turn)) == 5
