"""Writes the state diagram and the tables of docs/calls.md anew, from what `decide` does.

python -m tests.calls.diagram
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeVar

from service.calls.effects import Owed
from service.calls.model import Call, Intent, Media, Phone
from service.calls.replies import Join
from service.calls.replies import name_of as name_of_reply
from tests.calls.cues import NOW
from tests.calls.representative import Case, cases, on_an_older_attempt, on_no_call

PAGE: Final = Path(__file__).parents[2] / "docs" / "calls.md"
COMMAND: Final = "python -m tests.calls.diagram"
NEW: Final = "[*]"
GONE: Final = "gone"
NOTIFICATIONS: Final = ("transferDisconnect", "disconnect", "participantVanished")
"""Events that have no reply, or none that anybody runs."""

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
    for case in cases():
        after = _after(case)
        if case.phone is Phone.GONE or (
            _node(after) == case.media and not isinstance(case.decision.reply, Join)
        ):
            continue
        edges[case.media, _node(after)][case.name].add(case.intent)
    disconnects = {Media(start) for (start, end), names in edges.items() if end == GONE and start != NEW}
    if disconnects != set(Media):
        raise ValueError("a state is not left by disconnect")
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {NEW} --> live", "    state live {"]
    lines += [f"        {_edge(*nodes, names)}" for nodes, names in edges.items() if _inside(nodes)]
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


def _inside(nodes: tuple[str, str]) -> bool:
    return GONE not in nodes


def _edge(start: str, end: str, names: dict[str, set[Intent]]) -> str:
    """Where the call's being meant for the session is not what leads there, the intents that do are named."""
    labels = defaultdict(list)
    for name, intents in names.items():
        labels["" if Intent.BRIDGE in intents else ", ".join(i for i in Intent if i in intents)].append(name)
    words = [", ".join(found) + (f" ({when})" if when else "") for when, found in labels.items()]
    return f"{start} --> {end}: {'; '.join(words)}"


# The tables -------------------------------------------------------------------------------------------------


def replies() -> str:
    """A row for each event and state of the media; states that are answered alike share one."""
    cells: dict[str, dict[Media, tuple[str, ...]]] = defaultdict(dict)
    live = [case for case in cases() if case.phone is Phone.UP and case.name not in NOTIFICATIONS]
    for name in dict.fromkeys(case.name for case in live):
        for media in Media:
            cells[name][media] = tuple(
                _cell(case for case in live if (case.name, case.media, case.intent) == (name, media, intent))
                for intent in Intent
            )
    rows = [["event", "media", *(f"`{intent}`" for intent in Intent)]]
    for names, by_media in _alike(cells.items()):
        for states, row in _alike(by_media.items()):
            where = "any" if len(states) == len(Media) else ", ".join(states)
            rows.append([", ".join(f"`{name}`" for name in names), where, *row])
    return _table(rows)


def others() -> str:
    """Events of calls that are over, not known, or past the attempt that they belong to."""
    over = {case.name: case for case in cases() if case.phone is Phone.GONE}
    unknown = on_no_call()
    older = {intent: on_an_older_attempt(intent) for intent in Intent}
    rows = [["event", "call not known", "call over", "an older attempt"]]
    for name in unknown:
        kept = [name_of_reply(older[intent][name].reply) for intent in Intent if name in older[intent]]
        rows.append(
            [
                f"`{name}`",
                name_of_reply(unknown[name].reply),
                name_of_reply(over[name].decision.reply),
                " / ".join(dict.fromkeys(kept)) or "-",
            ]
        )
    return _table(rows)


def effects() -> str:
    """What a live call that is meant to be bridged owes after an event."""
    found: dict[str, dict[Media, str]] = defaultdict(dict)
    for case in cases():
        if case.phone is Phone.UP and case.intent is Intent.BRIDGE and not case.words and case.decision.owed:
            found[case.name][case.media] = ", ".join(_owed(owed) for owed in case.decision.owed)
    rows = [["event", "media", "owed"]]
    for names, by_media in _alike(found.items()):
        for states, owed in _alike(by_media.items()):
            rows.append([", ".join(f"`{name}`" for name in names), ", ".join(states), owed])
    return _table(rows)


def _owed(owed: Owed) -> str:
    after = round(owed.due - NOW - 1)
    return owed.effect.id.partition(":")[0] + (f" after {after} s" if after else "")


def _cell(found: Iterable[Case]) -> str:
    """The usual reply, then what differs from it in which circumstances."""
    usual, *rest = found
    said = {name_of_reply(usual.decision.reply): ""}
    for case in rest:
        said.setdefault(name_of_reply(case.decision.reply), case.words)
    return "; ".join(f"{words}: {reply}" if words else reply for reply, words in said.items())


def _alike(items: Iterable[tuple[K, V]]) -> list[tuple[list[K], V]]:
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


PARTS: Final = {"diagram": diagram, "replies": replies, "others": others, "effects": effects}


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{PAGE} is up to date")
