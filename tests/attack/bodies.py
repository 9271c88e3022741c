"""Bodies as large as may be, in every shape that costs a reader something."""

import json
from collections.abc import Callable
from typing import Final
from uuid import uuid4

from tests.bench.callers import ACCOUNT

_SHAPES: Final[dict[str, Callable[[int], bytes]]] = {
    "nested arrays": lambda size: b"[" * (size // 2) + b"]" * (size // 2),
    "nested objects": lambda size: b'{"a":' * ((size - 1) // 6) + b"0" + b"}" * ((size - 1) // 6),
    "nested, without an end": lambda size: b"[" * size,
    "a long text": lambda size: b'"%s"' % (b"a" * (size - 2)),
    "a long number": lambda size: b"1" * size,
    "a long fraction": lambda size: b"0." + b"7" * (size - 2),
    "a large exponent": lambda size: b"1e" + b"9" * (size - 2),
    "many keys": lambda size: b"{%s}" % b",".join(b'"k%d":0' % one for one in range(size // 12)),
    "one key again and again": lambda size: b"{%s}" % b",".join([b'"k":0'] * (size // 6 - 1)),
    "many items": lambda size: b"[%s]" % b",".join([b"0"] * (size // 2 - 1)),
    "many empty objects": lambda size: b"[%s]" % b",".join([b"{}"] * (size // 3 - 1)),
    "escapes": lambda size: b'"%s"' % (rb"\u0041" * (size // 6 - 1)),
    "halves of characters": lambda size: b'"%s"' % (rb"\ud800" * (size // 6 - 1)),
    "backslashes": lambda size: b'"%s"' % (rb"\\" * (size // 2 - 1)),
    "no UTF-8": lambda size: b'"%s"' % (b"\xff" * (size - 2)),
    "zeros": lambda size: b"\0" * size,
    "blanks": lambda size: b" " * size,
}
SHAPES: Final = tuple(_SHAPES)

_EVENTS: Final = (
    "nonsense",
    "answer",
    "bridgeComplete",
    "conferenceCreated",
    "disconnect",
    "gather",
    "machineDetectionComplete",
    "redirect",
    "transferAnswer",
    "transferComplete",
    "transferDisconnect",
)
"""All but `initiate`, which begins a call that Bandwidth then has."""


def bare(size: int) -> list[bytes]:
    """Each shape by itself, and within an object under a name that nobody knows."""
    return [
        filled(size, before, after, shape)
        for shape in SHAPES
        for before, after in ((b"", b""), (b'{"x":', b"}"))
    ]


def webhooks(size: int) -> list[bytes]:
    """Each kind of event of a call that nobody knows, with each shape in a field that is read."""
    found = []
    for number, shape in enumerate(SHAPES):
        event = _EVENTS[number % len(_EVENTS)]
        known = {"eventType": event, "accountId": ACCOUNT, "callId": f"c-{uuid4()}", "to": "+15553000000"}
        before = json.dumps(known).removesuffix("}").encode() + b',"tag":'
        found.append(filled(size, before, b"}", shape))
    return found


def named(size: int, field: str) -> list[bytes]:
    """An object with one field, which is of each shape."""
    return [filled(size, b'{"%s":' % field.encode(), b"}", shape) for shape in SHAPES]


def filled(size: int, before: bytes, after: bytes, shape: str) -> bytes:
    """Of exactly this size."""
    value = _SHAPES[shape](size - len(before) - len(after))
    return (before + value + after).ljust(size)
