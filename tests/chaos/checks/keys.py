"""Keys of the store that never go, that nobody will look at again, or that do not fit each other.

With the store's journal that is seen after each step of the turn, without it at the end alone.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tests.chaos.finding import Finding
from tests.chaos.lifetimes import LIVES
from tests.chaos.marks import MARK, moments
from tests.chaos.previous_release_rules import PreviousReleaseRules
from tests.chaos.site import PROBE
from tests.chaos.store_history import Key, StoreState, UnknownCommand, key_of

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

STAY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "owed": "work is owed until it is done; the key goes with the last of it",
        "agenda": "names who owes work, for as long as they do",
        "settings": "an operator's, until an operator changes them",
        "configured": "names the rooms that have settings",
        "pin": "the digits that a room's settings have",
        "paused": "no new calls are taken until somebody says so",
    }
)
"""Kinds of keys that need not expire, and why. All others have to, in time (`lifetimes`)."""
PARTS_OF_A_CALL: Final = frozenset({"events", "timeline", "token"})
"""Kinds of keys that only a call has, under its ref: without the call's own key nobody would read them."""
STRANGE: Final = frozenset({"unknown", "offered"})
"""Kinds of keys that only a release writes which does not know a kind of work."""
OURS: Final = frozenset({PROBE, MARK})
"""Keys that the storm itself writes."""
RENEW: Final = frozenset({b"SET", b"PEXPIREAT"})
"""Commands that say when a key expires."""
SLACK: Final = 1000
"""Milliseconds: marks stand between steps, and a server goes by what its clock showed a moment ago."""
SET: Final = 3_600_000
"""The same where its clock is set between two marks, by minutes."""
PIN: Final = re.compile(rb'"pin":"([^"]*)"')


def check(evidence: "Evidence") -> Iterator[Finding]:
    for name in _remains(evidence):
        yield Finding(what=f"{name} is left, and on no agenda", excuse="left-by-the-release-before")
    if not evidence.store_steps:
        yield Finding(what="the store has no journal: only its end was looked at")
    seen: set[str] = set()
    for what, key in (*_stay(evidence), *_left(evidence), *_in_each_step(evidence)):
        if what not in seen:
            seen.add(what)
            yield Finding(what=what, ids=(key.name, key.name.partition(":")[2]))


def key_problem(key: Key, lives: float | None, slack: int = SLACK) -> str:
    """What is wrong with a key of that kind, empty for nothing. `lives`: milliseconds; None for ever."""
    if key.kind in STAY:
        return ""
    longest = LIVES.get(key.kind)
    if longest is None:
        return f"{key} is of no kind that is known"
    if lives is None:
        return f"{key} has no expiry"
    if lives > longest + slack:
        return f"{key} is to be kept for {lives / longest:.1f} times as long as is promised"
    return ""


def _stay(evidence: "Evidence") -> Iterator[tuple[str, Key]]:
    """Keys that never go, at the end."""
    for stored in evidence.keys:
        if stored.name in OURS:
            continue
        # With a journal each step was looked at, and the clock may have been set since.
        lives = 0 if evidence.store_steps else stored.ttl_ms
        key = key_of(stored.name)
        if what := key_problem(key, None if stored.ttl_ms == -1 else lives):
            yield what, key


def _left(evidence: "Evidence") -> Iterator[tuple[str, Key]]:
    """Keys that nobody will look at again, at the end."""
    keys = [key_of(stored.name) for stored in evidence.keys]
    calls = {key.name for key in keys if key.kind == "call"}
    agenda, remains = set(evidence.due_owners), _remains(evidence)
    for key in keys:
        if key.kind == "room" and f"room:{key.name}" not in agenda:
            if str(key) not in remains:
                yield f"{key} is left, and on no agenda", key
        elif key.kind == "owed" and key.name not in agenda:
            yield f"{key} is on no agenda: {evidence.owed.get(key.name)}", key
        elif key.kind in PARTS_OF_A_CALL and key.name not in calls:
            yield f"{key} is left without its call", key
    if len({line.fields.get("version") for line in evidence.logs if line.event == "service.started"}) == 1:
        for key in keys:
            if key.kind in STRANGE:
                yield f"{key} is there, and there is but one release", key


def _remains(evidence: "Evidence") -> list[str]:
    """Rooms of which nothing is left but what the release before does not know."""
    before, state = PreviousReleaseRules(evidence), StoreState()
    try:
        for step in evidence.store_steps:
            state.play(step)
    except UnknownCommand:
        return []  # told below
    rooms = [stored.name for stored in evidence.keys if key_of(stored.name).kind == "room"]
    agenda = set(evidence.due_owners)
    return [
        name
        for name in rooms
        if f"room:{key_of(name).name}" not in agenda and before.has_left(state.hash(name))
    ]


def _in_each_step(evidence: "Evidence") -> Iterator[tuple[str, Key]]:
    state = StoreState()
    slack = SET if any(one.kind == "clock" for one in evidence.troubles.all) else SLACK
    for step, moment in moments(evidence.store_steps):
        try:
            touched = state.play(step)
        except UnknownCommand as unknown:
            yield f"the judge does not know what {unknown} does", Key("", "", "")
            return
        renewed = {where.decode() for name, where, *_ in step if name in RENEW}
        for text in touched:
            if text in OURS:
                continue
            key = key_of(text)
            if text not in state.keys:
                if key.kind == "call":
                    yield from _orphaned(state, key)
                continue
            # By what the server's clock showed when it was set, and not since.
            lives = state.expires.get(text, 0) - moment.clock if text in renewed else 0
            if what := key_problem(key, lives if text in state.expires else None, slack):
                yield what, key
            if key.kind in PARTS_OF_A_CALL and f"{key.prefix}:call:{key.name}" not in state.keys:
                yield f"{key} was written without its call", key
    yield from _settings(state)


def _orphaned(state: StoreState, call: Key) -> Iterator[tuple[str, Key]]:
    for kind in sorted(PARTS_OF_A_CALL):
        if f"{call.prefix}:{kind}:{call.name}" in state.keys:
            yield f"{call} went before its {kind}", call


def _settings(state: StoreState) -> Iterator[tuple[str, Key]]:
    """What has to fit at the end: names are indexed, and digits are a room's."""
    keys = [key_of(text) for text in state.keys]
    settings = {key.name: state.text(str(key)) for key in keys if key.kind == "settings"}
    listed: set[str] = set()
    for key in keys:
        if key.kind == "configured":
            listed |= {name.decode() for name in state.members(str(key))}
        elif key.kind == "pin":
            room = state.text(str(key)).partition(b" ")[0].decode()
            kept = PIN.search(settings.get(room, b""))
            if kept is None or kept[1].decode() != key.name:
                yield f"{key} opens {room}, whose settings do not have it", key
        elif key.kind == "live":
            for name in state.members(str(key)):
                if f"{key.prefix}:room:{name.decode()}" not in state.keys:
                    yield f"{key} names {name.decode()}, which is not there", key
    for room in sorted(listed ^ settings.keys()):
        yield f"{room} has settings or is listed to have some, not both", Key("", "settings", room)
