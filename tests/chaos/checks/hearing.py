"""Nobody hears strangers, and nobody who should be heard is in silence.

At every instant those who are in one session may be in one room, and nobody is put back without what it is
subscribed to. Whenever nothing is under way, all in a room hear each other, but for that.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import permutations
from typing import TYPE_CHECKING, Final

from service.calls.model import parse_seat
from service.engine.joining.prepared import POOL_SEAT
from tests.chaos.finding import Finding
from tests.chaos.finding_timeline import IDS
from tests.chaos.model_replay import MemberNow, ModelReplay
from tests.chaos.snapshots import Snapshot
from tests.chaos.turn_history import MemberSeen, PhoneSeen, SnapshotTaken, TurnHistory, history_of
from tests.party_state import Location, PartyState
from tests.simulator.journal import Request

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

EVERYBODY: Final = ()
"""As `MemberNow.hears`."""
NOT_MISSED = "session-not-missed-yet"
"""A session vanished at Bandwidth, and nobody has been told so yet: documented in docs/guarantees.md."""
OF_A_MEMBER = frozenset({"removeParticipantFromSession", "deleteParticipant"})
TAKING_OUT = OF_A_MEMBER | {"deleteSession"}


def check(evidence: "Evidence") -> Iterator[Finding]:
    yield from heard(history_of(evidence))


def heard(history: TurnHistory) -> Iterator[Finding]:
    replay = ModelReplay(history)
    listener = _Listener(replay)
    for event in replay.play():
        match event:
            case PhoneSeen(at, id_, _, str(participant)) if id_ in replay.model.parties:
                yield from listener.bridged(id_, participant, at)
                yield from listener.met(participant, at)
            case MemberSeen(at, participant):
                yield from listener.met(participant, at)
                yield from listener.put_in(event)
            case SnapshotTaken(_, still):
                yield from listener.looked(still)
    for text in history.rejections:
        yield from listener.rejected(text)


class _Listener:
    def __init__(self, replay: ModelReplay) -> None:
        self._replay = replay
        self._told: set[tuple[str, ...]] = set()
        self._latest: dict[str, MemberSeen] = {}
        self._hears_few: set[str] = set()
        """Participants, by the session in which they are or were last."""
        self._before = 0.0
        """When the look before began: what was answered by then has been to the store and back."""

    def bridged(self, id_: str, participant: str, at: float) -> Iterator[Finding]:
        if participant not in self._replay.members:
            yield Finding(
                what=f"{id_} was bridged to {participant}, which has never been in a session",
                ids=(id_, participant),
                at=at,
            )

    def rejected(self, text: str) -> Iterator[Finding]:
        """A leg that would have been silence. One whose participant was taken out meanwhile is none."""
        ids = tuple(IDS.findall(text))
        never = "is in no session" in text and not any(one in self._replay.members for one in ids)
        if never or "has no subscription" in text:
            yield Finding(what=f"a leg was not admitted: {text}", ids=ids)

    def met(self, participant: str, at: float) -> Iterator[Finding]:
        """Strangers: that of the participant, and those in its session."""
        replay = self._replay
        id_ = replay.party_of.get(participant)
        member = replay.members.get(participant)
        if id_ is None or member is None or member.session is None:
            return
        for other in sorted(replay.parties_in(member.session) - {id_}):
            if not replay.model.may_meet(id_, other):
                yield from self._once(
                    (member.session, *sorted((id_, other))),
                    f"strangers in session {member.session}: {id_} {replay.model.parties[id_]} and "
                    f"{other} {replay.model.parties[other]}",
                    (id_, other, member.session),
                    at,
                )
        if (id_, member.session) in replay.misplaced:
            yield from self._once(
                (member.session, id_),
                f"{id_} {replay.model.parties[id_]} is in session {member.session} of another room",
                (id_, member.session),
                at,
            )

    def put_in(self, event: MemberSeen) -> Iterator[Finding]:
        """Who has heard few, is to hear few, and is put into a session in which it hears everybody.

        It hears nobody at first when it is put back, so that nobody has to look at the right moment. Who is
        joined anew, with another participant, hears everybody.
        """
        participant, session = event.participant, event.session
        before, self._latest[participant] = self._latest.get(participant), event
        if session is None:
            return
        few = participant in self._hears_few
        (self._hears_few.discard if event.hears == EVERYBODY else self._hears_few.add)(participant)
        id_ = self._replay.party_of.get(participant)
        stays = before is not None and before.session == session
        if id_ is None or stays or not few or event.hears != EVERYBODY:
            return
        if all(one.location is Location.ROOM and one.hears is not None for one in self._standings(id_)):
            yield from self._once(
                (id_, session, "everybody"),
                f"{id_} was put back into session {session} without its subscriptions",
                (id_, participant, session),
                event.at,
            )

    def _standings(self, id_: str) -> frozenset[PartyState]:
        return self._replay.model.parties[id_].states

    def looked(self, still: Snapshot) -> Iterator[Finding]:
        """Silence, and those who hear whom they are not subscribed to."""
        replay = self._replay
        here: dict[str, list[tuple[str, str, MemberNow]]] = defaultdict(list)
        for id_ in replay.settled(still):
            seen = replay.seen(id_)
            if seen.rooms and seen.stage == "bridged" and not replay.model.matches(id_, seen):
                # A move has failed, or nothing has come of an order: the eye for orders tells that.
                replay.model.rule_out_moves(id_, seen.rooms)
            party, found = replay.model.parties[id_], replay.member_of(id_)
            if not party.room or found is None:
                continue
            participant, member = found
            if member.session is not None:
                here[party.room].append((id_, participant, member))
            elif id_ in replay.phones or not self._is_gone(participant, still):
                yield from self._outside(id_, participant, member, still)
        for room, there in here.items():
            for (a, _, hearer), (b, heard_id, heard) in permutations(there, 2):
                hears = hearer.session == heard.session and _receives(hearer, heard_id)
                if (
                    replay.model.must_hear(a, b, heard_id)
                    if not hears
                    else not replay.model.may_hear(a, b, heard_id)
                ):
                    yield from self._once(
                        (a, b, room),
                        f"{a} {'hears' if hears else 'does not hear'} {b} in room {room}: {hearer}, {heard}",
                        (a, b, *filter(None, (hearer.session, heard.session))),
                        still.over,
                    )
        self._before = still.begun

    def _outside(self, id_: str, participant: str, member: MemberNow, still: Snapshot) -> Iterator[Finding]:
        """Nothing is under way, and the participant is in no session."""
        requests = self._replay.history.requests_by_id
        # Of requests about its session, those that take out others are none.
        ended = (one for one in requests.get(member.left or "", ()) if one.operation not in OF_A_MEMBER)
        vanished = not _taken_out([*ended, *requests.get(participant, ())], member.since)
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

    def _is_owed(self, request: Request, still: Snapshot) -> bool:
        """Whether something is, for the seat that it was about. Of one in stock nobody knows which."""
        seat = self._replay.history.seats.get(request.ids.get("participantId", ""), "")
        ref, _ = parse_seat(seat)
        seats = [one.removeprefix("seat:") for one in still.owners if one.startswith("seat:")]
        return any(seat in {"", POOL_SEAT, one} or (ref and parse_seat(one)[0] == ref) for one in seats)

    def _is_gone(self, participant: str, still: Snapshot) -> bool:
        """Whether a browser's participant was taken down."""
        asked = self._replay.history.requests_by_id.get(participant, ())
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
