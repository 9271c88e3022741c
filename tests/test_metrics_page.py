"""The page of metrics: in both forms, documented, of a bounded size, and naming nobody."""

import asyncio
import re
from pathlib import Path

from service.metrics import RECONCILER_FINDS, Metrics
from service.series import Counters, Histograms
from tests.harness import NUMBER, RunningService, serving
from tests.operators import Operator
from tests.scraping import OPENMETRICS, MetricsPage, scraped, wait_for_metric
from tests.simulator.simulator import Simulator

DOCUMENT = Path(__file__).parent.parent / "docs" / "metrics.md"
ROWS = re.compile(r"^\| `(pstn_\w+)(?:\{([\w,]+)\})?` \|", re.MULTILINE)


async def test_both_forms_say_the_same(simulator: Simulator, service: RunningService) -> None:
    phone = await simulator.dial()
    await phone.until("bridged")
    plain, openmetrics = await scraped(service.url), await scraped(service.url, OPENMETRICS)
    assert openmetrics.text.endswith("# EOF\n")
    assert plain.names == openmetrics.names
    assert not [name for name in plain.names if name.endswith("_created")]
    await phone.hang_up()


def documented() -> dict[str, set[str]]:
    rows = ROWS.findall(DOCUMENT.read_text())
    assert [name for name, _ in rows] == sorted({name for name, _ in rows}), "in order of the name, each once"
    return {name: set(filter(None, labels.split(","))) for name, labels in rows}


def defined() -> dict[str, set[str]]:
    """Names as they are queried, less the endings of histograms, with their labels."""
    found = vars(Metrics()).values()
    families = {f"{one.name}_total": set(one.labels) for one in found if isinstance(one, Counters)}
    families |= {one.name: set(one.labels) for one in found if isinstance(one, Histograms)}
    return families


async def test_all_is_documented_and_the_other_way_round(
    simulator: Simulator, service: RunningService
) -> None:
    page = await scraped(service.url)
    surveyed = {
        family.name: {label for one in family.samples for label in one.labels} - {"le"}
        for family in page.families
        if family.name.startswith("pstn_") and family.type in {"gauge", "histogram"}
    }
    surveyed = {
        name: labels
        for name, labels in surveyed.items()
        if name not in defined() and not name.endswith(("_gcount", "_gsum"))
    }
    assert defined() | surveyed == documented()
    [row] = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `pstn_reconciler")]
    assert set(re.findall(r"`([a-z-]+)`", row)) == set(RECONCILER_FINDS)


async def test_fifty_calls_name_nobody_and_add_no_series(
    simulator: Simulator, service: RunningService
) -> None:
    async def one() -> None:
        phone = await simulator.dial()
        await phone.until("bridged", timeout=20)
        await phone.hang_up()
        await phone.until("ended")

    await one()
    await simulator.settled()
    before = await wait_for_metric(service.url, "pstn_effects_total", effect="delete-session", result="done")
    await asyncio.gather(*(one() for _ in range(50)))
    await simulator.settled()
    after = await wait_for_metric(
        service.url, "pstn_effects_total", 51, effect="delete-session", result="done"
    )
    assert after.get("pstn_calls_ended_total") == 51

    def series(page: MetricsPage) -> set[tuple[str, frozenset[tuple[str, str]]]]:
        return {(one.name, frozenset(one.labels.items())) for one in page.samples}

    new = series(after) - series(before)
    assert len(new) < 50, "fewer than one for each call"
    assert len(after.samples) < 1000
    values = {value for one in after.samples for value in one.labels.values()}
    names = {line["ref"] for line in service.log() if "ref" in line} | {
        line[key] for line in service.log() for key in ("room", "call_id", "session_id") if line.get(key)
    }
    assert len(names) > 100
    assert not [name for name in names if name in after.text]
    assert NUMBER not in after.text
    assert not [value for value in values if re.search(r"[1-9]\d{3}|c-[0-9a-f]{8}|p\d\d-", value)]


async def test_applications_in_one_process_count_apart(simulator: Simulator, store_url: str) -> None:
    async with serving(simulator, store_url) as one, serving(simulator, store_url) as other:
        phone = await simulator.dial()
        await phone.until("bridged")
        await phone.hang_up()
        await simulator.settled()
        pages = [await scraped(service.url) for service in (one, other)]
        assert [page.get("pstn_webhooks_total", event="initiate") for page in pages] == [0, 1]
        assert [page.get("pstn_calls_ended_total") for page in pages] == [0, 1]


async def test_operators_are_no_label(operator: Operator, service: RunningService) -> None:
    await operator.ask("GET", "/calls")
    page = await scraped(service.url)
    assert "all" not in {value for one in page.samples for value in one.labels.values()}
