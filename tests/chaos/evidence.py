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
    lines = sorted(
        (line for log in logs for line in log.read_text(errors="replace").splitlines()), key=_written
    )
    return [{**one, "log": _about(set(IDS.findall(json.dumps(one))), lines)} for one in details]


def _about(ids: set[str], lines: list[str]) -> list[str]:
    return [line for line in lines if any(one in line for one in ids)][-LINES:]


def _written(line: str) -> str:
    found = re.search(r'"timestamp": ?"([^"]+)"', line)
    return found[1] if found else ""
