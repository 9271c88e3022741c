"""`python -m deploy.audit`: bills of materials of the service and its page, and known vulnerabilities.

Run by `make audit` in .venv-audit. Reports go to build/; the exit code is 1 where something is known to be
vulnerable or could not be made, and 0 when nothing is, or when nobody can be asked, which is said.
"""

import argparse
import importlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.audit.verdict import CLEAN, FOUND, verdict
from deploy.check.running import ROOT, Unavailable
from deploy.check.tools import installed, with_node
from service import __version__

_BUILD: Final = ROOT / "build"
_PAGE: Final = ROOT / "handlers" / "page"
_PATIENCE: Final = 300
"""Seconds for one tool."""
# A locked list has no graph of what wants what, and the tool warns of it each time.
_QUIET: Final = {"PYTHONWARNINGS": "ignore"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__)
    parser.add_argument("--service", choices=("pypi", "osv"), default="pypi", help="whom pip-audit asks")
    options = parser.parse_args()
    _BUILD.mkdir(exist_ok=True)
    return max(_service(), _page(), _audit(options.service))


def _tell(line: str) -> None:
    sys.stdout.write(f"audit: {line}\n")
    sys.stdout.flush()


def _run(*command: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return] # noqa: S603 - our own tools
        command, capture_output=True, text=True, check=False, timeout=_PATIENCE, **more
    )


def _service() -> int:
    """Of requirements.txt: what the image and the unit install, with its hashes."""
    made = _BUILD / "sbom-service.cdx.json"
    done = _run(
        installed("cyclonedx-py"),
        *("requirements", "requirements.txt", "--pyproject", "pyproject.toml"),
        *("--output-reproducible", "--sv", "1.6", "-o", made),
        cwd=ROOT,
        env=_QUIET,
    )
    return _checked(made, done)


def _page() -> int:
    """Of what the page bundles; npm wants a version, which a page that is never published has not."""
    made = _BUILD / "sbom-page.cdx.json"
    with tempfile.TemporaryDirectory(prefix="pstn-audit-") as name:
        folder = Path(name)
        for one in ("package.json", "package-lock.json"):
            content = json.loads((_PAGE / one).read_text())
            content["version"] = __version__
            content.get("packages", {}).get("", {})["version"] = __version__
            (folder / one).write_text(json.dumps(content))
        try:
            environment: Mapping[str, str] = with_node(folder)
        except Unavailable as error:
            _tell(f"no bill of materials of the page: {error}")
            return CLEAN
        npm = shutil.which("npm", path=environment["PATH"]) or "npm"
        done = _run(
            npm,
            *("sbom", "--sbom-format", "cyclonedx", "--package-lock-only", "--omit", "dev"),
            *("--loglevel", "error"),
            cwd=folder,
            env=environment,
        )
    made.write_text(done.stdout)
    return _checked(made, done)


def _checked(made: Path, done: subprocess.CompletedProcess[str]) -> int:
    """Whether it has been made, and is what the schema of its version wants."""
    # These are in .venv-audit only.
    schema = importlib.import_module("cyclonedx.schema")
    validation = importlib.import_module("cyclonedx.validation.json")

    if done.returncode:
        _tell(f"{made.name} could not be made: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        return FOUND
    text = made.read_text()
    content = json.loads(text)
    version = schema.SchemaVersion.from_version(content["specVersion"])
    if error := validation.JsonStrictValidator(version).validate_str(text):
        _tell(f"{made.name} is not what its schema wants: {str(error).splitlines()[0]}")
        return FOUND
    about = f"CycloneDX {content['specVersion']}, {len(content['components'])} components, fits its schema"
    _tell(f"{made.relative_to(ROOT)}: {about}")
    return CLEAN


def _audit(service: str) -> int:
    done = _run(
        installed("pip-audit"),
        *("--requirement", "requirements.txt", "--require-hashes", "--disable-pip"),
        *("--vulnerability-service", service, "--format", "json", "--progress-spinner", "off"),
        cwd=ROOT,
    )
    (_BUILD / "audit.json").write_text(done.stdout)
    found = verdict(done.stdout, done.stderr)
    for line in found.lines:
        _tell(line)
    return found.code


if __name__ == "__main__":
    sys.exit(main())
