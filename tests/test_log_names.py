"""The log's events and keys are those of docs/logs.md: in the code, and in the lines of a call."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.harness import RunningService
from tests.simulator.simulator import Simulator

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "logs.md"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
# `exc_info`, and `log.exception` by itself, are written as these two.
TRACEBACK = {"error", "exception"}
FORBIDDEN = {"from", "to", "number", "caller", "from_number", "to_number", "token", "password", "uui"}
Functions = dict[str, set[str]]


class Said(NamedTuple):
    """One place in the code that writes a line."""

    name: str
    levels: frozenset[str]
    keys: frozenset[str]


class Module:
    """What a module says to the logger named `log`, also through another name for one of its methods."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.nodes = list(ast.walk(ast.parse(path.read_text())))
        self.writers = {
            target.id: levels
            for node in self.nodes
            if isinstance(node, ast.Assign) and (levels := _levels(node.value))
            for target in node.targets
            if isinstance(target, ast.Name)
        }

    def said(self) -> Iterator[Said]:
        for node in self.nodes:
            if not isinstance(node, ast.Call):
                continue
            levels = _levels(node.func)
            if isinstance(node.func, ast.Name):
                levels = self.writers.get(node.func.id, frozenset())
            if levels:
                yield self._said(node, levels)

    def bound(self) -> set[str]:
        """Keys that are put on all lines of a piece of work, as far as they are written out at the call."""
        calls = [node for node in self.nodes if isinstance(node, ast.Call) and _called(node) == "log_context"]
        keywords = [keyword for call in calls for keyword in call.keywords]
        return {keyword.arg for keyword in keywords if keyword.arg is not None}

    def _said(self, call: ast.Call, levels: frozenset[str]) -> Said:
        where = f"{self.path}:{call.lineno}"
        assert len(call.args) == 1, f"{where}: a line has a name and keys, no more"
        name = call.args[0]
        assert isinstance(name, ast.Constant), f"{where}: the name is not fixed"
        assert isinstance(name.value, str), where
        keys = {key for keyword in call.keywords for key in self._keys(keyword)}
        if "exc_info" in keys or "exception" in levels:
            keys = keys - {"exc_info"} | TRACEBACK
        named = frozenset("error" if level == "exception" else level for level in levels)
        return Said(name.value, named, frozenset(keys))

    def _keys(self, keyword: ast.keyword) -> set[str]:
        """The keyword, or where it is `**name` the keys of what is assigned to that name."""
        if keyword.arg is not None:
            return {keyword.arg}
        assert isinstance(keyword.value, ast.Name), f"{self.path}:{keyword.lineno}: which keys are these?"
        values = [
            node.value
            for node in self.nodes
            if isinstance(node, ast.Assign | ast.AnnAssign) and keyword.value.id in _names(node)
        ]
        found = set().union(*(_strings(value) for value in values if isinstance(value, ast.Dict)))
        assert found, f"{self.path}:{keyword.lineno}: which keys are these?"
        return found


def _names(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _levels(node: ast.expr) -> frozenset[str]:
    """Of `log.info`, and of `log.warning if ... else log.info`."""
    if isinstance(node, ast.IfExp):
        return _levels(node.body) | _levels(node.orelse)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "log":
        return frozenset({node.attr} & LEVELS)
    return frozenset()


def _strings(node: ast.Dict) -> set[str]:
    return {key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def modules() -> list[Module]:
    return [
        Module(path) for folder in ("service", "handlers") for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def in_code() -> list[Said]:
    return [said for module in modules() for said in module.said()]


def merged(lines: list[Said]) -> dict[str, tuple[set[str], set[str]]]:
    events: dict[str, tuple[set[str], set[str]]] = {}
    for said in lines:
        levels, keys = events.setdefault(said.name, (set(), set()))
        levels |= said.levels
        keys |= said.keys
    return events


def table(heading: str) -> list[list[str]]:
    """The cells of the rows under a heading of the document."""
    section = DOCUMENT.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows]


def words(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def documented() -> list[Said]:
    return [
        Said(name.strip("`"), frozenset(level.split(", ")), frozenset(words(keys)))
        for name, level, _when, keys in table("Events")
    ]


def shared() -> set[str]:
    return {row[0].strip("`") for row in table("Keys of every line")}


def test_every_line_of_the_code_is_documented_and_the_other_way_round() -> None:
    code, document = merged(in_code()), merged(documented())
    assert set(code) == set(document)
    for name, found in code.items():
        assert (name, *found) == (name, *document[name])
    assert len(documented()) == len(document), "an event has two rows"
    assert [said.name for said in documented()] == sorted(document), "rows are in order of the name"


def test_names_are_nouns_and_verbs() -> None:
    assert [said.name for said in in_code() if not re.fullmatch(r"[a-z]+\.[a-z_]+", said.name)] == []


def test_no_key_carries_personal_data_unless_it_says_so() -> None:
    keys = {key for said in in_code() for key in said.keys} | shared()
    assert {
        key for key in keys if key.removeprefix("pii_") in FORBIDDEN and not key.startswith("pii_")
    } == set()


def test_keys_that_are_bound_are_documented() -> None:
    bound = set().union(*(module.bound() for module in modules()))
    assert bound <= shared()
    assert {"ref", "call_id", "room", "session_id", "participant_id"} <= bound


def test_an_event_does_not_use_a_shared_key_for_its_own_ends() -> None:
    assert [said.name for said in in_code() if said.keys & shared()] == []


async def test_the_lines_of_a_call_have_documented_keys_only(
    simulator: Simulator, service: RunningService
) -> None:
    phone = await simulator.dial()
    await phone.until("bridged")
    await phone.far_end_hangs_up()
    await phone.until("ended")
    await simulator.settled()
    simulator.faults.add("createSession", status=500, times=2)
    unlucky = await simulator.dial()
    await unlucky.until("ended")
    await simulator.settled()

    known = {said.name: said.keys for said in documented()}
    lines = [line for line in service.log() if "logger" not in line]
    assert {"call.ended", "effect.done", "join.failed", "request.sent", "webhook.answered"} <= {
        line["event"] for line in lines
    }
    for line in lines:
        assert set(line) - shared() <= known[line["event"]], line
