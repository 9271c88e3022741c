"""Prometheus' own tool, with which our rules are run."""

import os
import shutil
import subprocess

import pytest


def needs_promtool() -> str:
    """Where it is. Without it the test is skipped, or fails where it is required.

    Asked before anything is started: what a skipped test has begun, nobody ends.
    """
    found = shutil.which("promtool")
    if found is None:
        missing = "there is no promtool, so that the rules were NOT run (Debian: the package prometheus)"
        if os.environ.get("PROMTOOL_TESTS") == "required":  # noqa: TID251 - how tests are run, not the service
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def promtool(*arguments: object) -> str:
    """What it prints."""
    found = needs_promtool()
    done = subprocess.run(  # noqa: S603 - our own files
        [found, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr
