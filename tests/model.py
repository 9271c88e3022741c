"""Says what may be true of phones and browsers, given what they, operators and Bandwidth have done.

Used by the stateful test, where one thing happens at a time, and by the judge of the storm, where many do. An
order adds a step: what is true once it has come about. Until then the steps before it may be true as well.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from tests.party_state import (
    OVER,
    JoinOrder,
    Location,
    Observation,
    Order,
    PartyState,
    hears,
    is_in,
    matches,
    picked_up,
    state_after,
)

NOT_YET = 2**62


class OrderOutcome(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"  # nobody has said whether it was taken


class OrderStep(msgspec.Struct):
    """What is true once `order` has come about.

    `sent_count` and `answered_count` count what has happened, not time.
    """

    order: Order | None
    states: frozenset[PartyState]
    sent_count: int = 0
    answered_count: int = NOT_YET
    outcome: OrderOutcome = OrderOutcome.OPEN


class Party:
    """One phone or browser."""

    def __init__(self, state: PartyState, *, kept: bool | None) -> None:
        self.steps = [
            OrderStep(
                None, frozenset({state}), sent_count=-1, answered_count=0, outcome=OrderOutcome.ACCEPTED
            )
        ]
        self.kept = kept
        """Whether a seat is kept for a phone that rings; None: nobody knows."""
        self.overtaken: list[OrderStep] = []
        """What was true before it was seen elsewhere: a move that fails after all leads back there."""

    @property
    def states(self) -> frozenset[PartyState]:
        """All that may be true."""
        return frozenset[PartyState]().union(*(step.states for step in self.steps))

    @property
    def only_state(self) -> PartyState:
        """What is true, where only one thing may be. Raises ValueError otherwise."""
        [standing] = self.states
        return standing

    @property
    def certain(self) -> bool:
        return len(self.states) == 1

    @property
    def room(self) -> str:
        """The one that it is certainly in, whomever it hears there; empty where there is none."""
        rooms = {one.room if one.location is Location.ROOM else "" for one in self.states}
        return rooms.pop() if len(rooms) == 1 else ""

    @property
    def rooms(self) -> frozenset[str]:
        """Those in which it may be."""
        return frozenset(one.room for one in self.states if one.location is Location.ROOM)

    @property
    def left_behind(self) -> frozenset[str]:
        """Those in which it was before it was seen in another."""
        return frozenset(
            one.room for step in self.overtaken for one in step.states if one.location is Location.ROOM
        )

    def may_be_at(self, location: Location, room: str = "") -> bool:
        return any(one.location is location and room in {"", one.room} for one in self.states)

    @property
    def live(self) -> bool:
        """Whether it may be; one that is over stays so."""
        return self.states != {OVER}

    def rings_for(self, room: str) -> bool:
        """Whether a seat of the room is kept for it while it rings."""
        return self.kept is True and self.certain and self.only_state == PartyState(Location.RINGING, room)

    def seated(self, room: str) -> bool:
        """Whether it certainly has a seat in the room."""
        return self.rings_for(room) or (self.certain and is_in(self.only_state, room))

    def __repr__(self) -> str:
        return f"<{' or '.join(sorted(map(str, self.states)))}>"


class Model:
    """All phones and browsers, by an id of each. Unknown ids raise KeyError."""

    def __init__(self) -> None:
        self.parties: dict[str, Party] = {}
        self._count = 0

    # What has happened

    def add(self, id_: str, state: PartyState, *, kept: bool | None = None) -> Party:
        self.parties[id_] = party = Party(state, kept=kept)
        return party

    def picked_up(self, id_: str) -> None:
        """A phone that rang comes into the room for which it was called."""
        for step in self.parties[id_].steps:
            step.states = frozenset(map(picked_up, step.states))

    def set_state(self, id_: str, state: PartyState) -> None:
        """Whatever was asked of it, this is how it is."""
        party = self.parties[id_]
        party.steps = [
            OrderStep(None, frozenset({state}), answered_count=self._next(), outcome=OrderOutcome.ACCEPTED)
        ]
        party.overtaken = []

    def ended(self, id_: str) -> None:
        self.set_state(id_, OVER)

    def sent(self, id_: str, order: Order) -> OrderStep:
        """From now on it may come about."""
        party = self.parties[id_]
        standings = frozenset[PartyState]().union(
            *(state_after(one, order, kept=party.kept) for one in party.states)
        )
        step = OrderStep(order, standings, sent_count=self._next())
        party.steps.append(step)
        for one in party.steps[:-1]:
            if one.order is not None and one.outcome is OrderOutcome.OPEN:
                # It may come about after this one.
                later = (state_after(other, one.order, kept=party.kept) for other in standings)
                one.states |= frozenset[PartyState]().union(*later)
        return step

    def answered(self, id_: str, step: OrderStep, *, accepted: bool | None) -> None:
        """`accepted`: False: it will never come about; None: nobody knows."""
        party = self.parties[id_]
        step.answered_count = self._next()
        step.outcome = OrderOutcome.UNKNOWN if accepted is None else OrderOutcome.ACCEPTED
        if accepted is False:
            party.steps = [one for one in party.steps if one is not step]
        elif isinstance(step.order, JoinOrder) and party.kept and not party.rings_for(step.order.room):
            # The seat of the other room is taken when the phone is picked up.
            party.kept = False if accepted else None

    def seen_in(self, id_: str, room: str) -> None:
        """What was over before the first step that leads into this room was sent has been overtaken.

        Of what is no order, and may have been in several rooms, this was the one.
        """
        steps = self.parties[id_].steps
        for number, step in enumerate(steps):
            if any(is_in(one, room) for one in step.states):
                # Of two orders that overlap either may be the one that came last.
                gone = [one for one in steps[:number] if one.answered_count <= step.sent_count]
                self.parties[id_].overtaken += gone
                steps[:number] = [one for one in steps[:number] if one not in gone]
                if step.order is None:
                    others = {
                        one for one in step.states if one.location is Location.ROOM and one.room != room
                    }
                    step.states -= others
                break

    def put_back(self, id_: str) -> None:
        """A move that was seen to come about has failed: what was true before it may be so again."""
        party = self.parties[id_]
        party.steps[:0] = party.overtaken
        party.overtaken = []

    def settled(self, id_: str) -> None:
        """Nothing is under way: of all that was accepted the last is true, or one that overlapped it."""
        party = self.parties[id_]
        accepted = [step for step in party.steps if step.outcome is OrderOutcome.ACCEPTED]
        if accepted:
            last = max(accepted, key=lambda step: step.sent_count)
            kept = [step for step in party.steps if step.answered_count > last.sent_count]
            party.overtaken += [step for step in party.steps if step not in kept]
            party.steps = kept

    def rule_out_moves(self, id_: str, rooms: Iterable[str]) -> None:
        """A move has failed, and it is in one of these rooms, where it hears whom it heard there before."""
        party = self.parties[id_]
        there = frozenset[PartyState]().union(*(_latest_in(room, party.overtaken) for room in rooms))
        party.steps = [OrderStep(None, there, answered_count=self._next(), outcome=OrderOutcome.ACCEPTED)]
        party.overtaken = []

    def finish(self, id_: str, order: Order) -> None:
        """An order was accepted and has come about, with nothing else meanwhile."""
        self.answered(id_, self.sent(id_, order), accepted=True)
        self.settled(id_)

    # What has to be true

    def may_meet(self, a: str, b: str) -> bool:
        """Whether the two may be in one session: strangers never are."""
        return not self.parties[a].rooms.isdisjoint(self.parties[b].rooms)

    def may_hear(self, hearer: str, heard: str, participant: str) -> bool:
        """`participant`: that of who is heard."""
        return any(
            one.location is Location.ROOM
            and self.parties[heard].may_be_at(Location.ROOM, one.room)
            and hears(one, participant)
            for one in self.parties[hearer].states
        )

    def must_hear(self, hearer: str, heard: str, participant: str) -> bool:
        """Whether it would be silence if it did not. For two that are there, with nothing under way."""
        a, b = self.parties[hearer], self.parties[heard]
        return a.room == b.room != "" and all(hears(one, participant) for one in a.states)

    def matches(self, id_: str, observation: Observation) -> bool:
        """Whether that is to be seen of it which may be true."""
        return any(matches(one, observation) for one in self.parties[id_].states)

    def affected_by_closing(self, room: str) -> list[str]:
        """Those who may be in the room, or keep a seat there."""
        return [
            id_
            for id_, party in self.parties.items()
            if party.may_be_at(Location.ROOM, room)
            or (party.kept is not False and party.may_be_at(Location.RINGING, room))
        ]

    def seated(self, room: str) -> list[str]:
        """Those who certainly have a seat in the room."""
        return [id_ for id_, party in self.parties.items() if party.seated(room)]

    def _next(self) -> int:
        self._count += 1
        return self._count


def _latest_in(room: str, steps: Sequence[OrderStep]) -> frozenset[PartyState]:
    """How it was in the room when it was last there."""
    before = [frozenset(one for one in step.states if is_in(one, room)) for step in steps]
    return next((one for one in reversed(before) if one), frozenset({PartyState(Location.ROOM, room)}))
