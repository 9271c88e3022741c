"""Holds the rules for the outcome of a join: the participant is in its room, or is not."""

from typing import Final

from msgspec.structs import replace

from service.calls.decision import Decision
from service.calls.effects import HangUpLeg, LeaveRoom, Scheduled
from service.calls.events import FoundEmpty, Joined, JoinFailed, RoomClosed
from service.calls.model import Call, Direction, Intent, Leg, Media, Phone, seat_of
from service.calls.replies import NoReply, Wait, WaitForOthers
from service.calls.rules import rooms
from service.calls.rules.arriving import connect_to_webrtc
from service.calls.rules.parts import fail, give_up_leg, reply_for_intent

MAX_JOIN_RETRIES: Final = 3
MAX_ROOM_FULL_RETRIES: Final = 2
JOIN_RETRY_PAUSE: Final = 2.0
"""Seconds of a round in which a caller waits: for what Bandwidth did not find, which is looked at meanwhile,
or for somebody who leaves."""


def joined(call: Call, event: Joined) -> Decision:
    counted = _with_join_costs(call, event)
    if call.intent is not Intent.BRIDGE:
        return _not_wanted(counted, event)
    there = replace(
        counted,
        media=Media.READY,
        session_id=event.session_id,
        participant_id=event.participant_id,
        from_pool=event.from_pool,
        token_until=event.token_until,
        lease_until=0,
        announcement=_announcement(call, event),
        wait_until=0,
        join_retries=0,
        leg_id=call.leg_id or event.leg_id,
        uses_bridge=call.uses_bridge or bool(event.leg_id),
    )
    if there.is_early_join:
        there = replace(there, is_early_join=False)
        # Whoever is or will be on the phone asks by themselves.
        return Decision(there, NoReply() if call.phone is Phone.DIALING else Wait())
    if there.uses_bridge and there.leg is Leg.GONE:
        return fail(there, "transfer-failed", event.at)
    return connect_to_webrtc(there, event.at)


def join_failed(call: Call, event: JoinFailed) -> Decision:
    counted = _with_join_costs(call, event)
    if call.intent is not Intent.BRIDGE:
        return _not_wanted(counted, event)
    if call.is_early_join and event.reason == "room-closed":
        # The room's own word for it comes to a call that by then has no place there any more.
        evicted = RoomClosed(at=event.at, attempt=call.attempt, room=event.room)
        return rooms.room_closed(replace(counted, media=Media.READY), evicted)
    if call.is_early_join:
        # Nobody has been told anything yet: it is tried again when the phone asks.
        return Decision(
            replace(counted, media=Media.NONE, is_early_join=False),
            Wait(),
            effects=(_leave(call, event), *give_up_leg(call, event.at)),
        )
    if event.is_temporary and call.join_retries < max_join_retries(event.reason):
        later = replace(
            counted, media=Media.NONE, silence_ms=call.silence_ms, join_retries=call.join_retries + 1
        )
        return Decision(
            later, Wait(JOIN_RETRY_PAUSE), effects=(_leave(call, event), *give_up_leg(call, event.at))
        )
    return fail(counted, event.reason, event.at)


def max_join_retries(reason: str) -> int:
    """How many a caller waits at most where a join has failed for this."""
    return MAX_ROOM_FULL_RETRIES if reason == "room-full" else MAX_JOIN_RETRIES


def found_empty(call: Call, event: FoundEmpty) -> Decision:
    """Outside until somebody comes. From the first time on, not from the latest."""
    outside = replace(
        call,
        media=Media.NONE,
        intent=Intent.WAIT,
        waiting=event.waiting,
        wait_until=call.wait_until or event.at + event.waiting.limit,
    )
    if call.intent is not Intent.BRIDGE:
        return Decision(
            replace(call, media=Media.NONE), reply_for_intent(call), effects=(_leave(call, event),)
        )
    if call.summoned_attempt == event.attempt:
        # Somebody came between the look and this.
        return Decision(replace(outside, intent=Intent.BRIDGE), Wait(), effects=(_leave(call, event),))
    # It is outside since nobody is there, and no more since a leg has broken.
    waits = replace(outside, ends_soon=False, leg_lost_at=0)
    return Decision(waits, WaitForOthers(event.waiting, call.ends_soon))


def outdated(call: Call, event: Joined | JoinFailed | FoundEmpty) -> Decision:
    """Of an attempt that was given up, or of a phone that has gone: what it has made is taken down."""
    effects = [_leave(call, event)]
    if isinstance(event, Joined) and event.leg_id:
        effects.append(Scheduled(HangUpLeg(event.leg_id), event.at))
    after = call
    if call.media is Media.JOINING and event.attempt == call.attempt:
        after = replace(call, media=Media.NONE)
    # Who is being joined anew, or has been, is to come back; everybody else hears what is wanted by now.
    return Decision(after, reply_for_intent(call), effects=tuple(effects), note="stale attempt")


def _announcement(call: Call, event: Joined) -> str:
    """Whoever had the number dialed has the first word, then the room, then our settings."""
    if call.direction is Direction.OUTBOUND:
        return call.announcement or event.announcement
    return event.announcement or call.announcement


def _with_join_costs(call: Call, event: Joined | JoinFailed) -> Call:
    """What the join has cost, and the first one the caller."""
    return replace(
        call,
        requests=call.requests + event.requests,
        retries=call.retries + event.retries,
        silence_ms=call.silence_ms or event.silence_ms,
    )


def _not_wanted(call: Call, event: Joined | JoinFailed) -> Decision:
    """The call was meant for something else while the join was under way."""
    taken_down = outdated(call, event)
    return Decision(replace(call, media=Media.NONE), reply_for_intent(call), effects=taken_down.effects)


def _leave(call: Call, event: Joined | JoinFailed | FoundEmpty) -> Scheduled:
    return Scheduled(LeaveRoom(event.room, seat_of(call.ref, event.attempt)), event.at)
