"""Every two things that can happen one after the other, in every state of a call; then the phone goes."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

import pytest

from service.calls.model import Direction, OnMachine
from service.calls.room_settings import Then
from tests.calls.event_builders import OTHER_ROOM, ROOM, Cue, disconnect
from tests.calls.control_event_builders import (
    dialing_over,
    hold_up,
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
    time_short,
    time_up,
)
from tests.calls.scenarios import Story, go_on, webhooks_of
from tests.calls.call_model import World

Happening = Callable[[Story, World], None]


def a_story(
    *,
    dialed: bool = False,
    prepares: bool = False,
    ours: bool = False,
    waits: bool = False,
    asks: int = 0,
    announcement: str = "",
) -> Story:
    return Story("", dialed, prepares, ours, waits, asks, "", announcement, OnMachine.MESSAGE)


# What happens -----------------------------------------------------------------------------------------------


def tells(cue: Cue) -> Happening:
    return lambda _story, world: world.tell(cue)


def join_ends(_story: Story, world: World, *, well: bool) -> None:
    for attempt in sorted(world.joins)[-1:]:
        world.reserve(attempt)
        world.enter(attempt)
        world.finish(attempt, well=well)


def join_dies(_story: Story, world: World) -> None:
    for attempt in sorted(world.joins)[-1:]:
        world.reserve(attempt)
        world.enter(attempt)
        world.kill(attempt)


def move_ends(_story: Story, world: World, *, how: int) -> None:
    world.work()
    if world.moves:
        world.finish_move(how)


def works(_story: Story, world: World) -> None:
    world.now += 31.0
    world.work()


def closes(_story: Story, world: World, *, room: str) -> None:
    world.close(room)
    while world.news:
        world.tell(world.news.pop(0))


def again(_story: Story, world: World) -> None:
    world.tell(world.told[-1])


def of_present_attempt(number: int) -> Happening:
    """A webhook of Bandwidth, by its place in the list of all."""

    def happens(story: Story, world: World) -> None:
        webhooks = webhooks_of(story, world, world.call.attempt if world.call else 1)
        world.tell(webhooks[number % len(webhooks)])

    return happens


def about_attempt(cue: Callable[[int], Cue]) -> Happening:
    return lambda _story, world: world.tell(cue(world.call.attempt if world.call else 1))


WEBHOOKS: Final = 16
HAPPENINGS: Final[tuple[Happening, ...]] = (
    *map(of_present_attempt, range(WEBHOOKS)),
    partial(join_ends, well=True),
    partial(join_ends, well=False),
    join_dies,
    partial(move_ends, how=0),
    partial(move_ends, how=1),
    partial(move_ends, how=2),
    partial(move_ends, how=4),
    works,
    again,
    partial(closes, room=ROOM),
    partial(closes, room=OTHER_ROOM),
    tells(placed()),
    tells(not_placed()),
    tells(dialing_over()),
    tells(time_up()),
    tells(time_short()),
    about_attempt(hold_up),
    tells(page_gone()),
    tells(summoned()),
    tells(order_hold()),
    tells(order_hold(limit=600)),
    tells(order_join(ROOM)),
    tells(order_join()),
    tells(order_transfer()),
    tells(order_hangup()),
    about_attempt(left_alone),
    about_attempt(partial(left_alone, then=Then.WAIT)),
)


# Where it happens -------------------------------------------------------------------------------------------


class Start(NamedTuple):
    story: Story
    usual: int
    """Steps towards a call that is bridged."""
    then: tuple[Happening, ...] = ()

    def begin(self) -> World:
        world = self.story.begin()
        for _ in range(self.usual):
            world.now += 1.0
            go_on(self.story, world, 1)
        for happens in self.then:
            world.now += 1.0
            happens(self.story, world)
        return world


MOVING: Final = (tells(order_join()), lambda _story, world: world.work())
LEG_ENDS: Final = about_attempt(leg_disconnect)
STARTS: Final = {
    "making": Start(a_story(), 1),
    "transferring": Start(a_story(), 2),
    "bridged": Start(a_story(), 3),
    "moving": Start(a_story(), 3, MOVING),
    "moved": Start(a_story(), 3, (*MOVING, partial(move_ends, how=0))),
    "on hold": Start(a_story(), 3, (tells(order_hold()),)),
    "elsewhere": Start(a_story(), 3, (tells(order_transfer()),)),
    "asked": Start(a_story(asks=2), 1),
    "waiting": Start(a_story(waits=True), 2),
    "dialed": Start(a_story(dialed=True), 0),
    "dialed and hung up": Start(a_story(dialed=True), 0, (tells(order_hangup()),)),
    "preparing": Start(a_story(dialed=True, prepares=True), 0),
    "prepared": Start(a_story(dialed=True, prepares=True), 0, (partial(join_ends, well=True),)),
    "own leg asked for": Start(a_story(ours=True), 1),
    "own leg rings": Start(a_story(ours=True), 2),
    "own leg rings during the announcement": Start(a_story(ours=True, announcement="Welcome."), 2),
    "own leg bridged": Start(a_story(ours=True), 3),
    "own leg bridged and moving": Start(a_story(ours=True), 3, MOVING),
    "own leg over": Start(a_story(ours=True), 3, (LEG_ENDS,)),
    "own leg prepared": Start(
        a_story(dialed=True, prepares=True, ours=True),
        0,
        (partial(join_ends, well=True), about_attempt(leg_answer)),
    ),
}


def _marks(world: World) -> tuple[object, ...]:
    return len(world.story), world.owed, world.joins, world.moves, world.seats


def goes_on(start: Start, world: World) -> Iterator[World]:
    """Everything that can happen now, a moment later; what changes nothing is not worth following."""
    for happens in HAPPENINGS:
        other = world.fork()
        other.now += 1.0
        try:
            happens(start.story, other)
        except AssertionError as error:
            error.add_note(other.tell_tale())
            raise
        if _marks(other) != _marks(world):
            yield other


def ends(start: Start, world: World) -> None:
    """The phone goes, and what was under way comes to its end."""
    try:
        world.tell(disconnect(direction=Direction.OUTBOUND if start.story.dialed else Direction.INBOUND))
        while world.joins:
            join_ends(start.story, world, well=True)
        world.end()
    except AssertionError as error:
        error.add_note(world.tell_tale())
        raise


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_two_things_one_after_the_other(start: Start) -> None:
    for once in goes_on(start, start.begin()):
        for twice in goes_on(start, once):
            ends(start, twice)
