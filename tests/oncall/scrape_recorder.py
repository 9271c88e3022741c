"""What was scraped from a replica, minute after minute, for Prometheus to judge by our rules.

A *stretch* is what two scrapes have seen, told as a minute and repeated: counters go on as they went between
the two, gauges stay as they were, and an age grows by a minute a minute. Nothing else about time is made up.
"""

import json
import re
from pathlib import Path
from typing import Final, NamedTuple

from tests.promtool import promtool
from tests.scraping import MetricsPage

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "deploy" / "prometheus" / "rules.yaml"
FIRING: Final = 'group by (alertname, sign) (ALERTS{alertstate="firing"})'
_GROWING: Final = re.compile(r"_(total|bucket|count|sum)$")
_AGE: Final = re.compile(r"_oldest_seconds$")

Series = dict[str, float]


class Alert(NamedTuple):
    name: str
    sign: str = ""


class ScrapeRecorder:
    def __init__(self) -> None:
        self._minutes: list[Series] = []
        self._last: Series = {}

    def extend(self, first: MetricsPage, last: MetricsPage, minutes: int) -> None:
        """Appended to what there is; a process that has begun anew counts from where it is."""
        begins, ends = _series(first), _series(last)
        told = self._minutes[-1] if self._minutes else {}
        again = any(
            ends[one] < value for one, value in self._last.items() if _is_counter(one) and one in ends
        )
        for minute in range(1, minutes + 1):
            now: Series = {}
            for one, value in ends.items():
                if _is_counter(one):
                    before = value if again else told.get(one, 0.0) + value - self._last.get(one, 0.0)
                    now[one] = before + (value - begins.get(one, 0.0)) * (minute - 1)
                else:
                    now[one] = value + (60.0 * minute if _AGE.search(_name(one)) and value else 0.0)
            self._minutes.append(now)
        self._last = ends

    def add_outage(self, minutes: int) -> None:
        """The replica does not answer Prometheus."""
        self._minutes += [{'up{instance="a",job="pstn-bridge"}': 0.0}] * minutes

    def firing_alerts(self, minute: int, folder: Path) -> set[Alert]:
        """The alerts that fire in this minute, as `promtool test rules` finds them."""
        series = sorted({one for now in self._minutes for one in now})
        test = {
            "rule_files": [str(RULES)],
            "evaluation_interval": "1m",
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [{"series": one, "values": self._values(one)} for one in series],
                    "promql_expr_test": [
                        {"expr": FIRING, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{none=''}"}]}
                    ],
                }
            ],
        }
        file = folder / "film.yaml"
        file.write_text(json.dumps(test))
        said = promtool("test", "rules", file)
        got = re.search(r"got:(.*)$", said, re.MULTILINE)
        assert got, said
        return {Alert(*pair) for pair in re.findall(r'alertname="(\w+)"(?:, sign="(\w+)")?', got[1])}

    def _values(self, series: str) -> str:
        return " ".join(repr(now[series]) if series in now else "_" for now in self._minutes)


def _series(page: MetricsPage) -> Series:
    """What the rules ask for, as Prometheus keeps it."""
    wanted = set(re.findall(r"\bpstn_[a-z0-9_]+\b", RULES.read_text()))
    found: Series = {'up{instance="a",job="pstn-bridge"}': 1.0}
    for sample in page.samples:
        if sample.name in wanted:
            labels = {"instance": "a", "job": "pstn-bridge", **sample.labels}
            text = ",".join(f"{key}={json.dumps(value)}" for key, value in sorted(labels.items()))
            found[f"{sample.name}{{{text}}}"] = float(sample.value)
    return found


def _name(series: str) -> str:
    return series.partition("{")[0]


def _is_counter(series: str) -> bool:
    return _GROWING.search(_name(series)) is not None
