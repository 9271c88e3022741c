"""Writes the state diagram and the tables of docs/calls.md anew, from what `decide` does.

python -m tests.calls.diagram
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

from service.calls.effects import Scheduled
from service.calls.model import Call, Intent, Media, Phone
from service.calls.replies import reply_name
from tests.calls.event_builders import NOW
from tests.calls.representative import Case, CoreState, cases, on_an_older_attempt, on_no_call

PAGE: Final = Path(__file__).parents[2] / "docs" / "calls.md"
COMMAND: Final = "python -m tests.calls.diagram"
NEW: Final = "[*]"
GONE: Final = "gone"
ANSWERED: Final = (
    *("initiate", "answer", "redirect", "gather", "bridgeComplete", "unknown"),
    *("transferAnswer", "transferComplete", "legAnswer", "legBridgeComplete"),
    *("joined", "joinFailed", "foundEmpty"),
)
"""Webhooks with a reply that is run, and what else such a reply comes of."""
INTERRUPTIONS: Final = (
    *("orderHold", "orderJoin", "orderTransfer", "orderHangup", "orderSubscriptions"),
    *("summoned", "leftAlone", "evicted", "participantVanished", "timeUp", "machineDetectionComplete"),
)
"""What takes a call out of whatever it is doing."""
RINGING: Final = (
    *("placed", "notPlaced", "dialingOver", "joined", "joinFailed", "answer", "legDisconnect"),
    *("orderHold", "orderJoin", "orderTransfer", "orderHangup", "evicted", "participantVanished"),
)
"""What may happen to a call that is being dialed."""
DRAWN: Final = (*ANSWERED, "transferDisconnect", "legDisconnect", "dial", "disconnect")
OTHERS: Final = tuple(intent for intent in Intent if intent is not Intent.BRIDGE)
NOTHING: Final = "-"

K = TypeVar("K")
V = TypeVar("V")
Edges = dict[tuple[str, str], dict[str, set[Intent]]]


def page(text: str) -> str:
    """The page with everything between its markers made anew."""
    for name, make in PARTS.items():
        begin, end = f"<!-- {name}: generated -->\n", f"\n<!-- {name}: end -->"
        if (text.count(begin), text.count(end)) != (1, 1):
            raise ValueError(f"{PAGE.name} has no place for {name}")
        before, _, rest = text.partition(begin)
        text = before + begin + make() + end + rest.partition(end)[2]
    return text


# The diagram ------------------------------------------------------------------------------------------------


def diagram() -> str:
    edges: Edges = defaultdict(lambda: defaultdict(set))
    for name, decision in on_no_call().items():
        if decision.call is not None:
            edges[NEW, _node(decision.call)][name] |= set(Intent)
    left_by_disconnect = set()
    for case in cases():
        start, end = case.state.media, _node(_after(case))
        if case.state.phone is Phone.GONE or case.name not in DRAWN:
            continue
        if end == GONE:
            left_by_disconnect.add(start)
        elif start != end or case.decision.join:
            edges[start, end][case.name].add(case.state.intent)
    if left_by_disconnect != set(Media):
        raise ValueError("a state is not left by disconnect")
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {NEW} --> live", "    state live {"]
    lines += [f"        {_edge(*nodes, names)}" for nodes, names in edges.items() if GONE not in nodes]
    lines += ["    }"]
    lines += [f"    {_edge(*nodes, names)}" for nodes, names in edges.items() if nodes == (NEW, GONE)]
    lines += [f"    live --> {GONE}: disconnect", f"    {GONE} --> {NEW}", "```"]
    return "\n".join(lines)


def _after(case: Case) -> Call:
    if case.decision.call is None:
        raise ValueError(f"{case.name} has lost the call")
    return case.decision.call


def _node(call: Call) -> str:
    return GONE if not call.live else call.media


def _edge(start: str, end: str, names: dict[str, set[Intent]]) -> str:
    """Where the call's being meant for its room is not what leads there, the intents that do are named."""
    labels = defaultdict(list)
    for name, intents in names.items():
        labels["" if Intent.BRIDGE in intents else ", ".join(i for i in Intent if i in intents)].append(name)
    words = [", ".join(found) + (f" ({when})" if when else "") for when, found in labels.items()]
    return f"{start} --> {end}: {'; '.join(words)}"


# The tables -------------------------------------------------------------------------------------------------


def replies() -> str:
    """Of a call that is meant to be in its room."""
    states = {f"`{media}`": CoreState(Phone.UP, media, Intent.BRIDGE) for media in Media}
    return _by_state("event", ANSWERED, states, _said)


def intents() -> str:
    """Of a call that is meant for something else."""
    states = {f"`{intent}`": CoreState(Phone.UP, Media.NONE, intent) for intent in OTHERS}
    return _by_state("event", ANSWERED, states, _said)


def interruptions() -> str:
    """What orders, rooms and timers make of a call that is meant to be in its room."""
    states = {f"`{media}`": CoreState(Phone.UP, media, Intent.BRIDGE) for media in Media}
    return _by_state("event", INTERRUPTIONS, states, _becomes)


def dialing() -> str:
    """What becomes of a call that has not been answered."""
    medias = (Media.READY, Media.JOINING)
    states = {f"`{media}`": CoreState(Phone.DIALING, media, Intent.BRIDGE) for media in medias}
    states["none, `hangup`"] = CoreState(Phone.DIALING, Media.NONE, Intent.HANGUP)
    return _by_state("event", RINGING, states, _ends_up)


def _by_state(
    corner: str, names: Iterable[str], states: dict[str, CoreState], cell: Callable[[list[Case]], str]
) -> str:
    """A row for each event; events that are answered alike share one."""
    found: dict[tuple[str, CoreState], list[Case]] = defaultdict(list)
    for case in cases():
        found[case.name, case.state].append(case)
    rows = {name: tuple(cell(found[name, state]) for state in states.values()) for name in names}
    table = [[corner, *states]]
    for alike, cells in _merged_rows(rows.items()):
        if set(cells) != {NOTHING}:
            table.append([", ".join(f"`{name}`" for name in alike), *cells])
    return _table(table)


def _said(found: list[Case]) -> str:
    return _by_circumstance(found, lambda case: reply_name(case.decision.recorded_reply))


def _becomes(found: list[Case]) -> str:
    def told(case: Case) -> str:
        after = _after(case)
        if case.decision.refusal_reason:
            return "refused"
        if after.next_room:
            return "moves"
        changed = (after.media, after.intent) != (case.state.media, case.state.intent)
        return f"{after.intent}" if changed else NOTHING

    return _by_circumstance(found, told)


def _ends_up(found: list[Case]) -> str:
    def told(case: Case) -> str:
        after = _after(case)
        if case.decision.refusal_reason:
            return "refused"
        states = [one for one in (after.phone, after.media, after.intent) if one not in case.state]
        return ", ".join(["gone"] if not after.live else states) or NOTHING

    return _by_circumstance(found[:1], told)


def _by_circumstance(found: list[Case], told: Callable[[Case], str]) -> str:
    """The usual, then what differs from it in which circumstances."""
    said: dict[str, list[str]] = defaultdict(list)
    for case in found:
        said[told(case)].append(case.names)
    return "; ".join(what if "" in words else f"{_or(words)}: {what}" for what, words in said.items())


def _or(words: list[str]) -> str:
    """Circumstances, without those that are only more of another."""
    return " or ".join(one for one in words if not any(other != one and other in one for other in words))


def others() -> str:
    """Events of calls that are over, not known, or past the attempt that they belong to."""
    over = {case.name: case for case in cases() if case.state.phone is Phone.GONE}
    unknown = on_no_call()
    older = {intent: on_an_older_attempt(intent) for intent in Intent}
    rows: dict[str, tuple[str, ...]] = {}
    for name in unknown:
        kept = [reply_name(older[intent][name].recorded_reply) for intent in Intent if name in older[intent]]
        rows[name] = (
            reply_name(unknown[name].recorded_reply),
            reply_name(over[name].decision.recorded_reply),
            " / ".join(dict.fromkeys(kept)) or NOTHING,
        )
    table = [["event", "call not known", "call over", "an older attempt"]]
    quiet = {("nothing", "nothing", NOTHING), ("nothing", "nothing", "nothing")}
    for alike, cells in _merged_rows(rows.items()):
        if cells not in quiet:
            table.append([", ".join(f"`{name}`" for name in alike), *cells])
    return _table(table)


def effects() -> str:
    """What a live call that is meant to be in its room owes after an event."""
    found: dict[str, dict[Media, str]] = defaultdict(dict)
    for case in cases():
        usual = case.state.phone is Phone.UP and case.state.intent is Intent.BRIDGE and not case.names
        if usual and case.decision.effects and case.name not in {"moved", "moveFailed"}:
            found[case.name][case.state.media] = ", ".join(_owed(owed) for owed in case.decision.effects)
    rows = [["event", "media", "owed"]]
    for names, by_media in _merged_rows(found.items()):
        for states, owed in _merged_rows(by_media.items()):
            where = "any" if len(states) == len(Media) else ", ".join(states)
            rows.append([", ".join(f"`{name}`" for name in names), where, owed])
    return _table(rows)


def _owed(owed: Scheduled) -> str:
    after = round(owed.due - NOW - 1)
    return owed.effect.id.partition(":")[0] + (f" after {after} s" if after else "")


def _merged_rows(items: Iterable[tuple[K, V]]) -> list[tuple[list[K], V]]:
    """Names that stand for the same, together, in the order of the first."""
    groups: list[tuple[list[K], V]] = []
    for name, value in items:
        for names, other in groups:
            if other == value:
                names.append(name)
                break
        else:
            groups.append(([name], value))
    return groups


def _table(rows: list[list[str]]) -> str:
    head, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body])


PARTS: Final = {
    "diagram": diagram,
    "replies": replies,
    "meant": intents,
    "turns": interruptions,
    "dialing": dialing,
    "others": others,
    "effects": effects,
}


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{PAGE} is up to date")
