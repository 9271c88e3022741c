"""What callers are told."""

from typing import Final

_SORRY: Final = "We are sorry, your call cannot be connected right now. Please try again later. Goodbye."
_APOLOGIES: Final = {
    "room-full": "We are sorry, this conference is full. Please try again later. Goodbye.",
    "rate-limited": "We are sorry, all lines are busy. Please try again later. Goodbye.",
    "room-closed": "This conference has been closed. Goodbye.",
    "participant-vanished": "We are sorry, the connection was lost. Please call again. Goodbye.",
}

PLEASE_HOLD: Final = "Please hold."
ONE_MOMENT: Final = "One moment, please."
ELSEWHERE: Final = "Please stay on the line while we connect you to another number."


def apology(reason: str) -> str:
    return _APOLOGIES.get(reason, _SORRY)
