"""Packs and unpacks the entries of a call's timeline."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from service.calls.request_record import RequestRecord
from service.store.compression import decompress_text
from service.store.script_values import nearest_ms

_NEW: Final = "new"
_encode: Final = msgspec.json.Encoder().encode


def pack_entry(entry: Mapping[str, Any]) -> bytes:
    """Each request as a list of its values, with milliseconds from it to the entry in place of its time."""
    kept = dict(entry)
    if kept.get("before") == _NEW:
        del kept["before"]
    if sent := kept.get("requests"):
        kept["requests"] = [[nearest_ms(entry["at"] - one.at), *_without_defaults(one)] for one in sent]
    return _encode(kept)


def unpack_entry(text: bytes) -> dict[str, Any]:
    """Raises msgspec.DecodeError. What an older release has kept is as it is shown."""
    entry: dict[str, Any] = msgspec.json.decode(decompress_text(text))
    if "after" in entry:
        entry.setdefault("before", _NEW)
    if sent := entry.get("requests"):
        entry["requests"] = [_unpack_request(entry["at"], one) for one in sent]
    return entry


def _without_defaults(request: RequestRecord) -> list[Any]:
    values = list(astuple(request)[1:])
    for default in reversed(RequestRecord.__struct_defaults__):
        if values[-1] != default:
            break
        values.pop()
    return values


def _unpack_request(at: float, kept: Any) -> Any:
    if not isinstance(kept, list):
        return kept
    before, *values = kept
    return msgspec.to_builtins(RequestRecord(round(at - before / 1000, 3), *values))
