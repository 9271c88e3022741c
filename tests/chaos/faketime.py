"""A store whose machine has a wrong clock, by way of libfaketime where that is installed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.store.redis.embedded import EmbeddedServer
from tests.stores import RestartableStore

LIBRARIES = [
    Path(folder, "faketime/libfaketimeMT.so.1")
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib")
]


def library() -> Path | None:
    return next((one for one in LIBRARIES if one.exists()), None)


class WrongStore(RestartableStore):
    """`set_clock` sets the clock of its server, while it runs too. Monotonic time goes on as ever."""

    def __init__(self, directory: Path, faketime: Path) -> None:
        self._offset = directory.parent / "store-clock"
        self.set_clock(0)
        super().__init__(directory, _Server(directory, faketime, self._offset))

    def set_clock(self, seconds: int) -> None:
        """`seconds`: ahead of the right time."""
        written = self._offset.with_suffix(".new")
        written.write_text(f"{seconds:+}s\n")
        written.replace(self._offset)


class _Server(EmbeddedServer):
    def __init__(self, directory: Path, faketime: Path, offset: Path) -> None:
        super().__init__(directory, appendfsync="always")
        self._environment = {
            "LD_PRELOAD": str(faketime),
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def _launch(self, socket: Path) -> None:
        with _also(self._environment):
            super()._launch(socket)


@contextmanager
def _also(environment: dict[str, str]) -> Iterator[None]:
    """For children that are started inside of the block."""
    before = {name: os.environ.get(name) for name in environment}  # noqa: TID251 - of a child
    os.environ.update(environment)  # noqa: TID251 - as above
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]  # noqa: TID251 - as above
            else:
                os.environ[name] = value  # noqa: TID251 - as above
