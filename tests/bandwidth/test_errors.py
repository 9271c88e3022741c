from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bandwidth.errors import (
    BandwidthError,
    Conflict,
    Misrouted,
    NotFound,
    error_for_status,
    error_text,
    invalid_response,
    parse_retry_after,
)

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("status", "code", "retry", "may_have_happened"),
    [
        (302, "invalid-response", False, True),
        (400, "bad-request", False, False),
        (401, "unauthorized", False, False),
        (403, "forbidden", False, False),
        (404, "misrouted", True, False),
        (405, "bad-request", False, False),
        (408, "timeout", True, True),
        (409, "conflict", True, False),
        (413, "bad-request", False, False),
        (415, "bad-request", False, False),
        (422, "bad-request", False, False),
        (429, "rate-limited", True, False),
        (500, "server-error", True, True),
        (501, "server-error", True, True),
        (502, "server-error", True, True),
        (503, "overloaded", True, True),
        (504, "server-error", True, True),
        (599, "server-error", True, True),
        (600, "invalid-response", False, True),
    ],
)
def test_what_a_status_means(
    status: int,
    code: str,
    retry: bool,
    may_have_happened: bool,
) -> None:
    error = error_for_status("ask", status)
    assert (error.code, error.retryable, error.may_have_happened) == (code, retry, may_have_happened)
    assert (error.operation, error.status, error.retry_after, error.detail) == ("ask", status, None, "")
    assert type(error) is {404: Misrouted, 409: Conflict}.get(status, BandwidthError)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"type":"validation","description":"call c-1 not found","id":null}', "not-found"),
        (b'{"description":"not found"}', "not-found"),
        (b'{"error":"Session not found","requestId":"3f"}', "not-found"),
        (b"", "misrouted"),
        (b"<html><body>no Route matched with those values</body></html>", "misrouted"),
        (b'{"message":"no Route matched with those values"}', "misrouted"),
        (b'{"error":"","description":null}', "misrouted"),
        (b'{"error":{"code":404}}', "misrouted"),
        (b'"not found"', "misrouted"),
        (b'["error"]', "misrouted"),
        (b'{"error":"not fou', "misrouted"),
        (b"\xff\xfe", "misrouted"),
    ],
)
def test_only_bandwidth_itself_says_what_is_not_there(body: bytes, code: str) -> None:
    error = error_for_status("ask", 404, body=body)
    assert (error.code, error.status, error.may_have_happened) == (code, 404, False)
    assert (type(error), error.retryable) == ((NotFound, False) if code == "not-found" else (Misrouted, True))


def test_an_unusable_answer_may_have_done_its_work() -> None:
    error = invalid_response("make", "empty token", status=200)
    assert (error.code, error.status, error.retryable) == ("invalid-response", 200, False)
    assert error.may_have_happened
    assert str(error) == "make: invalid-response (empty token)"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"type":"validation","description":"Call not found","id":null}', "Call not found"),
        (b'{"error":"no such session","requestId":"abc"}', "no such session"),
        (b'{"message":"Missing Authentication Token"}', "Missing Authentication Token"),
        (b'{"error":"invalid_client","error_description":"x"}', "invalid_client"),
        (b'{"description":null,"error":{"a":1},"message":"third"}', "third"),
        (b'{"other":1}', '{"other":1}'),
        (b"[1]", "[1]"),
        (b"<h1>502 Bad\r\n\tGateway</h1>", "<h1>502 Bad Gateway</h1>"),
        (b'{"message":"a\\u0000b\\u001b[31m\\u202ec\\nd"}', "a b [31m c d"),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}" * 2),
        (b'{"message":"\xff"}', '{"message":"\N{REPLACEMENT CHARACTER}"}'),
        (b"", ""),
    ],
)
def test_words(body: bytes, detail: str) -> None:
    assert error_text(body) == detail


def test_words_are_bounded() -> None:
    assert error_text(b"x" * 10_000) == "x" * 300
    assert error_text(b'{"message":"' + b"y" * 10_000 + b'"}') == "y" * 300
    assert error_text(b"[" * 10_000) == "[" * 300
    assert len(BandwidthError("ask", "timeout", detail="z" * 301).detail) == 300


@pytest.mark.parametrize("before", range(1180, 1205))
def test_no_part_of_a_number_is_left_where_words_are_cut(before: int) -> None:
    text = f"{' ' * before}9195550188, which is not called"
    assert "555" not in error_text(text.encode())
    assert "555" not in error_text(b'{"description":"' + text.encode() + b'"}')
    assert (
        "555" not in BandwidthError("ask", "bad-request", detail=f"{'-' * (before - 900)}9195550188").detail
    )


def test_what_an_error_says_in_brief_has_no_words_of_bandwidths() -> None:
    error = BandwidthError("create-call", "bad-request", detail="9195550188 is not ours, on account 9900123")
    assert error.brief == "create-call: bad-request"
    assert str(error) == "create-call: bad-request (********88 is not ours, on account *****23)"


@given(st.binary(max_size=400) | st.text().map(lambda text: text.encode(errors="surrogatepass")))
def test_words_are_one_printable_line(body: bytes) -> None:
    detail = error_text(body)
    assert len(detail) <= 300
    assert detail.replace(" ", "").isprintable()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 5 ", 5.0),
        (format_datetime(datetime.fromtimestamp(NOW + 90, UTC), usegmt=True), 90.0),
        (format_datetime(datetime.fromtimestamp(NOW - 90, UTC), usegmt=True), 0.0),
        ("Fri, 15 Jan 2027 08:00:30 -0000", 30.0),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("1e9", None),
        ("9" * 400, None),
        ("soon", None),
        ("Fri, 99 Jan 2027 08:00:30 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("\N{ARABIC-INDIC DIGIT FIVE}", None),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    assert parse_retry_after(header, now=NOW) == seconds
    assert error_for_status("ask", 503, headers={"retry-after": header}, now=NOW).retry_after == seconds


def test_a_date_to_wait_for_goes_by_the_clock_of_whoever_says_it() -> None:
    then = {"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"}
    for date, seconds in (("Fri, 15 Jan 2027 07:59:50 GMT", 40.0), ("soon", 30.0), ("", 30.0)):
        assert error_for_status("ask", 503, headers={**then, "date": date}, now=NOW).retry_after == seconds


@given(st.text())
def test_retry_after_is_never_nonsense(header: str) -> None:
    seconds = parse_retry_after(header, now=NOW)
    assert seconds is None or 0 <= seconds < 1e12
