"""Alerts and dashboard ask for metrics that there are, and each alert has its page of the runbook."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis.asyncio import Redis

from tests.operators import bridged, operator_for
from tests.promtool import promtool
from tests.scraping import OPENMETRICS, scraped, wait_for_metric
from tests.simulator.simulator import Simulator

ROOT = Path(__file__).parent.parent
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
RULES_TEST = RULES.with_name("rules-test.yaml")
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
RUNBOOK = ROOT / "docs" / "runbook.md"
NAME = re.compile(r"\b(pstn[a-z0-9_:]*|process_[a-z_]+)\b")
OLD_NAMES = {"pstn_stock_total"}
"""There beside their new names until the next release, and asked for by nobody."""
PARTS = ("Symptom", "Callers", "Fix")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def alerts() -> set[str]:
    return {rule["alert"] for rule in rules() if "alert" in rule}


def recorded() -> set[str]:
    return {rule["record"] for rule in rules() if "record" in rule}


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def queries() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"]
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def asked(expression: str) -> set[str]:
    """Names of metrics; not what stands in quotes, such as the name of a job."""
    return set(NAME.findall(re.sub(r'"[^"]*"', '""', expression)))


def sections() -> dict[str, str]:
    parts = re.split(r"^## (\w+)$", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.fixture
async def seen(simulator: Simulator, store_url: str, redis: Redis) -> set[str]:
    """The names on the page of a service that has seen calls: one that went well, one that did not."""
    async with operator_for(simulator, store_url, redis) as (service, operator):
        phone, _ = await bridged(simulator, operator)
        simulator.faults.add("deleteParticipant", status=500)
        await phone.hang_up()
        page = await wait_for_metric(
            service.url, "pstn_bandwidth_retries_total", operation="delete-participant"
        )
        later = await scraped(service.url, OPENMETRICS)
        return page.names | later.names


def test_names_are_told_from_values() -> None:
    assert asked('rate(pstn_a_total{job="pstn-bridge"}[5m]) / pstn:b:ratio2m > 0') == {
        "pstn_a_total",
        "pstn:b:ratio2m",
    }


async def test_rules_and_dashboard_ask_for_what_there_is(seen: set[str]) -> None:
    known = (seen | recorded()) - OLD_NAMES
    for rule in rules():
        assert asked(rule["expr"]) <= known, rule
        assert asked(rule["expr"]) or "up{" in rule["expr"], rule
    for query in queries():
        assert asked(query), query
        assert asked(query) <= known, query
    assert seen >= OLD_NAMES


async def test_every_metric_of_ours_is_on_the_dashboard(seen: set[str]) -> None:
    shown = set().union(*(asked(query) for query in queries()))
    shown |= set().union(*(asked(rule["expr"]) for rule in rules() if rule.get("record") in shown))
    endings = re.compile(r"_(bucket|count|sum|gcount|gsum|total)$")
    assert {endings.sub("", name) for name in seen - OLD_NAMES if name.startswith("pstn_")} == {
        endings.sub("", name) for name in shown if name.startswith("pstn_")
    }


def test_each_alert_has_a_section_and_each_section_an_alert() -> None:
    assert set(sections()) == alerts()
    assert list(sections()) == list(dict.fromkeys(rule["alert"] for rule in rules() if "alert" in rule))
    for rule in rules():
        if "alert" in rule:
            assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
            assert rule["labels"]["severity"] in {"page", "ticket"}


@pytest.mark.parametrize("name", sorted(alerts()))
def test_a_section_has_symptom_callers_three_commands_and_fix(name: str) -> None:
    text = sections()[name]
    at = [text.index(f"**{part}") for part in PARTS]
    assert at == sorted(at)
    [block] = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    commands = block.strip().splitlines()
    assert len(commands) == 3
    assert all(line.startswith("pstn-bridge ") for line in commands)


def test_no_data_source_is_built_in() -> None:
    sources = re.findall(r'"uid": "([^"]+)"', DASHBOARD.read_text())
    assert set(sources) == {"${datasource}", dashboard()["uid"]}
    assert [row["title"] for row in dashboard()["panels"] if row["type"] == "row"] == [
        "Callers",
        "Webhooks",
        "Bandwidth",
        "Owed work",
        "Store",
        "Rooms and replicas",
    ]
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)


def test_each_alert_and_each_sign_of_it_is_tested_both_ways() -> None:
    tests = yaml.safe_load(RULES_TEST.read_text())["tests"]
    fired, silent = set(), set()
    for case in (case for test in tests for case in test["alert_rule_test"]):
        for alert in case.get("exp_alerts") or []:
            fired.add((case["alertname"], alert["exp_labels"].get("sign")))
        if not case.get("exp_alerts"):
            silent.add(case["alertname"])
    assert fired == {(rule["alert"], rule["labels"].get("sign")) for rule in rules() if "alert" in rule}
    assert silent == alerts()


@pytest.mark.parametrize("arguments", [("check", "rules", RULES), ("test", "rules", RULES_TEST)])
def test_promtool_says_so_too(arguments: tuple[str | Path, ...]) -> None:
    assert "SUCCESS" in promtool(*arguments)
