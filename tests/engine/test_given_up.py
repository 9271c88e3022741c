"""Hanging up and taking down: what is not known at Bandwidth, and who else answers for it, is asked again."""

import pytest
from structlog.testing import capture_logs

from service.bandwidth.errors import BandwidthError, NotFound
from service.calls.effects import (
    AbandonableEffect,
    DeleteParticipant,
    DeleteSession,
    EndDialing,
    HangUpLeg,
    HangUpPhone,
    PrepareParticipant,
    RedirectPhone,
    RemoveParticipant,
)
from service.calls.events import DialingTimedOut
from service.calls.model import Media, Phone
from service.engine.outbox.protocols import RetryLater
from tests.engine.test_effect_executor import REF, SEAT, UNKNOWN
from tests.engine.test_reconciler import Bench, bench, client, living

__all__ = ["bench", "client"]


def phone_effects(call_id: str) -> list[AbandonableEffect]:
    return [HangUpPhone(call_id), HangUpLeg(call_id), RedirectPhone(call_id, REF, 1)]


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("status", [404, 409])
async def test_a_phone_that_has_gone_is_asked_after_once(bench: Bench, which: int, status: int) -> None:
    call_id = await living(bench.simulator)
    await bench.simulator.phones[-1].hang_up()
    bench.simulator.faults.add("updateCall", status=status)
    bench.simulator.requests.clear()
    await bench.performer.execute(phone_effects(call_id)[which], attempt=1)
    assert [one.operation for one in bench.simulator.requests] == ["updateCall", "getCall"]


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("status", [404, 409])
async def test_a_phone_that_lives_is_asked_again(bench: Bench, which: int, status: int) -> None:
    """404 and 409 come from copies that lag behind, too."""
    effect = phone_effects(await living(bench.simulator))[which]
    bench.simulator.faults.add("updateCall", status=status)
    with pytest.raises(BandwidthError) as error:
        await bench.performer.execute(effect, attempt=1)
    assert not isinstance(error.value, NotFound)
    assert error.value.retryable
    await bench.simulator.phones[-1].hang_up()


@pytest.mark.parametrize("effect", phone_effects("c-1"), ids=lambda one: type(one).__name__)
async def test_a_phone_that_nobody_knows_is_given_up_in_the_end(
    bench: Bench, effect: AbandonableEffect
) -> None:
    await given_up(bench, effect)


REMOVALS: list[tuple[AbandonableEffect, str]] = [
    (RemoveParticipant(SEAT, UNKNOWN, UNKNOWN), "removeParticipantFromSession"),
    (DeleteParticipant(SEAT, UNKNOWN), "deleteParticipant"),
    (DeleteSession(UNKNOWN), "deleteSession"),
    (HangUpPhone("c-1"), "updateCall"),
    (HangUpLeg("c-1"), "updateCall"),
    (RedirectPhone("c-1", REF, 1), "updateCall"),
]


@pytest.mark.parametrize(("effect", "operation"), REMOVALS, ids=lambda one: type(one).__name__)
async def test_what_somebody_in_between_says_is_asked_again(
    bench: Bench, effect: AbandonableEffect, operation: str
) -> None:
    bench.simulator.faults.add(operation, status=404, page=True, times=None)
    await given_up(bench, effect)


async def tried(bench: Bench, effect: AbandonableEffect) -> RetryLater | None:
    try:
        await bench.performer.execute(effect, attempt=1)
    except RetryLater as again:
        return again
    return None


async def given_up(bench: Bench, effect: AbandonableEffect) -> None:
    """After five answers over ten minutes; with one less, or sooner, it is still owed."""
    begun, answers = bench.clock.now(), 0
    with capture_logs() as lines:
        while (again := await tried(bench, effect)) is not None:
            answers += 1
            assert answers < 5 or bench.clock.now() - begun < 600
            assert isinstance(again.replacement, type(effect))
            assert again.replacement.looks.count == answers
            effect = again.replacement
            bench.clock.advance(again.delay)
        answers += 1
    assert answers >= 5
    assert 600 <= bench.clock.now() - begun < 900
    [line] = [line for line in lines if line["event"] == "effect.given_up"]
    assert line["log_level"] == "warning"


async def test_a_participant_that_cannot_be_prepared_is_given_up_at_the_fourth_try(bench: Bench) -> None:
    effect = PrepareParticipant("lobby")
    bench.simulator.faults.add("createParticipant", status=403, times=None)
    with capture_logs() as lines:
        for attempt in (1, 2, 3):
            with pytest.raises(RetryLater):
                await bench.performer.execute(effect, attempt=attempt)
        assert [line for line in lines if line["event"] == "prepared.given_up"] == []
        await bench.performer.execute(effect, attempt=4)
    [line] = [line for line in lines if line["event"] == "prepared.given_up"]
    assert (line["log_level"], line["attempt"]) == ("warning", 4)


async def test_a_dialed_call_that_cannot_be_ended_is_over_in_the_end(bench: Bench) -> None:
    call = await bench.know("c-1", media=Media.READY, phone=Phone.DIALING)
    await given_up(bench, EndDialing(call.ref))
    assert [event for _, event in bench.engine.handled].count(DialingTimedOut) == 1
    assert bench.engine.handled[-1] == (call.ref, DialingTimedOut)
