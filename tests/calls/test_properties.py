"""What holds for every call, whatever comes, how often and in which order."""

from typing import Final

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from service.calls.decide import decide
from service.calls.model import OnMachine, Phone
from service.calls.room_settings import Then
from tests.calls.event_builders import (
    FALLBACK,
    LEASE,
    OTHER_ROOM,
    ROOM,
    TOKEN_LIFE,
    disconnect,
    turned_away,
)
from tests.calls.control_event_builders import (
    DIALING,
    left_alone,
    not_placed,
    order_join,
    placed,
)
from tests.calls.scenarios import ORDERS, Story, carry_on, go_on, webhooks_of
from tests.calls.call_model import World
from tests.seeded import PHASES, SEED

PAUSES: Final = st.sampled_from(
    [*[0.0, 0.1, 1.0] * 5, LEASE - 0.1, LEASE, LEASE, 31.0, 61.0, DIALING, TOKEN_LIFE]
)
"""Seconds between two steps: nothing at all, and to either side of everything that runs out."""
PICKS: Final = st.integers(0, 7)


Draw = tuple[int, float, int, int]

STORIES: Final = st.builds(
    Story,
    focus=st.sampled_from(["anything", "anything", "dialing", "moving"]),
    dialed=st.booleans(),
    prepares=st.booleans(),
    ours=st.booleans(),
    waits=st.booleans(),
    asks=st.sampled_from([0, 0, 2]),
    fallback=st.sampled_from(["", FALLBACK]),
    announcement=st.sampled_from(["", "Welcome."]),
    on_machine=st.sampled_from(OnMachine),
).map(lambda story: story._replace(dialed=story.dialed or story.focus == "dialing"))


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


def _steps(story: Story, opening: int, before: list[Draw], ending: Step, after: list[Draw]) -> list[Step]:
    kinds = KINDS[story.focus].split()
    usual = {"anything": opening, "dialing": 0, "moving": BRIDGED}[story.focus]

    def steps(drawn: list[Draw]) -> list[Step]:
        return [(kinds[kind % len(kinds)], pause, which, pick) for kind, pause, which, pick in drawn]

    return [*[USUAL] * usual, *steps(before), ending, *steps(after)]


def _take(story: Story, world: World, step: Step) -> None:
    kind, pause, which, pick = step
    world.now += pause
    present = world.call.attempt if world.call else 1
    match kind:
        case "next":
            go_on(story, world, which)
        case "webhook":
            # Mostly about the present attempt, sometimes about an older one.
            webhooks = webhooks_of(story, world, max(present - pick // 5, 1))
            world.tell(webhooks[which % len(webhooks)])
        case "placed" if story.dialed:
            world.tell(placed() if pick else not_placed())
        case "order" if world.call:
            world.tell(ORDERS[pick])
        case "go" if world.call:
            world.tell(order_join([ROOM, OTHER_ROOM][pick % 2]))
        case "again" if world.told:
            # Mostly what has just been told.
            world.tell(world.told[-1 - which % min(len(world.told), 4 * (pick + 1))])
        case "ending":
            _end(story, world, pick)
        case "expire":
            # A transfer whose leg never answered.
            world.now += TOKEN_LIFE
            world.tell(story.asks_again())
        case _ if world.call:
            _work(story, world, step)


def _work(story: Story, world: World, step: Step) -> None:
    """What replicas, workers and rooms do."""
    kind, _, which, pick = step
    match kind:
        case "join" if world.joins:
            carry_on(world, sorted(world.joins)[pick % len(world.joins)], which % 6)
        case "room":
            _hear_of_a_room(world, which, pick)
        case "move":
            world.work()
            if world.moves:
                world.finish_move((0, 0, 0, 1, 2, 3, 4)[which % 7])
        case "work":
            world.work()
            if world.news:
                world.tell(world.news.pop(0))
        case "stall":
            # Long enough for another replica to take over, and for the worker to have seen to it.
            world.now += LEASE
            world.tell(story.asks_again())
            world.work()
        case _:
            pass


def _end(story: Story, world: World, pick: int) -> None:
    call = world.call
    dialing = call is not None and call.phone is Phone.DIALING
    if dialing and call and not call.call_id and pick < 3:
        world.tell(not_placed())
    elif dialing and pick < 5:
        world.now += DIALING
        world.work()
    else:
        world.tell(disconnect())


def _hear_of_a_room(world: World, which: int, pick: int) -> None:
    attempt = world.call.attempt if world.call else 1
    match which % 6:
        case 0:
            world.come()
        case 1:
            world.company = False
        case 2:
            world.tell(left_alone(attempt, room=[ROOM, OTHER_ROOM][pick % 2], then=[*Then][pick // 4]))
        case 3 if pick < 5:
            world.close([ROOM, OTHER_ROOM][pick % 2])
        case _ if world.news:
            world.tell(world.news.pop(0))


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
    story: Story, opening: int, before: list[Draw], ending: Step, after: list[Draw], fates: list[int]
) -> None:
    world = story.begin()
    try:
        for step in _steps(story, opening, before, ending, after):
            _take(story, world, step)
        for attempt in sorted(world.joins):
            world.now += 1
            carry_on(world, attempt, fates[attempt % len(fates)])
            if attempt in world.joins:
                world.finish(attempt, well=True)
        world.end()
    except AssertionError as error:
        error.add_note(world.tell_tale())
        raise


@settings(derandomize=not SEED, phases=PHASES, deadline=None, max_examples=300, database=None)
@given(story=STORIES, opening=st.integers(0, BRIDGED), before=st.lists(STEPS, max_size=10))
def test_that_we_have_let_a_caller_go_may_be_known_after_its_end(
    story: Story, opening: int, before: list[Draw]
) -> None:
    """It is told once the store is back, and so is the end: by whichever replica comes first."""
    world = story.begin()
    for step in _steps(story, opening, before, USUAL, []):
        _take(story, world, step)
    call = world.call
    assume(call is not None and call.live and call.phone is not Phone.DIALING)
    assert call is not None
    let_go, over = turned_away(answered=True, let_go=True)(world.now + 1), disconnect()(world.now + 2)
    outcomes = set()
    for first, second in ((let_go, over), (over, let_go)):
        known = decide(decide(call, first).call, second).call
        assert known is not None
        outcomes.add((known.outcome, known.let_go_at, known.ended_at))
    assert len(outcomes) == 1, outcomes
