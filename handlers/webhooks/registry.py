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
from service.calls.events import Event, UnknownWebhook


class WebhookKind(NamedTuple):
    parse: Callable[[Webhook], Event]
    wants_bxml: bool = True
    """Notifications are answered with 204 (voice API, webhooks)."""


WEBHOOK_KINDS: Final[Mapping[str, WebhookKind]] = MappingProxyType(
    {
        "initiate": WebhookKind(initiate.parse),
        "answer": WebhookKind(answer.parse),
        "redirect": WebhookKind(redirect.parse),
        "gather": WebhookKind(gather.parse),
        "bridgeComplete": WebhookKind(bridge_complete.parse),
        "bridgeTargetComplete": WebhookKind(bridge_complete.parse),
        "transferAnswer": WebhookKind(transfer_answer.parse),
        "transferComplete": WebhookKind(transfer_complete.parse),
        "transferDisconnect": WebhookKind(transfer_disconnect.parse, wants_bxml=False),
        "machineDetectionComplete": WebhookKind(machine_detection.parse, wants_bxml=False),
        "disconnect": WebhookKind(disconnect.parse, wants_bxml=False),
    }
)

LEG_KINDS: Final[Mapping[str, WebhookKind]] = MappingProxyType(
    {
        "answer": WebhookKind(leg.answer),
        "redirect": WebhookKind(leg.answer),
        "bridgeComplete": WebhookKind(leg.bridge_complete),
        "bridgeTargetComplete": WebhookKind(leg.bridge_complete),
        "disconnect": WebhookKind(leg.disconnect, wants_bxml=False),
    }
)
"""Of our own call into WebRTC, which has addresses of its own."""

TRANSFER_LEG_KINDS: Final[Mapping[str, WebhookKind]] = MappingProxyType(
    {
        **WEBHOOK_KINDS,
        # One that was told to wait asks again.
        "redirect": WebhookKind(transfer_answer.parse),
        # Its answer is told by transferAnswer; whatever else it asks about, it is told something harmless.
        **dict.fromkeys(("initiate", "answer", "gather"), WebhookKind(transfer_leg.parse_request)),
        **dict.fromkeys(
            ("disconnect", "machineDetectionComplete"),
            WebhookKind(transfer_leg.parse_notification, wants_bxml=False),
        ),
    }
)
"""Of the B leg of a transfer: what is told of the leg is not the phone's."""

UNKNOWN: Final = WebhookKind(lambda webhook: UnknownWebhook(webhook.at, webhook.event_type))


def kind_of(webhook: Webhook) -> WebhookKind:
    kinds = LEG_KINDS if webhook.is_leg else TRANSFER_LEG_KINDS if webhook.is_transfer_leg else WEBHOOK_KINDS
    return kinds.get(webhook.event_type, UNKNOWN)
