"""What holds for every call, whatever comes, how often and in which order."""

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from service.calls.model import Media
from tests.calls.cues import (
    FALLBACK,
    LEASE,
    TOKEN_LIFE,
    Cue,
    answer,
    disconnect,
    initiate,
    redirect,
    transfer_answer,
    transfer_complete,
    transfer_disconnect,
    unknown,
    vanished,
)
from tests.calls.world import World

PAUSES: Final = st.sampled_from([0.0, 0.0, 0.1, 1.0, 1.0, LEASE - 0.1, LEASE, 31.0, TOKEN_LIFE])
"""Seconds between two steps: nothing at all, and to either side of everything that runs out."""
PICKS: Final = st.integers(0, 7)


def _webhooks(attempt: int, fallback: str) -> list[Cue]:
    """Everything that Bandwidth may say about a call at this attempt."""
    return [
        initiate(fallback=fallback),
        answer(fallback=fallback),
        redirect(fallback=fallback),
        redirect(answered=False, fallback=fallback),
        transfer_answer(attempt),
        transfer_answer(attempt, tag=""),
        transfer_disconnect(attempt),
        transfer_complete(attempt),
        transfer_complete(attempt, "timeout"),
        vanished(attempt),
        unknown(),
    ]


WEBHOOKS: Final = len(_webhooks(1, ""))
STEPS: Final = st.one_of(
    st.tuples(st.just("next"), PAUSES, st.integers(0, 2), PICKS),
    st.tuples(st.just("webhook"), PAUSES, st.integers(0, WEBHOOKS - 1), PICKS),
    st.tuples(st.just("join"), PAUSES, st.integers(0, 5), PICKS),
    st.tuples(st.just("work"), PAUSES, st.just(0), st.just(0)),
    st.tuples(st.just("stall"), PAUSES, st.just(0), st.just(0)),
    st.tuples(st.just("again"), PAUSES, st.integers(0, 30), PICKS),
)
ENDING: Final = st.tuples(st.just("disconnect"), PAUSES, st.just(0), st.just(0))
Step = tuple[str, float, int, int]


def _take(world: World, step: Step, fallback: str) -> None:
    kind, pause, which, pick = step
    world.now += pause
    present = world.call.attempt if world.call else 1
    match kind:
        case "next":
            _go_on(world, which, fallback)
        case "webhook":
            # Mostly about the present attempt, sometimes about an older one.
            attempt = max(present - pick // 5, 1)
            world.tell(_webhooks(attempt, fallback)[which])
        case "join" if world.joins:
            # 5 reserves its seat and no more.
            _carry_on(world, sorted(world.joins)[pick % len(world.joins)], which)
        case "work":
            world.work()
        case "stall":
            # Long enough for another replica to take over, and for the worker to have seen to it.
            world.now += LEASE
            world.tell(redirect(fallback=fallback))
            world.work()
        case "again" if world.told:
            world.tell(world.told[which % len(world.told)])
        case "disconnect":
            world.tell(disconnect())


def _go_on(world: World, which: int, fallback: str) -> None:
    """What usually comes next, so that the odd things come to calls that have got somewhere."""
    call = world.call
    if call is None:
        world.tell(
            [initiate(fallback=fallback), answer(fallback=fallback), redirect(fallback=fallback)][which]
        )
    elif call.media is Media.MAKING and call.attempt in world.joins:
        _carry_on(world, call.attempt, which + 2 if which else 1)
    else:
        following = {
            Media.NONE: transfer_complete(call.attempt),
            Media.MAKING: redirect(fallback=fallback),
            Media.TRANSFERRING: transfer_answer(call.attempt),
            Media.BRIDGED: [transfer_disconnect, transfer_complete, vanished][which](call.attempt),
            Media.LEAVING: transfer_complete(call.attempt),
        }
        world.tell(following[call.media])


def _carry_on(world: World, attempt: int, which: int) -> None:
    """A join goes on, ends, or dies with its replica."""
    world.reserve(attempt)
    match which:
        case 0:
            world.kill(attempt)
        case 1:
            world.finish(attempt, well=False)
        case 2:
            world.enter(attempt)
        case 3 | 4:
            world.enter(attempt)
            world.finish(attempt, well=True)


@settings(derandomize=True, deadline=None, max_examples=500, database=None)
@given(
    before=st.lists(STEPS, max_size=30),
    ending=ENDING,
    after=st.lists(STEPS, max_size=10),
    fates=st.lists(st.integers(0, 4), min_size=40, max_size=40),
    fallback=st.sampled_from(["", FALLBACK]),
)
def test_a_call_in_any_order(
    before: list[Step], ending: Step, after: list[Step], fates: list[int], fallback: str
) -> None:
    world = World()
    for step in [*before, ending, *after]:
        _take(world, step, fallback)
    for attempt in sorted(world.joins):
        world.now += 1
        _carry_on(world, attempt, fates[attempt % len(fates)])
        if attempt in world.joins:
            world.finish(attempt, well=True)
    world.end()
