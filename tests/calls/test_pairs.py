"""Every two things that can happen one after the other, in every state of a call; then the phone goes."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import pytest

from service.calls.model import Direction, OnMachine
from service.calls.room import Then
from tests.calls.cues import OTHER_ROOM, ROOM, Cue, answer, disconnect, gathered, vanished
from tests.calls.signals import (
    dialing_over,
    left_alone,
    leg_answer,
    leg_disconnect,
    machine,
    not_placed,
    order_hangup,
    order_hold,
    order_join,
    order_transfer,
    placed,
    summoned,
    time_up,
)
from tests.calls.stories import Story, webhooks_of
from tests.calls.world import World

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
    tells(summoned()),
    tells(order_hold()),
    tells(order_join(ROOM)),
    tells(order_join()),
    tells(order_transfer()),
    tells(order_hangup()),
    about_attempt(left_alone),
    about_attempt(partial(left_alone, then=Then.WAIT)),
)


# Where it happens -------------------------------------------------------------------------------------------

JOINED: Final = partial(join_ends, well=True)
STARTS: Final[dict[str, tuple[Story, list[Happening]]]] = {
    "nothing": (a_story(), []),
    "making": (a_story(), [of_present_attempt(0)]),
    "transferring": (a_story(), [of_present_attempt(0), JOINED]),
    "bridged": (a_story(), [of_present_attempt(0), JOINED, of_present_attempt(12)]),
}
