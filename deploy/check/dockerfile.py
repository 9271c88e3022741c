"""The Dockerfile as far as the checks ask for it: stages, what they copy, what they run."""

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Copy(NamedTuple):
    source: str | None
    """The stage; None: the context."""
    what: tuple[str, ...]
    where: str


@dataclass(slots=True)
class Stage:
    name: str
    image: str
    """As it stands there; a build argument is `${ITS_NAME}`."""
    steps: list["Copy | str"] = field(default_factory=list)
    """COPY and RUN, in their order."""
    others: dict[str, str] = field(default_factory=dict)
    """USER, ENTRYPOINT and so on: the last of each name."""

    def words(self, instruction: str) -> list[str]:
        """Those of an instruction in exec form; raises ValueError where it is in shell form."""
        found: list[str] = json.loads(self.others[instruction])
        return found


def stages(text: str) -> dict[str, Stage]:
    """By name, in the order of the file."""
    found: dict[str, Stage] = {}
    for line in re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)).splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if instruction == "ARG" and not found:
            continue  # of the images below
        if instruction == "FROM":
            image, _, name = rest.partition(" AS ")
            stage = found[name] = Stage(name, image)
        elif instruction == "COPY":
            words = shlex.split(rest)
            sources = [word.removeprefix("--from=") for word in words if word.startswith("--from=")]
            *what, where = [word for word in words if not word.startswith("--")]
            stage.steps.append(Copy(sources[0] if sources else None, tuple(what), where))
        elif instruction == "RUN":
            stage.steps.append(rest.strip())
        elif instruction == "HEALTHCHECK":
            stage.others["HEALTHCHECK"] = rest.partition("CMD ")[2]
        elif instruction:
            stage.others[instruction] = rest.strip()
    return found


def ignored(patterns: str, path: Path) -> bool:
    """Whether a .dockerignore with patterns like ours keeps this path out: the last that matches decides."""
    out = False
    for pattern in patterns.splitlines():
        if not pattern or pattern.startswith("#"):
            continue
        bare = pattern.removeprefix("!")
        if bare == "*" or any(_matches(bare, one) for one in (path, *path.parents)):
            out = not pattern.startswith("!")
    return out


def _matches(pattern: str, path: Path) -> bool:
    anywhere = pattern.removeprefix("**/")
    return path.match(anywhere) if anywhere != pattern else str(path) == pattern
