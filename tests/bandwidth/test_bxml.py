import dataclasses
import importlib
import re
import xml.etree.ElementTree as ET
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.bandwidth.bxml import (
    VERB_FIELDS,
    Hangup,
    Pause,
    PhoneNumber,
    PlayAudio,
    Redirect,
    Ring,
    SipUri,
    SpeakSentence,
    Tag,
    Transfer,
    Verb,
    render,
)
from service.bandwidth.validation import DOCUMENT_LIMIT, format_decimal, xml_text

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
URL = "https://bridge.example/callbacks/voice"
SIPX = "sip:sipx.webrtc.bandwidth.com:5060"
NUMBER = "+15551234567"
# Everything Unicode has, with what could break out of an element or confuse a parser more often than not.
ANY_TEXT = st.text() | st.lists(
    st.sampled_from(
        [
            "<",
            ">",
            "&",
            '"',
            "'",
            " />",
            "]]>",
            "<Transfer>",
            "&lt;",
            "&#0;",
            "\r",
            "\n",
            "\0",
            "\x1b",
            "\ud800",
        ]
    )
).map("".join)


def document(*verbs: Verb) -> str:
    text = render(*verbs).decode()
    assert text.startswith(HEAD)
    return text.removeprefix(HEAD)


@pytest.mark.parametrize(
    ("verbs", "expected"),
    [
        ((), "<Response/>"),
        ((Hangup(),), "<Response><Hangup/></Response>"),
        ((Pause(0.1), Pause(86400)), '<Response><Pause duration="0.1"/><Pause duration="86400"/></Response>'),
        (
            (Ring(5), Ring(2.50, answer_call=False)),
            (
                '<Response><Ring duration="5" answerCall="true"/>'
                '<Ring duration="2.5" answerCall="false"/></Response>'
            ),
        ),
        ((Tag("a & b"),), "<Response><Tag>a &amp; b</Tag></Response>"),
        ((Tag(""),), "<Response><Tag/></Response>"),
        (
            (SpeakSentence("Grüße", voice="katrin", locale="de"), PlayAudio(f"{URL}/a.wav?b=1&c=2")),
            (
                '<Response><SpeakSentence voice="katrin" locale="de">Grüße</SpeakSentence>'
                f"<PlayAudio>{URL}/a.wav?b=1&amp;c=2</PlayAudio></Response>"
            ),
        ),
        ((Redirect(URL),), f'<Response><Redirect redirectUrl="{URL}"/></Response>'),
        (
            (
                Redirect(
                    URL,
                    username="u",
                    password="p",
                    fallback_url=f"{URL}/f",
                    fallback_username="fu",
                    fallback_password="fp",
                    tag="",
                ),
            ),
            (
                f'<Response><Redirect redirectUrl="{URL}" redirectFallbackUrl="{URL}/f" username="u"'
                ' password="p" fallbackUsername="fu" fallbackPassword="fp" tag=""/></Response>'
            ),
        ),
    ],
)
def test_documents(verbs: tuple[Verb, ...], expected: str) -> None:
    assert document(*verbs) == expected


def test_transfer_in_full() -> None:
    leg = {
        "answer_url": f"{URL}/a",
        "answer_fallback_url": f"{URL}/af",
        "disconnect_url": f"{URL}/d",
        "username": "u",
        "password": "p",
        "fallback_username": "fu",
        "fallback_password": "fp",
        "tag": "leg",
    }
    transfer = Transfer(
        (SipUri(SIPX, uui="x;encoding=jwt", **leg), PhoneNumber(NUMBER, **leg)),
        complete_url=f"{URL}/c",
        caller_id="Anonymous",
        call_timeout=25.5,
        tag="call",
        diversion="stack",
        username="u",
        password="p",
        fallback_url=f"{URL}/cf",
        fallback_username="fu",
        fallback_password="fp",
    )
    element = ET.fromstring(render(transfer))[0]
    credentials = {"username": "u", "password": "p", "fallbackUsername": "fu", "fallbackPassword": "fp"}
    assert element.attrib == credentials | {
        "transferCompleteUrl": f"{URL}/c",
        "transferCompleteFallbackUrl": f"{URL}/cf",
        "transferCallerId": "Anonymous",
        "callTimeout": "25.5",
        "tag": "call",
        "diversionTreatment": "stack",
    }
    [sip, number] = element
    attributes = credentials | {
        "transferAnswerUrl": f"{URL}/a",
        "transferAnswerFallbackUrl": f"{URL}/af",
        "transferDisconnectUrl": f"{URL}/d",
        "tag": "leg",
    }
    assert (sip.tag, sip.text, sip.attrib) == ("SipUri", SIPX, attributes | {"uui": "x;encoding=jwt"})
    assert (number.tag, number.text, number.attrib) == ("PhoneNumber", NUMBER, attributes)


def test_every_field_of_every_verb_is_written() -> None:
    assert set(VERB_FIELDS) == {*get_args(Verb), SipUri, PhoneNumber}
    for verb, shape in VERB_FIELDS.items():
        written = {*shape.attributes, shape.text, shape.children} - {None}
        assert {field.name for field in dataclasses.fields(verb)} == written, verb


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "1"),
        (1.0, "1"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (86400.0, "86400"),
        (100, "100"),
        (2.50, "2.5"),
    ],
)
def test_plain_decimals(number: float, text: str) -> None:
    assert format_decimal(number) == text


@given(ANY_TEXT)
@example("<Transfer><PhoneNumber>+1900</PhoneNumber></Transfer>")
@example("]]></SpeakSentence><Hangup/>")
@example("&lt;letter/&gt; />")
def test_text_stays_text(text: str) -> None:
    clean = xml_text(text)
    tag = clean[:256]
    root = ET.fromstring(render(SpeakSentence(f"x{text}"), Tag(tag), Redirect(URL, username=text, tag=tag)))
    assert [element.tag for element in root.iter()] == ["Response", "SpeakSentence", "Tag", "Redirect"]
    speak, tagged, redirect = root
    assert speak.text == f"x{clean}"
    assert speak.attrib == {}
    assert (tagged.text or "") == tag
    assert redirect.attrib == {"redirectUrl": URL, "username": clean, "tag": tag}


@given(ANY_TEXT)
def test_filtered_text_is_what_xml_can_carry(text: str) -> None:
    clean = xml_text(text)
    assert clean == xml_text(clean)
    assert re.search("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", clean) is None
    kept = [char for char in text if char.isprintable()]
    assert [char for char in clean if char.isprintable()] == kept


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\0", "\x1b \ufffe", "\u2003"])
def test_blank_speech_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="SpeakSentence"):
        SpeakSentence(text)


def test_long_speech_is_fine_and_a_too_long_document_is_not() -> None:
    around = len(render(SpeakSentence("x"))) - 1
    assert len(render(SpeakSentence("x" * (DOCUMENT_LIMIT - around)))) == 65536
    with pytest.raises(ValueError, match="document"):
        render(SpeakSentence("x" * (DOCUMENT_LIMIT - around + 1)))
    with pytest.raises(ValueError, match="document"):
        render(SpeakSentence("ü" * (DOCUMENT_LIMIT // 2)))


NAN = float("nan")


@pytest.mark.parametrize("seconds", [0, 0.09, -1, 86400.1, float("inf"), NAN])
def test_durations(seconds: float) -> None:
    with pytest.raises(ValueError, match="duration"):
        Pause(seconds)
    with pytest.raises(ValueError, match="duration"):
        Ring(seconds)


@pytest.mark.parametrize("seconds", [0.9, 300.1, NAN])
def test_call_timeout(seconds: float) -> None:
    with pytest.raises(ValueError, match="callTimeout"):
        Transfer((SipUri(SIPX),), call_timeout=seconds)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/relative",
        "bridge.example/x",
        "ftp://a/b",
        "https://",
        "https:///x",
        "http://[::1",
        "https://a/ b",
        "https://a/\n",
        "javascript:alert(1)",
        "https://ä/",
    ],
)
def test_urls(url: str) -> None:
    with pytest.raises(ValueError, match="PlayAudio"):
        PlayAudio(url)
    with pytest.raises(ValueError, match="redirectUrl"):
        Redirect(url)
    with pytest.raises(ValueError, match="redirectFallbackUrl"):
        Redirect(URL, fallback_url=url)
    with pytest.raises(ValueError, match="transferCompleteUrl"):
        Transfer((SipUri(SIPX),), complete_url=url)
    with pytest.raises(ValueError, match="transferCompleteFallbackUrl"):
        Transfer((SipUri(SIPX),), fallback_url=url)
    with pytest.raises(ValueError, match="transferAnswerUrl"):
        SipUri(SIPX, answer_url=url)
    with pytest.raises(ValueError, match="transferAnswerFallbackUrl"):
        SipUri(SIPX, answer_fallback_url=url)
    with pytest.raises(ValueError, match="transferDisconnectUrl"):
        PhoneNumber(NUMBER, disconnect_url=url)


def test_tags_and_uui() -> None:
    for fits in (Tag("t" * 256), Redirect(URL, tag="t" * 256), SipUri(SIPX, tag="t" * 256, uui="u" * 350)):
        assert repr(fits)
    with pytest.raises(ValueError, match="Tag"):
        Tag("t" * 257)
    with pytest.raises(ValueError, match="tag"):
        Redirect(URL, tag="t" * 257)
    with pytest.raises(ValueError, match="tag"):
        Transfer((SipUri(SIPX),), tag="t" * 257)
    with pytest.raises(ValueError, match="tag"):
        PhoneNumber(NUMBER, tag="t" * 257)
    with pytest.raises(ValueError, match="uui"):
        SipUri(SIPX, uui="u" * 351)


@pytest.mark.parametrize(
    "number",
    [
        "",
        "+",
        "+0123",
        "15551234567",
        "+1555123456789012",
        "+1 555",
        "+1\N{ARABIC-INDIC DIGIT FIVE}",
        "+12\n",
    ],
)
def test_numbers(number: str) -> None:
    with pytest.raises(ValueError, match="PhoneNumber"):
        PhoneNumber(number)
    with pytest.raises(ValueError, match="transferCallerId"):
        Transfer((PhoneNumber(NUMBER),), caller_id=number)


def test_sip_uris_targets_and_voices() -> None:
    assert Transfer((PhoneNumber(NUMBER),), caller_id=NUMBER).caller_id == NUMBER
    for uri in ("", "sipx.example", "http://a", "sip:", "sip:a b", "sip:a\n"):
        with pytest.raises(ValueError, match="SipUri"):
            SipUri(uri)
    for count in (0, 9):
        with pytest.raises(ValueError, match="targets"):
            Transfer((SipUri(SIPX),) * count)
    with pytest.raises(ValueError, match="voice"):
        SpeakSentence("x", voice="a b")
    with pytest.raises(ValueError, match="locale"):
        SpeakSentence("x", locale="")


def test_passwords_and_tokens_are_not_shown() -> None:
    secret: dict[str, Any] = {"password": "hidden-1", "fallback_password": "hidden-2"}
    for verb in (
        Redirect(URL, **secret),
        Transfer(
            (SipUri(SIPX, uui="hidden-3;encoding=jwt", **secret), PhoneNumber(NUMBER, **secret)), **secret
        ),
    ):
        assert "hidden" not in repr(verb)


@settings(deadline=None, max_examples=50)  # the first example waits for the import
@given(st.text(st.characters(codec="ascii", exclude_characters="<>", min_codepoint=32), min_size=1))
def test_reads_like_the_official_sdk(text: str) -> None:
    """For text without tags only: the SDK un-escapes what looks like one."""
    official: Any = importlib.import_module("bandwidth.models.bxml")
    theirs = official.Response(
        [
            official.SpeakSentence(f"x{text}", voice="julie", locale="en_US"),
            official.Redirect(redirect_url=URL, tag=text[:256]),
            official.Transfer(
                [official.SipUri(SIPX, uui="x;encoding=jwt", transfer_answer_url=URL)],
                transfer_complete_url=URL,
                call_timeout=30,
            ),
        ]
    ).to_bxml()
    ours = render(
        SpeakSentence(f"x{text}", voice="julie", locale="en_US"),
        Redirect(URL, tag=text[:256]),
        Transfer((SipUri(SIPX, uui="x;encoding=jwt", answer_url=URL),), complete_url=URL, call_timeout=30),
    )
    assert ET.canonicalize(ours.decode()) == ET.canonicalize(theirs)
