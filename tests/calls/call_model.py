"""One call, its joins, legs, rooms and the worker, as they are outside the core: small enough to be checked.

Every decision of the call goes through `World.tell`; what must always hold is checked there.
"""

from copy import copy
from dataclasses import dataclass
from typing import Self

from service.calls.decide import decide
from service.calls.decision import Decision
from service.calls.effects import (
    CallEffect,
    CheckPage,
    EndDialing,
    HangUpLeg,
    HangUpPhone,
    LeaveRoom,
    MoveParticipant,
    RecordCallId,
    RedirectPhone,
    Scheduled,
    Subscribe,
    TellHoldTimeUp,
    TellTimeNearlyUp,
    TellTimeUp,
)
from service.calls.events import Dial, Event, LegAnswer, LegBridgeComplete, LegDisconnect
from service.calls.model import Call, Intent, Leg, Media, Phone, parse_seat, seat_of
from service.calls.replies import BridgeLeg, BridgePhone, HangUp, TransferToNumber
from tests.calls.control_event_builders import (
    dialing_timed_out,
    found_empty,
    hold_time_up,
    leg_answer,
    move_failed,
    moved,
    page_gone,
    room_closed,
    summoned,
    time_nearly_up,
    time_up,
)
from tests.calls.event_builders import (
    FALLBACK,
    NOW,
    REF,
    ROOM,
    EventBuilder,
    join_failed,
    joined,
    leg_id_of,
    participant_vanished,
)
from tests.calls.expected_effects import CANCELLED_AT_END
from tests.calls.invariants import check

RoomSeat = tuple[str, str]
"""A room and a seat in it."""


@dataclass
class JoinInProgress:
    """A join that a replica is at."""

    room: str
    waits_for_others: bool
    found_room_empty: bool = False
    """Whether it has found nobody, so that the call is known to wait."""
    is_seated: bool = False


class CallModel:
    """`uses_bridge`: the way into WebRTC is a call of our own.

    `rooms_wait`: who comes first waits outside.
    """

    def __init__(self, *, uses_bridge: bool = False, rooms_wait: bool = False) -> None:
        self.now = NOW
        self.call: Call | None = None
        self.owed: dict[str, Scheduled] = {}
        self.repeatable: list[EventBuilder] = []
        self.history: list[tuple[float, Event, Decision]] = []
        self.joins: dict[int, JoinInProgress] = {}
        self.moves: list[MoveParticipant] = []
        self.pending_room_events: list[EventBuilder] = []
        """What rooms have still to tell the call."""
        self.legs: dict[int, Leg] = {}
        """Our own calls into WebRTC by attempt; NONE while they ring."""
        self.seats: dict[RoomSeat, str] = {}
        """Seats of this call and who sits there, empty for those that are reserved."""
        self.waiting_rooms: dict[str, str] = {}
        """Rooms that the call waits for, and the seats that it has asked for."""
        self.released_seats: set[RoomSeat] = set()
        """Seats that were given up before anybody had them."""
        self.participants: set[str] = set()
        """Participants."""
        self.lost_participants: set[str] = set()
        """Participants that somebody else has taken down."""
        self.room_has_members = not rooms_wait
        self.bridged_attempts: set[int] = set()
        """Attempts whose two calls were bridged with each other."""
        self.transferred_attempts: set[int] = set()
        """Attempts for which the phone was sent to another number."""
        self.fallback_attempts: set[int] = set()
        self.is_hung_up = False
        self._uses_bridge = uses_bridge
        self._reserved_attempts: set[int] = set()

    def describe_history(self) -> str:
        """For whoever has to find out why something did not hold."""
        lines = []
        for at, event, decision in self.history:
            ids = ", ".join(owed.effect.id for owed in decision.effects)
            lines.append(f"{at - NOW:8.1f} {event} -> {decision.reply}; owed: {ids or '-'}")
        return "\n".join(lines)

    def fork(self) -> Self:
        """Another world that has come to the same."""
        other = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, dict | list | set):
                setattr(other, name, copy(value))
        other.joins = {attempt: copy(join) for attempt, join in self.joins.items()}
        return other

    # What happens to the call ---------------------------------------------------------------------------

    def handle(self, cue: EventBuilder, *, may_repeat: bool = True) -> None:
        event = cue(self.now)
        decision = decide(self.call, event)
        assert decide(self.call, event) == decision, "another replica decides otherwise"
        self.history.append((self.now, event, decision))
        check(self.now, self.call, event, decision)
        if may_repeat:
            self.repeatable.append(cue)
        if isinstance(event, Dial) and self.call is None:
            self.seats[ROOM, seat_of(REF, 1)] = ""
        self.call, reply = decision.call, decision.reply
        for id_ in decision.cancels:
            self.owed.pop(id_, None)
        for owed in decision.effects:
            self.owed[owed.effect.id] = owed
        if isinstance(event, LegAnswer | LegBridgeComplete | LegDisconnect) and event.attempt in self.legs:
            self._update_leg(event, ends=isinstance(reply, HangUp) or isinstance(event, LegDisconnect))
        if decision.join and self.call is not None:
            self.is_hung_up = False
            self.joins[self.call.attempt] = JoinInProgress(self.call.room, self.call.waits_for_others)
        if isinstance(reply, BridgeLeg | BridgePhone):
            self.bridged_attempts.add(reply.attempt)
        if isinstance(reply, TransferToNumber):
            self.transferred_attempts.add(reply.attempt)
            self.fallback_attempts |= {reply.attempt} if reply.number == FALLBACK else set()
            assert len(self.fallback_attempts) <= 1, "the fallback number is used twice"
        self._check()

    def _update_leg(self, event: LegAnswer | LegBridgeComplete | LegDisconnect, *, ends: bool) -> None:
        if ends:
            self.legs[event.attempt] = Leg.GONE
        elif self.legs[event.attempt] is Leg.NONE:
            self.legs[event.attempt] = Leg.UP

    # Joins ----------------------------------------------------------------------------------------------

    def reserve_seat(self, attempt: int) -> None:
        """Once; a replica that is slow does so after others have given the seat up, and gets none."""
        if attempt in self._reserved_attempts:
            return
        self._reserved_attempts.add(attempt)
        join = self.joins[attempt]
        place = join.room, seat_of(REF, attempt)
        if place in self.released_seats or place in self.seats:
            return
        if join.waits_for_others and not self.room_has_members:
            join.found_room_empty = True
            self.waiting_rooms[join.room] = place[1]
        else:
            self.seats[place] = ""

    def commit_seat(self, attempt: int) -> None:
        """The participant takes its seat, if nobody has given it up."""
        join = self.joins[attempt]
        place = join.room, seat_of(REF, attempt)
        if join.is_seated or place not in self.seats:
            return
        join.is_seated = True
        self.seats[place] = f"participant-{attempt}"
        self.participants.add(self.seats[place])
        if self._uses_bridge:
            self.legs[attempt] = Leg.NONE

    def finish_join(self, attempt: int, *, succeeds: bool) -> None:
        join = self.joins.pop(attempt)
        if join.found_room_empty:
            # Nobody tells this twice, unlike what comes by webhooks and from workers.
            self.handle(found_empty(attempt, room=join.room), may_repeat=False)
        elif succeeds and join.is_seated:
            self.handle(joined(attempt, room=join.room, has_leg=self._uses_bridge))
        else:
            self.handle(join_failed(attempt, "bandwidth-timeout", room=join.room))

    def kill_join(self, attempt: int) -> None:
        """The replica dies, with whatever it has reserved or made, and nobody hears the result."""
        del self.joins[attempt]
        self._check()

    # Rooms ----------------------------------------------------------------------------------------------

    def add_member(self) -> None:
        """Somebody is in every room from now on, and who waits outside is told."""
        self.room_has_members = True
        for room in [*self.waiting_rooms]:
            del self.waiting_rooms[room]
            self.pending_room_events.append(summoned(room))

    def close_room(self, room: str) -> None:
        """Everybody out; what they have there is taken down by the room."""
        for place in [one for one in self.seats if one[0] == room]:
            participant = self.seats.pop(place)
            if not participant:
                self.released_seats.add(place)
            self.lost_participants |= {participant} & self.participants
            self.participants.discard(participant)
            self.pending_room_events.append(room_closed(parse_seat(place[1])[1], room=room))
        if seat := self.waiting_rooms.pop(room, ""):
            self.pending_room_events.append(room_closed(parse_seat(seat)[1], room=room))

    def finish_move(self, which: int) -> None:
        """0: well; 1: not at all; 2: not, but it was there already; 3: participant gone; else killed."""
        move = self.moves.pop(0)
        there = (move.next_room, move.next_seat)
        arrives = there in self.seats
        if arrives and which in {0, 2}:
            self.seats[there] = move.participant_id
        if arrives and which in {0, 2, 3} and move.participant_id not in self.participants:
            self.handle(participant_vanished(move.attempt))
        elif arrives and which == 3:
            self.participants.discard(move.participant_id)
            self.lost_participants.add(move.participant_id)
            self.handle(participant_vanished(move.attempt))
        elif arrives and which == 0:
            self.handle(moved(move.attempt, move.seat_no, room=move.next_room))
        elif which <= 3:
            self.handle(move_failed(move.attempt, move.seat_no, room=move.next_room))
        elif self.call and self.call.live and self.call.next_seat == move.next_seat and self.call.next_room:
            # Not struck off, so that another worker begins again.
            self.owed.setdefault(move.id, Scheduled(move, self.now))

    # The worker -----------------------------------------------------------------------------------------

    def run_worker(self) -> None:
        """Carry out what is owed and due, in the order in which it was written down."""
        for _ in range(100):
            due = next((id_ for id_, owed in self.owed.items() if owed.due <= self.now), None)
            if due is None:
                break
            self._execute(self.owed.pop(due).effect)
        self._check()

    def _execute(self, effect: CallEffect) -> None:
        match effect:
            case LeaveRoom():
                self._leave_room(effect)
            case HangUpPhone():
                self.is_hung_up = True
            case HangUpLeg():
                self.legs |= {
                    attempt: Leg.GONE for attempt in self.legs if leg_id_of(attempt) == effect.call_id
                }
            case MoveParticipant():
                there = (effect.next_room, effect.next_seat)
                if there not in self.released_seats:
                    self.seats.setdefault(there, "")
                self.moves.append(effect)
            case EndDialing() if self.call and self.call.phone is Phone.DIALING:
                self.handle(dialing_timed_out())
            case TellTimeUp() | TellTimeNearlyUp() | TellHoldTimeUp() | CheckPage():
                self._deliver_reminder(effect)
            case RedirectPhone() | Subscribe() | RecordCallId() | EndDialing():
                pass

    def _deliver_reminder(self, effect: TellTimeUp | TellTimeNearlyUp | TellHoldTimeUp | CheckPage) -> None:
        match effect:
            case TellTimeUp():
                self.handle(time_up())
            case TellTimeNearlyUp():
                self.handle(time_nearly_up())
            case TellHoldTimeUp():
                self.handle(hold_time_up(effect.attempt, is_warning=effect.is_warning))
            case CheckPage():
                self.handle(page_gone(effect.room))

    def _leave_room(self, effect: LeaveRoom) -> None:
        place = effect.room, effect.seat
        participant = self.seats.pop(place, "")
        if not participant or effect.keeps_participant:
            self.released_seats.add(place)
        if not effect.keeps_participant:
            self.participants.discard(participant)
        if self.waiting_rooms.get(effect.room) == effect.seat:
            del self.waiting_rooms[effect.room]

    def assert_nothing_left(self) -> None:
        """The phone is gone, all joins and moves are over, and the worker is idle: nothing may be left."""
        while self.moves:
            self.finish_move(0)
        self.now += 10_000.0
        self.run_worker()
        for attempt in [one for one, leg in self.legs.items() if leg is Leg.NONE]:
            self.handle(leg_answer(attempt))
        assert not self.owed, f"still owed: {self.owed}"
        assert not self.seats, f"left behind: {self.seats}"
        assert not self.waiting_rooms, f"still waiting: {self.waiting_rooms}"
        assert not self.participants, f"still alive: {self.participants}"
        assert set(self.legs.values()) <= {Leg.GONE}, f"legs that nobody has hung up: {self.legs}"

    # What must always hold ------------------------------------------------------------------------------

    def _check(self) -> None:
        call = self.call
        if call is None:
            assert not self.owed
            assert not self.seats
            return
        for place in self.seats:
            self._check_seat(call, place)
        for place in self.waiting_rooms.items():
            self._check_seat(call, place)
        for attempt, leg in self.legs.items():
            in_use = call.live and call.media is not Media.NONE and call.leg_id == leg_id_of(attempt)
            owed = f"hang-up-leg:{leg_id_of(attempt)}" in self.owed
            assert leg is not Leg.UP or in_use or owed, f"nobody hangs up the leg of attempt {attempt}"
        if call.live and call.participant_id and call.media in {Media.TRANSFERRING, Media.BRIDGED}:
            assert call.participant_id in self.participants | self.lost_participants, (
                "the caller talks to nobody"
            )
            seated = (call.room, call.seat) in self.seats
            assert seated or call.participant_id in self.lost_participants, "in a room without a seat there"
        self._check_pending_effects(call)

    def _check_pending_effects(self, call: Call) -> None:
        owed = set(self.owed)
        if not call.live:
            assert not owed & set(CANCELLED_AT_END), "the phone is gone"
        elif call.intent is Intent.HANGUP:
            assert "hang-up" in owed or self.is_hung_up or not call.call_id, "nobody hangs up"
        elif call.media is not Media.LEAVING:
            assert "hang-up" not in owed, "somebody who is not to be is hung up"
        if call.live:
            assert ("end-dialing" in owed) == (call.phone is Phone.DIALING), (
                "nobody sees to it, or needlessly"
            )
        if call.next_room:
            moving = any(move.next_seat == call.next_seat for move in self.moves)
            assert moving or "move-participant" in owed, "nobody moves the participant"

    def _check_seat(self, call: Call, place: RoomSeat) -> None:
        """Somebody is answerable for it: the live call, a join, or owed work."""
        room, seat = place
        seated = call.live and call.media not in {Media.NONE, Media.LEAVING}
        in_use = (seated and place == (call.room, call.seat)) or place == (call.next_room, call.next_seat)
        waiting = call.live and call.intent is Intent.WAIT and place == (call.room, call.seat)
        joining = any(place == (join.room, seat_of(REF, one)) for one, join in self.joins.items())
        owed = f"leave-room:{room}:{seat}" in self.owed
        assert in_use or waiting or joining or owed, f"nobody gives up {place}"
