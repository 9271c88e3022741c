"""Nobody hears strangers, and nobody who should be heard is in silence.

At every instant those who are in one session may be in one room. Whenever nothing is under way, all in a room
hear each other, but for what they are subscribed to.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import permutations
from typing import TYPE_CHECKING

from service.calls.model import call_of
from service.engine.stock import NAME as STOCK
from tests.chaos.finding import Finding
from tests.chaos.history import History, Looked, MemberSeen, PhoneSeen, history_of
from tests.chaos.stills import Still
from tests.chaos.story import IDS
from tests.chaos.world import MemberNow, World
from tests.simulator.journal import Request

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

NOT_MISSED = "session-not-missed-yet"
"""A session vanished at Bandwidth, and nobody has been told so yet: documented in docs/guarantees.md."""
OF_A_MEMBER = frozenset({"removeParticipantFromSession", "deleteParticipant"})
TAKING_OUT = OF_A_MEMBER | {"deleteSession"}


def look(evidence: "Evidence") -> Iterator[Finding]:
    yield from heard(history_of(evidence))


def heard(history: History) -> Iterator[Finding]:
    world = World(history)
    listener = _Listener(world)
    for event in world.play():
        match event:
            case PhoneSeen(at, id_, _, str(participant)) if id_ in world.model.parties:
                yield from listener.bridged(id_, participant, at)
                yield from listener.met(participant, at)
            case MemberSeen(at, participant):
                yield from listener.met(participant, at)
            case Looked(_, still):
                yield from listener.looked(still)
    for text in history.rejections:
        yield from listener.rejected(text)


class _Listener:
    def __init__(self, world: World) -> None:
        self._world = world
        self._told: set[tuple[str, ...]] = set()
        self._before = 0.0
        """When the look before began: what was answered by then has been to the store and back."""

    def bridged(self, id_: str, participant: str, at: float) -> Iterator[Finding]:
        if participant not in self._world.members:
            yield Finding(
                what=f"{id_} was bridged to {participant}, which has never been in a session",
                ids=(id_, participant),
                at=at,
            )

    def rejected(self, text: str) -> Iterator[Finding]:
        """A leg that would have been silence. One whose participant was taken out meanwhile is none."""
        ids = tuple(IDS.findall(text))
        never = "is in no session" in text and not any(one in self._world.members for one in ids)
        if never or "has no subscription" in text:
            yield Finding(what=f"a leg was not admitted: {text}", ids=ids)

    def met(self, participant: str, at: float) -> Iterator[Finding]:
        """Strangers: that of the participant, and those in its session."""
        world = self._world
        id_ = world.party_of.get(participant)
        member = world.members.get(participant)
        if id_ is None or member is None or member.session is None:
            return
        for other in sorted(world.parties_in(member.session) - {id_}):
            if not world.model.may_meet(id_, other):
                yield from self._once(
                    (member.session, *sorted((id_, other))),
                    f"strangers in session {member.session}: {id_} {world.model.parties[id_]} and "
                    f"{other} {world.model.parties[other]}",
                    (id_, other, member.session),
                    at,
                )
        if (id_, member.session) in world.misplaced:
            yield from self._once(
                (member.session, id_),
                f"{id_} {world.model.parties[id_]} is in session {member.session} of another room",
                (id_, member.session),
                at,
            )

    def looked(self, still: Still) -> Iterator[Finding]:
        """Silence, and those who hear whom they are not subscribed to."""
        world = self._world
        here: dict[str, list[tuple[str, str, MemberNow]]] = defaultdict(list)
        for id_ in world.settled(still):
            seen = world.seen(id_)
            if seen.rooms and seen.stage == "bridged" and not world.model.stands(id_, seen):
                # A move has failed, or nothing has come of an order: the eye for orders tells that.
                world.model.stayed(id_, seen.rooms)
            party, found = world.model.parties[id_], world.member_of(id_)
            if not party.room or found is None:
                continue
            participant, member = found
            if member.session is not None:
                here[party.room].append((id_, participant, member))
            elif id_ in world.phones or not self._is_gone(participant, still):
                yield from self._outside(id_, participant, member, still)
        for room, there in here.items():
            for (a, _, hearer), (b, heard_id, heard) in permutations(there, 2):
                hears = hearer.session == heard.session and _receives(hearer, heard_id)
                if (
                    world.model.must_hear(a, b, heard_id)
                    if not hears
                    else not world.model.may_hear(a, b, heard_id)
                ):
                    yield from self._once(
                        (a, b, room),
                        f"{a} {'hears' if hears else 'does not hear'} {b} in room {room}: {hearer}, {heard}",
                        (a, b, *filter(None, (hearer.session, heard.session))),
                        still.over,
                    )
        self._before = still.begun

    def _outside(self, id_: str, participant: str, member: MemberNow, still: Still) -> Iterator[Finding]:
        """Nothing is under way, and the participant is in no session."""
        requests = self._world.history.requests_by_id
        vanished = not _taken_out(
            [*requests.get(member.left or "", ()), *requests.get(participant, ())], member.since
        )
        missed = any(
            one.status == 404
            # That nobody is there to be taken out says nothing of the session.
            and one.operation not in OF_A_MEMBER
            and member.since <= one.at + one.ms / 1000 <= self._before
            # Who was told so may have been killed since: what it was about is owed until another is told.
            and not self._is_owed(one, still)
            for one in requests.get(member.left or "", ())
        )
        yield from self._once(
            (id_, participant, f"{member.since}"),
            f"{id_} is connected to {participant}, which is in no session",
            (id_, participant, member.left or ""),
            still.over,
            excuse=NOT_MISSED if vanished and not missed else "",
        )

    def _is_owed(self, request: Request, still: Still) -> bool:
        """Whether something is, for the seat that it was about. Of one in stock nobody knows which."""
        seat = self._world.history.seats.get(request.ids.get("participantId", ""), "")
        ref, _ = call_of(seat)
        seats = [one.removeprefix("seat:") for one in still.owing if one.startswith("seat:")]
        return any(seat in {"", STOCK, one} or (ref and call_of(one)[0] == ref) for one in seats)

    def _is_gone(self, participant: str, still: Still) -> bool:
        """Whether a browser's participant was taken down."""
        asked = self._world.history.requests_by_id.get(participant, ())
        return any(one.operation == "deleteParticipant" and one.at <= still.over for one in asked)

    def _once(
        self, key: tuple[str, ...], what: str, ids: tuple[str, ...], at: float, excuse: str = ""
    ) -> Iterator[Finding]:
        key = (*key, excuse)
        if key not in self._told:
            self._told.add(key)
            yield Finding(what=what, ids=ids, at=at, excuse=excuse)


def _receives(member: MemberNow, participant: str) -> bool:
    """As `MemberChanged.hears`: empty is everybody, None nobody."""
    return member.hears is not None and (not member.hears or participant in member.hears)


def _taken_out(requests: Iterable[Request], at: float) -> bool:
    """Whether one of them was under way that takes somebody out of a session."""
    return any(one.operation in TAKING_OUT and one.at <= at <= one.at + one.ms / 1000 for one in requests)
