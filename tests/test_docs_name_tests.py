"""What docs/guarantees.md and docs/threat-model.md say a test shows, a test shows."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
LINK = re.compile(r"\]\(((?!https?:)[^)#]+)(?:#[^)]*)?\)")


def named(document: str) -> list[str]:
    text = (ROOT / "docs" / document).read_text()
    return re.findall(r"`((?:tests/|test_)[\w/.:]*)`", text)


def functions(file: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def exists(name: str) -> bool:
    """A file, a folder with tests in it, or a test in a file; a bare name is one of a file anywhere."""
    path, _, test = name.partition("::")
    path = path.removesuffix(".py")
    if not path.startswith("tests/"):
        return any(TESTS.rglob(f"{path}.py"))
    file = ROOT / f"{path}.py"
    if test:
        return file.is_file() and test in functions(file)
    return file.is_file() or any((ROOT / path).glob("test_*.py"))


@pytest.mark.parametrize("document", ["guarantees.md", "threat-model.md"])
def test_every_test_that_is_named_exists(document: str) -> None:
    names = named(document)
    assert len(names) > 10
    assert [name for name in names if not exists(name)] == []


def test_a_name_that_is_none_is_seen() -> None:
    for name in (
        "test_nothing_of_the_kind",
        "tests/nothing",
        "tests/test_token_bucket.py::test_nothing",
        "tests/nothing.py::test_two_spells",
    ):
        assert not exists(name)
    for name in (
        "test_token_bucket",
        "tests/test_token_bucket.py",
        "tests/test_token_bucket.py::test_two_spells",
        "tests/join",
    ):
        assert exists(name)


def test_every_threat_names_a_test() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text()
    threats = text.split("## Entry points")[1].split("## What is accepted")[0]
    rows = [
        line for line in threats.splitlines() if line.startswith("| ") and "| what stops it |" not in line
    ]
    assert len(rows) > 30
    assert [row for row in rows if "`tests/" not in row.rsplit("|", 2)[1]] == []


@pytest.mark.parametrize("document", ["SECURITY.md", "threat-model.md"])
def test_links_lead_somewhere(document: str) -> None:
    links = LINK.findall((ROOT / "docs" / document).read_text())
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
    assert "SECURITY.md" in (ROOT / "README.md").read_text()


def test_no_address_is_made_up() -> None:
    assert "@" not in (ROOT / "docs" / "SECURITY.md").read_text()
