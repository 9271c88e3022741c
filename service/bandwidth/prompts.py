"""Defines the sentences that callers hear."""

from typing import Final

import msgspec

_DEFAULT_APOLOGY: Final = (
    "We are sorry, your call cannot be connected right now. Please try again later. Goodbye."
)
_APOLOGIES: Final = {
    "room-full": "We are sorry, this conference is full. Please try again later. Goodbye.",
    "rate-limited": "We are sorry, all lines are busy. Please try again later. Goodbye.",
    "room-closed": "This conference has been closed. Goodbye.",
    "participant-vanished": "We are sorry, the connection was lost. Please call again. Goodbye.",
    "nobody-came": "We are sorry, nobody has joined you. Please try again later. Goodbye.",
    "left-alone": "Everybody else has left this conference. Goodbye.",
    "hold-limit": "We are sorry, nobody has come back to you. Please call again. Goodbye.",
    "page-gone": "Whoever has called you is no longer there. Goodbye.",
    "pin-guessing": "Too many wrong codes have been entered. Please try again later. Goodbye.",
    "time-limit": "The time for this call is over. Goodbye.",
}

CLOSED: Final = "We are sorry, we cannot take your call right now. Please try again later. Goodbye."
PLEASE_HOLD: Final = "Please hold."
ONE_MOMENT: Final = "One moment, please."
TRANSFERRING: Final = "Please stay on the line while we connect you to another number."
ENDS_SOON: Final = "This call will end in thirty seconds."
FIRST_IN_ROOM: Final = "You are the first here. Please hold until somebody joins you."


class Prompts(msgspec.Struct, frozen=True, kw_only=True):
    """What our settings say in the place of words of ours. Durations in seconds."""

    hold_message: str = PLEASE_HOLD
    hold_music: str = ""
    """URL of what is played to somebody on hold, in the place of the message."""
    pin_prompt: str
    pin_wrong: str
    pin_goodbye: str
    pin_first_digit_timeout: float
    pin_digit_timeout: float

    def apology(self, reason: str) -> str:
        return self.pin_goodbye if reason == "wrong-pin" else _APOLOGIES.get(reason, _DEFAULT_APOLOGY)
