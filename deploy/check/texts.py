"""Linters and schemas: what can be seen by reading a file."""

import json

from deploy.check.running import DEPLOY, ROOT, Failed, command
from deploy.check.tools import installed


def yaml() -> str:
    """Not the chart's templates, which are no YAML before they are rendered."""
    files = [
        path.relative_to(ROOT)
        for path in sorted(DEPLOY.rglob("*.yaml"))
        if "templates" not in path.parts and not path.is_symlink()
    ]
    command(installed("yamllint"), "--strict", "-c", DEPLOY / "check/yamllint.yaml", *files)
    return f"yamllint, {len(files)} files"


def shell() -> str:
    command(installed("shellcheck"), DEPLOY / "image/steps")
    return "shellcheck"


def dockerfile() -> str:
    command(installed("hadolint"), "--no-color", "--failure-threshold", "style", DEPLOY / "Dockerfile")
    return "hadolint, no remark"


def compose() -> str:
    schema = ("--builtin-schema", "vendor.compose-spec")
    command(installed("check-jsonschema"), *schema, DEPLOY / "compose.yaml")
    return "the Compose specification's schema"


def dashboard() -> str:
    path = DEPLOY / "grafana/dashboard.json"
    try:
        panels = json.loads(path.read_text())["panels"]
    except (OSError, ValueError, KeyError) as error:
        raise Failed(f"{path.name} is no dashboard: {error!r}") from None
    return f"JSON with {len(panels)} panels; its queries are checked by make test"
