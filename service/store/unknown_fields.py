"""Carries along fields of a call that a newer release has written.

A field that has to follow what an older release does needs more: a new schema, by which that one leaves the
call alone.
"""

from typing import Final

import msgspec

_Fields = dict[str, msgspec.Raw]
_decode: Final = msgspec.json.Decoder(_Fields).decode
_encode: Final = msgspec.json.Encoder().encode
_NONE: Final = b""


def unknown_fields(text: bytes, known: msgspec.Struct) -> bytes:
    """The fields of a JSON object that `known`, which was read from it, does not have; empty for none.

    Raises msgspec.DecodeError.
    """
    if _encode(known) == text:
        return _NONE
    config, fields = known.__struct_config__, _decode(text)
    ours = {*known.__struct_encode_fields__, config.tag_field}
    return b"".join(b",%b:%b" % (_encode(name), raw) for name, raw in fields.items() if name not in ours)


def with_unknown_fields(text: bytes, kept: bytes) -> bytes:
    """The object with those fields; ours are not empty."""
    return text[:-1] + kept + b"}" if kept else text
