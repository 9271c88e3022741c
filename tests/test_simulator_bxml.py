"""What the simulator's BXML parser lets through and what it refuses."""

import pytest

from tests.simulator.bxml import InvalidBxml, Rules, parse

BASE = "https://bridge.test/voice/start"
RULES = Rules(256, lambda url: url.startswith("https:"))
SIPX = "sip:sipx.webrtc.bandwidth.com:5060"


def response(verbs: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{verbs}</Response>'.encode()


def uui(length: int) -> str:
    return "t" * (length - len(";encoding=jwt")) + ";encoding=jwt"


LEG = '<PhoneNumber transferAnswerUrl="/a" transferDisconnectUrl="/d" tag="t">+15551234567</PhoneNumber>'
VALID = [
    "",
    "<Hangup/>",
    "<Tag> mine </Tag><Tag/>",
    '<SpeakSentence voice="julie" gender="female" locale="en_US">Say <s>it</s><break/></SpeakSentence>',
    '<PlayAudio username="u" password="p">prompt.wav</PlayAudio>',
    '<Pause duration="0.1"/><Ring duration="86400" answerCall="false"/>',
    '<Redirect redirectUrl="/next" redirectMethod="POST" username="u" password="p" tag=""/>',
    f'<Transfer callTimeout="300"><SipUri uui="{uui(256)}">{SIPX}</SipUri></Transfer>',
    f'<Transfer transferCallerId="Anonymous" transferCompleteUrl="{BASE}" username="u">{LEG}</Transfer>',
    '<Transfer diversionTreatment="stack" diversionReason="away"><SipUri>sip:a@b.test</SipUri></Transfer>',
    '<Gather gatherUrl="/g" maxDigits="50" repeatCount="20"><PlayAudio>/a.mp3</PlayAudio></Gather>',
    '<Gather firstDigitTimeout="0" interDigitTimeout="1.5" terminatingDigits=""/>',
    '<Bridge bridgeCompleteUrl="/b" bridgeTargetCompleteUrl="/t" tag="x"> c-1 </Bridge>',
]

NUMBER = "<PhoneNumber>+15551234567</PhoneNumber>"
INVALID = {
    "<Dance/>": "unknown here",
    "<Record/>": "not simulated",
    NUMBER: "unknown here",
    "loose words": "text between",
    '<Hangup now="true"/>': "no attribute now",
    "<Hangup>now</Hangup>": "has no text",
    "<Pause><Hangup/></Pause>": "nests nothing",
    "<SpeakSentence>  </SpeakSentence>": "is blank",
    '<SpeakSentence voice="hal">x</SpeakSentence>': "must be one of",
    '<SpeakSentence locale="tlh">x</SpeakSentence>': "must be one of",
    "<SpeakSentence>a<Hangup/></SpeakSentence>": "no SSML",
    '<Pause duration="0"/>': "0.1 to 86400",
    '<Pause duration="1s"/>': "0.1 to 86400",
    '<Ring answerCall="False"/>': "must be one of",
    '<Redirect tag="x"/>': "needs redirectUrl",
    '<Redirect redirectUrl="ftp://bridge.test/x"/>': "neither http",
    '<Redirect redirectUrl="a b"/>': "is no URL",
    f'<Redirect redirectUrl="/{"x" * 2048}"/>': "is no URL",
    '<Redirect redirectUrl="/x" redirectMethod="GET"/>': "GET is not simulated",
    '<Redirect redirectUrl="/x" redirectMethod="PUT"/>': "GET or POST",
    '<Redirect redirectUrl="http://bridge.test/x" username="u" password="p"/>': "not https",
    '<Redirect redirectUrl="/x" redirectFallbackUrl="http://f.test/x" fallbackUsername="u"/>': "not https",
    f'<Redirect redirectUrl="/x" tag="{"x" * 257}"/>': "longer than 256",
    f'<Redirect redirectUrl="/x" username="{"x" * 1025}"/>': "longer than 1024",
    f"<Tag>{'x' * 257}</Tag>": "longer than 256",
    '<PlayAudio username="u">http://bridge.test/a.wav</PlayAudio>': "not https",
    "<PlayAudio>not a url</PlayAudio>": "is no URL",
    "<Transfer/>": "nests 1 to 8",
    f"<Transfer>{NUMBER * 9}</Transfer>": "nests 1 to 8",
    f"<Transfer>{NUMBER}words</Transfer>": "text between",
    f'<Transfer callTimeout="301">{NUMBER}</Transfer>': "1 to 300",
    f'<Transfer transferCallerId="me">{NUMBER}</Transfer>': "E.164 or a privacy word",
    f'<Transfer transferCallerDisplayName="{"x" * 257}">{NUMBER}</Transfer>': "at most 256",
    f'<Transfer transferCallerDisplayName="a&#x85;b">{NUMBER}</Transfer>': "control characters",
    f'<Transfer diversionReason="away">{NUMBER}</Transfer>': "stack only",
    "<Transfer><PhoneNumber>5551234567</PhoneNumber></Transfer>": "not E.164",
    "<Transfer><SipUri>bridge.test</SipUri></Transfer>": "no SIP URI",
    f'<Transfer><SipUri transferDisconnectFallbackUrl="/x">{SIPX}</SipUri></Transfer>': "no attribute",
    f'<Transfer><SipUri uui="{uui(257)}">{SIPX}</SipUri></Transfer>': "longer than 256",
    f'<Transfer><SipUri uui="token">{SIPX}</SipUri></Transfer>': "must end in",
    f'<Transfer><SipUri uui="a;encoding=jwt,b">{SIPX}</SipUri></Transfer>': "must end in",
    f'<Transfer><SipUri uui="61;encoding=hex">{SIPX}</SipUri></Transfer>': "must end in",
    '<Gather maxDigits="51"/>': "1 to 50",
    f'<Gather repeatCount="11">{"<SpeakSentence>x</SpeakSentence>" * 2}</Gather>': "more than 20",
    "<Gather><Pause/></Gather>": "unknown here",
    "<Bridge> </Bridge>": "is blank",
}  # fmt: skip


@pytest.mark.parametrize("verbs", VALID)
def test_documented_verbs_are_read(verbs: str) -> None:
    document = parse(response(verbs), "application/xml; charset=utf-8", BASE, RULES)
    assert len(document.verbs) == (2 if verbs.startswith(("<Tag", "<Pause")) else 1 if verbs else 0)
    assert document.base_url == BASE


@pytest.mark.parametrize(("verbs", "reason"), INVALID.items())
def test_what_is_not_documented_is_refused(verbs: str, reason: str) -> None:
    with pytest.raises(InvalidBxml, match=reason):
        parse(response(verbs), "application/xml", BASE, RULES)


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"", "application/xml", "not well-formed"),
        (b"<Response>", "application/xml", "not well-formed"),
        (b"<Response>\x01</Response>", "application/xml", "not well-formed"),
        (b"<Response/>", "text/html", "content type"),
        (b"<Bxml/>", "text/xml", "root is"),
        (b'<Response a="b"/>', "text/xml", "no attributes"),
        (b"<!DOCTYPE Response><Response/>", "text/xml", "document types"),
        (response(f"<Tag>{'x' * 65536}</Tag>"), "text/xml", "64 KB"),
    ],
)
def test_documents_that_are_no_bxml_are_refused(body: bytes, content_type: str, reason: str) -> None:
    with pytest.raises(InvalidBxml, match=reason):
        parse(body, content_type, BASE, RULES)


@pytest.mark.parametrize(("length", "valid"), [(350, True), (351, False)])
def test_above_350_no_uui_is_allowed_whatever_the_setting(length: int, *, valid: bool) -> None:
    rules = Rules(1000, RULES.may_send_credentials)
    body = response(f'<Transfer><SipUri uui="{uui(length)}">{SIPX}</SipUri></Transfer>')
    if valid:
        assert parse(body, "text/xml", BASE, rules).verbs[0].children[0].get("uui") == uui(350)
    else:
        with pytest.raises(InvalidBxml, match="longer than 350"):
            parse(body, "text/xml", BASE, rules)
