"""docs/sizing.md reckons with the limits that the code and the chart have."""

import inspect
import re
from pathlib import Path

import yaml

from service.bandwidth.api_client import HttpClient
from service.calls.refs import PARTITIONS
from service.engine.outbox.worker import _CONCURRENCY
from service.settings import Settings
from service.store.redis.backends import CONNECTIONS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/sizing.md").read_text()


def test_the_limits_are_those_of_the_code() -> None:
    limits = PAGE.split("| limit | value | where |")[1].partition("\n\n")[0]
    values = yaml.safe_load((ROOT / "deploy/chart/values.yaml").read_text())
    assert [int(value) for value in re.findall(r"\| (\d+)(?: %)? \|", limits)] == [
        Settings.model_fields["max_webhooks"].default,
        inspect.signature(HttpClient).parameters["connections"].default,
        _CONCURRENCY,
        CONNECTIONS,
        PARTITIONS,
        values["autoscaling"]["targetCPUUtilizationPercentage"],
    ]


def test_every_symbol_of_the_formula_is_measured() -> None:
    measured = set(re.findall(r"^\| (\w) \|", PAGE, re.MULTILINE))
    formula = PAGE.split("```text")[1].split("```")[0]
    assert set(re.findall(r"\b[A-Za-z]\b", formula)) - {"N", "T", "x", "a"} <= measured
