"""Where what runs at length keeps its files while it runs."""

import os


def temporary_place() -> str | None:
    """For `dir` of `tempfile`, which would take another place in silence where TMPDIR cannot be written."""
    return os.environ.get("TMPDIR") or None  # noqa: TID251 - this is the user's, not the service's
