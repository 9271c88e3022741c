"""An append-only file that is cut or damaged: what the server does, and that the runbook's steps help."""

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from service.store.redis.embedded import EmbeddedError, EmbeddedServer

CALLS = 200


@pytest.fixture
def place() -> Iterator[Path]:
    """A short path, so that the socket fits beside the data."""
    path = Path(tempfile.mkdtemp(prefix="pb-"))
    yield path / "data"
    shutil.rmtree(path)


@asynccontextmanager
async def started(place: Path) -> AsyncIterator[Redis]:
    server = EmbeddedServer(place)
    url = await server.start()
    try:
        async with Redis.from_url(url) as client:
            yield client
    finally:
        await server.stop()


async def written(place: Path, damage: Callable[[bytes], bytes], *, base: bool = False) -> Path:
    """A file with so many calls in it, and then damaged; `base`: that which a rewrite has made."""
    async with started(place) as client:
        for n in range(CALLS):
            await client.set(f"call{n}", f"state of {n}")
    [file] = place.glob("appendonlydir/*.base.rdb" if base else "appendonlydir/*.incr.aof")  # noqa: ASYNC240
    file.write_bytes(damage(file.read_bytes()))
    return file


def in_the_middle(data: bytes) -> bytes:
    half = len(data) // 2
    return data[:half] + b"X" * 16 + data[half + 16 :]


async def calls(place: Path) -> int:
    async with started(place) as client:
        return int(await client.dbsize())


async def test_a_file_that_was_cut_off_is_read_up_to_there(place: Path) -> None:
    """As a power cut leaves it: all but the last change."""
    await written(place, lambda data: data[:-10])
    assert await calls(place) == CALLS - 1


@pytest.mark.parametrize(
    ("damage", "least", "most"),
    [(in_the_middle, 80, 120), (lambda data: data + bytes(4096), CALLS, CALLS)],
    ids=["in the middle", "zeros at its end"],
)
async def test_damage_is_refused_and_can_be_cut_off(
    place: Path, damage: Callable[[bytes], bytes], least: int, most: int
) -> None:
    """The error names the command, which is run here as it stands there."""
    file = await written(place, damage)
    with pytest.raises(EmbeddedError) as refused:
        await EmbeddedServer(place).start()
    said = str(refused.value)
    assert "Bad file format" in said
    assert "PstnStoreUnavailable" in said
    [command] = re.findall(r"^ {2}(bash -c .*)$", said, re.MULTILINE)
    fixed = subprocess.run(shlex.split(command), input=b"y\n", capture_output=True, check=False)  # noqa: ASYNC221, S603
    assert b"Successfully truncated" in fixed.stdout, (fixed.stdout, fixed.stderr)
    assert str(file) in command
    assert least <= await calls(place) <= most


async def test_a_damaged_base_is_said_to_need_a_backup(place: Path) -> None:
    await written(place, in_the_middle, base=True)
    with pytest.raises(
        EmbeddedError, match=r"(?s)it said:.*put back a backup of \S+/appendonlydir"
    ) as refused:
        await EmbeddedServer(place).start()
    assert "check-aof" not in str(refused.value).partition("what to do")[2]
    shutil.move(place / "appendonlydir", place / "damaged")
    assert await calls(place) == 0
