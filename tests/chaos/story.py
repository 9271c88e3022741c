"""Tells what was found: each finding with what the simulator, the replicas' logs and operators say of it."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.chaos.finding import Finding

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

LINES = 60
"""Of each thing at most: the latest."""
IDS = re.compile(
    r"\bc-[0-9a-f]{8}-[0-9a-f-]{36}|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\bp\d\d-[a-z2-7]{20}"
)
"""Of calls, participants and sessions; and refs."""


def told(evidence: "Evidence", found: Mapping[str, list[Finding]]) -> list[dict[str, Any]]:
    """What is wrong, each with the latest lines of all logs in which one of its ids is."""
    wrong = [(eye, one) for eye, all_ in found.items() for one in all_ if not one.excuse]
    wanted: dict[str, list[str]] = {id_: [] for _, one in wrong for id_ in one.ids if id_}
    for line in evidence.logs:
        for id_ in wanted.keys() & set(line.ids):
            wanted[id_].append(line.text)
    return [
        {
            "eye": eye,
            "what": one.what,
            "at": one.at,
            "log": list(dict.fromkeys(line for id_ in one.ids for line in wanted.get(id_, [])))[-LINES:],
        }
        for eye, one in wrong
    ]
