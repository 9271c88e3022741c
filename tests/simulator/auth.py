"""Who may use the APIs: OAuth2 client credentials, and the API users that are on their way out."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable

from tests.simulator.settings import Auth, SimulatorSettings


def basic(header: str) -> tuple[str, str] | None:
    """User name and password of a Basic `Authorization` header."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        username, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (username, password) if colon else None


def same(given: tuple[str, str] | None, username: str, password: str) -> bool:
    return given is not None and hmac.compare_digest(
        "\n".join(given).encode(), f"{username}\n{password}".encode()
    )


class AccessTokens:
    """Access tokens; `lifetime` in seconds holds for those issued from now on."""

    def __init__(self, lifetime: int, now: Callable[[], float]) -> None:
        self.lifetime = lifetime
        self._now = now
        self._expiry: dict[str, float] = {}

    def issue(self) -> str:
        token = secrets.token_urlsafe(48)
        self._expiry[token] = self._now() + self.lifetime
        return token

    def valid(self, token: str) -> bool:
        return self._expiry.get(token, 0.0) > self._now()

    def revoke(self) -> None:
        self._expiry.clear()


class Authenticator:
    """Which credentials an API takes is settable: the sessions API documents Basic only."""

    def __init__(self, settings: SimulatorSettings, tokens: AccessTokens) -> None:
        self._settings = settings
        self._tokens = tokens

    def is_client(self, header: str) -> bool:
        return same(basic(header), self._settings.client_id, self._settings.client_secret)

    def allows(self, header: str, accepted: Auth) -> bool:
        scheme, _, value = header.partition(" ")
        if scheme.lower() == "bearer":
            return accepted != "basic" and self._tokens.valid(value)
        return accepted != "oauth" and same(basic(header), self._settings.username, self._settings.password)
