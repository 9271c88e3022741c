import ast
import sys
from pathlib import Path

import pytest

import service.calls

FOLDER = Path(service.calls.__file__).parent
IMPURE = {
    "asyncio",
    "io",
    "logging",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "time",
    "uuid",
}
ALLOWED = (set(sys.stdlib_module_names) | {"msgspec"}) - IMPURE


@pytest.mark.parametrize(
    "module", sorted(FOLDER.rglob("*.py")), ids=lambda path: str(path.relative_to(FOLDER))
)
def test_the_core_imports_itself_msgspec_and_what_is_pure(module: Path) -> None:
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    foreign = {
        name for name in names if not name.startswith("service.calls") and name.split(".")[0] not in ALLOWED
    }
    assert not foreign
