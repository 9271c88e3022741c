from itertools import pairwise
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from service.bandwidth.breaker import FAILURE_THRESHOLD, MAX_PAUSE, MIN_PAUSE, Breaker

Step = tuple[float, Literal["ask", "succeed", "fail"]]
BLINK = 1e-6
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=3 * MAX_PAUSE) | st.just(0.0),
        # Mostly failures: otherwise it would hardly ever open.
        st.sampled_from(["ask", "ask", "fail", "fail", "fail", "succeed"]),
    ),
    max_size=60,
)


class BreakerHistory:
    """A breaker, and what it has been through since the last success."""

    def __init__(self, steps: list[Step]) -> None:
        self.breaker = Breaker()
        self.now = 100_000.0
        self.row = 0
        self.opened_at = 0.0
        self.let_through: list[float] = []
        for later, what in steps:
            self.now += later
            self.step(what)

    def step(self, what: Literal["ask", "succeed", "fail"]) -> None:
        if what == "succeed":
            self.breaker.record_success()
            self.row, self.let_through = 0, []
        elif what == "fail":
            self.breaker.record_failure(self.now)
            self.row += 1
            if self.row == FAILURE_THRESHOLD:
                self.opened_at = self.now
        else:
            self.ask()

    def ask(self) -> None:
        pause = self.breaker.allow(self.now)
        assert 0 <= pause <= MAX_PAUSE
        if self.row < FAILURE_THRESHOLD:
            assert pause == 0, "failed less often in a row than it takes, and is open"
        elif pause == 0:
            self.let_through.append(self.now)


@given(STEPS)
def test_it_is_open_after_so_many_failures_in_a_row_and_until_a_success(steps: list[Step]) -> None:
    assert (history := BreakerHistory(steps)).breaker.open == (history.row >= FAILURE_THRESHOLD)


@given(STEPS)
def test_one_request_goes_out_in_each_pause(steps: list[Step]) -> None:
    history = BreakerHistory(steps)
    if history.row >= FAILURE_THRESHOLD:
        moments = [history.opened_at, *history.let_through]
        pauses = [later - earlier for earlier, later in pairwise(moments)]
        for number, pause in enumerate(pauses):
            assert pause >= min(MIN_PAUSE * 2**number, MAX_PAUSE) - BLINK


@given(STEPS)
def test_no_history_keeps_it_from_trying_again(steps: list[Step]) -> None:
    """Also where no probe ever told what became of it."""
    history = BreakerHistory(steps)
    assert history.breaker.allow(history.now + MAX_PAUSE) == 0


@given(STEPS)
def test_the_next_probe_goes_when_it_was_said_to_go(steps: list[Step]) -> None:
    history = BreakerHistory(steps)
    if pause := history.breaker.allow(history.now):
        assert history.breaker.allow(history.now + pause / 2) > 0
        assert history.breaker.allow(history.now + pause + BLINK) == 0
        assert history.breaker.allow(history.now + pause + BLINK) > 0


@given(STEPS, st.integers(min_value=1, max_value=FAILURE_THRESHOLD - 1))
def test_a_success_makes_it_as_new(steps: list[Step], failures: int) -> None:
    history = BreakerHistory(steps)
    history.step("succeed")
    for _ in range(failures):
        history.step("fail")
        assert not history.breaker.open
        assert history.breaker.allow(history.now) == 0
    for _ in range(FAILURE_THRESHOLD - failures):
        history.step("fail")
    assert history.breaker.allow(history.now) == MIN_PAUSE


@given(st.floats(min_value=0, max_value=MIN_PAUSE, exclude_max=True), st.integers(0, 300))
def test_failures_of_requests_under_way_do_not_keep_it_open_for_longer(later: float, failures: int) -> None:
    breaker = Breaker()
    for _ in range(FAILURE_THRESHOLD):
        breaker.record_failure(0)
    for _ in range(failures):
        breaker.record_failure(later)
    assert breaker.allow(MIN_PAUSE) == 0


@given(st.lists(st.sampled_from("abcdefg"), max_size=60))
def test_failures_of_one_piece_of_work_are_one(pieces: list[str]) -> None:
    breaker = Breaker()
    for piece in pieces:
        breaker.record_failure(0, piece)
    assert breaker.open == (len(set(pieces)) >= FAILURE_THRESHOLD)


def test_pauses_grow_to_the_longest() -> None:
    breaker, now, pauses = Breaker(), 0.0, []
    for _ in range(FAILURE_THRESHOLD):
        breaker.record_failure(now)
    for _ in range(6):
        pauses.append(pause := breaker.allow(now))
        now += pause
        assert breaker.allow(now) == 0
        breaker.record_failure(now)
    assert pauses == [2, 4, 8, 10, 10, 10]
