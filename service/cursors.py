"""Signs and verifies the cursors of live streams. A cursor is good for one holder and one stream.

    text = base64url(position) "." base64url(the first half of an HMAC-SHA256)

What a client sends becomes a place in the store's streams to read from. Signed, it is a place that this
client has been told: nobody makes up one in the future, and nobody reads what happened before they came.
The key follows from CALLBACK_PASSWORD as those of invitations do; what the previous password has signed is
read as well.
"""

import base64
import hmac
from typing import Final, NamedTuple

import msgspec

from service.calls.refs import PARTITIONS
from service.invitations import derive_key
from service.store.change_feed import Cursor
from service.store.script_values import nearest_ms, pairs

MAX_AGE: Final = 50 * 60.0
"""Seconds for which a cursor is good: less than a stream lives after its last entry (news.lua), so that one
that is not there has not been missed. The rest is for clocks that differ."""
_LONGEST: Final = 600
"""Characters of a cursor."""
_MAC: Final = 16
"""Bytes: it is in every event that is sent."""


class CursorHolder(NamedTuple):
    """Who listens, and to what. A cursor is no use to any other."""

    kind: str
    """`key` or `visit`."""
    name: str
    """Of the key, or the id of the visit."""
    room: str | None
    """None for all rooms."""


class CursorSigner:
    """`passwords`: the present one first."""

    def __init__(self, *passwords: str) -> None:
        self._keys = [derive_key("cursors", password) for password in passwords]

    def __repr__(self) -> str:
        return "Cursors(***)"

    def sign(self, cursor: Cursor, holder: CursorHolder) -> str:
        """In 50 to 170 characters that may be in a header."""
        position = _text(msgspec.msgpack.encode(_flat(cursor)))
        return f"{position}.{_mac(self._keys[0], position, holder)}"

    def verify(self, text: str, holder: CursorHolder, *, now: float) -> Cursor | None:
        """None for what nobody can go on from: it was not given to this holder, or too long ago."""
        position, dot, mac = text.partition(".")
        if not dot or len(text) > _LONGEST or not text.isascii():
            return None
        matches = [hmac.compare_digest(_mac(key, position, holder), mac) for key in self._keys]
        if not any(matches):
            return None
        cursor = _cursor(position)
        return cursor if cursor is not None and abs(now - cursor.at) < MAX_AGE else None


def _flat(cursor: Cursor) -> list[int | None]:
    """The times of the positions are written as distances from `at`, which are short."""
    at = nearest_ms(cursor.at)
    return [at, *(part for ms, seq in cursor.positions for part in (at - ms if ms else None, seq))]


def _cursor(text: str) -> Cursor | None:
    """None for what a release has signed that writes them in another way."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        at, *flat = msgspec.msgpack.decode(raw, type=list[int | None])
    except ValueError:  # msgspec's DecodeError is one, and so is what there is too little of
        return None
    if at is None or len(flat) != 2 * PARTITIONS:
        return None
    positions = ((0 if distance is None else at - distance, seq or 0) for distance, seq in pairs(flat))
    return Cursor(at / 1000, tuple(positions))


def _mac(key: bytes, position: str, holder: CursorHolder) -> str:
    said = msgspec.msgpack.encode((position, *holder))
    return _text(hmac.digest(key, said, "sha256")[:_MAC])


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
