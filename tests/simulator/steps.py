"""What a verb leads to: another document, or the end."""

from enum import Enum, auto
from typing import Any
from urllib.parse import urljoin

import msgspec

from tests.simulator.verbs import Verb
from tests.simulator.webhooks import Target


class Fetch(msgspec.Struct, frozen=True):
    """A synchronous event whose reply goes on with the call."""

    event_type: str
    primary: Target
    fallback: Target | None = None
    extra: dict[str, Any] = {}


class Over(Enum):
    """How a call's BXML came to its end."""

    RAN_OUT = auto()
    HANGUP = auto()


def fetch_of(verb: Verb, name: str, base_url: str, event_type: str, **extra: Any) -> Fetch | None:
    """The event a verb leads to by its `<name>Url`, None without one."""
    url = verb.get(f"{name}Url")
    if url is None:
        return None
    fallback_url = verb.get(f"{name}FallbackUrl")
    fallback = None
    if fallback_url is not None:
        fallback = Target(
            urljoin(base_url, fallback_url), verb.get("fallbackUsername"), verb.get("fallbackPassword")
        )
    primary = Target(urljoin(base_url, url), verb.get("username"), verb.get("password"))
    return Fetch(event_type, primary, fallback, extra)
