"""Judges whether a secret can be guessed, as far as its text tells."""

from typing import Final

MIN_KEY_LENGTH: Final = 24
"""Characters that an API key should have: anybody may try keys, as fast as a replica answers."""
MIN_PASSWORD_LENGTH: Final = 16
"""Characters that a password should have. It can be tried at home, at 50 ms each (service/invitations.py)."""
_DIFFERENT: Final = 6
"""Characters that differ from each other; of 24 random hex digits hardly one text in 10^8 has fewer."""
_WORDS: Final = (
    "password",
    "passwort",
    "secret",
    "change",
    "example",
    "callback",
    "bandwidth",
    "simulated",
    "admin",
    "letmein",
    "qwerty",
    "abcdefgh",
    "123456789",
)
"""Examples have them, ours among those; of random texts hardly one in a million has."""


def weakness(text: str, *, min_length: int) -> str:
    """Why it is not random, in words that follow on its name and tell nothing of it; empty for no reason."""
    if len(text) < min_length:
        return f"has under {min_length} characters"
    if len(set(text)) < _DIFFERENT:
        return f"has under {_DIFFERENT} different characters"
    if any(word in text.lower() for word in _WORDS):
        return "has a word in it that is tried first"
    return ""
