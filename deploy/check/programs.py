"""Configuration files, read by the programs that they are for."""

import shutil
import tempfile
from pathlib import Path
from typing import Final

from deploy.check.running import DEPLOY, Failed, command
from deploy.check.tools import debian

_EXPOSURE: Final = 20
"""Tenths, of systemd's scale from 0 (nothing to attack) to 100."""


def prometheus() -> str:
    tool = debian("promtool", "prometheus")
    folder = DEPLOY / "prometheus"
    said = ["promtool check config"]
    with tempfile.TemporaryDirectory(prefix="check-prometheus-") as name:
        text = (DEPLOY / "compose/prometheus.yaml").read_text()
        config = Path(name, "prometheus.yml")
        config.write_text(text.replace("/etc/prometheus/rules.yaml", str(folder / "rules.yaml")))
        command(tool, "check", "config", config)
    command(tool, "check", "rules", folder / "rules.yaml")
    said.append("check rules")
    command(tool, "test", "rules", folder / "rules-test.yaml", cwd=folder)
    said.append("test rules")
    return ", ".join(said)


def systemd() -> str:
    tool = debian("systemd-analyze", "systemd")
    text = (DEPLOY / "systemd/pstn-bridge.service").read_text()
    with tempfile.TemporaryDirectory(prefix="check-systemd-") as name:
        # The command has to exist for the unit to be right; here it is installed nowhere.
        something = shutil.which("true") or "/bin/true"
        unit = Path(name, "pstn-bridge.service")
        unit.write_text(text.replace("/opt/pstn-bridge/bin/pstn-bridge", something))
        # What it does not understand it only warns of; of units that are not ours it may say what it likes.
        if unit.name in (said := command(tool, "verify", "--man=no", unit)):
            raise Failed(said)
        words = ("security", "--offline=true", "--no-pager", f"--threshold={_EXPOSURE}")
        said = command(tool, *words, unit)
    level = said.strip().splitlines()[-1].split("level for pstn-bridge.service: ")[-1]
    return f"systemd-analyze verify; security: exposure {level.split()[0]} of 10"
