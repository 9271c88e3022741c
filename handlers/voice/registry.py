"""Which module reads which webhook: a new kind is a module, a line here and a sample in `tests/samples`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from handlers.voice import (
    answer,
    disconnect,
    initiate,
    redirect,
    transfer_answer,
    transfer_complete,
    transfer_disconnect,
)
from handlers.voice.webhook import Webhook
from service.calls.events import Event, Unknown


class Kind(NamedTuple):
    parse: Callable[[Webhook], Event]
    wants_bxml: bool = True
    """Notifications are answered with 204 (voice API, webhooks)."""


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "initiate": Kind(initiate.parse),
        "answer": Kind(answer.parse),
        "redirect": Kind(redirect.parse),
        "transferAnswer": Kind(transfer_answer.parse),
        "transferComplete": Kind(transfer_complete.parse),
        "transferDisconnect": Kind(transfer_disconnect.parse, wants_bxml=False),
        "disconnect": Kind(disconnect.parse, wants_bxml=False),
    }
)

UNKNOWN: Final = Kind(lambda webhook: Unknown(webhook.at, webhook.event_type))


def kind_of(event_type: str) -> Kind:
    return KINDS.get(event_type, UNKNOWN)
