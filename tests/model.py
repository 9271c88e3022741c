"""Says what may be true of phones and browsers, given what they, operators and Bandwidth have done.

Used by the stateful test, where one thing happens at a time, and by the judge of the storm, where many do. An
order adds a step: what is true once it has come about. Until then the steps before it may be true as well.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

Hears = tuple[str, ...] | None
"""Participants that somebody is subscribed to; None: to everyone in the room."""
NOT_YET = 2**62


class Where(StrEnum):
    RINGING = "ringing"
    OUTSIDE = "outside"  # asked for digits, in no room yet
    ROOM = "room"
    HELD = "held"
    AWAY = "away"  # with another number
    OVER = "over"


class Standing(msgspec.Struct, frozen=True):
    """What may be true of one phone or browser."""

    where: Where
    room: str = ""
    """The room that it is in, or that it comes into when it is picked up."""
    hears: Hears = None
    waits: bool = False
    """Whether it stays outside of the room while nobody else is there."""

    def __str__(self) -> str:
        return " ".join(filter(None, [self.where, self.room]))


OVER = Standing(Where.OVER)


class Join(msgspec.Struct, frozen=True):
    room: str


class Hold(msgspec.Struct, frozen=True):
    pass


class Transfer(msgspec.Struct, frozen=True):
    pass


class HangUp(msgspec.Struct, frozen=True):
    """By an operator, or a browser that is sent out."""


class Close(msgspec.Struct, frozen=True):
    room: str


class Subscribe(msgspec.Struct, frozen=True):
    hears: Hears


class Digits(msgspec.Struct, frozen=True):
    """The PIN of a room was entered."""

    room: str


Order = Join | Hold | Transfer | HangUp | Close | Subscribe | Digits


class Fate(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"  # nobody has said whether it was taken


class Step(msgspec.Struct):
    """What is true once `order` has come about. `sent` and `over` count what has happened, not time."""

    order: Order | None
    standings: frozenset[Standing]
    sent: int = 0
    over: int = NOT_YET
    fate: Fate = Fate.OPEN


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to see of a phone or a browser."""

    stage: str
    """Of the phone, as `Phone.stage`; a browser is bridged while it has a participant."""
    participant: str | None = None
    session: str | None = None
    room: str = ""
    """Whose session it is; empty where nobody knows."""


class Party:
    """One phone or browser."""

    def __init__(self, standing: Standing, *, kept: bool | None) -> None:
        self.steps = [Step(None, frozenset({standing}), sent=-1, over=0, fate=Fate.ACCEPTED)]
        self.kept = kept
        """Whether a seat is kept for a phone that rings; None: nobody knows."""

    @property
    def standings(self) -> frozenset[Standing]:
        """All that may be true."""
        return frozenset[Standing]().union(*(step.standings for step in self.steps))

    @property
    def one(self) -> Standing:
        """What is true, where only one thing may be. Raises ValueError otherwise."""
        [standing] = self.standings
        return standing

    @property
    def certain(self) -> bool:
        return len(self.standings) == 1

    @property
    def rooms(self) -> frozenset[str]:
        """Those in which it may be."""
        return frozenset(one.room for one in self.standings if one.where is Where.ROOM)

    def may_be(self, where: Where, room: str = "") -> bool:
        return any(one.where is where and room in {"", one.room} for one in self.standings)

    @property
    def live(self) -> bool:
        """Whether it may be; one that is over stays so."""
        return self.standings != {OVER}

    def rings_for(self, room: str) -> bool:
        """Whether a seat of the room is kept for it while it rings."""
        return self.kept is True and self.certain and self.one == Standing(Where.RINGING, room)

    def seated(self, room: str) -> bool:
        """Whether it certainly has a seat in the room."""
        return self.rings_for(room) or (self.certain and _in(self.one, room))

    def __repr__(self) -> str:
        return f"<{' or '.join(sorted(map(str, self.standings)))}>"


class Model:
    """All phones and browsers, by an id of each. Unknown ids raise KeyError."""

    def __init__(self) -> None:
        self.parties: dict[str, Party] = {}
        self._count = 0

    # What has happened

    def begun(self, id_: str, standing: Standing, *, kept: bool | None = None) -> Party:
        self.parties[id_] = party = Party(standing, kept=kept)
        return party

    def picked_up(self, id_: str) -> None:
        """A phone that rang comes into the room for which it was called."""
        for step in self.parties[id_].steps:
            step.standings = frozenset(map(_picked_up, step.standings))

    def found(self, id_: str, standing: Standing) -> None:
        """Whatever was asked of it, this is how it is."""
        self.parties[id_].steps = [Step(None, frozenset({standing}), over=self._next(), fate=Fate.ACCEPTED)]

    def ended(self, id_: str) -> None:
        self.found(id_, OVER)

    def sent(self, id_: str, order: Order) -> Step:
        """From now on it may come about."""
        party = self.parties[id_]
        after = (_after(one, order, kept=party.kept) for one in party.standings)
        step = Step(order, frozenset[Standing]().union(*after), sent=self._next())
        party.steps.append(step)
        return step

    def answered(self, id_: str, step: Step, *, accepted: bool | None) -> None:
        """`accepted`: False: it will never come about; None: nobody knows."""
        party = self.parties[id_]
        step.over = self._next()
        step.fate = Fate.UNKNOWN if accepted is None else Fate.ACCEPTED
        if accepted is False:
            party.steps = [one for one in party.steps if one is not step]
        elif isinstance(step.order, Join) and party.kept and not party.rings_for(step.order.room):
            # The seat of the other room is taken when the phone is picked up.
            party.kept = False if accepted else None

    def seen_in(self, id_: str, room: str) -> None:
        """What came before the first step that leads into this room is over."""
        steps = self.parties[id_].steps
        for number, step in enumerate(steps):
            if any(_in(one, room) for one in step.standings):
                del steps[:number]
                break

    def settled(self, id_: str) -> None:
        """Nothing is under way: of all that was accepted the last is true, or one that overlapped it."""
        party = self.parties[id_]
        accepted = [step for step in party.steps if step.fate is Fate.ACCEPTED]
        if accepted:
            last = max(accepted, key=lambda step: step.sent)
            party.steps = [step for step in party.steps if step.over > last.sent]

    def done(self, id_: str, order: Order) -> None:
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
            one.where is Where.ROOM
            and self.parties[heard].may_be(Where.ROOM, one.room)
            and _hears(one, participant)
            for one in self.parties[hearer].standings
        )

    def must_hear(self, hearer: str, heard: str, participant: str) -> bool:
        """Whether it would be silence if it did not. For two that are there, with nothing under way."""
        a, b = self.parties[hearer], self.parties[heard]
        return (
            a.certain
            and b.certain
            and _in(a.one, b.one.room)
            and _in(b.one, a.one.room)
            and _hears(a.one, participant)
        )

    def stands(self, id_: str, seen: Seen) -> bool:
        """Whether that is to be seen of it which may be true."""
        return any(_fits(one, seen) for one in self.parties[id_].standings)

    def affected_by_closing(self, room: str) -> list[str]:
        """Those who may be in the room, or keep a seat there."""
        return [
            id_
            for id_, party in self.parties.items()
            if party.may_be(Where.ROOM, room)
            or (party.kept is not False and party.may_be(Where.RINGING, room))
        ]

    def seated(self, room: str) -> list[str]:
        """Those who certainly have a seat in the room."""
        return [id_ for id_, party in self.parties.items() if party.seated(room)]

    def _next(self) -> int:
        self._count += 1
        return self._count


def _in(standing: Standing, room: str) -> bool:
    return standing.where is Where.ROOM and standing.room == room


def _hears(standing: Standing, participant: str) -> bool:
    return standing.hears is None or participant in standing.hears


def _picked_up(standing: Standing) -> Standing:
    return Standing(Where.ROOM, standing.room) if standing.where is Where.RINGING else standing


def _after(standing: Standing, order: Order, *, kept: bool | None) -> Iterable[Standing]:
    """More than one thing where nobody knows which."""
    if standing.where is Where.OVER:
        return [standing]
    match order:
        case Join(room):
            return [_after_joining(standing, room)]
        case Hold():
            return [Standing(Where.HELD)]
        case Transfer():
            return [Standing(Where.AWAY)]
        case HangUp():
            return [OVER]
        case Digits(room):
            return [Standing(Where.ROOM, room)]
        case Subscribe(hears):
            return [msgspec.structs.replace(standing, hears=hears)]
        case Close(room):
            return _after_closing(standing, room, kept)


def _after_joining(standing: Standing, room: str) -> Standing:
    if standing.where is Where.RINGING:
        return Standing(Where.RINGING, room)
    # To be sent where it is changes nothing; operators send nobody to wait.
    return standing if _in(standing, room) and not standing.waits else Standing(Where.ROOM, room)


def _after_closing(standing: Standing, room: str, kept: bool | None) -> Iterable[Standing]:
    if standing.where is Where.RINGING and standing.room == room:
        return {True: [OVER], False: [standing], None: [OVER, standing]}[kept]
    return [OVER if _in(standing, room) else standing]


def _fits(standing: Standing, seen: Seen) -> bool:
    match standing.where:
        case Where.OVER:
            return seen.stage == "ended"
        case Where.RINGING:
            return seen.stage == "ringing"
        case Where.OUTSIDE:
            return seen.stage in {"ringing", "answered"} and seen.participant is None
        case Where.HELD:
            return seen.stage == "answered" and seen.participant is None
        case Where.AWAY:
            return seen.stage in {"transferring", "bridged"} and seen.participant is None
        case Where.ROOM if standing.waits and seen.stage == "answered":
            return True
        case Where.ROOM:
            there = seen.stage == "bridged" and None not in {seen.participant, seen.session}
            return there and seen.room in {"", standing.room}
