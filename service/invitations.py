"""Signs and verifies invitations into rooms, and the visits that they become.

The store knows which of them have been ended, and lists those that are open (service/store/invitations.py).

    text = base64url(JSON) "." base64url(HMAC-SHA256 of that)

The key follows from CALLBACK_PASSWORD, one for each purpose; what the previous password has signed is good as
well while it is rotated. A signed text says what somebody may do, and is no secret from whoever holds it.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec

LONGEST: Final = 1024
"""Characters; more is not even looked at."""
INVITATION_LIFETIME: Final = 86_400.0
"""Seconds for which an invitation is good at most."""
VISIT_LIFETIME: Final = 12 * 3600.0
"""Seconds for which a visit is good: longer than any session of Bandwidth's."""
_MARK: Final = 8
"""Bytes by which one API key is told from the others."""


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
    key_mark: str = msgspec.field(default="", name="key")
    """The mark of that key (`Signer.marks`), as names pass on. Empty from a release that went by names."""
    room_closed_at: int = msgspec.field(default=0, name="closed")
    """When the room had been closed last, by then: milliseconds since the epoch; 0 for never."""


class InvalidPass(Exception):
    """It is not one of ours, or not whole."""


class ExpiredPass(Exception):
    """It was one of ours."""


class PassSigner:
    """Of one purpose. `passwords`: the present one first."""

    def __init__(self, purpose: str, *passwords: str) -> None:
        self._keys = [derive_key(purpose, password) for password in passwords]

    def __repr__(self) -> str:
        return "Signer(***)"

    def sign(self, said: Pass) -> str:
        body = msgspec.json.encode(said)
        return f"{_text(body)}.{_text(_mac(self._keys[0], body))}"

    def key_marks(self, digest: bytes) -> tuple[str, ...]:
        """What stands for an API key with this digest in a pass, by each password, the present one first.

        A visitor can read it: without the password nobody can try keys on it.
        """
        return tuple(_text(_mac(key, b"api-key:" + digest)[:_MARK]) for key in self._keys)

    def verify(self, text: str, *, now: float) -> Pass:
        """Raises InvalidPass and ExpiredPass. Compares in constant time, and with every key."""
        body, mac = _parts(text)
        matches = [hmac.compare_digest(_mac(key, body), mac) for key in self._keys]
        if not any(matches):
            raise InvalidPass
        try:
            said = msgspec.json.decode(body, type=Pass)
        except msgspec.DecodeError as error:
            # Signed by a release that writes them in another way.
            raise InvalidPass from error
        if said.until <= now:
            raise ExpiredPass
        return said


@lru_cache(maxsize=16)
def derive_key(purpose: str, password: str) -> bytes:
    """Slow to make, since whoever has a link can try passwords on it: some 50 ms, once."""
    return hashlib.scrypt(password.encode(), salt=purpose.encode(), n=2**14, r=8, p=1, dklen=32)


def new_id() -> str:
    """Of a pass; it opens nothing."""
    return secrets.token_hex(8)


def _parts(text: str) -> tuple[bytes, bytes]:
    if len(text) > LONGEST or not text.isascii() or text.count(".") != 1:
        raise InvalidPass
    try:
        body, mac = (base64.b64decode(_padded(one), b"-_", validate=True) for one in text.split("."))
    except binascii.Error as error:
        raise InvalidPass from error
    if text != f"{_text(body)}.{_text(mac)}":
        # Another spelling of the same bytes would be another text for the same pass.
        raise InvalidPass
    return body, mac


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).digest()
