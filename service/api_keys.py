"""Parses API_KEYS, and finds the key that a request presents.

    API_KEYS = entry {"," entry}          entry = key | name ":" scope {"+" scope} ":" key
    key = 16 to 512 characters of visible ASCII without "," and ":" | "sha256$" and 64 hex digits

A bare key is named by its position (key-1, key-2) and may do all but order and return numbers: what costs
money every month has to be asked for by name. While a key is renewed, the old and the new one have one name
and the same scopes. Keys are kept as SHA-256 digests, which is enough for what is random; no message holds
a key.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from service import weak_secrets

SCOPES = ("read", "dial", "control", "numbers")
UNNAMED_KEY_SCOPES = frozenset({"read", "dial", "control"})  # what a key without a name may do
LONGEST = 512  # characters of a key; more is not even hashed
_MOST = 256  # keys, as each costs a comparison in every request
_NAME = re.compile(r"[a-z0-9-]{1,32}")
_PLAIN = re.compile(rf"[!-+\--9;-~]{{16,{LONGEST}}}")  # visible ASCII without , and :
_DIGEST = re.compile(r"sha256\$([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Who may do what; `digest` is the SHA-256 of the key and in no repr."""

    name: str
    scopes: frozenset[str]
    digest: bytes = field(repr=False)
    is_unnamed: bool = field(default=False, compare=False, repr=False)
    """Named by its position."""
    entry: int = field(default=0, compare=False, repr=False)
    """Its position in API_KEYS, from 1: by which two of one name are told apart."""
    weakness: str = field(default="", repr=False, compare=False)
    """Why it may be guessed; empty for no reason, and where no more than its digest is known."""


def generate_key() -> str:
    """A new key: 256 random bits, after a name by which scanners for lost secrets know it."""
    return f"pstn_{secrets.token_urlsafe(32)}"


def make_entry(name: str, scopes: Sequence[str], key: str) -> str:
    """What goes into API_KEYS for this key, which is not in it. Raises ValueError like `parse`."""
    text = f"{name}:{'+'.join(scopes)}:sha256${hashlib.sha256(key.encode()).hexdigest()}"
    parse(text)
    return text


def parse(text: str) -> tuple[ApiKey, ...]:
    """The keys in `text`. Raises ValueError in words that follow on the name of the variable."""
    entries = text.split(",")
    if len(entries) > _MOST:
        raise ValueError(f"has more than {_MOST} entries")
    names: dict[str, list[int]] = {}
    digests: dict[bytes, int] = {}
    keys: list[ApiKey] = []
    for position, entry in enumerate(entries, start=1):
        key = _entry(entry.strip(), position)
        before = names.setdefault(key.name, [])
        if wrong := _wrong_name(key, [keys[one - 1] for one in before]):
            raise ValueError(f"has the name of entry {before[0]} {wrong} in entry {position}")
        before.append(position)
        if digests.setdefault(key.digest, position) != position:
            raise ValueError(f"has the key of entry {digests[key.digest]} again in entry {position}")
        keys.append(key)
    return tuple(keys)


def _wrong_name(key: ApiKey, others: Sequence[ApiKey]) -> str:
    """What is wrong with a key whose name these have; empty for nothing."""
    if any(one.is_unnamed for one in (key, *others)):
        return "again" if others else ""
    if any(one.scopes != key.scopes for one in others):
        return "with other scopes"
    return "for the third time" if len(others) > 1 else ""


def _entry(entry: str, position: int) -> ApiKey:
    parts = entry.split(":")
    if len(parts) == 1:
        return _key(f"key-{position}", UNNAMED_KEY_SCOPES, entry, position, bare=True)
    if len(parts) != 3:
        raise ValueError(f"has neither a key nor name:scopes:key as entry {position}")
    name, scopes, key = parts
    if not _NAME.fullmatch(name):
        raise ValueError(f"has no name of 1 to 32 characters out of a-z 0-9 - in entry {position}")
    granted = frozenset(scopes.split("+"))
    if not granted <= frozenset(SCOPES):
        raise ValueError(f"has no scopes out of {', '.join(SCOPES)}, joined by +, in entry {position}")
    return _key(name, granted, key, position)


def _key(name: str, scopes: frozenset[str], key: str, position: int, *, bare: bool = False) -> ApiKey:
    digest = _digest(key, position)
    weak = (
        ""
        if key.startswith("sha256$")
        else weak_secrets.weakness(key, min_length=weak_secrets.MIN_KEY_LENGTH)
    )
    return ApiKey(name, scopes, digest, is_unnamed=bare, entry=position, weakness=weak)


def _digest(key: str, position: int) -> bytes:
    if key.startswith("sha256$"):
        hashed = _DIGEST.fullmatch(key)
        if not hashed:
            raise ValueError(f"has not 64 hex digits after sha256$ in entry {position}")
        return bytes.fromhex(hashed[1])
    if not _PLAIN.fullmatch(key):
        raise ValueError(f"has no key of 16 to {LONGEST} characters of visible ASCII in entry {position}")
    return hashlib.sha256(key.encode()).digest()


def find_key(keys: tuple[ApiKey, ...], presented: str) -> ApiKey | None:
    """Whose key `presented` is. It is compared with every key, so that the time tells nothing of any."""
    if not 0 < len(presented) <= LONGEST:
        return None
    digest = hashlib.sha256(presented.encode(errors="surrogatepass")).digest()
    found = None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = key
    return found
