"""Calls that went back: a commit that was decided on an older state than the one it replaced."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tests.chaos.finding import Finding
from tests.chaos.store_history import StoreState, UnknownCommand, key_of
from tests.chaos.stored_calls import StoredCallState, call_in

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

PHONES: Final = ("dialing", "ringing", "up", "gone")
"""In the order in which a phone comes to be so."""


def check(evidence: "Evidence") -> Iterator[Finding]:
    state = StoreState()
    calls: dict[str, StoredCallState] = {}
    for step in evidence.store_steps:
        try:
            touched = state.play(step)
        except UnknownCommand:
            return  # the eye for keys tells it
        for text in touched:
            key = key_of(text)
            if key.kind != "call":
                continue
            before, after = calls.pop(text, None), call_in(state, key)
            if after is None:
                continue
            calls[text] = after
            if before is not None and _order(after) < _order(before):
                yield Finding(what=f"{key.name} went back from {before} to {after}", ids=(key.name,))


def _order(call: StoredCallState) -> tuple[int, int]:
    """Neither its phone nor the number of its attempts to join goes back. An erased call has none."""
    return PHONES.index(call.phone), call.attempt if call.live else 0
