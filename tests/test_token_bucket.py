"""Token buckets: what anybody gets who asks in any way, and what they are told."""

import math
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from service.token_bucket import Bucket, RateLimit, take

ALLOWANCES = st.builds(RateLimit, st.floats(0.1, 100_000), st.integers(1, 1_000))
BEGINNINGS = st.floats(-1e6, 1e7)
"""A monotonic clock may begin anywhere."""
PAUSES = st.lists(st.floats(0, 3), min_size=1, max_size=80)
"""In the time in which a token comes back."""


def moments(begins: float, pauses: list[float], allowance: RateLimit) -> list[float]:
    found = [begins]
    for pause in pauses:
        found.append(found[-1] + pause * allowance.seconds_per_token)
    return found


@settings(derandomize=True, deadline=None)
@given(ALLOWANCES, BEGINNINGS, PAUSES)
def test_no_window_has_more_than_the_burst_and_what_comes_back_in_it(
    allowance: RateLimit, begins: float, pauses: list[float]
) -> None:
    bucket, granted = Bucket(), []
    for now in moments(begins, pauses, allowance):
        taken = take(bucket, allowance, now)
        bucket = taken.bucket
        if not taken.wait_seconds:
            granted.append(now)
    for first, start in enumerate(granted):
        for last in range(first, len(granted)):
            comes_back = (granted[last] - start + 1e-5) / allowance.seconds_per_token
            assert last - first + 1 <= allowance.burst + comes_back


@settings(derandomize=True, deadline=None)
@given(ALLOWANCES, BEGINNINGS, PAUSES)
def test_whoever_waits_as_told_is_let_in_and_not_a_moment_earlier(
    allowance: RateLimit, begins: float, pauses: list[float]
) -> None:
    bucket = Bucket()
    for now in moments(begins, pauses, allowance):
        taken = take(bucket, allowance, now)
        if taken.wait_seconds:
            assert 0 < taken.wait_seconds <= allowance.seconds_per_token * (1 + 1e-6) + 1e-5
            assert not take(taken.bucket, allowance, now + taken.wait_seconds).wait_seconds
            assert (
                take(taken.bucket, allowance, now + taken.wait_seconds / 2).wait_seconds
                or taken.wait_seconds < 1e-5
            )
        bucket = taken.bucket


@settings(derandomize=True, deadline=None)
@given(ALLOWANCES, BEGINNINGS, st.lists(st.floats(1.0001, 5), min_size=1, max_size=80))
def test_whoever_asks_no_faster_than_the_rate_is_never_refused(
    allowance: RateLimit, begins: float, pauses: list[float]
) -> None:
    bucket = Bucket()
    for now in moments(begins, pauses, allowance):
        taken = take(bucket, allowance, now)
        assert not taken.wait_seconds
        bucket = taken.bucket


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 500), BEGINNINGS)
def test_a_full_bucket_has_its_burst_at_once_and_is_full_again_after_a_pause(
    burst: int, begins: float
) -> None:
    allowance = RateLimit(60, burst)
    bucket = Bucket()
    for now in (begins, begins + burst * allowance.seconds_per_token):
        waits = []
        for _ in range(burst + 1):
            taken = take(bucket, allowance, now)
            bucket = taken.bucket
            waits.append(taken.wait_seconds)
        assert waits[:-1] == [0.0] * burst
        assert math.isclose(waits[-1], 1.0, abs_tol=1e-5)


@settings(derandomize=True, deadline=None)
@given(ALLOWANCES, BEGINNINGS, PAUSES)
def test_a_spell_begins_once_and_ends_when_the_bucket_is_full(
    allowance: RateLimit, begins: float, pauses: list[float]
) -> None:
    bucket, told = Bucket(), []
    for now in moments(begins, pauses, allowance):
        taken = take(bucket, allowance, now)
        assert taken.wait_seconds or not taken.is_first_refusal
        if taken.wait_seconds:
            was_full = bucket.full_at <= now
            assert taken.is_first_refusal == (not bucket.is_refusing or was_full)
        if taken.is_first_refusal:
            told.append((now, taken.bucket.full_at))
        bucket = taken.bucket
    for (_, full_at), (again, _) in pairwise(told):
        assert again >= full_at


def test_two_spells() -> None:
    allowance = RateLimit(60, 1)
    begins = []
    bucket = Bucket()
    for now in (0.0, 0.1, 0.2, 1.0, 1.5, 2.0, 2.5, 60.0, 60.1, 60.2):
        taken = take(bucket, allowance, now)
        bucket = taken.bucket
        begins.append(taken.is_first_refusal)
    #       let in, told, not again; let in the moment it is full: a spell of its own, and so on
    assert begins == [False, True, False, False, True, False, True, False, True, False]
