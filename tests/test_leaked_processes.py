"""The check that ends a test run which leaves a process behind."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """\
import pytest
from tests.leaked_processes import adopt_orphans, assert_no_processes

def pytest_configure():
    adopt_orphans()

@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    assert_no_processes(session)
"""
LEAVES = """\
import subprocess

def test_leaves_one_behind():
    # Its parent ends at once, and it has a session of its own.
    subprocess.run(["sh", "-c", "setsid sleep 300 >/dev/null 2>&1 & "], check=True)
"""
ROOT = Path(__file__).parent.parent


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
@pytest.mark.parametrize(
    ("workers", "leaves"), [([], False), (["-n", "1"], True)], ids=["leaves nothing", "leaves one"]
)
def test_a_process_that_is_left_behind_fails_the_run(
    tmp_path: Path, workers: list[str], leaves: bool
) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(LEAVES if leaves else "def test_it():\n    pass\n")
    run = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", str(tmp_path), *workers]
    done = subprocess.run(  # noqa: S603 - our own words
        [*run, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    named = re.findall(r"process (\d+) outlives the test run: sleep 300", done.stderr)
    for pid in named:
        os.kill(int(pid), signal.SIGKILL)
    assert (done.returncode, len(named)) == ((1, 1) if leaves else (0, 0)), done.stdout + done.stderr
