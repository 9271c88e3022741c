"""What pip-audit has found out, in words and an exit code; that nobody could be asked is said as well."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

CLEAN: Final = 0
FOUND: Final = 1
_AWAY: Final = re.compile(
    r"ConnectionError|Could not connect|Timeout|ProxyError|SSLError|ServiceError|Name or service not known"
)
"""How pip-audit's last words read when the service of vulnerabilities could not be asked."""
_NAMED: Final = 5
"""Packages in a line; the report has all."""


class Verdict(NamedTuple):
    code: int
    lines: Sequence[str]


def verdict(report: str, errors: str) -> Verdict:
    """`report`: pip-audit's JSON, empty when it gave none; `errors`: what it wrote beside it."""
    try:
        packages: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = errors.strip().splitlines()[-1:] or ["it said nothing"]
        if _AWAY.search(errors):
            return Verdict(
                CLEAN, [f"not audited: the vulnerability service cannot be reached ({last[0][:200]})"]
            )
        return Verdict(FOUND, [f"pip-audit failed: {last[0][:200]}"])
    known = [one for one in packages if "skip_reason" not in one]
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    if not known:
        return Verdict(CLEAN, ["not audited: what answers for the vulnerability service knows no package"])
    found = [
        f"{one['name']} {one['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or '-'}"
        for one in known
        for flaw in one["vulns"]
    ]
    lines = [*found, f"{len(known)} packages audited, {len(found)} known vulnerabilities"]
    if skipped:
        more = ", ..." if len(skipped) > _NAMED else ""
        lines.append(f"{len(skipped)} not audited, unknown there: {', '.join(skipped[:_NAMED])}{more}")
    return Verdict(FOUND if found else CLEAN, lines)
