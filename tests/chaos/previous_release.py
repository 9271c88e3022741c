"""The tree of the release before this one, out of the repository's history."""

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from shutil import which

from tests.chaos.fleet import TREE
from tests.upgrade.test_from_previous import RECORDING

RELEASE = RECORDING.release
"""Its commit: the release whose state is recorded."""
VERSION = "previous"
"""What its processes call themselves."""


def missing() -> str:
    """Why it cannot be had, in one line. Empty: it can."""
    if which("git") is None:
        return "git is not here"
    found = _git("cat-file", "-e", f"{RELEASE}^{{tree}}")
    if found.returncode:
        return f"the history with {RELEASE} is not here: {' '.join(found.stderr.decode().split())}"
    return ""


def history() -> str:
    """Where git keeps it; empty where there is none. A copy of the tree finds it by GIT_DIR."""
    if which("git") is None:
        return ""
    return _git("rev-parse", "--absolute-git-dir").stdout.decode().strip()


def extract(directory: Path) -> None:
    """Raises RuntimeError where it cannot be had."""
    archived = _git("archive", RELEASE, "service", "handlers", "tests")
    if archived.returncode:
        raise RuntimeError(f"git archive {RELEASE} failed: {archived.stderr.decode()}")
    with tarfile.open(fileobj=BytesIO(archived.stdout)) as archive:
        archive.extractall(directory, filter="data")
    with (directory / "service" / "__init__.py").open("a") as file:
        file.write(f'__version__ = "{VERSION}"\n')


def _git(*words: str) -> subprocess.CompletedProcess[bytes]:
    command = ["git", *words]
    return subprocess.run(command, cwd=TREE, capture_output=True, check=False)  # noqa: S603 - our own words
