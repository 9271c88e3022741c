import importlib
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from service.bandwidth.bxml import Bridge, Gather, PlayAudio, SpeakSentence, render

URL = "https://bridge.example/callbacks/voice"
CALL = "c-93d6f3c0-be584596-0b74-4fa2-8015-d8ede84bd1a4"
NAN = float("nan")
SAY = SpeakSentence("Press 1.")
CREDENTIALS = {
    "username": "u",
    "password": "hidden-p",
    "fallback_username": "fu",
    "fallback_password": "hidden-fp",
}
WRITTEN_CREDENTIALS = {
    "username": "u",
    "password": "hidden-p",
    "fallbackUsername": "fu",
    "fallbackPassword": "hidden-fp",
}


def gather(**fields: Any) -> Gather:
    return Gather((SAY,), **fields)


def bridge(**fields: Any) -> Bridge:
    return Bridge(CALL, **fields)


def test_gather_in_full() -> None:
    verb = Gather(
        (SpeakSentence("1 < 2 & 3", voice="julie"), PlayAudio(f"{URL}/a.wav")),
        url=f"{URL}/g",
        terminating_digits="#*0A",
        max_digits=4,
        inter_digit_timeout=1.5,
        first_digit_timeout=0,
        repeat_count=3,
        fallback_url=f"{URL}/gf",
        tag="digits",
        **CREDENTIALS,
    )
    [element] = ET.fromstring(render(verb))
    assert (element.tag, element.text) == ("Gather", None)
    assert element.attrib == WRITTEN_CREDENTIALS | {
        "gatherUrl": f"{URL}/g",
        "gatherFallbackUrl": f"{URL}/gf",
        "terminatingDigits": "#*0A",
        "maxDigits": "4",
        "interDigitTimeout": "1.5",
        "firstDigitTimeout": "0",
        "repeatCount": "3",
        "tag": "digits",
    }
    [speak, play] = element
    assert (speak.tag, speak.text, speak.attrib) == ("SpeakSentence", "1 < 2 & 3", {"voice": "julie"})
    assert (play.tag, play.text, play.attrib) == ("PlayAudio", f"{URL}/a.wav", {})


def test_bridge_in_full() -> None:
    verb = Bridge(
        CALL,
        complete_url=f"{URL}/c",
        target_complete_url=f"{URL}/t",
        complete_fallback_url=f"{URL}/cf",
        target_complete_fallback_url=f"{URL}/tf",
        tag="phone",
        **CREDENTIALS,
    )
    [element] = ET.fromstring(render(verb))
    assert (element.tag, element.text, list(element)) == ("Bridge", CALL, [])
    assert element.attrib == WRITTEN_CREDENTIALS | {
        "bridgeCompleteUrl": f"{URL}/c",
        "bridgeTargetCompleteUrl": f"{URL}/t",
        "bridgeCompleteFallbackUrl": f"{URL}/cf",
        "bridgeTargetCompleteFallbackUrl": f"{URL}/tf",
        "tag": "phone",
    }


def test_only_what_is_set_is_written() -> None:
    document = render(Gather(), Gather(terminating_digits="", tag=""), Bridge(CALL)).decode()
    assert document.endswith(
        f'<Response><Gather/><Gather tag="" terminatingDigits=""/><Bridge>{CALL}</Bridge></Response>'
    )


def test_secrets_are_not_shown() -> None:
    assert "hidden" not in repr((gather(**CREDENTIALS), bridge(**CREDENTIALS)))


@pytest.mark.parametrize(
    ("field", "attribute", "good", "bad"),
    [
        ("max_digits", "maxDigits", (1, 50), (0, 51, -1)),
        ("inter_digit_timeout", "interDigitTimeout", (1, 60), (0.9, 60.1, NAN)),
        ("first_digit_timeout", "firstDigitTimeout", (0, 60), (-0.1, 60.1, NAN)),
        ("repeat_count", "repeatCount", (1, 20), (0, 21)),
        ("terminating_digits", "terminatingDigits", ("", "0123456789*#ABCDabcd"), ("E", "1,", "1\n", "²")),
        ("tag", "tag", ("", "t" * 256), ("t" * 257,)),
        ("url", "gatherUrl", (URL,), ("/relative", "")),
        ("fallback_url", "gatherFallbackUrl", (URL,), ("/relative", "")),
    ],
)
def test_limits_of_gather(field: str, attribute: str, good: tuple[Any, ...], bad: tuple[Any, ...]) -> None:
    for value in good:
        assert getattr(gather(**{field: value}), field) == value
    for value in bad:
        with pytest.raises(ValueError, match=f"^{attribute}: "):
            gather(**{field: value})


@pytest.mark.parametrize(
    ("prompts", "repeats", "fits"),
    [(20, 1, True), (10, 2, True), (6, 3, True), (7, 3, False), (20, 2, False), (11, 2, False), (0, 2, True)],
)
def test_prompts_times_repetitions(prompts: int, repeats: int, fits: bool) -> None:
    if fits:
        assert Gather((SAY,) * prompts, repeat_count=repeats).repeat_count == repeats
    else:
        with pytest.raises(ValueError, match="repeatCount"):
            Gather((SAY,) * prompts, repeat_count=repeats)


def test_too_many_prompts() -> None:
    with pytest.raises(ValueError, match="Gather: prompts"):
        Gather((SAY,) * 21)


@pytest.mark.parametrize(
    ("field", "attribute"),
    [
        ("complete_url", "bridgeCompleteUrl"),
        ("target_complete_url", "bridgeTargetCompleteUrl"),
        ("complete_fallback_url", "bridgeCompleteFallbackUrl"),
        ("target_complete_fallback_url", "bridgeTargetCompleteFallbackUrl"),
    ],
)
def test_urls_of_bridge(field: str, attribute: str) -> None:
    with pytest.raises(ValueError, match=f"^{attribute}: "):
        bridge(**{field: "/relative"})


@pytest.mark.parametrize("call_id", ["", " ", "a b", "..", "../x", f"{CALL}\n", "ä", "x" * 201])
def test_what_is_no_call_cannot_be_bridged(call_id: str) -> None:
    with pytest.raises(ValueError, match="Bridge: not an id"):
        Bridge(call_id)


def test_tag_of_bridge() -> None:
    assert bridge(tag="t" * 256).tag == "t" * 256
    with pytest.raises(ValueError, match="tag"):
        bridge(tag="t" * 257)


def test_reads_like_the_official_sdk() -> None:
    """Without the fallback for the target's end, which the SDK misspells."""
    official: Any = importlib.import_module("bandwidth.models.bxml")
    theirs = official.Response(
        [
            official.Gather(
                [official.SpeakSentence("Press 1."), official.PlayAudio(f"{URL}/a.wav")],
                gather_url=URL,
                gather_fallback_url=f"{URL}/f",
                terminating_digits="#",
                max_digits=4,
                inter_digit_timeout=3,
                first_digit_timeout=2,
                repeat_count=5,
                tag="t",
                username="u",
                password="p",
            ),
            official.Bridge(
                CALL,
                bridge_complete_url=f"{URL}/c",
                bridge_complete_fallback_url=f"{URL}/cf",
                bridge_target_complete_url=f"{URL}/t",
                username="u",
                password="p",
                fallback_username="fu",
                fallback_password="fp",
                tag="t",
            ),
        ]
    ).to_bxml()
    ours = render(
        Gather(
            (SAY, PlayAudio(f"{URL}/a.wav")),
            url=URL,
            fallback_url=f"{URL}/f",
            terminating_digits="#",
            max_digits=4,
            inter_digit_timeout=3,
            first_digit_timeout=2,
            repeat_count=5,
            tag="t",
            username="u",
            password="p",
        ),
        Bridge(
            CALL,
            complete_url=f"{URL}/c",
            complete_fallback_url=f"{URL}/cf",
            target_complete_url=f"{URL}/t",
            username="u",
            password="p",
            fallback_username="fu",
            fallback_password="fp",
            tag="t",
        ),
    )
    assert ET.canonicalize(ours.decode()) == ET.canonicalize(theirs)
