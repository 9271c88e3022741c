"""Cursors as clients have them: of our making, of this holder, and not too old; nothing else is one."""

import base64
import hmac
from typing import Any

import msgspec
import pytest

from service.calls.refs import PARTITIONS
from service.cursors import MAX_AGE, CursorHolder, CursorSigner
from service.invitations import derive_key
from service.store.change_feed import Cursor
from tests.store.seats import NOW

CURSORS = CursorSigner("secret")
HOLDER = CursorHolder("visit", "ada", "sales")
BEGINNING = Cursor(NOW, ((0, 0),) * PARTITIONS)
GOOD = CURSORS.sign(BEGINNING, HOLDER)


def signed(flat: Any, key: bytes = derive_key("cursors", "secret")) -> str:
    """By whoever has the key."""
    position = base64.urlsafe_b64encode(msgspec.msgpack.encode(flat)).decode().rstrip("=")
    mac = hmac.digest(key, msgspec.msgpack.encode((position, *HOLDER)), "sha256")[:16]
    return f"{position}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


NONE = [round(NOW * 1000), *[None, 0] * PARTITIONS]


def test_a_cursor_can_be_written_and_read() -> None:
    at = NOW + 0.25
    for positions in (
        BEGINNING.positions,
        tuple((int(at * 1000) - n * 90_000, n * n) for n in range(PARTITIONS)),
        tuple((int(at * 1000) + n, 0) for n in range(PARTITIONS)),
        # The store's clock is a day ahead of what replicas go by, or behind.
        tuple((int(at * 1000) + 86_400_000 + n, n) for n in range(PARTITIONS)),
        tuple((int(at * 1000) - 86_400_000 - n, n) for n in range(PARTITIONS)),
    ):
        text = CURSORS.sign(Cursor(at, positions), HOLDER)
        assert text.isascii()
        assert text.isprintable()
        assert 50 <= len(text) <= 170
        assert CURSORS.verify(text, HOLDER, now=NOW) == Cursor(at, positions)


def test_it_is_good_for_a_while() -> None:
    for late, good in ((0, True), (MAX_AGE - 1, True), (MAX_AGE + 1, False), (-MAX_AGE - 1, False)):
        assert (CURSORS.verify(GOOD, HOLDER, now=NOW + late) is not None) is good


def test_every_changed_character_shows() -> None:
    for at, character in enumerate(GOOD):
        for other in {"A", "B", "", ".", "=", "é", character * 2} - {character}:
            assert CURSORS.verify(f"{GOOD[:at]}{other}{GOOD[at + 1 :]}", HOLDER, now=NOW) is None
    for bad in ("", ".", "x", GOOD * 20, GOOD.split(".")[0], f"{GOOD}=", "a" * 700, f".{'a' * 22}"):
        assert CURSORS.verify(bad, HOLDER, now=NOW) is None, bad


@pytest.mark.parametrize(
    "other",
    [
        CursorHolder("visit", "bob", "sales"),
        CursorHolder("visit", "ada", "support"),
        CursorHolder("visit", "ada", None),
        CursorHolder("key", "ada", "sales"),
    ],
)
def test_it_is_good_for_its_holder_alone(other: CursorHolder) -> None:
    assert CURSORS.verify(GOOD, other, now=NOW) is None
    assert CURSORS.verify(CURSORS.sign(BEGINNING, other), HOLDER, now=NOW) is None
    assert CURSORS.verify(GOOD, HOLDER, now=NOW) == BEGINNING


def test_the_key_is_of_this_purpose_and_of_this_password() -> None:
    assert signed(NONE) == GOOD
    for key in (b"", b"secret", derive_key("visits", "secret"), derive_key("cursors", "other")):
        assert CURSORS.verify(signed(NONE, key), HOLDER, now=NOW) is None


def test_while_the_password_is_changed() -> None:
    assert CursorSigner("new", "secret").verify(GOOD, HOLDER, now=NOW) == BEGINNING
    assert CursorSigner("new").verify(GOOD, HOLDER, now=NOW) is None


@pytest.mark.parametrize(
    "flat", [[], [1], [None] * 33, ["1"] * 33, {}, 7, NONE[:-1], [*NONE, 0], [None, *NONE[1:]]]
)
def test_what_a_release_may_have_signed_that_writes_them_in_another_way(flat: Any) -> None:
    assert CURSORS.verify(signed(flat), HOLDER, now=NOW) is None
