"""Names in the code and in public are those of docs/glossary.md, and no class has the name of another one."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parent.parent
DOCS: Final = ROOT / "docs"
CODE: Final = ("service", "handlers")
EXCEPTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Engine": "the heading of the package of that name",
        "engine": "the package's name, as others know it: the shell around the pure core",
        "news": "the name of a key in the store, and of a parameter that says what feeds are read",
        "owed.forgotten": "public: dashboards and alerts go by it",
        "pstn_stock_total": "deprecated: beside pstn_prepared_total until release 0.3.0",
        "ConferenceEvent": "Bandwidth's conferences, of which we have none",
        "The edge": "of the network: what stands before the service",
        "A replica, or the way to it": "no interconnect, an ordinary word",
        "Weather": "public: CHAOS_WEATHER, and what the storm prints",
    }
)
"""Names that may have a word of the glossary's last column, and why."""


class Term(NamedTuple):
    name: str
    meaning: str
    origin: str
    synonyms: tuple[str, ...]
    of_tests: bool


class Name(NamedTuple):
    text: str
    where: str


def terms() -> list[Term]:
    found, section = [], ""
    for line in (DOCS / "glossary.md").read_text().splitlines():
        if line.startswith("## "):
            section = line
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| ") or cells[0] == "term":
            continue
        name, meaning, origin, synonyms = cells
        words = tuple(word.strip() for word in synonyms.split(",") if word.strip())
        found.append(Term(name, meaning, origin, words, section == "## Tests"))
    return found


TERMS: Final = terms()


def words_of(name: str) -> list[str]:
    """`CallJoiner`, `call_joiner`, `call.joiner` and `Call joiner` are two words."""
    parts = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+", name)
    return [part.lower() for part in parts]


def uses(name: str, synonym: str) -> bool:
    words, wanted = words_of(name), words_of(synonym)
    return any(words[at : at + len(wanted)] == wanted for at in range(len(words)))


def files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            if "node_modules" not in file.parts:
                yield file


def classes(*folders: str) -> Iterator[Name]:
    for file in files(*folders):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                yield Name(node.name, str(file.relative_to(ROOT)))


def modules(*folders: str) -> Iterator[Name]:
    for file in files(*folders):
        name = file.parent.name if file.stem == "__init__" else file.stem
        yield Name(name, str(file.relative_to(ROOT)))


def functions() -> Iterator[Name]:
    """Those of modules and of classes, without what is private."""
    for file in files(*CODE):
        tree = ast.parse(file.read_text())
        bodies = [tree.body, *(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]
        for node in (node for body in bodies for node in body):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
                yield Name(node.name, str(file.relative_to(ROOT)))


def listed(file: Path, pattern: str) -> Iterator[Name]:
    for name in re.findall(pattern, file.read_text(), re.MULTILINE):
        yield Name(name, str(file.relative_to(ROOT)))


def public() -> Iterator[Name]:
    yield from listed(DOCS / "logs.md", r"^\| `([a-z]+\.[a-z_]+)` \|")
    yield from listed(DOCS / "metrics.md", r"^\| `(pstn_\w+)")
    for settings in (ROOT / "README.md", DOCS / "settings.md"):
        yield from listed(settings, r"^\| `([A-Z_]+)` \|")
    for page in (ROOT / "README.md", *sorted(DOCS.glob("*.md"))):
        yield from listed(page, r"^#+ (.+)$")


def wrong(names: list[Name], *, of_tests: bool) -> list[str]:
    return [
        f"{where}: {text} says {synonym!r} for {term.name!r}"
        for text, where in names
        if text not in EXCEPTIONS
        for term in TERMS
        if term.of_tests is of_tests
        for synonym in term.synonyms
        if uses(text, synonym)
    ]


def test_every_term_is_explained_once() -> None:
    assert len(TERMS) > 100
    assert [name for name, count in Counter(term.name for term in TERMS).items() if count > 1] == []
    assert [term.name for term in TERMS if not (term.meaning.endswith(".") and term.origin)] == []


@pytest.mark.parametrize("kind", ["modules", "classes", "functions", "public"])
def test_names_are_the_glossarys(kind: str) -> None:
    names = {
        "modules": modules(*CODE),
        "classes": classes(*CODE),
        "functions": functions(),
        "public": public(),
    }
    found = list(names[kind])
    assert len(found) > 50
    assert wrong(found, of_tests=False) == []


def test_so_are_those_of_tests() -> None:
    assert wrong([*modules("tests"), *classes("tests")], of_tests=True) == []


def test_no_synonym_is_a_term() -> None:
    names = {term.name for term in TERMS}
    assert [word for term in TERMS for word in term.synonyms if word in names] == []


def test_no_class_name_stands_twice() -> None:
    counts = Counter(name.text for name in classes(*CODE))
    assert [name for name, count in counts.items() if count > 1] == []


def test_no_exception_is_left_over() -> None:
    names = [*modules(*CODE), *classes(*CODE), *functions(), *public(), *modules("tests"), *classes("tests")]
    used = {name.text for name in names}
    assert [name for name in EXCEPTIONS if name not in used] == []
    assert all(EXCEPTIONS.values())


@pytest.mark.parametrize(
    "name", ["StockRoom", "room_stock", "stock.given_up", "Room stock", "pstn_stock_total"]
)
def test_a_synonym_is_seen(name: str) -> None:
    assert uses(name, "stock")
    assert not uses(name, "room given")
