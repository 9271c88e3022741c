"""The parts of an attack: hostile clients keep to limits and arrive; a loop that stands still is seen."""

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from handlers.http.request_guard import BODY_LIMIT, VISITOR_LIMIT
from tests.attack import bodies, hostile
from tests.attack.callers import WEBHOOKS, OrdinaryCallers
from tests.attack.client import AnswerCounts
from tests.attack.connection import HttpResponse
from tests.attack.pace import CONNECTIONS, REQUESTS, RateShare
from tests.attack.replica import LoopPause, longest, watch
from tests.attack.report import is_harmless
from tests.bench.processes import bench_processes, webhooks
from tests.waiting import wait_until


@pytest.fixture
def many_files() -> Iterator[None]:
    """Of this process and the replica that it starts: a connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_kinds_share_what_all_of_them_may_do() -> None:
    assert sum(kind.requests for kind in hostile.KINDS) == REQUESTS
    assert sum(kind.connections for kind in hostile.KINDS) == CONNECTIONS
    assert len({kind.name for kind in hostile.KINDS}) == len(hostile.KINDS)


def test_turns_come_at_even_distances_and_are_not_saved_up() -> None:
    pace = RateShare(10)
    assert [round(pace.due(100.0), 3) for _ in range(4)] == [100.0, 100.1, 100.2, 100.3]
    assert round(pace.due(100.1), 3) == 100.4
    assert [round(pace.due(200.0), 3) for _ in range(2)] == [200.0, 200.1]


def test_bodies_are_as_large_as_may_be() -> None:
    for size in (BODY_LIMIT, VISITOR_LIMIT, *range(4000, 4012)):
        every = [*bodies.bare(size), *bodies.webhooks(size), *bodies.named(size, "invitation")]
        assert {len(one) for one in every} == {size}
        assert len(set(every)) == 4 * len(bodies.SHAPES)


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        (HttpResponse(401, {}, b""), "401"),
        (
            HttpResponse(503, {"retry-after": "2"}, b'{"type":"urn:pstn-bridge:problem:overloaded"}'),
            "503 overloaded",
        ),
        (HttpResponse(503, {}, b'{"type":"urn:pstn-bridge:problem:overloaded"}'), "503"),
        (
            HttpResponse(503, {"retry-after": "1"}, b'{"type":"urn:pstn-bridge:problem:store-unavailable"}'),
            "503",
        ),
        (HttpResponse(503, {"retry-after": "1"}, b"busy"), "503"),
        (HttpResponse(503, {"retry-after": "1"}, b"[]"), "503"),
    ],
)
def test_only_a_lack_of_places_is_no_failure(answer: HttpResponse, label: str) -> None:
    assert answer.label == label


async def test_a_loop_that_stands_still_is_seen(tmp_path: Path) -> None:
    """For how long, and whether it was the loop that computed."""
    told: list[LoopPause] = []
    watching = asyncio.get_running_loop().create_task(watch(told.append))
    await wait_until(lambda: told)
    begun = time.monotonic()
    time.sleep(0.2)  # noqa: ASYNC251 - this is it
    await wait_until(lambda: told[-1].at > begun)
    slept = told[-1]
    assert 0.19 <= slept.seconds < 1
    assert slept.own < 0.1
    computes = time.thread_time() + 0.2
    while time.thread_time() < computes:
        pass
    await wait_until(lambda: told[-1].own >= 0.2)
    watching.cancel()
    file = tmp_path / "pauses"
    file.write_text(f'{{"at": 1, "seconds": 9, "own": 0}}\n{{"at": {slept.at}, "seconds": 0.2, "own": 0}}\n')
    assert longest(file, begun, slept.at).seconds == 0.2
    with pytest.raises(ValueError, match="nothing"):
        longest(file, slept.at + 1, slept.at + 2)


@pytest.mark.parametrize(
    ("line", "harmless"),
    [
        ('{"event": "x", "level": "warning"}', True),
        ('{"event": "x", "level": "error"}', False),
        ('{"event": "x"}', False),
        ("Traceback (most recent call last):", False),
    ],
)
def test_lines_of_errors(line: str, *, harmless: bool) -> None:
    assert is_harmless(line) is harmless


async def test_each_kind_arrives_and_gets_no_further(tmp_path: Path, many_files: None) -> None:
    """Beside a few callers, all of whom are let in; the loop is watched meanwhile."""
    hostile.prepare()
    tally, watched = AnswerCounts(), tmp_path / "pauses"
    async with bench_processes(tmp_path) as found:
        stub, store = await found.stub(), await found.store()
        begun = time.monotonic()
        replica = await found.replica(
            store, stub, started_as=("tests.attack.replica", str(watched)), more_keys=hostile.KEYS
        )
        callers = OrdinaryCallers(webhooks(replica), 5)

        def arrived() -> bool:
            return all(
                not set(kind.expected) - set(tally.answers.get(kind.name, Counter()))
                for kind in hostile.KINDS
            )

        async with asyncio.TaskGroup() as group:
            calling = group.create_task(callers.play())
            attack = group.create_task(hostile.play(hostile.KINDS, replica.port, 100, tally))
            await wait_until(arrived, seconds=60, what=lambda: tally.answers)
            await wait_until(lambda: callers.seconds(WEBHOOKS[-1], begun, time.monotonic()), seconds=30)
            attack.cancel()
            callers.end()
            await calling
        for kind in hostile.KINDS:
            assert set(tally.answers[kind.name]) <= {*kind.expected, *kind.allowed}, kind.name
        assert callers.wrong == []
        assert 0 < longest(watched, begun, time.monotonic()).seconds < 60
        assert [line for line in replica.log.read_text().splitlines() if not is_harmless(line)] == []


async def test_a_caller_who_is_not_let_in_is_told_of(tmp_path: Path) -> None:
    """By something that answers each webhook, and with no transfer."""
    async with bench_processes(tmp_path) as found:
        bare = await found.bare()
        callers = OrdinaryCallers(webhooks(bare), 2)
        async with asyncio.TaskGroup() as group:
            group.create_task(callers.play())
            await wait_until(lambda: callers.wrong, seconds=30)
            callers.end()
        assert callers.wrong[0].startswith("NotBridged")
