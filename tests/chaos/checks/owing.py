"""What is owed stays owed until it is done: calls and rooms that lack some, and what was struck off undone.

A script that writes a call or a room also writes what it owes, and puts it on the agenda. So what is missing
after any step is a fault, however soon something else puts it right. So is what a worker strikes off although
Bandwidth was not asked for it, or has refused it.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tests.chaos.finding import Finding
from tests.chaos.removed_effects import CompletedRequests, removed_effects
from tests.chaos.store_history import Key, Step, StoreState, UnknownCommand, key_of
from tests.chaos.stored_calls import HANG_UP, StoredCallState, call_in

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

OWNERS = (b"call:", b"room:")
TIME_UP = b"tell-time-up"
BOOKKEEPING = b"."
"""What the fields of an owner begin with that are no work."""


def check(evidence: "Evidence") -> Iterator[Finding]:
    for line in evidence.logs:
        if line.event == "owed.forgotten":
            yield Finding(what=f"{line.host}: {line.text}", ids=line.ids)
    state, done = StoreState(), CompletedRequests(evidence.simulator.requests)
    found: dict[tuple[str, str], None] = {}
    for step in evidence.store_steps:
        struck = list(removed_effects(state, step))
        try:
            owners = _owners(step, state.play(step))
        except UnknownCommand:
            return  # the eye for keys tells it
        for prefix, owner in owners:
            for what in _missing(state, prefix, owner):
                found[owner, what] = None
        for one in struck:
            if why := done.missing(one, state):
                found[one.owner, f"owes {one.effect['type']} no more: {why}"] = None
    for owner, what in found:
        yield Finding(what=f"{owner} {what}", ids=(owner.partition(":")[2],))


def _owners(step: Step, touched: dict[str, None]) -> dict[tuple[str, str], None]:
    """With the prefix of their partition."""
    owners: dict[tuple[str, str], None] = {}
    for text in touched:
        key = key_of(text)
        if key.kind in {"call", "room"}:
            owners[key.prefix, f"{key.kind}:{key.name}"] = None
        elif key.kind == "owed":
            owners[key.prefix, key.name] = None
        elif key.kind == "agenda":
            for _name, where, *args in step:
                if where.decode() == text:
                    owners |= {(key.prefix, one.decode()): None for one in args if one.startswith(OWNERS)}
    return owners


def _missing(state: StoreState, prefix: str, owner: str) -> Iterator[str]:
    owed = state.hash(f"{prefix}:owed:{owner}")
    if owed and owner.encode() not in state.scores(f"{prefix}:agenda"):
        yield f"owes {_names(owed)}, and was on no agenda"
    kind, _, name = owner.partition(":")
    if kind == "call":
        call = call_in(state, Key(prefix, kind, name))
        if call is not None and call.live and not owed.keys() & _questions(call):
            yield f"was {call.phone}, and nobody would have asked after it: it owes {_names(owed)}"
        if call is not None and _has_limit(call) and TIME_UP not in owed:
            yield f"has a limit of {call.max_duration:.0f} s, and nobody would have told it that it is over"
    else:
        for wanted in _wanted(state.hash(f"{prefix}:room:{name}")):
            if wanted not in owed:
                yield f"does not owe {wanted.decode()}: {_names(owed)}"


def _questions(call: StoredCallState) -> set[bytes]:
    """Any of these has a live call looked at."""
    return {b"ask-after", b"end-dialing"} if call.phone == "dialing" else {b"ask-after"}


def _has_limit(call: StoredCallState) -> bool:
    """Whether its time runs, and is still to be up."""
    return bool(call.max_duration) and call.phone in {"ringing", "up"} and call.intent != HANG_UP


def _wanted(room: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """What a room owes as long as there is such a session or seat."""
    if session := room.get(b"session"):
        yield b"check-room:" + session
        yield b"replace-session:" + session
    for field, value in room.items():
        kind, _, seat = field.partition(b":")
        if kind != b"seat":
            continue
        phase = value.partition(b" ")[0]
        if phase in {b"leaving", b"closing"}:
            yield b"free-seat:" + seat
        elif seat.startswith(b"web-"):
            yield b"check-presence:" + seat


def _names(owed: Mapping[bytes, bytes]) -> str:
    return ", ".join(sorted(name.decode() for name in owed if not name.startswith(BOOKKEEPING))) or "nothing"
