"""Plays a history to the model, and keeps what is to be seen beside what the model says may be true."""

from collections import Counter, defaultdict
from collections.abc import Iterator

import msgspec

from tests.chaos.api import OperatorRequest
from tests.chaos.snapshots import Snapshot
from tests.chaos.turn_history import (
    CallBegan,
    DigitsEntered,
    Event,
    MemberSeen,
    OrderAnswered,
    OrderSent,
    PhoneHeard,
    PhoneSeen,
    SnapshotTaken,
    TurnHistory,
)
from tests.model import Model, OrderStep
from tests.party_state import (
    CloseOrder,
    HangUpOrder,
    Hears,
    HoldOrder,
    JoinOrder,
    Location,
    Observation,
    Order,
    PartyState,
    SubscribeOrder,
    TransferOrder,
)

TOO_MANY = 429


class PhoneNow(msgspec.Struct):
    stage: str = "ringing"
    participant: str | None = None
    since: float = 0.0
    held_at: float | None = None
    """When it was told to hold, if it has heard nothing since."""


class MemberNow(msgspec.Struct):
    session: str | None = None
    left: str | None = None
    """The session that it was in before it was in none."""
    hears: Hears = ()
    since: float = 0.0


class SentOrder(msgspec.Struct):
    """What one request means to each that it concerns, and for whom that is certain."""

    order: Order
    steps: dict[str, tuple[OrderStep, bool]]


class ModelReplay:
    """Ids of parties: Bandwidth's of a call, a browser's participant."""

    def __init__(self, history: TurnHistory) -> None:
        self.history = history
        self.model = Model()
        self.phones: dict[str, PhoneNow] = {}
        self.members: dict[str, MemberNow] = {}
        """All participants that have ever been in a session."""
        self.sessions: dict[str, set[str]] = defaultdict(set)
        """Participants that are in each."""
        self.party_of: dict[str, str] = {}
        """Of a participant that somebody is connected to."""
        self.rooms: dict[str, frozenset[str]] = {}
        """Those whose session each may be, after all that were seen in it: it stays one room's."""
        self.misplaced: set[tuple[str, str]] = set()
        """Parties with the session in which they cannot be."""
        self.open: dict[int, SentOrder] = {}
        """Requests on their way, by their identity."""
        self._now = 0.0
        """Of the latest event."""
        self._answered_at: dict[str, float] = {}
        """When the latest request that concerned each party was answered."""
        self._failed: Counter[str] = Counter()
        """Moves of each that were seen to fail."""

    def play(self) -> Iterator[Event]:
        """Each event once it has happened."""
        for event in self.history.events:
            self._now = event.at
            self._take(event)
            yield event

    def member_of(self, id_: str) -> tuple[str, MemberNow] | None:
        """The participant that the party is connected to, and where that is; None while there is none."""
        participant = self.phones[id_].participant if id_ in self.phones else id_
        member = self.members.get(participant or "")
        return (participant, member) if participant and member else None

    def seen(self, id_: str) -> Observation:
        found = self.member_of(id_)
        participant, session = (found[0], found[1].session) if found else (None, None)
        rooms = self._rooms_with(session)
        if id_ not in self.phones:
            stage = "bridged" if session else "ended"
            return Observation(stage=stage, participant=id_, session=session, rooms=rooms)
        phone = self.phones[id_]
        on_hold = phone.held_at is not None and not self.history.has_asked(id_, phone.held_at, self._now)
        return Observation(
            stage=phone.stage,
            participant=phone.participant or participant,
            session=session,
            rooms=rooms,
            on_hold=on_hold,
        )

    def parties_in(self, session: str) -> set[str]:
        """Those who are connected to one of its participants."""
        return {self.party_of[one] for one in self.sessions[session] if one in self.party_of}

    def room_of(self, id_: str) -> str:
        """In whose session it is; empty where that is not known."""
        found = self.member_of(id_)
        rooms = self._rooms_with(found[1].session if found else None)
        return next(iter(rooms)) if len(rooms) == 1 else ""

    def _rooms_with(self, session: str | None) -> frozenset[str]:
        return self.rooms.get(session or "", frozenset())

    def settled(self, still: Snapshot) -> list[str]:
        """Parties for which nothing was under way at that look; what was asked of them is true by now."""
        found = [id_ for id_ in self._live() if self._is_still(id_, still)]
        for id_ in found:
            self.model.settled(id_)
        return found

    def _live(self) -> list[str]:
        return [id_ for id_ in self.model.parties if self._is_up(id_)]

    def _is_up(self, id_: str) -> bool:
        phone = self.phones.get(id_)
        return self._is_there(id_) if phone is None else phone.stage != "ended"

    def _is_still(self, id_: str, still: Snapshot) -> bool:
        """No order, webhook or request was under way, nothing was owed, and nothing changed."""
        history, since, until = self.history, still.begun, still.over
        phone, found = self.phones.get(id_), self.member_of(id_)
        ids: list[str | None] = [id_]
        changed, seat = phone.since if phone else 0.0, ""
        rooms = self.model.parties[id_].rooms
        if found:
            participant, member = found
            # What is asked about its session while it is there concerns others.
            ids += [participant] if member.session else [participant, member.left]
            changed = max(changed, member.since)
            seat = history.seats.get(participant, "")
            # A room in doubt of a session owes a look at it, also for those whose orders lead elsewhere.
            rooms |= self._rooms_with(member.session or member.left)
        party = self.model.parties[id_]
        owners = {
            f"call:{history.refs[id_]}" if id_ in history.refs else "",
            *(f"room:{one}" for one in rooms),
            f"seat:{seat}",
        }
        return not (
            changed >= since
            or (phone is not None and id_ not in history.refs)
            or owners & still.owners
            or any(step.order is not None and step.outcome == "open" for step in party.steps)
            or self._answered_at.get(id_, 0.0) >= since
            or history.outages.touch(since, until)
            or history.busy(id_, since, until)
            or history.asking(ids, since, until)
        )

    # What has happened

    def _take(self, event: Event) -> None:
        match event:
            case CallBegan(_, id_, standings) if standings:
                self.model.add(id_, next(iter(standings))).steps[0].states = standings
                self._meet_closings(id_)
            case PhoneSeen(_, id_) if id_ in self.model.parties:
                self._phone(event)
                self._narrow(event.participant)
            case PhoneHeard(at, id_, hold) if id_ in self.phones:
                self.phones[id_].held_at = at if hold else None
            case MemberSeen(_, participant):
                self._member(event)
                self._narrow(participant)
            case DigitsEntered(_, id_, digits) if id_ in self.model.parties:
                self.model.answered(id_, self.model.sent(id_, digits), accepted=None)
            case OrderSent(_, asked):
                self._sent(asked)
            case OrderAnswered(at, asked):
                self._answered(at, asked)
            case SnapshotTaken() | CallBegan() | PhoneSeen() | PhoneHeard() | DigitsEntered():
                pass

    def _phone(self, event: PhoneSeen) -> None:
        phone = self.phones.setdefault(event.call_id, PhoneNow())
        if phone.participant is not None and self.party_of.get(phone.participant) == event.call_id:
            del self.party_of[phone.participant]
        phone.stage, phone.participant, phone.since = event.stage, event.participant, event.at
        phone.held_at = None
        if event.participant is not None:
            self.party_of[event.participant] = event.call_id
        if event.stage == "ended":
            self.model.ended(event.call_id)
        elif event.stage != "ringing":
            self.model.picked_up(event.call_id)

    def _member(self, event: MemberSeen) -> None:
        member = self.members.setdefault(event.participant, MemberNow())
        if member.session is not None:
            self.sessions[member.session].discard(event.participant)
            member.left = member.session
        member.session, member.hears, member.since = event.session, event.hears, event.at
        if event.session is not None:
            self.sessions[event.session].add(event.participant)
        room = self.history.browsers.get(event.participant)
        if room is not None and event.participant not in self.model.parties:
            self.model.add(event.participant, PartyState(Location.ROOM, room))
            self.party_of[event.participant] = event.participant
            self._meet_closings(event.participant)

    def _narrow(self, participant: str | None) -> None:
        """Whose session it is follows from who is in it, and where they are from whose it is."""
        id_, member = self.party_of.get(participant or ""), self.members.get(participant or "")
        if id_ is None or member is None or member.session is None:
            return
        both = self._shared(id_, member.session)
        if not both and self._was_put_back(id_):
            both = self._shared(id_, member.session)
        if not both:
            self.misplaced.add((id_, member.session))
            return
        self.rooms[member.session] = both
        if len(both) == 1:
            [room] = both
            for other in self.parties_in(member.session):
                if room in self.model.parties[other].rooms or self._was_put_back(other):
                    self.model.seen_in(other, room)

    def _was_put_back(self, id_: str) -> bool:
        """Whether a move of it has failed, of which nothing was seen before."""
        if self._failed[id_] >= self.history.failed_moves.get(id_, 0):
            return False
        self._failed[id_] += 1
        self.model.put_back(id_)
        return True

    def _shared(self, id_: str, session: str) -> frozenset[str]:
        """Rooms of which the session may be, as far as that of the party goes."""
        rooms = self.model.parties[id_].rooms
        if session in self.rooms:
            return self.rooms[session] & rooms
        # Nobody has been in it yet.
        if self._failed[id_] < self.history.failed_moves.get(id_, 0):
            # It may be that of the room from which it had begun to move.
            rooms |= self.model.parties[id_].left_behind
        # Of several, it is that for which the session was made: orders do not tell which of them came about.
        return rooms & {self.history.made_for.get(session, "")} or rooms

    def _sent(self, asked: OperatorRequest) -> None:
        found = self._order(asked)
        if found is None:
            return
        order, ids = found
        steps = {}
        for id_ in ids:
            # Of a room that is closed it is certain for those who are there already.
            certain = not isinstance(order, CloseOrder) or (
                self.model.parties[id_].certain and self._is_there(id_)
            )
            steps[id_] = (self.model.sent(id_, order), certain)
        self.open[id(asked)] = SentOrder(order, steps)

    def _meet_closings(self, id_: str) -> None:
        """Who comes while a room is being closed may be among those who have to go."""
        for ordered in self.open.values():
            if isinstance(ordered.order, CloseOrder) and id_ in self.model.affected_by_closing(
                ordered.order.room
            ):
                ordered.steps[id_] = (self.model.sent(id_, ordered.order), False)

    def _is_there(self, id_: str) -> bool:
        found = self.member_of(id_)
        return found is not None and found[1].session is not None

    def _answered(self, at: float, asked: OperatorRequest) -> None:
        ordered = self.open.pop(id(asked), None)
        if ordered is None:
            return
        accepted = accepted_of(asked)
        if isinstance(ordered.order, CloseOrder) and accepted is not False:
            for id_ in self.model.affected_by_closing(ordered.order.room):
                if id_ not in ordered.steps:
                    ordered.steps[id_] = (self.model.sent(id_, ordered.order), False)
        for id_, (step, certain) in ordered.steps.items():
            self._answered_at[id_] = at
            self.model.answered(id_, step, accepted=accepted if certain or accepted is False else None)

    def _order(self, asked: OperatorRequest) -> tuple[Order, list[str]] | None:
        """What was asked of whom; None where it is nothing that the model knows."""
        match asked.method, asked.path.split("/")[1:]:
            case "DELETE", ["rooms", room]:
                return CloseOrder(room), self.model.affected_by_closing(room)
            case "DELETE", ["rooms", _, "participants", participant]:
                return HangUpOrder(), self._known(participant)
            case "PUT", ["rooms", _, "participants", participant, "subscriptions"]:
                return SubscribeOrder(_heard(asked)), self._known(participant)
            case "PUT", ["calls", call, "subscriptions"]:
                return SubscribeOrder(_heard(asked)), self._known(call)
            case "POST", ["calls", call, what]:
                order = _order_to_call(what, asked)
                return (order, self._known(call)) if order else None
        return None

    def _known(self, id_: str) -> list[str]:
        call = self.history.calls.get(id_, id_)
        return [call] if call in self.model.parties else []


def accepted_of(asked: OperatorRequest) -> bool | None:
    """None: nobody knows."""
    if asked.status is None or asked.status >= 500:
        return None
    return asked.status < 400


def _order_to_call(what: str, asked: OperatorRequest) -> Order | None:
    match what:
        case "join":
            return JoinOrder(asked.body["room"])
        case "remove" | "hold":
            return HoldOrder()
        case "transfer":
            return TransferOrder()
        case "hangup":
            return HangUpOrder()
    return None


def _heard(asked: OperatorRequest) -> Hears:
    """Participants, as the answer names them; where none came, as they were asked for."""
    answered = asked.reply if asked.status and asked.status < 300 else {}
    hears = answered.get("hears", asked.body["hears"])
    if isinstance(hears, str):
        return () if hears == "nobody" else None
    return tuple(one if isinstance(one, str) else one["participantId"] for one in hears)
