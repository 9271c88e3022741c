"""What must be in no log, and whether a text has it: secrets of the site's settings, what they sign, numbers.

A finding names what was found and never tells it.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import quote, urlsplit

from service.settings import Settings

SECRET_SETTINGS: Final = [
    name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in repr(field)
]
"""Settings that are secrets as a whole. Of a URL its password is one."""
_OF_EACH_SITE: Final = {
    # What every device token begins with.
    "a token": re.compile("eyJhbGciOi"),
    # An invitation, or a visit: whoever has it is let in (service/invitations.py).
    "a signed text": re.compile(r"eyJ[\w-]{10,}\.[\w-]{43}(?![\w-])"),
    # The last part of one for participant events proves that it is ours (service/bandwidth/callback_urls.py).
    "an address with its proof": re.compile(r"/callbacks/participants/[^\s?]+/[0-9a-f]{32}"),
    "an Authorization header": re.compile(r"(?:Bearer|Basic) [\w+/=-]{12,}"),
}
_DIGITS: Final = re.compile(r"(?<![0-9])[0-9]{10,15}(?![0-9])")
NATIONAL: Final = 10
"""Digits of a number of North America without its country code."""


class LogSecrets:
    """`settings`: of each replica. `numbers`: of phones, in E.164 form, none of which may be in full."""

    def __init__(self, settings: Iterable[Mapping[str, str]], numbers: Iterable[str]) -> None:
        self._names = dict(spelling for one in settings for spelling in _spellings(one))
        longest_first = sorted(self._names, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        digits = {one.removeprefix("+") for one in numbers}
        self._numbers = digits | {one[-NATIONAL:] for one in digits if len(one) > NATIONAL}

    def secrets_in(self, text: str) -> Iterator[str]:
        """Each once."""
        yield from (name for name, form in _OF_EACH_SITE.items() if form.search(text))
        yield from dict.fromkeys(self._names[one] for one in self._values.findall(text))
        if any(one in self._numbers for one in _DIGITS.findall(text)):
            yield "a number in full"


def _spellings(settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each secret in each form in which it is sent anywhere, with the name of its setting."""
    for name, value in _secrets(settings):
        yield value, name
        yield quote(value, safe=""), name
    for user, password in (("CALLBACK_USERNAME", "CALLBACK_PASSWORD"), ("BW_CLIENT_ID", "BW_CLIENT_SECRET")):
        if settings.get(password):
            pair = f"{settings.get(user)}:{settings[password]}"
            yield b64encode(pair.encode()).decode(), password


def _secrets(settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in SECRET_SETTINGS:
        value = settings.get(name, "")
        if secret := urlsplit(value).password if "://" in value else value:
            yield name, secret
    for key in settings.get("API_KEYS", "").split(","):
        # Name and scopes stand before it.
        if secret := key.rpartition(":")[2].strip():
            yield "API_KEYS", secret
