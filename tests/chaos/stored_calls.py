"""Reads the little of a call that the judge has to know, as the store keeps it."""

from typing import Final

import msgspec

from service.store.compression import plain
from tests.chaos.store_history import Key, State

HANG_UP: Final = "hangup"
"""What a call is meant for that is to end."""


class StoredCall(msgspec.Struct, frozen=True):
    """Named as in `service.calls.model.Call`."""

    phone: str
    media: str = "none"
    attempt: int = 0
    intent: str = "bridge"
    max_duration: float = 0

    @property
    def live(self) -> bool:
        return self.phone != "gone"


_decode = msgspec.json.Decoder(StoredCall).decode


def call_in(state: State, key: Key) -> StoredCall | None:
    """The call under that key; None where there is none."""
    text = state.hash(str(key)).get(b"state")
    return None if text is None else _decode(plain(text))
