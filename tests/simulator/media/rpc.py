"""JSON-RPC as the SDK's client library speaks it: one object for each text frame."""

from typing import Any

import msgspec


class RpcCall(msgspec.Struct, frozen=True):
    """From the client; without an id nobody waits for an answer. `params` may be null or left out."""

    method: str
    params: dict[str, Any] | None = None
    id: int | str | None = None


class RpcError(Exception):
    """Becomes the error of a reply."""


def read(frame: str) -> RpcCall:
    """Raises msgspec.DecodeError."""
    return msgspec.json.decode(frame, type=RpcCall)


def result(to: RpcCall, value: dict[str, Any]) -> str:
    """A reply carries exactly one of `result` and `error`; an empty object is a fine result."""
    return _text({"id": to.id, "result": value})


def error(to: RpcCall, message: str) -> str:
    return _text({"id": to.id, "error": {"code": -32000, "message": message}})


def notification(method: str, params: dict[str, Any]) -> str:
    """Never with an id: it would be taken for the reply to a call."""
    return _text({"method": method, "params": params})


def _text(content: dict[str, Any]) -> str:
    return msgspec.json.encode({"jsonrpc": "2.0"} | content).decode()
