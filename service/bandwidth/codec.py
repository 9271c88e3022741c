"""Encodes ids in paths, and JSON in both directions, for both APIs."""

import re
from typing import TypeVar

import msgspec

from service.bandwidth.api_client import Response
from service.bandwidth.errors import BandwidthError, invalid_response
from service.bandwidth.validation import check_id, is_id

T = TypeVar("T")
encode = msgspec.json.encode


def path_segment(name: str, value: str) -> str:
    """An id as one path_segment of a path. Raises ValueError for what can be no id."""
    check_id(name, value)
    return value


def account_base(base_url: str, account_id: str) -> str:
    return f"{base_url.rstrip('/')}/accounts/{path_segment('account_id', account_id)}"


def decode(operation: str, response: Response, shape: type[T]) -> T:
    """A response body as `shape`, fields it does not know left aside.

    Raises BandwidthError `invalid-response`. It does not quote the body, which may hold a device token.
    """
    try:
        return msgspec.json.decode(response.body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unusable_response(operation, response, type(error).__name__) from None


def checked_id(operation: str, response: Response, value: str) -> str:
    """An id out of a response, fit to be used in later requests."""
    if not is_id(value):
        raise unusable_response(operation, response, "not an id")
    return value


def created_id(response: Response, *path: str) -> str:
    """Of what a create has made, also out of a body that is broken or lacks all else; empty for none.

    `path`: the names that lead to it. The body has to begin as an object does: the page of somebody in
    between may have ids of its own.
    """
    *outer, last = [re.escape(name).encode() for name in path]
    within = b"".join(rb'.*?"%b"\s*:\s*\{' % name for name in outer)
    pattern = rb'\s*\{%b[^{}]*?"%b"\s*:\s*"([!#-\[\]-~]{1,200})"' % (within, last)
    found = re.match(pattern, response.body, re.DOTALL)
    id_ = found[1].decode() if found else ""
    return id_ if is_id(id_) else ""


def unusable_response(operation: str, response: Response, why: str) -> BandwidthError:
    return invalid_response(operation, why, status=response.status)
