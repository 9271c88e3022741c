"""What the replicas' logs say of what was found, so that its cause need not be searched for."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LINES = 60
"""Of each thing at most: the latest."""
IDS = re.compile(
    r"\bc-[0-9a-f]{8}-[0-9a-f-]{36}|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\bp\d\d-[a-z2-7]{20}"
)
"""Of calls, participants and sessions; and refs."""


def with_evidence(details: list[dict[str, Any]], logs: Iterable[Path]) -> list[dict[str, Any]]:
    """Each with the lines in which one of its ids is, of all logs, in the order of time."""
    ids = [set(IDS.findall(json.dumps(one))) for one in details]
    wanted: dict[str, list[str]] = {one: [] for some in ids for one in some}
    lines = sorted(
        (line for log in logs for line in log.read_text(errors="replace").splitlines()), key=_written
    )
    for line in lines:
        for one in set(IDS.findall(line)) & wanted.keys():
            wanted[one].append(line)
    return [
        {**one, "log": _latest([wanted[id_] for id_ in some])} for one, some in zip(details, ids, strict=True)
    ]


def _latest(lines: list[list[str]]) -> list[str]:
    """Each once."""
    found = dict.fromkeys(line for some in lines for line in some[-LINES:])
    return sorted(found, key=_written)[-LINES:]


def _written(line: str) -> str:
    found = re.search(r'"timestamp": ?"([^"]+)"', line)
    return found[1] if found else ""
