"""When what has failed is tried again: how long by ourselves, and how long because Bandwidth says so."""

from typing import get_args

import pytest

from service.calls.effects import (
    CheckCall,
    DeleteParticipant,
    DeleteSession,
    Effect,
    FreeSeat,
    HangUpLeg,
    HangUpPhone,
    LeaveRoom,
    PrepareParticipant,
    RemoveParticipant,
)
from service.engine.outbox.retries import MAX_RETRY_AFTER, backoff, capped_retry_after
from tests.sample_effects import sample

KINDS: tuple[type[Effect], ...] = get_args(Effect)


@pytest.mark.parametrize(
    ("tries", "jitter", "seconds"), [(0, 1.0, 0.5), (0, 0.0, 0.25), (3, 1.0, 4.0), (30, 1.0, 60.0)]
)
def test_how_long_to_wait(tries: int, jitter: float, seconds: float) -> None:
    assert backoff(tries, jitter) == seconds


def test_every_effect_has_an_end_of_what_it_obeys() -> None:
    assert set(MAX_RETRY_AFTER) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_hour_is_not_obeyed(kind: type[Effect]) -> None:
    effect = sample(kind)
    assert capped_retry_after(effect, None) == 0
    assert capped_retry_after(effect, 7) == 7
    assert capped_retry_after(effect, 3600) == MAX_RETRY_AFTER[kind] <= 300


@pytest.mark.parametrize(
    ("kinds", "seconds"),
    [
        ((HangUpPhone, HangUpLeg, LeaveRoom, FreeSeat), 10),
        ((RemoveParticipant, DeleteParticipant, DeleteSession), 20),
        ((CheckCall, PrepareParticipant), 300),
    ],
)
def test_how_long_it_is_obeyed(kinds: tuple[type[Effect], ...], seconds: float) -> None:
    assert {MAX_RETRY_AFTER[kind] for kind in kinds} == {seconds}
