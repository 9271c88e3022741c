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
    HangUp,
    HangUpLeg,
    LeaveRoom,
    MoveParticipant,
    NameCall,
    Owed,
    RedirectPhone,
    Subscribe,
    TellHoldUp,
    TellTimeShort,
    TellTimeUp,
)
from service.calls.events import Dial, Event, LegAnswer, LegBridgeComplete, LegDisconnect
from service.calls.model import Call, Intent, Leg, Media, Phone, call_of, seat_of
from service.calls.replies import BridgeLeg, BridgePhone, Elsewhere, Hangup, Join
from tests.calls.event_builders import FALLBACK, NOW, REF, ROOM, Cue, join_failed, joined, leg_of, vanished
from tests.calls.expected_effects import AT_THE_END
from tests.calls.invariants import check
from tests.calls.control_event_builders import (
    dialing_over,
    evicted,
    found_empty,
    hold_up,
    leg_answer,
    move_failed,
    moved,
    page_gone,
    summoned,
    time_short,
    time_up,
)

Place = tuple[str, str]
"""A room and a seat in it."""


@dataclass
class Joining:
    """A join that a replica is at."""

    room: str
    waits: bool
    outside: bool = False
    """Whether it has found nobody, so that the call is known to wait."""
    entered: bool = False


class World:
    """`ours`: the way into WebRTC is a call of our own. `rooms_wait`: who comes first waits outside."""

    def __init__(self, *, ours: bool = False, rooms_wait: bool = False) -> None:
        self.now = NOW
        self.call: Call | None = None
        self.owed: dict[str, Owed] = {}
        self.told: list[Cue] = []
        self.story: list[tuple[float, Event, Decision]] = []
        self.joins: dict[int, Joining] = {}
        self.moves: list[MoveParticipant] = []
        self.news: list[Cue] = []
        """What rooms have still to tell the call."""
        self.legs: dict[int, Leg] = {}
        """Our own calls into WebRTC by attempt; NONE while they ring."""
        self.seats: dict[Place, str] = {}
        """Seats of this call and who sits there, empty for those that are reserved."""
        self.outside: dict[str, str] = {}
        """Rooms that the call waits for, and the seats that it has asked for."""
        self.left: set[Place] = set()
        """Seats that were given up before anybody had them."""
        self.alive: set[str] = set()
        """Participants."""
        self.lost: set[str] = set()
        """Participants that somebody else has taken down."""
        self.company = not rooms_wait
        self.bridges: set[int] = set()
        """Attempts whose two calls were bridged with each other."""
        self.elsewhere: set[int] = set()
        """Attempts for which the phone was sent to another number."""
        self.fallbacks: set[int] = set()
        self.hung_up = False
        self._ours = ours
        self._reserved: set[int] = set()

    def tell_tale(self) -> str:
        """For whoever has to find out why something did not hold."""
        lines = []
        for at, event, decision in self.story:
            ids = ", ".join(owed.effect.id for owed in decision.owed)
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

    def tell(self, cue: Cue, *, repeatable: bool = True) -> None:
        event = cue(self.now)
        decision = decide(self.call, event)
        assert decide(self.call, event) == decision, "another replica decides otherwise"
        self.story.append((self.now, event, decision))
        check(self.now, self.call, event, decision)
        if repeatable:
            self.told.append(cue)
        if isinstance(event, Dial) and self.call is None:
            self.seats[ROOM, seat_of(REF, 1)] = ""
        self.call, reply = decision.call, decision.reply
        for id_ in decision.cancelled:
            self.owed.pop(id_, None)
        for owed in decision.owed:
            self.owed[owed.effect.id] = owed
        if isinstance(event, LegAnswer | LegBridgeComplete | LegDisconnect) and event.attempt in self.legs:
            self._hear_leg(event, ends=isinstance(reply, Hangup) or isinstance(event, LegDisconnect))
        if isinstance(reply, Join) and self.call is not None:
            self.hung_up = False
            self.joins[reply.attempt] = Joining(self.call.room, self.call.waits)
        if isinstance(reply, BridgeLeg | BridgePhone):
            self.bridges.add(reply.attempt)
        if isinstance(reply, Elsewhere):
            self.elsewhere.add(reply.attempt)
            self.fallbacks |= {reply.attempt} if reply.number == FALLBACK else set()
            assert len(self.fallbacks) <= 1, "the fallback number is used twice"
        self._check()

    def _hear_leg(self, event: LegAnswer | LegBridgeComplete | LegDisconnect, *, ends: bool) -> None:
        if ends:
            self.legs[event.attempt] = Leg.GONE
        elif self.legs[event.attempt] is Leg.NONE:
            self.legs[event.attempt] = Leg.UP

    # Joins ----------------------------------------------------------------------------------------------

    def reserve(self, attempt: int) -> None:
        """Once; a replica that is slow does so after others have given the seat up, and gets none."""
        if attempt in self._reserved:
            return
        self._reserved.add(attempt)
        join = self.joins[attempt]
        place = join.room, seat_of(REF, attempt)
        if place in self.left or place in self.seats:
            return
        if join.waits and not self.company:
            join.outside = True
            self.outside[join.room] = place[1]
        else:
            self.seats[place] = ""

    def enter(self, attempt: int) -> None:
        """The participant takes its seat, if nobody has given it up."""
        join = self.joins[attempt]
        place = join.room, seat_of(REF, attempt)
        if join.entered or place not in self.seats:
            return
        join.entered = True
        self.seats[place] = f"participant-{attempt}"
        self.alive.add(self.seats[place])
        if self._ours:
            self.legs[attempt] = Leg.NONE

    def finish(self, attempt: int, *, well: bool) -> None:
        join = self.joins.pop(attempt)
        if join.outside:
            # Nobody tells this twice, unlike what comes by webhooks and from workers.
            self.tell(found_empty(attempt, room=join.room), repeatable=False)
        elif well and join.entered:
            self.tell(joined(attempt, room=join.room, leg=self._ours))
        else:
            self.tell(join_failed(attempt, "bandwidth-timeout", room=join.room))

    def kill(self, attempt: int) -> None:
        """The replica dies, with whatever it has reserved or made, and nobody hears the result."""
        del self.joins[attempt]
        self._check()

    # Rooms ----------------------------------------------------------------------------------------------

    def come(self) -> None:
        """Somebody is in every room from now on, and who waits outside is told."""
        self.company = True
        for room in [*self.outside]:
            del self.outside[room]
            self.news.append(summoned(room))

    def close(self, room: str) -> None:
        """Everybody out; what they have there is taken down by the room."""
        for place in [one for one in self.seats if one[0] == room]:
            participant = self.seats.pop(place)
            if not participant:
                self.left.add(place)
            self.lost |= {participant} & self.alive
            self.alive.discard(participant)
            self.news.append(evicted(call_of(place[1])[1], room=room))
        if seat := self.outside.pop(room, ""):
            self.news.append(evicted(call_of(seat)[1], room=room))

    def finish_move(self, which: int) -> None:
        """0: well; 1: not at all; 2: not, but it was there already; 3: participant gone; else killed."""
        move = self.moves.pop(0)
        there = (move.next_room, move.next_seat)
        arrives = there in self.seats
        if arrives and which in {0, 2}:
            self.seats[there] = move.participant_id
        if arrives and which in {0, 2, 3} and move.participant_id not in self.alive:
            self.tell(vanished(move.attempt))
        elif arrives and which == 3:
            self.alive.discard(move.participant_id)
            self.lost.add(move.participant_id)
            self.tell(vanished(move.attempt))
        elif arrives and which == 0:
            self.tell(moved(move.attempt, move.place, room=move.next_room))
        elif which <= 3:
            self.tell(move_failed(move.attempt, move.place, room=move.next_room))
        elif self.call and self.call.live and self.call.next_seat == move.next_seat and self.call.next_room:
            # Not struck off, so that another worker begins again.
            self.owed.setdefault(move.id, Owed(move, self.now))

    # The worker -----------------------------------------------------------------------------------------

    def work(self) -> None:
        """Carry out what is owed and due, in the order in which it was written down."""
        for _ in range(100):
            due = next((id_ for id_, owed in self.owed.items() if owed.due <= self.now), None)
            if due is None:
                break
            self._perform(self.owed.pop(due).effect)
        self._check()

    def _perform(self, effect: CallEffect) -> None:
        match effect:
            case LeaveRoom():
                self._vacate(effect)
            case HangUp():
                self.hung_up = True
            case HangUpLeg():
                self.legs |= {attempt: Leg.GONE for attempt in self.legs if leg_of(attempt) == effect.call_id}
            case MoveParticipant():
                there = (effect.next_room, effect.next_seat)
                if there not in self.left:
                    self.seats.setdefault(there, "")
                self.moves.append(effect)
            case EndDialing() if self.call and self.call.phone is Phone.DIALING:
                self.tell(dialing_over())
            case TellTimeUp() | TellTimeShort() | TellHoldUp() | CheckPage():
                self._remind(effect)
            case RedirectPhone() | Subscribe() | NameCall() | EndDialing():
                pass

    def _remind(self, effect: TellTimeUp | TellTimeShort | TellHoldUp | CheckPage) -> None:
        match effect:
            case TellTimeUp():
                self.tell(time_up())
            case TellTimeShort():
                self.tell(time_short())
            case TellHoldUp():
                self.tell(hold_up(effect.attempt, soon=effect.soon))
            case CheckPage():
                self.tell(page_gone(effect.room))

    def _vacate(self, effect: LeaveRoom) -> None:
        place = effect.room, effect.seat
        participant = self.seats.pop(place, "")
        if not participant or effect.keep:
            self.left.add(place)
        if not effect.keep:
            self.alive.discard(participant)
        if self.outside.get(effect.room) == effect.seat:
            del self.outside[effect.room]

    def end(self) -> None:
        """The phone is gone, all joins and moves are over, and the worker is idle: nothing may be left."""
        while self.moves:
            self.finish_move(0)
        self.now += 10_000.0
        self.work()
        for attempt in [one for one, leg in self.legs.items() if leg is Leg.NONE]:
            self.tell(leg_answer(attempt))
        assert not self.owed, f"still owed: {self.owed}"
        assert not self.seats, f"left behind: {self.seats}"
        assert not self.outside, f"still waiting: {self.outside}"
        assert not self.alive, f"still alive: {self.alive}"
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
        for place in self.outside.items():
            self._check_seat(call, place)
        for attempt, leg in self.legs.items():
            in_use = call.live and call.media is not Media.NONE and call.leg_id == leg_of(attempt)
            owed = f"hang-up-leg:{leg_of(attempt)}" in self.owed
            assert leg is not Leg.UP or in_use or owed, f"nobody hangs up the leg of attempt {attempt}"
        if call.live and call.participant_id and call.media in {Media.TRANSFERRING, Media.BRIDGED}:
            assert call.participant_id in self.alive | self.lost, "the caller talks to nobody"
            seated = (call.room, call.seat) in self.seats
            assert seated or call.participant_id in self.lost, "in a room without a seat there"
        self._check_promises(call)

    def _check_promises(self, call: Call) -> None:
        owed = set(self.owed)
        if not call.live:
            assert not owed & set(AT_THE_END), "the phone is gone"
        elif call.intent is Intent.HANGUP:
            assert "hang-up" in owed or self.hung_up or not call.call_id, "nobody hangs up"
        elif call.media is not Media.LEAVING:
            assert "hang-up" not in owed, "somebody who is not to be is hung up"
        if call.live:
            assert ("end-dialing" in owed) == (call.phone is Phone.DIALING), (
                "nobody sees to it, or needlessly"
            )
        if call.next_room:
            moving = any(move.next_seat == call.next_seat for move in self.moves)
            assert moving or "move-participant" in owed, "nobody moves the participant"

    def _check_seat(self, call: Call, place: Place) -> None:
        """Somebody is answerable for it: the live call, a join, or owed work."""
        room, seat = place
        seated = call.live and call.media not in {Media.NONE, Media.LEAVING}
        in_use = (seated and place == (call.room, call.seat)) or place == (call.next_room, call.next_seat)
        waiting = call.live and call.intent is Intent.WAIT and place == (call.room, call.seat)
        joining = any(place == (join.room, seat_of(REF, one)) for one, join in self.joins.items())
        owed = f"leave-room:{room}:{seat}" in self.owed
        assert in_use or waiting or joining or owed, f"nobody gives up {place}"
