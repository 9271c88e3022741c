"""What has a new name in public is called by it everywhere, and works under the old one for a release."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.calls.effects import SHOWN_NAMES
from service.metrics import PREPARED_RESULTS, Metrics

ROOT: Final = Path(__file__).parent.parent
CHANGELOG: Final = ROOT / "CHANGELOG.md"
OLD_USES: Final = {
    "POST /calls/{id}/remove": r"/remove\b|`remove`|removeCall",
    "pstn_stock_total": r"pstn_stock",
    "stock.given_up": r"stock\.given_up",
    "stranger.removed": r"stranger\.removed",
    "stock-room": r"stock-room",
    "replace-stock": r"replace-stock",
    "in stock": r"(?<![-_])\bstock(?:ed)?\b(?![-_]|\.\w)",
}
"""Old names, and how a page that uses one would write it."""
NOTES: Final = {
    ("docs/operators.md", "POST /calls/{id}/remove"): 2,
    ("docs/deploy.md", "POST /calls/{id}/remove"): 1,
    ("docs/metrics.md", "pstn_stock_total"): 1,
    ("docs/glossary.md", "in stock"): 2,
}
"""How often a page says that a name is deprecated, is that of 0.1.0, or is not to be used."""
RENAMED: Final = {
    "POST /calls/{id}/remove": "POST /calls/{id}/hold",
    "removeCall": "holdCall",
    "pstn_stock_total": "pstn_prepared_total",
    "stock.given_up": "prepared.given_up",
    "stranger.removed": "participant.orphan_removed",
    **SHOWN_NAMES,
}


def pages() -> Iterator[Path]:
    """All that is written for users and operators, but for CHANGELOG.md."""
    yield ROOT / "README.md"
    yield from sorted((ROOT / "docs").rglob("*.md"))
    for folder in ("grafana", "prometheus", "chart", "compose"):
        yield from (one for one in sorted((ROOT / "deploy" / folder).rglob("*")) if one.is_file())


def test_no_page_uses_an_old_name() -> None:
    found = Counter(
        {
            (str(page.relative_to(ROOT)), name): len(re.findall(pattern, page.read_text()))
            for page in pages()
            for name, pattern in OLD_USES.items()
        }
    )
    assert len({page for page, _ in found}) > 30
    assert {use: count for use, count in found.items() if count} == NOTES


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("curl $BRIDGE/api/v1/calls/$CALL/remove", "POST /calls/{id}/remove"),
        ("`remove` takes it out", "POST /calls/{id}/remove"),
        ("sum(pstn_stock_total)", "pstn_stock_total"),
        ("what is in stock.", "in stock"),
    ],
)
def test_an_old_use_is_seen(text: str, name: str) -> None:
    assert re.search(OLD_USES[name], text)


def test_the_changelog_lists_each_renaming() -> None:
    section = CHANGELOG.read_text().split("## [0.2.0]")[1].split("\n## [")[0]
    listed = section.split("### Renamed\n")[1].split("\n### ")[0]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in listed.splitlines()]
    assert {row[0]: row[1] for row in rows if len(row) == 3 and row[0] in RENAMED} == RENAMED
    assert all(row[2] for row in rows if len(row) == 3)
    assert [row[0] for row in rows if len(row) == 3][2:] == list(RENAMED)


def test_the_old_counter_is_the_same_as_the_new_one() -> None:
    metrics = Metrics()
    for number, result in enumerate(PREPARED_RESULTS):
        for _ in range(number):
            metrics.prepared(result)
    text, _ = metrics.render("", None)
    families = {one.name: one for one in text_string_to_metric_families(text.decode())}
    new, old = (
        {one.labels["result"]: one.value for one in families[name].samples if one.name == f"{name}_total"}
        for name in ("pstn_prepared", "pstn_stock")
    )
    assert new == old == {result: number for number, result in enumerate(PREPARED_RESULTS)}
    help_text = families["pstn_stock"].documentation
    assert help_text.startswith("Deprecated")
    assert "pstn_prepared_total" in help_text
