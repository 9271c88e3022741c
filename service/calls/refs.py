"""Makes and parses refs, our ids of calls. A ref names the partition of the store that the call is in."""

import base64
import hashlib
import re
from functools import lru_cache
from typing import Final

PARTITIONS: Final = 16
"""Fixed for the life of an installation: refs that are out in the world name their partition."""

_REF: Final = re.compile(r"p(\d\d)-[a-z2-7]{20}")


@lru_cache(maxsize=4096)
def ref_of_call(call_id: str) -> str:
    """The ref of an inbound call: it follows from Bandwidth's id, so that any replica knows it at once."""
    digest = hashlib.sha256(call_id.encode()).digest()
    name = base64.b32encode(digest)[:20].decode().lower()
    return f"p{digest[-1] % PARTITIONS:02}-{name}"


def is_ref(text: str) -> bool:
    match = _REF.fullmatch(text)
    return match is not None and int(match[1]) < PARTITIONS


def partition_of_ref(ref: str) -> int:
    return int(ref[1:3])
