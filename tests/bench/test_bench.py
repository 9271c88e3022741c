"""The arithmetic of the benchmark, and one short run of it."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench import machine
from tests.bench.comparison import python_of, spread
from tests.bench.fast_http import FastClient
from tests.bench.figures import Guard, Row, percentile, ratio, table, timed


def test_percentiles_are_times_that_were_measured() -> None:
    times = [float(one) for one in range(1, 101)]
    assert (percentile(times, 0.5), percentile(times, 0.99), percentile(times, 1.0)) == (50, 99, 100)
    assert percentile([7.0], 0.01) == 7
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


def test_a_row_is_of_milliseconds() -> None:
    row = timed("x", [0.001, 0.002, 0.003], upstream=40, in_flight=2)
    assert (row.p50, row.max, row.samples) == (2, 3, 3)
    assert ratio(row.p50, 4) == 0.5
    assert ratio(None, 4) is None
    assert ratio(1, 0) is None


def test_a_row_that_the_load_was_the_limit_of_has_no_figures() -> None:
    row = Row(what="x", p50=1, per_second=9, refused="the load's core was the limit")
    assert table([row])[1].split() == [
        "x",
        "0",
        "ms",
        "1",
        "the",
        "load's",
        "core",
        "was",
        "the",
        "limit",
        "0%",
    ]


def test_guards() -> None:
    assert Guard("x", 1, 1).holds
    assert not Guard("x", 1.01, 1).holds
    assert Guard("x", 1, 1, least=True).holds
    assert not Guard("x", 0.99, 1, least=True).holds
    assert str(Guard("x", 0.99, 1, least=True)) == "FAIL x: 0.99, at least 1"


def test_a_ratio_has_a_spread() -> None:
    ratios = [1.2, 0.9, 1.0, 1.1, 1.05]
    assert spread(ratios) == "median 1.050, quartiles 1.000 to 1.100, all 0.900 to 1.200"


def test_another_build_needs_an_environment(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make setup"):
        python_of(tmp_path)


def test_how_busy_a_core_was() -> None:
    assert machine.share(idle=25, every=100) == 0.75
    assert machine.share(idle=0, every=0) == 0


async def test_a_connection_that_the_server_has_closed_is_not_used_again() -> None:
    async def answers_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 x\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answers_once, "127.0.0.1", 0) as server:
        client = FastClient(server.sockets[0].getsockname()[1])
        for _ in range(2):
            assert (await client.send("GET", "/")).status == 204
            await asyncio.sleep(0.05)
        client.close()


async def run(only: str, folder: Path) -> tuple[dict[str, Any], bytes, bytes]:
    output = folder / "figures.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench", "--only", only),
        *("--latency", "20", "--calls", "2", "--json", str(output)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(240):
        said, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    return json.loads(output.read_text()), said, complaints


async def test_what_is_kept_of_an_ended_call(tmp_path: Path) -> None:
    found, _, _ = await run("kept", tmp_path)
    kept = [found["figures"][f"ended call, STORE_FORMAT {one}: bytes in the store"] for one in (1, 2)]
    assert 0 < kept[1] < 0.7 * kept[0]


async def test_a_short_run(tmp_path: Path) -> None:
    """Every part that does not take its time, with few calls; counts are the same on every machine."""
    found, said, complaints = await run("air,throughput,listeners,memory", tmp_path)
    rows = {(row["what"], row.get("in_flight", 1)): row for row in found["rows"]}
    assert rows["existing room", 1]["p50"] > 40
    assert rows["prepare: dial", 1]["p50"] < rows["existing room", 1]["p50"]
    # Its first two trips were made before the caller came.
    assert rows["prepared participants", 1]["p50"] < 40
    assert b"existing room" in said
    figures = found["figures"]
    assert 4 <= figures["joins: requests to Bandwidth"] < 5
    assert rows["joins alone", 64]["samples"] == 14 * 64
    assert (
        figures["joins alone: processor of the service, ms"]
        > figures["joins alone: processor of the store, ms"]
    )
    assert figures["held call: bytes in the store, with its room"] > 500
    assert b"bench: throughput" in complaints
