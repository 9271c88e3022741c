"""`python -m deploy.check.release NAME=IMAGE ...`: whether an image for others may be built from these.

The names are the build arguments that the Dockerfile has for its base images. A tag is moved: who builds the
same release again would build another image, and nobody could say what is in it.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from deploy.check.dockerfile import stages
from deploy.check.running import DEPLOY, tell

_ARGUMENT: Final = re.compile(r"\$\{(\w+)\}")
_PINNED: Final = re.compile(r"[a-z0-9][a-z0-9._/:-]*@sha256:[0-9a-f]{64}")


def refusals(dockerfile: str, given: Mapping[str, str]) -> Iterator[str]:
    """Why not; nothing where it may."""
    found = stages(dockerfile)
    bases = {stage.image for stage in found.values()} - set(found)
    names = {argument[1] for base in bases if (argument := _ARGUMENT.fullmatch(base))}
    yield from (
        f"FROM {base}: is no build argument" for base in sorted(bases) if not _ARGUMENT.fullmatch(base)
    )
    for name in sorted(names):
        if not _PINNED.fullmatch(given.get(name, "")):
            yield f"{name}: wants an image by its digest, name@sha256:..."
    yield from (f"{name}: is no base image of the Dockerfile" for name in sorted(set(given) - names))


def main(words: Sequence[str]) -> int:
    given = dict(word.partition("=")[::2] for word in words)
    found = list(refusals((DEPLOY / "Dockerfile").read_text(), given))
    for one in found or ["every base image is named by its digest"]:
        tell(one)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
