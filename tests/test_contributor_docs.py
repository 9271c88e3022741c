"""The pages for contributors name files, folders and targets that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "contributing.md", TESTS / "README.md", *DECISIONS]
NAMED = re.compile(r"`([a-z.][\w.*-]*(?:/[\w.*-]+)+)/?`")
"""Paths with a slash; a placeholder such as `<topic>` makes it none."""
LINK = re.compile(r"\]\(((?!https?:)[^)#]+)(?:#[^)]*)?\)")


def exists(name: str, page: Path) -> bool:
    """From the root of the repository, or from the folder of the page. A star stands for some files."""
    return any(folder.joinpath(name).exists() or any(folder.glob(name)) for folder in (ROOT, page.parent))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    assert [name for name in NAMED.findall(text) if not exists(name, page)] == []
    assert [link for link in LINK.findall(text) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), re.MULTILINE)) <= targets


def test_every_folder_of_tests_is_described() -> None:
    text = (TESTS / "README.md").read_text()
    folders = [one.name for one in TESTS.iterdir() if one.is_dir() and not one.name.startswith("_")]
    assert [name for name in sorted(folders) if f"`{name}/`" not in text] == []


def test_decisions_are_numbered_and_say_their_date() -> None:
    assert [page.name[:4] for page in DECISIONS] == [f"{n:04}" for n in range(1, len(DECISIONS) + 1)]
    for page in DECISIONS:
        text = page.read_text()
        assert re.search(r"^State: \w+, as of \d{4}-\d\d-\d\d", text, re.MULTILINE), page.name
        for heading in ("Context", "Decision", "Consequences", "Alternatives"):
            assert f"\n## {heading}\n" in text, page.name
