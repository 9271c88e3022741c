"""Reads the little of a call that the judge has to know, as the store keeps it."""

from types import MappingProxyType
from typing import Final

import msgspec

from service.store.compression import decompress_text
from tests.chaos.store_history import Key, StoreState

SHOWN_BY_PHONE: Final = MappingProxyType({"dialing": "dialing", "gone": "ended"})
SHOWN_BY_MEDIA: Final = MappingProxyType(
    {
        "none": "detached",
        "making": "joining",
        "ready": "joining",
        "transferring": "transferring",
        "bridged": "bridged",
        "leaving": "detached",
    }
)
HANG_UP: Final = "hangup"
"""What a call is meant for that is to end."""


class StoredCallState(msgspec.Struct, frozen=True):
    """Named as in `service.calls.model.Call`."""

    phone: str
    media: str = "none"
    intent: str = "bridge"
    attempt: int = 0
    bridged_at: float = 0
    max_duration: float = 0

    @property
    def live(self) -> bool:
        return self.phone != "gone"

    @property
    def state(self) -> str:
        """As it is shown (docs/calls.md)."""
        if self.phone in SHOWN_BY_PHONE:
            return SHOWN_BY_PHONE[self.phone]
        if self.media == "none" and not self.bridged_at and self.intent in {"ask", "wait"}:
            return "initiated"
        return SHOWN_BY_MEDIA[self.media]


_decode = msgspec.json.Decoder(StoredCallState).decode


def call_in(state: StoreState, key: Key) -> StoredCallState | None:
    """The call under that key; None where there is none."""
    text = state.hash(str(key)).get(b"state")
    return None if text is None else decoded(text)


def decoded(text: bytes) -> StoredCallState:
    return _decode(decompress_text(text))
