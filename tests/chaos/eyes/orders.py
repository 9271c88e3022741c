"""What was accepted of operators has come about, what was refused has changed nothing, nobody rang twice.

Of an order that was accepted the call's timeline has an entry. Whenever nothing is under way for a call, it
is where it was sent last.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tests.chaos.api import Asked
from tests.chaos.finding import Finding
from tests.chaos.history import Answered, History, Looked, Sent, history_of
from tests.chaos.stills import Still
from tests.chaos.world import World, accepted_of
from tests.standings import OVER, Close, Standing, Where

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

Json = dict[str, Any]
ENTRIES = {
    "join": "orderJoin",
    "remove": "orderHold",
    "hold": "orderHold",
    "transfer": "orderTransfer",
    "hangup": "orderHangup",
    "subscriptions": "orderSubscriptions",
}
"""What a timeline calls them."""
MOVE_FAILED = "move-failed"
"""A move that Bandwidth, a closed room or the death of its replica has hindered: the call is where it was."""
NOT_FOUND = 404
CREATED = 201


def look(evidence: "Evidence") -> Iterator[Finding]:
    history = history_of(evidence)
    struck = sorted(
        [one.at for one in evidence.simulator.requests if one.fault]
        + [one.begun for one in evidence.troubles.all]
        + [one.sent_at for one in evidence.asked if one.method == "DELETE"]
    )
    yield from came_about(history, evidence.calls, struck)
    yield from traced(history, evidence.calls)
    yield from placed(history)


def traced(history: History, calls: Mapping[str, Json]) -> Iterator[Finding]:
    """Each order that was accepted is in the timeline of its call, and no other."""
    wanted: dict[tuple[str, str], list[Asked]] = defaultdict(list)
    for one in history.asked:
        match one.path.split("/")[1:]:
            case ["calls", id_, what] if what in ENTRIES:
                wanted[history.calls.get(id_, id_), ENTRIES[what]].append(one)
    for id_, call in calls.items():
        entries = Counter(str(entry["event"]) for entry in call["timeline"])
        for name in dict.fromkeys(ENTRIES.values()):
            asked = wanted.get((id_, name), [])
            accepted = [one for one in asked if accepted_of(one)]
            least = sum(not _is_idle(one) for one in accepted)
            most = len(accepted) + sum(accepted_of(one) is None for one in asked)
            if not least <= entries[name] <= most:
                answers = [(one.path.rpartition("/")[2], one.body, one.status) for one in asked]
                yield Finding(
                    what=f"{id_} has {entries[name]} times {name}, and not {least} to {most}: {answers}",
                    ids=(id_, str(call["id"])),
                    at=asked[-1].over if asked else None,
                )


def _is_idle(asked: Asked) -> bool:
    """Whether a call was sent to the room where it is or comes to: that changes nothing."""
    if not asked.path.endswith("/join"):
        return False
    reply = asked.reply or {}
    return (reply.get("room"), reply.get("nextRoom")) == (asked.body["room"], None) and reply.get(
        "state"
    ) in {
        "dialing",
        "joining",
        "transferring",
        "bridged",
    }


def placed(history: History) -> Iterator[Finding]:
    """A number that was called rang once for each key, and not at all where that was refused."""
    rang = Counter(line.to for line in history.lines if line.direction == "outbound")
    by_number: dict[str, list[Asked]] = defaultdict(list)
    for one in history.asked:
        if (one.method, one.path) == ("POST", "/calls"):
            by_number[one.body["to"]].append(one)
    for number, asked in by_number.items():
        keys: dict[str, list[Asked]] = defaultdict(list)
        for count, one in enumerate(asked):
            keys[one.once or f"without {count}"].append(one)
        least = sum(any(one.status == CREATED for one in all_) for all_ in keys.values())
        most = sum(any(accepted_of(one) is not False for one in all_) for all_ in keys.values())
        ids = {one.reply["id"] for one in asked if accepted_of(one)}
        if not least <= rang[number] <= most or len(ids) > most:
            yield Finding(
                what=f"{number} rang {rang[number]} times as {len(ids)} calls, and not {least} to {most}: "
                f"{[(one.once, one.status) for one in asked]}",
                ids=tuple(sorted(ids)),
                at=asked[-1].over,
            )


def came_about(history: History, calls: Mapping[str, Json], struck: list[float]) -> Iterator[Finding]:
    """`struck`: when something went wrong that may hinder a move, in order."""
    world = World(history)
    inside: dict[int, list[str]] = {}
    for event in world.play():
        match event:
            case Sent(_, asked) if (ordered := world.open.get(id(asked))) and isinstance(
                ordered.order, Close
            ):
                inside[id(asked)] = [id_ for id_, (_, certain) in ordered.steps.items() if certain]
            case Answered(at, asked):
                there = [id_ for id_ in inside.get(id(asked), []) if _is_in(world, id_, asked)]
                if there and asked.status == NOT_FOUND:
                    yield Finding(
                        what=f"{asked.path} said that nobody is there: {there}", ids=(*there,), at=at
                    )
            case Looked(_, still):
                yield from _misplaced(world, still, calls, struck)
    for participant, room in history.browsers.items():
        if participant not in world.members:
            yield Finding(
                what=f"browser {participant} of room {room} has never been in a session", ids=(participant,)
            )


def _is_in(world: World, id_: str, closing: Asked) -> bool:
    return world.room_of(id_) == closing.path.split("/")[2]


def _misplaced(
    world: World, still: Still, calls: Mapping[str, Json], struck: Iterable[float]
) -> Iterator[Finding]:
    """Those who are not where they were sent, with nothing under way."""
    for id_ in world.settled(still):
        party, seen = world.model.parties[id_], world.seen(id_)
        # Whoever is on the way, or waits for a moment, is told so by what is owed or not at all.
        judged = seen.stage == "bridged" or party.standings == {OVER}
        if not judged or world.model.stands(id_, seen):
            continue
        there = Standing(Where.ROOM, seen.room) if seen.room else party.one if party.certain else OVER
        excuse = MOVE_FAILED if _was_hindered(calls.get(id_), struck, still) and seen.room else ""
        yield Finding(what=f"{id_} should be {party}: {seen}", ids=(id_,), at=still.over, excuse=excuse)
        if there is not OVER:
            world.model.found(id_, there)


def _was_hindered(call: Json | None, struck: Iterable[float], still: Still) -> bool:
    """Whether the call says that a move has failed, and something had gone wrong by then."""
    failed = call is not None and any(entry["event"] == "moveFailed" for entry in call["timeline"])
    return failed and any(at <= still.over for at in struck)
