import xml.etree.ElementTree as ET
from typing import Any

import pytest

from service.bandwidth.bxml import SipUri, Transfer, render
from service.bandwidth.interconnect import SipTransfer, TransferParameters, UuiTooLong, leg_uui, transfer_uui

CALL = "c-93d6f3c0-be584596-0b74-4fa2-8015-d8ede84bd1a4"
DIGITS = "93d6f3c0be5845960b744fa28015d8ede84bd1a4"
URL = "https://bridge.example/callbacks/voice/r1"


def admission(**changes: str) -> TransferParameters:
    usual: dict[str, Any] = {
        "call_id": CALL,
        "token": "asdf",
        "complete_url": f"{URL}/complete",
        "answer_url": f"{URL}/answer",
        "disconnect_url": f"{URL}/disconnect",
        "username": "u",
        "password": "hidden-p",
    }
    return TransferParameters(**(usual | changes))


def test_the_vector_of_the_official_sdks() -> None:
    """The same five lines of XML are in the tests of Bandwidth's Python, Java, Ruby, PHP and C# SDKs."""
    value = transfer_uui(CALL, "asdf", 256)
    assert value == f"{DIGITS};encoding=base64,asdf;encoding=jwt"
    assert render(Transfer((SipUri("sip:sipx.webrtc.bandwidth.com:5060", uui=value),))).decode() == (
        '<?xml version="1.0" encoding="UTF-8"?><Response><Transfer>'
        '<SipUri uui="93d6f3c0be5845960b744fa28015d8ede84bd1a4;encoding=base64,asdf;encoding=jwt">'
        "sip:sipx.webrtc.bandwidth.com:5060</SipUri></Transfer></Response>"
    )


@pytest.mark.parametrize(
    ("limit", "length", "with_call_id"),
    [
        (256, 186, True),
        (256, 187, False),
        (256, 337, False),
        (350, 280, True),
        (350, 281, False),
        (350, 337, False),
    ],
)
def test_the_call_id_gives_way(limit: int, length: int, with_call_id: bool) -> None:
    token = "t" * length
    value = transfer_uui(CALL, token, limit)
    assert value == (f"{DIGITS};encoding=base64," if with_call_id else "") + f"{token};encoding=jwt"
    assert len(value) <= 350


def test_a_token_that_does_not_fit() -> None:
    with pytest.raises(UuiTooLong, match="351 characters with a token of 338") as caught:
        transfer_uui(CALL, "t" * 338, 350)
    assert isinstance(caught.value, ValueError)
    assert "ttt" not in str(caught.value)


def test_a_leg_of_its_own_has_the_token_only() -> None:
    assert leg_uui("asdf") == "asdf;encoding=jwt"
    assert len(leg_uui("t" * 337)) == 350
    with pytest.raises(UuiTooLong, match="351 characters with a token of 338") as caught:
        leg_uui("t" * 338)
    assert "ttt" not in str(caught.value)


@pytest.mark.parametrize(
    "call_id",
    [
        "",
        "c-",
        "r1",
        DIGITS,
        CALL[:-1],
        CALL + "0",
        CALL.replace("c-", "d-"),
        CALL.replace("9", "g"),
        CALL + "\n",
        CALL.replace("-", "--", 1),
        "c-" + "\N{FULLWIDTH DIGIT ONE}" * 40,
    ],
)
def test_other_call_ids_are_left_out(call_id: str) -> None:
    assert transfer_uui(call_id, "asdf", 256) == "asdf;encoding=jwt"


@pytest.mark.parametrize("token", ["", "a,b", "a;b", "a b", "a\n", "a=", "ä", "<"])
def test_a_token_cannot_add_values(token: str) -> None:
    with pytest.raises(ValueError, match="invalid token shape"):
        transfer_uui(CALL, token, 256)
    with pytest.raises(ValueError, match="invalid token shape"):
        leg_uui(token)


def test_transfer_in_full() -> None:
    entry = SipTransfer().transfer_verb(
        admission(
            tag="leg",
            complete_fallback_url=f"{URL}/cf",
            answer_fallback_url=f"{URL}/af",
            fallback_username="fu",
            fallback_password="hidden-fp",
            caller_id="Anonymous",
        )
    )
    assert "hidden" not in repr(entry)
    assert "asdf" not in repr(entry)
    credentials = {
        "username": "u",
        "password": "hidden-p",
        "fallbackUsername": "fu",
        "fallbackPassword": "hidden-fp",
    }
    [transfer] = ET.fromstring(render(entry))
    # Without the tag: the phone call keeps its own.
    assert transfer.attrib == credentials | {
        "transferCompleteUrl": f"{URL}/complete",
        "transferCompleteFallbackUrl": f"{URL}/cf",
        "transferCallerId": "Anonymous",
    }
    [sip] = transfer
    assert sip.text == "sip:sipx.webrtc.bandwidth.com:5060"
    assert sip.attrib == credentials | {
        "tag": "leg",
        "uui": transfer_uui(CALL, "asdf", 256),
        "transferAnswerUrl": f"{URL}/answer",
        "transferAnswerFallbackUrl": f"{URL}/af",
        "transferDisconnectUrl": f"{URL}/disconnect",
    }


def test_a_token_can_be_checked_before_there_is_an_admission() -> None:
    way = SipTransfer()
    way.check_token(CALL, "t" * 337)
    with pytest.raises(UuiTooLong):
        way.check_token(CALL, "t" * 338)
    with pytest.raises(ValueError, match="invalid token shape"):
        way.check_token(CALL, "a,b")


def test_settings_of_the_way_in() -> None:
    way = SipTransfer("sip:sipx.test:5061;transport=tls", uui_limit=350)
    [transfer] = ET.fromstring(render(way.transfer_verb(admission(token="t" * 280))))
    assert transfer[0].text == "sip:sipx.test:5061;transport=tls"
    assert transfer[0].attrib["uui"].startswith(DIGITS)
    with pytest.raises(ValueError, match="sip_uri"):
        SipTransfer("https://sipx.test")
    for limit in (0, 351):
        with pytest.raises(ValueError, match="uui_limit"):
            SipTransfer(uui_limit=limit)


def test_admission_hides_its_secrets() -> None:
    shown = repr(admission(fallback_password="hidden-fp"))
    assert "hidden" not in shown
    assert "asdf" not in shown
