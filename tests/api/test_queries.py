"""The query of the list of calls: what is taken, and what is told of the rest."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from handlers.api import queries
from handlers.api.paging import cursor_of
from handlers.http.problems import Problem
from service.calls.model import Direction, Status

REF = "p01-" + "a" * 20


def parsed(text: str) -> queries.CallQuery:
    return queries.parse(QueryParams(text))


def test_nothing_means_all() -> None:
    query = parsed("")
    assert query.matches_all
    assert (query.limit, query.before, query.since, query.until) == (50, None, None, None)


def test_everything_at_once() -> None:
    query = parsed("state=bridged&room=sales&direction=outbound&limit=7")
    assert (query.state, query.room, query.direction) == (Status.BRIDGED, "sales", Direction.OUTBOUND)
    assert query.limit == 7
    assert not query.matches_all


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("1970-01-01t00:00:01.5z", 1.5),
        ("1970-01-01T00:00:01.123456789Z", 1.123456),
        ("1970-01-01T01:00:00%2B01:00", 0.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("1969-12-31T23:00:00-01:00", 0.0),
        ("2016-12-31T23:59:60Z", 1483228800.0),
        ("0001-01-01T00:00:00%2B23:59", -62135683140.0),
        ("9999-12-31T23:59:60-23:59", 253402387140.0),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert parsed(f"since={text}").since == parsed(f"until={text}").until == seconds


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("state=", "state"),
        ("state=BRIDGED", "state"),
        ("state=bridged&state=ended", "state"),
        ("room=per-call", "room"),
        ("room=Sales", "room"),
        ("room=sales%0A", "room"),
        ("direction=up", "direction"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=ten", "limit"),
        ("limit=1.0", "limit"),
        ("limit=%2B5", "limit"),
        ("limit=٣", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("since=yesterday", "since"),
        ("since=2026-01-31", "since"),
        ("since=20260131T000000Z", "since"),
        ("since=2026-01-31T00:00:00", "since"),
        ("since=2026-02-30T00:00:00Z", "since"),
        ("since=2026-01-31T24:00:00Z", "since"),
        ("until=2026-01-31T00:00:00%2B24:00", "until"),
        ("until=1769817600", "until"),
        ("cursor=", "cursor"),
        ("cursor=!", "cursor"),
        ("cursor=A", "cursor"),
        ("cursor=" + base64.urlsafe_b64encode(b'[1,"x"]').decode(), "cursor"),
        ("cursor=" + base64.urlsafe_b64encode(b"[1e308]").decode(), "cursor"),
        ("cursor=" + base64.urlsafe_b64encode(json.dumps([1e308, REF]).encode()).decode(), "cursor"),
        ("cursor=" + base64.urlsafe_b64encode(json.dumps([-1, REF]).encode()).decode(), "cursor"),
    ],
)
def test_what_is_refused(text: str, field: str) -> None:
    with pytest.raises(Problem) as raised:
        parsed(text)
    assert (raised.value.status, raised.value.members) == (422, {"field": field})


@given(st.floats(0, 1e11), st.from_regex(r"p(0[0-9]|1[0-5])-[a-z2-7]{20}", fullmatch=True))
def test_a_cursor_leads_back_to_its_place(at: float, ref: str) -> None:
    assert parsed(f"cursor={cursor_of((at, ref))}").before == (at, ref)


@given(st.text())
def test_no_cursor_breaks_anything(text: str) -> None:
    told = None
    try:
        queries.parse(QueryParams([("cursor", text)]))
    except Problem as problem:
        told = problem
    assert told is None or told.members == {"field": "cursor"}
