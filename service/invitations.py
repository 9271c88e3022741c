"""Invitations into rooms, and the visits that they become: signed texts, which no replica has to remember.

    text = base64url(JSON) "." base64url(HMAC-SHA256 of that)

The key follows from CALLBACK_PASSWORD, one for each purpose; what the previous password has signed is good as
well while it is rotated. A signed text says what somebody may do, and is no secret from whoever holds it.
"""

import base64
import binascii
import hashlib
import hmac
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec

LONGEST: Final = 1024
"""Characters; more is not even looked at."""


class Scope(StrEnum):
    """What a visitor may do."""

    TALK = "talk"
    DIAL = "dial"
    HANGUP = "hangup"


class Pass(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an invitation or a visit says."""

    id: str
    room: str
    until: float
    """Seconds since the epoch."""
    issued_by: str
    """The name of the API key behind it: what the visitor's calls are counted under."""
    name: str = ""
    scopes: tuple[Scope, ...] = (Scope.TALK,)


class Forged(Exception):
    """It is not one of ours, or not whole."""


class Expired(Exception):
    """It was one of ours."""


class Signer:
    """Of one purpose. `passwords`: the present one first."""

    def __init__(self, purpose: str, *passwords: str) -> None:
        self._keys = [key_for(purpose, password) for password in passwords]

    def __repr__(self) -> str:
        return "Signer(***)"

    def sign(self, said: Pass) -> str:
        body = msgspec.json.encode(said)
        return f"{_text(body)}.{_text(_mac(self._keys[0], body))}"

    def read(self, text: str, *, now: float) -> Pass:
        """Raises Forged and Expired. Compares in constant time, and with every key."""
        body, mac = _parts(text)
        matches = [hmac.compare_digest(_mac(key, body), mac) for key in self._keys]
        if not any(matches):
            raise Forged
        try:
            said = msgspec.json.decode(body, type=Pass)
        except msgspec.DecodeError as error:
            # Signed by a release that writes them in another way.
            raise Forged from error
        if said.until <= now:
            raise Expired
        return said


@lru_cache(maxsize=16)
def key_for(purpose: str, password: str) -> bytes:
    """Slow to make, since whoever has a link can try passwords on it: some 50 ms, once."""
    return hashlib.scrypt(password.encode(), salt=purpose.encode(), n=2**14, r=8, p=1, dklen=32)


def _parts(text: str) -> tuple[bytes, bytes]:
    if len(text) > LONGEST or not text.isascii() or text.count(".") != 1:
        raise Forged
    try:
        body, mac = (base64.b64decode(_padded(one), b"-_", validate=True) for one in text.split("."))
    except binascii.Error as error:
        raise Forged from error
    if text != f"{_text(body)}.{_text(mac)}":
        # Another spelling of the same bytes would be another text for the same pass.
        raise Forged
    return body, mac


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).digest()
