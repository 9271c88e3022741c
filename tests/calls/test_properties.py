"""What holds for every call, whatever comes, how often and in which order."""

from typing import Final

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from service.calls.decide import decide
from service.calls.model import OnMachine, Phone
from service.calls.room_settings import AloneAction
from tests.calls.call_model import CallModel
from tests.calls.control_event_builders import (
    DIALING_SECONDS,
    left_alone,
    not_placed,
    order_join,
    placed,
)
from tests.calls.event_builders import (
    FALLBACK,
    LEASE,
    OTHER_ROOM,
    ROOM,
    TOKEN_LIFE,
    asked_to_retry,
    disconnect,
)
from tests.calls.scenarios import ORDERS, Scenario, advance, advance_join, possible_webhooks
from tests.seeded import PHASES, SEED

PAUSES: Final = st.sampled_from(
    [*[0.0, 0.1, 1.0] * 5, LEASE - 0.1, LEASE, LEASE, 31.0, 61.0, DIALING_SECONDS, TOKEN_LIFE]
)
"""Seconds between two steps: nothing at all, and to either side of everything that runs out."""
PICKS: Final = st.integers(0, 7)


Draw = tuple[int, float, int, int]

STORIES: Final = st.builds(
    Scenario,
    name=st.sampled_from(["anything", "anything", "dialing", "moving"]),
    is_outbound=st.booleans(),
    is_early_join=st.booleans(),
    uses_bridge=st.booleans(),
    waits_for_others=st.booleans(),
    pin_attempts_allowed=st.sampled_from([0, 0, 2]),
    fallback_number=st.sampled_from(["", FALLBACK]),
    announcement=st.sampled_from(["", "Welcome."]),
    on_machine=st.sampled_from(OnMachine),
).map(lambda story: story._replace(is_outbound=story.is_outbound or story.name == "dialing"))


KINDS: Final = {
    "anything": "next next webhook join room order move placed work stall expire again",
    "dialing": "placed webhook webhook join room order work again",
    "moving": "go go move move work room again order webhook",
}
"""What may happen, by what a story is about: rare things meet each other only where they are not rare."""
USUAL: Final = "next", 1.0, 1, 0
"""A step in the direction of a call that is bridged, and remains so."""
BRIDGED: Final = 7
"""Steps after which it is."""
STEPS: Final = st.tuples(st.integers(0, 31), PAUSES, st.integers(0, 31), PICKS)
ENDING: Final = st.tuples(st.just("ending"), PAUSES, st.integers(0, 31), PICKS)
Step = tuple[str, float, int, int]


def _steps(story: Scenario, opening: int, before: list[Draw], ending: Step, after: list[Draw]) -> list[Step]:
    kinds = KINDS[story.name].split()
    usual = {"anything": opening, "dialing": 0, "moving": BRIDGED}[story.name]

    def steps(drawn: list[Draw]) -> list[Step]:
        return [(kinds[kind % len(kinds)], pause, which, pick) for kind, pause, which, pick in drawn]

    return [*[USUAL] * usual, *steps(before), ending, *steps(after)]


def _apply_step(story: Scenario, world: CallModel, step: Step) -> None:
    kind, pause, which, pick = step
    world.now += pause
    present = world.call.attempt if world.call else 1
    match kind:
        case "next":
            advance(story, world, which)
        case "webhook":
            # Mostly about the present attempt, sometimes about an older one.
            webhooks = possible_webhooks(story, world, max(present - pick // 5, 1))
            world.handle(webhooks[which % len(webhooks)])
        case "placed" if story.is_outbound:
            world.handle(placed() if pick else not_placed())
        case "order" if world.call:
            world.handle(ORDERS[pick])
        case "go" if world.call:
            world.handle(order_join([ROOM, OTHER_ROOM][pick % 2]))
        case "again" if world.repeatable:
            # Mostly what has just been told.
            world.handle(world.repeatable[-1 - which % min(len(world.repeatable), 4 * (pick + 1))])
        case "ending":
            _end(story, world, pick)
        case "expire":
            # A transfer whose leg never answered.
            world.now += TOKEN_LIFE
            world.handle(story.redirect_webhook())
        case _ if world.call:
            _work(story, world, step)


def _work(story: Scenario, world: CallModel, step: Step) -> None:
    """What replicas, workers and rooms do."""
    kind, _, which, pick = step
    match kind:
        case "join" if world.joins:
            advance_join(world, sorted(world.joins)[pick % len(world.joins)], which % 6)
        case "room":
            _deliver_room_event(world, which, pick)
        case "move":
            world.run_worker()
            if world.moves:
                world.finish_move((0, 0, 0, 1, 2, 3, 4)[which % 7])
        case "work":
            world.run_worker()
            if world.pending_room_events:
                world.handle(world.pending_room_events.pop(0))
        case "stall":
            # Long enough for another replica to take over, and for the worker to have seen to it.
            world.now += LEASE
            world.handle(story.redirect_webhook())
            world.run_worker()
        case _:
            pass


def _end(story: Scenario, world: CallModel, pick: int) -> None:
    call = world.call
    dialing = call is not None and call.phone is Phone.DIALING
    if dialing and call and not call.call_id and pick < 3:
        world.handle(not_placed())
    elif dialing and pick < 5:
        world.now += DIALING_SECONDS
        world.run_worker()
    else:
        world.handle(disconnect())


def _deliver_room_event(world: CallModel, which: int, pick: int) -> None:
    attempt = world.call.attempt if world.call else 1
    match which % 6:
        case 0:
            world.add_member()
        case 1:
            world.room_has_members = False
        case 2:
            world.handle(
                left_alone(attempt, room=[ROOM, OTHER_ROOM][pick % 2], then=[*AloneAction][pick // 4])
            )
        case 3 if pick < 5:
            world.close_room([ROOM, OTHER_ROOM][pick % 2])
        case _ if world.pending_room_events:
            world.handle(world.pending_room_events.pop(0))


@settings(derandomize=not SEED, phases=PHASES, deadline=None, max_examples=1000, database=None)
@given(
    story=STORIES,
    opening=st.integers(0, BRIDGED),
    before=st.lists(STEPS, min_size=8, max_size=30),
    ending=ENDING,
    after=st.lists(STEPS, max_size=10),
    fates=st.lists(st.integers(0, 4), min_size=40, max_size=40),
)
def test_a_call_in_any_order(
    story: Scenario, opening: int, before: list[Draw], ending: Step, after: list[Draw], fates: list[int]
) -> None:
    world = story.start()
    try:
        for step in _steps(story, opening, before, ending, after):
            _apply_step(story, world, step)
        for attempt in sorted(world.joins):
            world.now += 1
            advance_join(world, attempt, fates[attempt % len(fates)])
            if attempt in world.joins:
                world.finish_join(attempt, succeeds=True)
        world.assert_nothing_left()
    except AssertionError as error:
        error.add_note(world.describe_history())
        raise


@settings(derandomize=not SEED, phases=PHASES, deadline=None, max_examples=300, database=None)
@given(story=STORIES, opening=st.integers(0, BRIDGED), before=st.lists(STEPS, max_size=10))
def test_that_we_have_let_a_caller_go_may_be_known_after_its_end(
    story: Scenario, opening: int, before: list[Draw]
) -> None:
    """It is told once the store is back, and so is the end: by whichever replica comes first."""
    world = story.start()
    for step in _steps(story, opening, before, USUAL, []):
        _apply_step(story, world, step)
    call = world.call
    assume(call is not None and call.live and call.phone is not Phone.DIALING)
    assert call is not None
    let_go, over = asked_to_retry(answered=True, is_hung_up=True)(world.now + 1), disconnect()(world.now + 2)
    outcomes = set()
    for first, second in ((let_go, over), (over, let_go)):
        known = decide(decide(call, first).call, second).call
        assert known is not None
        outcomes.add((known.outcome, known.outage_hangup_at, known.ended_at))
    assert len(outcomes) == 1, outcomes
