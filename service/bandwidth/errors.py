"""Defines the errors of requests to Bandwidth.

Exception
└── BandwidthError      any request that did not bring what it should; `code` says which way
    ├── NotFound        404 in Bandwidth's own words: the call, session or participant is not there (any more)
    ├── Misrouted       any other 404: somebody in between has no route, and says nothing about what is there
    └── Conflict        409: it is there, but not in a state that allows this
"""

import unicodedata
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import msgspec

from service.calls.numbers import hide_numbers

DETAIL_LIMIT = 300
_READ = 4 * DETAIL_LIMIT
"""Characters of a text that are looked at: more than are kept, as white space is folded."""
_LONGEST_DATE = 64
"""Characters; a date as RFC 9110 has it is 29 long."""


class BandwidthError(Exception):
    """A request to Bandwidth failed.

    `code` is one of the codes of `MEANINGS`, or `misrouted`, `timeout`, `unreachable`, `invalid-response`,
    `no-token`, or `paused`: not sent, because the API is down; `retry_after` says when one is sent again.
    `retryable`: sending the same idempotent request again makes sense. `retry_after`: Bandwidth's wish, in
    seconds. `detail`: Bandwidth's words, one line, numbers hidden. `may_have_happened`: the effect may exist
    at Bandwidth although we were not told so. `created_id`: the id of what a create has made all the same,
    where it can be read; nothing else of the answer is of use, so that it has to be taken down.
    """

    def __init__(
        self,
        operation: str,
        code: str,
        *,
        status: int | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        detail: str = "",
        may_have_happened: bool = False,
        created_id: str = "",
    ) -> None:
        self.operation = operation
        self.code = code
        self.status = status
        self.retryable = retryable
        self.retry_after = retry_after
        self.detail = one_line(detail)
        self.may_have_happened = may_have_happened
        self.created_id = created_id
        super().__init__(self.brief + (f" ({self.detail})" if self.detail else ""))

    @property
    def brief(self) -> str:
        """Without Bandwidth's own words, for whoever is not to see what may be in them."""
        return f"{self.operation}: {self.code}"


class NotFound(BandwidthError):
    """404, as Bandwidth says it. On updateCall also a call that ended a while ago (voice API, errors page).

    Once is not the truth: a copy that lags behind says so too.
    """


class Misrouted(BandwidthError):
    """404 without an error body of Bandwidth's: a gateway's or a proxy's page, or nothing at all."""


class Conflict(BandwidthError):
    """409. On updateCall: queued, not yet answered or just ended (voice API, errors page).

    On addParticipantToSession no document says what it means; a participant may be in one session only,
    and a session holds 20.
    """


class StatusMeaning(NamedTuple):
    code: str
    retryable: bool
    may_have_happened: bool


# Statuses as the voice API's errors page and the WebRTC specification list them, plus what proxies in
# between answer. Anything else is read by its hundred.
MEANINGS: dict[int, StatusMeaning] = {
    400: StatusMeaning("bad-request", retryable=False, may_have_happened=False),
    401: StatusMeaning("unauthorized", retryable=False, may_have_happened=False),
    403: StatusMeaning("forbidden", retryable=False, may_have_happened=False),
    404: StatusMeaning("not-found", retryable=False, may_have_happened=False),
    405: StatusMeaning("bad-request", retryable=False, may_have_happened=False),
    408: StatusMeaning("timeout", retryable=True, may_have_happened=True),
    409: StatusMeaning("conflict", retryable=True, may_have_happened=False),
    415: StatusMeaning("bad-request", retryable=False, may_have_happened=False),
    429: StatusMeaning("rate-limited", retryable=True, may_have_happened=False),
    500: StatusMeaning("server-error", retryable=True, may_have_happened=True),
    503: StatusMeaning("overloaded", retryable=True, may_have_happened=True),
}
BY_STATUS_CLASS: dict[int, StatusMeaning] = {
    3: StatusMeaning("invalid-response", retryable=False, may_have_happened=True),
    4: StatusMeaning("bad-request", retryable=False, may_have_happened=False),
    5: StatusMeaning("server-error", retryable=True, may_have_happened=True),
}
UNKNOWN_STATUS = StatusMeaning("invalid-response", retryable=False, may_have_happened=True)
SUBCLASSES: dict[int, type[BandwidthError]] = {404: NotFound, 409: Conflict}
_MISROUTED = StatusMeaning("misrouted", retryable=True, may_have_happened=False)


def meaning(status: int) -> StatusMeaning:
    return MEANINGS.get(status) or BY_STATUS_CLASS.get(status // 100, UNKNOWN_STATUS)


def error_for_status(
    operation: str,
    status: int,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    now: float = 0.0,
) -> BandwidthError:
    """The error for a response that is not 2xx. `now`: seconds since the epoch, for a dated Retry-After.

    That is the time of whoever answered, where the answer says what time it is there.
    """
    headers = headers or {}
    there = parse_http_date(headers.get("date", ""))
    means, kind = meaning(status), SUBCLASSES.get(status, BandwidthError)
    if kind is NotFound and not is_bandwidth_error_body(body):
        means, kind = _MISROUTED, Misrouted
    return kind(
        operation,
        means.code,
        status=status,
        retryable=means.retryable,
        retry_after=parse_retry_after(headers.get("retry-after", ""), now=now if there is None else there),
        detail=error_text(body),
        may_have_happened=means.may_have_happened,
    )


def invalid_response(operation: str, detail: str, *, status: int | None = None) -> BandwidthError:
    """The request was carried out, as far as one can tell, but the answer cannot be used."""
    return BandwidthError(operation, "invalid-response", status=status, detail=detail, may_have_happened=True)


def parse_retry_after(retry_after: str, *, now: float) -> float | None:
    """Reads a Retry-After header: seconds or an HTTP date (RFC 9110, 10.2.3); None when it is neither."""
    text = retry_after.strip()
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return float(text)
    then = parse_http_date(text)
    return None if then is None else max(0.0, then - now)


def parse_http_date(text: str) -> float | None:
    """Since the epoch, of an HTTP date; None for what is none."""
    if not text or len(text) > _LONGEST_DATE:
        return None
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


class _Body(msgspec.Struct):
    """The three error bodies in one: voice `description`, sessions `error`, gateway `message`."""

    description: Any = None
    error: Any = None
    message: Any = None


def is_bandwidth_error_body(body: bytes) -> bool:
    """Whether a 404 has the error body of the voice or of the sessions API.

    A gateway's own `message` is about its routes (WebRTC specification: it is what 401 and 403 come with).
    """
    known = _body(body)
    return any(isinstance(words, str) and words for words in (known.description, known.error))


def _body(body: bytes) -> _Body:
    try:
        return msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Body()


def error_text(body: bytes) -> str:
    """What an error body says to a human reader; the body itself when it has none of the known shapes."""
    known = _body(body)
    for found in (known.description, known.error, known.message):
        if isinstance(found, str) and found:
            return one_line(found)
    return one_line(body[: 4 * _READ].decode(errors="replace"))


def one_line(text: str) -> str:
    """Fit for a log: no control, format and surrogate characters, numbers hidden; 300 characters."""
    visible = "".join(" " if unicodedata.category(char).startswith("C") else char for char in text[:_READ])
    if len(text) > _READ:
        # What is left of a number that was cut off may be too short to be known for one.
        visible = visible.rstrip("0123456789 .-()/+")
    return hide_numbers(" ".join(visible.split()))[:DETAIL_LIMIT]
