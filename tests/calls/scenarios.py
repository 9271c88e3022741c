"""What may happen to calls of several kinds, and what usually does."""

from typing import Final, NamedTuple

from service.calls.model import Intent, Leg, Media, OnMachine, Phone
from tests.calls.event_builders import (
    ROOM,
    Cue,
    answer,
    bridge_complete,
    gathered,
    initiate,
    redirect,
    transfer_answer,
    transfer_complete,
    transfer_disconnect,
    unknown,
    vanished,
)
from tests.calls.control_event_builders import (
    dial,
    leg_answer,
    leg_bridge_complete,
    leg_disconnect,
    machine,
    order_hangup,
    order_hold,
    order_join,
    order_subscriptions,
    order_transfer,
    placed,
)
from tests.calls.call_model import World


class Story(NamedTuple):
    focus: str
    dialed: bool
    prepares: bool
    ours: bool
    """Whether the way into WebRTC is a call of our own."""
    waits: bool
    asks: int
    fallback: str
    announcement: str
    on_machine: OnMachine

    def begin(self) -> World:
        world = World(ours=self.ours, rooms_wait=self.waits)
        if self.dialed:
            world.tell(
                dial(
                    prepare=self.prepares,
                    max_duration=300.0,
                    on_machine=self.on_machine,
                    message="Call us back.",
                    announcement=self.announcement,
                    fallback=self.fallback,
                )
            )
        return world

    def asks_again(self, *, answered: bool = True) -> Cue:
        return redirect(
            answered=answered or self.dialed,
            fallback=self.fallback,
            announcement=self.announcement,
            waits=self.waits and not self.dialed,
            asks=0 if self.dialed else self.asks,
        )

    def arrives(self) -> Cue:
        if self.dialed:
            return answer()
        return initiate(
            fallback=self.fallback, announcement=self.announcement, waits=self.waits, asks=self.asks
        )


# What may come ----------------------------------------------------------------------------------------------


def webhooks_of(story: Story, world: World, attempt: int) -> list[Cue]:
    """Everything that Bandwidth may say about such a call at this attempt."""
    anything = [
        story.arrives(),
        story.asks_again(),
        story.asks_again(answered=False),
        gathered(asks=story.asks),
        gathered(ROOM, asks=story.asks),
        answer("answering-machine", fallback=story.fallback),
        machine("human"),
        machine("tone-detected"),
        vanished(attempt),
        unknown(),
    ]
    if not story.ours or attempt in world.elsewhere:
        anything += [transfer_complete(attempt), transfer_complete(attempt, "timeout")]
    if not story.ours:
        return [
            *anything,
            transfer_answer(attempt),
            transfer_answer(attempt, tag=""),
            transfer_disconnect(attempt),
        ]
    if attempt in world.legs:
        anything += [leg_answer(attempt), leg_disconnect(attempt)]
    if attempt in world.bridges:
        anything += [
            leg_bridge_complete(attempt),
            leg_bridge_complete(attempt, "busy"),
            bridge_complete(attempt),
            bridge_complete(attempt, "busy"),
        ]
    return anything


ORDERS: Final = (
    order_hold(),
    order_join(),
    order_join(ROOM),
    order_transfer(),
    order_subscriptions("participant-9"),
    order_join(),
    order_join(ROOM),
    order_hangup(),
)


def go_on(story: Story, world: World, which: int) -> None:
    """What usually comes next, so that the odd things come to calls that have got somewhere."""
    call = world.call
    if call is None or not call.live:
        world.tell(story.arrives())
    elif call.media is Media.MAKING:
        _carry_on_latest(world, call.attempt, which)
    elif call.phone is Phone.DIALING:
        world.tell([answer(), answer(), placed(), answer("answering-machine")][which % 4])
    elif call.media is Media.NONE and call.intent is Intent.ASK:
        world.tell(gathered(ROOM if which % 4 else "", asks=story.asks))
    elif call.media is Media.NONE and call.intent is Intent.WAIT and which % 2:
        world.come()
        world.tell(world.news.pop())
    elif call.media in {Media.NONE, Media.READY}:
        world.tell(story.asks_again())
    elif call.next_room:
        world.work()
        if world.moves:
            world.finish_move(which % 4 if which > 16 else 0)
    else:
        following = (
            _of_a_leg(call.media, call.attempt) if story.ours else _of_a_transfer(call.media, call.attempt)
        )
        world.tell(following[which % len(following)])


def _of_a_transfer(media: Media, attempt: int) -> list[Cue]:
    match media:
        case Media.TRANSFERRING:
            return [transfer_answer(attempt)] * 3 + [transfer_complete(attempt, "timeout")]
        case Media.BRIDGED:
            return [
                order_join(),
                order_join(ROOM),
                order_hold(),
                transfer_disconnect(attempt),
                transfer_complete(attempt),
                vanished(attempt),
            ]
        case _:
            return [transfer_complete(attempt)]


def _of_a_leg(media: Media, attempt: int) -> list[Cue]:
    match media:
        case Media.TRANSFERRING:
            return [leg_answer(attempt)] * 3 + [leg_disconnect(attempt, "rejected")]
        case Media.BRIDGED:
            return [
                order_join(),
                order_join(ROOM),
                order_hold(),
                leg_disconnect(attempt),
                bridge_complete(attempt),
                leg_bridge_complete(attempt, "busy"),
                vanished(attempt),
            ]
        case _:
            return [bridge_complete(attempt)]


def _carry_on_latest(world: World, attempt: int, which: int) -> None:
    if attempt in world.joins:
        carry_on(world, attempt, 1 if which == 31 else 3)


def carry_on(world: World, attempt: int, which: int) -> None:
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
            if world.legs.get(attempt) is Leg.NONE and which == 4:
                # Its answer overtakes the response to the request for it.
                world.tell(leg_answer(attempt))
            world.finish(attempt, well=True)
        case _:
            pass
