"""What comes back in the URL of a caller who was told to wait: believed as far as it can be true."""

import json

import pytest

from handlers.webhooks.payload import parse

AT = 1_800_000_000.0
BODY = json.dumps({"eventType": "redirect", "callId": "c-1"}).encode()


def waited(again: str, since: str) -> tuple[int, float]:
    found = parse(BODY, again=again, since=since, at=AT, account_id="1")
    return found.rounds, found.since


def ago(seconds: float) -> str:
    return f"{(AT - seconds) * 1000:.0f}"


@pytest.mark.parametrize(
    ("again", "since", "found"),
    [
        ("1", ago(9), (1, AT - 9)),
        ("3", ago(74), (3, AT - 74)),
        ("1", ago(0), (1, AT)),
        # Longer than so many rounds take, in the future, or none at all.
        ("1", ago(26), (1, 0)),
        ("3", ago(76), (3, 0)),
        ("99", ago(76), (99, 0)),
        ("1", ago(-1), (1, 0)),
        ("1", "", (1, 0)),
        ("", ago(9), (0, 0)),
        ("0", ago(9), (0, 0)),
        # Not as we have written them.
        ("1", "-1", (1, 0)),
        ("1", "1e9", (1, 0)),
        ("1", "9" * 15, (1, 0)),
        ("1", "9" * 60_000, (1, 0)),
        ("1", "\u0661\u0662", (1, 0)),
        ("100", ago(9), (0, 0)),
        ("-1", ago(9), (0, 0)),
        ("\u0661", ago(9), (0, 0)),
        ("9" * 60_000, ago(9), (0, 0)),
    ],
)
def test_what_is_believed(again: str, since: str, found: tuple[int, float]) -> None:
    assert waited(again, since) == found
