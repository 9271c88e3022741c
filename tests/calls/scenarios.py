"""What may happen to calls of several kinds, and what usually does."""

from typing import Final, NamedTuple

from service.calls.model import Intent, Leg, Media, OnMachine, Phone
from tests.calls.call_model import CallModel
from tests.calls.control_event_builders import (
    dial,
    leg_answer,
    leg_bridge_complete,
    leg_disconnect,
    machine_detected,
    order_hangup,
    order_hold,
    order_join,
    order_subscriptions,
    order_transfer,
    placed,
)
from tests.calls.event_builders import (
    ROOM,
    EventBuilder,
    answer,
    bridge_complete,
    gathered,
    initiate,
    participant_vanished,
    redirected,
    transfer_answer,
    transfer_complete,
    transfer_disconnect,
    unknown_webhook,
)


class Scenario(NamedTuple):
    name: str
    is_outbound: bool
    is_early_join: bool
    uses_bridge: bool
    """Whether the way into WebRTC is a call of our own."""
    waits_for_others: bool
    pin_attempts_allowed: int
    fallback_number: str
    announcement: str
    on_machine: OnMachine

    def start(self) -> CallModel:
        world = CallModel(uses_bridge=self.uses_bridge, rooms_wait=self.waits_for_others)
        if self.is_outbound:
            world.handle(
                dial(
                    is_early_join=self.is_early_join,
                    max_duration=300.0,
                    on_machine=self.on_machine,
                    machine_message="Call us back.",
                    announcement=self.announcement,
                    fallback_number=self.fallback_number,
                )
            )
        return world

    def redirect_webhook(self, *, answered: bool = True) -> EventBuilder:
        return redirected(
            answered=answered or self.is_outbound,
            fallback_number=self.fallback_number,
            announcement=self.announcement,
            waits_for_others=self.waits_for_others and not self.is_outbound,
            pin_attempts_allowed=0 if self.is_outbound else self.pin_attempts_allowed,
        )

    def first_webhook(self) -> EventBuilder:
        if self.is_outbound:
            return answer()
        return initiate(
            fallback_number=self.fallback_number,
            announcement=self.announcement,
            waits_for_others=self.waits_for_others,
            pin_attempts_allowed=self.pin_attempts_allowed,
        )


# What may come ----------------------------------------------------------------------------------------------


def possible_webhooks(story: Scenario, world: CallModel, attempt: int) -> list[EventBuilder]:
    """Everything that Bandwidth may say about such a call at this attempt."""
    anything = [
        story.first_webhook(),
        story.redirect_webhook(),
        story.redirect_webhook(answered=False),
        gathered(pin_attempts_allowed=story.pin_attempts_allowed),
        gathered(ROOM, pin_attempts_allowed=story.pin_attempts_allowed),
        answer("answering-machine", fallback_number=story.fallback_number),
        machine_detected("human"),
        machine_detected("tone-detected"),
        participant_vanished(attempt),
        unknown_webhook(),
    ]
    if not story.uses_bridge or attempt in world.transferred_attempts:
        anything += [transfer_complete(attempt), transfer_complete(attempt, "timeout")]
    if not story.uses_bridge:
        return [
            *anything,
            transfer_answer(attempt),
            transfer_answer(attempt, tag=""),
            transfer_disconnect(attempt),
        ]
    if attempt in world.legs:
        anything += [leg_answer(attempt), leg_disconnect(attempt)]
    if attempt in world.bridged_attempts:
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


def advance(story: Scenario, world: CallModel, which: int) -> None:
    """What usually comes next, so that the odd things come to calls that have got somewhere."""
    call = world.call
    if call is None or not call.live:
        world.handle(story.first_webhook())
    elif call.media is Media.JOINING:
        _advance_latest_join(world, call.attempt, which)
    elif call.phone is Phone.DIALING:
        world.handle([answer(), answer(), placed(), answer("answering-machine")][which % 4])
    elif call.media is Media.NONE and call.intent is Intent.PIN:
        world.handle(gathered(ROOM if which % 4 else "", pin_attempts_allowed=story.pin_attempts_allowed))
    elif call.media is Media.NONE and call.intent is Intent.WAIT and which % 2:
        world.add_member()
        world.handle(world.pending_room_events.pop())
    elif call.media in {Media.NONE, Media.READY}:
        world.handle(story.redirect_webhook())
    elif call.next_room:
        world.run_worker()
        if world.moves:
            world.finish_move(which % 4 if which > 16 else 0)
    else:
        following = (
            _own_leg_events(call.media, call.attempt)
            if story.uses_bridge
            else _transfer_events(call.media, call.attempt)
        )
        world.handle(following[which % len(following)])


def _transfer_events(media: Media, attempt: int) -> list[EventBuilder]:
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
                participant_vanished(attempt),
            ]
        case _:
            return [transfer_complete(attempt)]


def _own_leg_events(media: Media, attempt: int) -> list[EventBuilder]:
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
                participant_vanished(attempt),
            ]
        case _:
            return [bridge_complete(attempt)]


def _advance_latest_join(world: CallModel, attempt: int, which: int) -> None:
    if attempt in world.joins:
        advance_join(world, attempt, 1 if which == 31 else 3)


def advance_join(world: CallModel, attempt: int, which: int) -> None:
    """A join goes on, ends, or dies with its replica."""
    world.reserve_seat(attempt)
    match which:
        case 0:
            world.kill_join(attempt)
        case 1:
            world.finish_join(attempt, succeeds=False)
        case 2:
            world.commit_seat(attempt)
        case 3 | 4:
            world.commit_seat(attempt)
            if world.legs.get(attempt) is Leg.NONE and which == 4:
                # Its answer overtakes the response to the request for it.
                world.handle(leg_answer(attempt))
            world.finish_join(attempt, succeeds=True)
        case _:
            pass
