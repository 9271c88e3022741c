"""openapi-python-client and openapi-typescript write a client each, and both are used against the service."""

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from handlers.api.document import DOCUMENT
from tests.api.clients import ALL
from tests.harness import CALLEE, RunningService
from tests.test_page_units import NODE, without_node

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
GENERATORS = ROOT / ".venv-clients"
PYTHON = GENERATORS / "bin" / "python"
PACKAGES = GENERATORS / "node_modules"
OPTIONS = {"strict": True, "target": "es2022", "module": "esnext", "moduleResolution": "bundler", "types": []}

pytestmark = pytest.mark.skipif(
    not (GENERATORS / ".installed").exists(), reason="the generators are not there: make clients"
)


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "openapi.json"
    path.write_bytes(DOCUMENT)
    return path


async def run(folder: Path, *command: str | Path) -> str:
    """What it says; it has to end well."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"NO_COLOR": "1"},
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


def answers(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines()]


async def test_python(service: RunningService, document: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("post_hooks: []\n")
    generate = "-m openapi_python_client generate --output-path bridge --meta none --fail-on-warning"
    files = [f"--path={document}", f"--config={settings}"]
    said = await run(tmp_path, PYTHON, *generate.split(), *files)
    assert said.strip() == "Generating bridge", "it warns of something that it has left out"
    shutil.copy(HERE / "used.py", tmp_path)

    placed, mismatch, premium, invalid, transfer = answers(
        await run(tmp_path, PYTHON, "used.py", service.url, ALL, CALLEE)
    )
    assert (placed["status"], placed["parsed"], placed["to"]) == (201, "Call", CALLEE)
    assert [one["status"] for one in (mismatch, premium, invalid, transfer)] == [422] * 4
    assert mismatch["parsed"] == "MismatchProblem"
    assert (premium["parsed"], premium["rule"]) == ("RuleProblem", "premium")
    assert (invalid["parsed"], invalid["field"]) == ("FieldProblem", "room")
    assert (transfer["parsed"], transfer["rule"]) == ("RuleProblem", "premium")


@without_node
async def test_typescript(service: RunningService, document: Path, tmp_path: Path) -> None:
    node = str(NODE)
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    cli = PACKAGES / "openapi-typescript" / "bin" / "cli.js"
    said = await run(tmp_path, node, cli, document, "--output", "bridge.d.ts")
    assert "warn" not in said.lower()
    shutil.copy(HERE / "used.ts", tmp_path)
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": OPTIONS, "files": ["used.ts"]}))
    await run(tmp_path, node, PACKAGES / "typescript" / "bin" / "tsc")

    placed, mismatch, premium, invalid, transfer = answers(
        await run(tmp_path, node, "used.js", service.url, ALL, CALLEE)
    )
    assert placed == {"status": 201, "state": placed["state"]}
    assert [one["status"] for one in (mismatch, premium, invalid, transfer)] == [422] * 4
    assert mismatch["type"] == "urn:pstn-bridge:problem:idempotency-mismatch"
    assert premium["particular"] == transfer["particular"] == "premium"
    assert invalid["particular"] == "room"


def test_the_locks_pin_by_hash_and_name_no_registry() -> None:
    text = (HERE / "requirements.txt").read_text()
    pins = re.findall(r"^[a-z][\w.-]*==", text, re.MULTILINE)
    assert "openapi-python-client==" in pins
    assert len(pins) == len(re.findall(r"^[a-z].*\\\n +--hash=sha256:", text, re.MULTILINE))
    assert "://" not in text
    packages = json.loads((HERE / "package-lock.json").read_text())["packages"]
    assert [
        name for name, one in packages.items() if name and ("resolved" in one or "integrity" not in one)
    ] == []
