"""Builds the callback URLs that Bandwidth is given, and their credentials."""

import hashlib
import hmac
from typing import Final, TypedDict
from urllib.parse import urlsplit

from service.invitations import derive_key

MAX_ROUNDS: Final = 3
"""How often a caller is told to come back while nothing can be decided."""
_MAC_LENGTH: Final = 32
_PURPOSE: Final = "participant callbacks"


class CallbackAuth(TypedDict):
    """As verbs and requests to Bandwidth take them."""

    username: str
    password: str
    fallback_username: str | None
    fallback_password: str | None


class CallbackUrls:
    """URLs under BASE_CALLBACK_URL.

    Voice webhooks carry Basic credentials. Participant events cannot (sessions API: only a URL is
    registered), so that their URL proves itself with a keyed hash. URLs are in the logs of proxies, and the
    key follows from the password, so it is derived slowly: a URL must not be a fast way to try passwords.
    `fallback_url`: a second address of ours, which Bandwidth tries when the first does not answer.
    """

    def __init__(
        self,
        base: str,
        username: str,
        password: str,
        previous: str | None = None,
        *,
        fallback: str | None = None,
    ) -> None:
        self.username = username
        self.password = password
        self._base = base
        self._fallback = fallback
        passwords = [one for one in (password, previous) if one]
        self._key = derive_key(_PURPOSE, password)
        self._accepted = [derive_key(_PURPOSE, one) for one in passwords] + [
            _legacy_key(one) for one in passwords
        ]

    def __repr__(self) -> str:
        return f"CallbackUrls({self._base!r}, {self.username!r}, ***)"

    def call_url(
        self, ref: str, attempt: int | None = None, *, round_number: int = 0, since: float = 0
    ) -> str:
        """Where webhooks of a call go; `round_number` counts the rounds of a caller who waits for the store.

        `since`: when that caller came (seconds since the epoch), which nobody else can write down meanwhile.
        """
        path = f"{self._base}/callbacks/voice/{ref}"
        if attempt is not None:
            path = f"{path}/{attempt}"
        return path + _round_query(round_number, since)

    def leg_url(self, ref: str, attempt: int, *, round_number: int = 0, since: float = 0) -> str:
        """Where webhooks of our own call into WebRTC go."""
        return f"{self._base}/callbacks/legs/{ref}/{attempt}" + _round_query(round_number, since)

    @property
    def has_fallback(self) -> bool:
        """Whether Bandwidth asks at a second address what it gets no answer to."""
        return self._fallback is not None

    def fallback_url(self, url: str) -> str | None:
        """The same under our second address, None where there is none."""
        return None if self._fallback is None else self._fallback + url.removeprefix(self._base)

    def is_fallback(self, host: str) -> bool:
        """Whether a request to this host, as its Host header names it, came to our second address.

        Bandwidth asks there what the first address did not answer. A proxy that replaces the header hides it.
        """
        if self._fallback is None:
            return False
        first, second = (urlsplit(one).netloc.lower() for one in (self._base, self._fallback))
        return host.lower() == second != first

    @property
    def credentials(self) -> CallbackAuth:
        """What Bandwidth is to show us. Both addresses want the same."""
        has_fallback = self.has_fallback
        return CallbackAuth(
            username=self.username,
            password=self.password,
            fallback_username=self.username if has_fallback else None,
            fallback_password=self.password if has_fallback else None,
        )

    def participant_url(self, seat: str) -> str:
        return f"{self._base}/callbacks/participants/{seat}/{_mac(self._key, seat)}"

    def browser_url(self, room: str, seat: str) -> str:
        """The same for somebody without a call that would say which room it is."""
        name = f"{room}/{seat}"
        return f"{self._base}/callbacks/participants/{name}/{_mac(self._key, name)}"

    def verifies(self, seat: str, mac: str) -> bool:
        """Whether the address is one that we gave out; the previous password counts while it is rotated."""
        return any(hmac.compare_digest(_mac(key, seat).encode(), mac.encode()) for key in self._accepted)


def _legacy_key(password: str) -> bytes:
    """What 0.1.0 makes addresses with: accepted from participants of before the upgrade, and given to none.

    To be removed in the release after 0.2.
    """
    return hashlib.sha256(b"participant callbacks\0" + password.encode()).digest()


def _mac(key: bytes, seat: str) -> str:
    return hmac.new(key, seat.encode(), hashlib.sha256).hexdigest()[:_MAC_LENGTH]


def _round_query(round_number: int, since: float) -> str:
    return f"?again={round_number}&since={since * 1000:.0f}" if round_number else ""
