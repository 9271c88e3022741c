"""Which module reads which webhook: a new kind is a module, a line here and a sample in `tests/samples`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from handlers.webhooks import (
    answer,
    bridge_complete,
    disconnect,
    gather,
    initiate,
    leg,
    machine_detection,
    redirect,
    transfer_answer,
    transfer_complete,
    transfer_disconnect,
    transfer_leg,
)
from handlers.webhooks.payload import Webhook
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
        "gather": Kind(gather.parse),
        "bridgeComplete": Kind(bridge_complete.parse),
        "bridgeTargetComplete": Kind(bridge_complete.parse),
        "transferAnswer": Kind(transfer_answer.parse),
        "transferComplete": Kind(transfer_complete.parse),
        "transferDisconnect": Kind(transfer_disconnect.parse, wants_bxml=False),
        "machineDetectionComplete": Kind(machine_detection.parse, wants_bxml=False),
        "disconnect": Kind(disconnect.parse, wants_bxml=False),
    }
)

LEG_KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "answer": Kind(leg.answer),
        "redirect": Kind(leg.answer),
        "bridgeComplete": Kind(leg.bridge_complete),
        "bridgeTargetComplete": Kind(leg.bridge_complete),
        "disconnect": Kind(leg.disconnect, wants_bxml=False),
    }
)
"""Of our own call into WebRTC, which has addresses of its own."""

TRANSFER_LEG_KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        **KINDS,
        # One that was told to wait asks again.
        "redirect": Kind(transfer_answer.parse),
        # Its answer is told by transferAnswer; whatever else it asks about, it is told something harmless.
        **dict.fromkeys(("initiate", "answer", "gather"), Kind(transfer_leg.asks)),
        **dict.fromkeys(
            ("disconnect", "machineDetectionComplete"), Kind(transfer_leg.noted, wants_bxml=False)
        ),
    }
)
"""Of the B leg of a transfer: what is told of the leg is not the phone's."""

UNKNOWN: Final = Kind(lambda webhook: Unknown(webhook.at, webhook.event_type))


def kind_of(webhook: Webhook) -> Kind:
    kinds = LEG_KINDS if webhook.leg else TRANSFER_LEG_KINDS if webhook.of_transfer_leg else KINDS
    return kinds.get(webhook.event_type, UNKNOWN)
