"""Every two things that can happen one after the other, in every state of a call; then the phone goes."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

import pytest

from service.calls.model import Direction, OnMachine
from service.calls.room_settings import AloneAction
from tests.calls.call_model import CallModel
from tests.calls.control_event_builders import (
    dialing_timed_out,
    hold_time_up,
    left_alone,
    leg_answer,
    leg_disconnect,
    not_placed,
    order_hangup,
    order_hold,
    order_join,
    order_transfer,
    page_gone,
    placed,
    summoned,
    time_nearly_up,
    time_up,
)
from tests.calls.event_builders import OTHER_ROOM, ROOM, EventBuilder, disconnect
from tests.calls.scenarios import Scenario, advance, possible_webhooks

Action = Callable[[Scenario, CallModel], None]


def sample_scenario(
    *,
    dialed: bool = False,
    prepares: bool = False,
    ours: bool = False,
    waits: bool = False,
    asks: int = 0,
    announcement: str = "",
) -> Scenario:
    return Scenario("", dialed, prepares, ours, waits, asks, "", announcement, OnMachine.MESSAGE)


# What happens -----------------------------------------------------------------------------------------------


def event_action(cue: EventBuilder) -> Action:
    return lambda _story, world: world.handle(cue)


def join_ends(_story: Scenario, world: CallModel, *, well: bool) -> None:
    for attempt in sorted(world.joins)[-1:]:
        world.reserve_seat(attempt)
        world.commit_seat(attempt)
        world.finish_join(attempt, succeeds=well)


def join_dies(_story: Scenario, world: CallModel) -> None:
    for attempt in sorted(world.joins)[-1:]:
        world.reserve_seat(attempt)
        world.commit_seat(attempt)
        world.kill_join(attempt)


def move_ends(_story: Scenario, world: CallModel, *, how: int) -> None:
    world.run_worker()
    if world.moves:
        world.finish_move(how)


def run_worker(_story: Scenario, world: CallModel) -> None:
    world.now += 31.0
    world.run_worker()


def closes(_story: Scenario, world: CallModel, *, room: str) -> None:
    world.close_room(room)
    while world.pending_room_events:
        world.handle(world.pending_room_events.pop(0))


def repeat_last(_story: Scenario, world: CallModel) -> None:
    world.handle(world.repeatable[-1])


def of_present_attempt(number: int) -> Action:
    """A webhook of Bandwidth, by its place in the list of all."""

    def happens(story: Scenario, world: CallModel) -> None:
        webhooks = possible_webhooks(story, world, world.call.attempt if world.call else 1)
        world.handle(webhooks[number % len(webhooks)])

    return happens


def about_attempt(cue: Callable[[int], EventBuilder]) -> Action:
    return lambda _story, world: world.handle(cue(world.call.attempt if world.call else 1))


WEBHOOKS: Final = 16
ACTIONS: Final[tuple[Action, ...]] = (
    *map(of_present_attempt, range(WEBHOOKS)),
    partial(join_ends, well=True),
    partial(join_ends, well=False),
    join_dies,
    partial(move_ends, how=0),
    partial(move_ends, how=1),
    partial(move_ends, how=2),
    partial(move_ends, how=4),
    run_worker,
    repeat_last,
    partial(closes, room=ROOM),
    partial(closes, room=OTHER_ROOM),
    event_action(placed()),
    event_action(not_placed()),
    event_action(dialing_timed_out()),
    event_action(time_up()),
    event_action(time_nearly_up()),
    about_attempt(hold_time_up),
    event_action(page_gone()),
    event_action(summoned()),
    event_action(order_hold()),
    event_action(order_hold(limit=600)),
    event_action(order_join(ROOM)),
    event_action(order_join()),
    event_action(order_transfer()),
    event_action(order_hangup()),
    about_attempt(left_alone),
    about_attempt(partial(left_alone, then=AloneAction.WAIT)),
)


# Where it happens -------------------------------------------------------------------------------------------


class Start(NamedTuple):
    story: Scenario
    usual: int
    """Steps towards a call that is bridged."""
    then: tuple[Action, ...] = ()

    def begin(self) -> CallModel:
        world = self.story.start()
        for _ in range(self.usual):
            world.now += 1.0
            advance(self.story, world, 1)
        for happens in self.then:
            world.now += 1.0
            happens(self.story, world)
        return world


MOVING: Final = (event_action(order_join()), lambda _story, world: world.run_worker())
LEG_ENDS: Final = about_attempt(leg_disconnect)
STARTS: Final = {
    "making": Start(sample_scenario(), 1),
    "transferring": Start(sample_scenario(), 2),
    "bridged": Start(sample_scenario(), 3),
    "moving": Start(sample_scenario(), 3, MOVING),
    "moved": Start(sample_scenario(), 3, (*MOVING, partial(move_ends, how=0))),
    "on hold": Start(sample_scenario(), 3, (event_action(order_hold()),)),
    "elsewhere": Start(sample_scenario(), 3, (event_action(order_transfer()),)),
    "asked": Start(sample_scenario(asks=2), 1),
    "waiting": Start(sample_scenario(waits=True), 2),
    "dialed": Start(sample_scenario(dialed=True), 0),
    "dialed and hung up": Start(sample_scenario(dialed=True), 0, (event_action(order_hangup()),)),
    "preparing": Start(sample_scenario(dialed=True, prepares=True), 0),
    "prepared": Start(sample_scenario(dialed=True, prepares=True), 0, (partial(join_ends, well=True),)),
    "own leg asked for": Start(sample_scenario(ours=True), 1),
    "own leg rings": Start(sample_scenario(ours=True), 2),
    "own leg rings during the announcement": Start(sample_scenario(ours=True, announcement="Welcome."), 2),
    "own leg bridged": Start(sample_scenario(ours=True), 3),
    "own leg bridged and moving": Start(sample_scenario(ours=True), 3, MOVING),
    "own leg over": Start(sample_scenario(ours=True), 3, (LEG_ENDS,)),
    "own leg prepared": Start(
        sample_scenario(dialed=True, prepares=True, ours=True),
        0,
        (partial(join_ends, well=True), about_attempt(leg_answer)),
    ),
}


def _marks(world: CallModel) -> tuple[object, ...]:
    return len(world.history), world.owed, world.joins, world.moves, world.seats


def goes_on(start: Start, world: CallModel) -> Iterator[CallModel]:
    """Everything that can happen now, a moment later; what changes nothing is not worth following."""
    for happens in ACTIONS:
        other = world.fork()
        other.now += 1.0
        try:
            happens(start.story, other)
        except AssertionError as error:
            error.add_note(other.describe_history())
            raise
        if _marks(other) != _marks(world):
            yield other


def ends(start: Start, world: CallModel) -> None:
    """The phone goes, and what was under way comes to its end."""
    try:
        world.handle(
            disconnect(direction=Direction.OUTBOUND if start.story.is_outbound else Direction.INBOUND)
        )
        while world.joins:
            join_ends(start.story, world, well=True)
        world.assert_nothing_left()
    except AssertionError as error:
        error.add_note(world.describe_history())
        raise


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_two_things_one_after_the_other(start: Start) -> None:
    for once in goes_on(start, start.begin()):
        for twice in goes_on(start, once):
            ends(start, twice)
