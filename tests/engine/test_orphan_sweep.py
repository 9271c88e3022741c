# ruff: noqa: ASYNC109 - `timeout` as in the module that is stood in for
"""Calls that nobody knows are found however many there are, and without those that somebody does."""

from collections.abc import Collection, Iterable
from typing import cast

import pytest

from service.bandwidth.errors import BandwidthError
from service.bandwidth.voice import FoundCall, TooManyCalls, VoiceApi
from service.engine.orphan_sweep import unknown_calls
from service.store.known_ids import KnownIds
from tests.clocks import SetClock


class ListedCalls:
    """Calls begin evenly; a list has a hundred at most."""

    def __init__(self, calls: Iterable[FoundCall], *, most: int = 100) -> None:
        self._calls = {float(one.start_time or 0): one for one in calls}
        self._most = most
        self.asked: list[tuple[float, float]] = []

    async def list_calls(
        self, *, since: float, until: float, timeout: float, attempt: int
    ) -> list[FoundCall]:
        self.asked.append((since, until))
        found = [one for at, one in self._calls.items() if since <= at <= until]
        if len(found) > self._most:
            raise TooManyCalls("list-calls", "invalid-response")
        return found


class NoKnownIds:
    def __init__(self, *known: str, named: Collection[str] = ()) -> None:
        self._known, self._named = set(known), set(named)

    async def filter_known_calls(self, ids: Iterable[str]) -> set[str]:
        return self._known & set(ids)

    async def filter_known(self, ids: Iterable[str]) -> set[str]:
        return self._named & set(ids)


def call(at: float, id_: str = "", **more: str) -> FoundCall:
    found = {"state": "answered", "application_id": "ours", "start_time": str(at), **more}
    return FoundCall(id_ or f"c-{at:.0f}", **found)


async def found(voice: ListedCalls, known: NoKnownIds | None = None) -> list[str]:
    calls = await unknown_calls(
        cast("VoiceApi", voice),
        cast("KnownIds", known or NoKnownIds()),
        SetClock(10_000),
        application_id="ours",
        since=0,
    )
    return [one.call_id for one in calls]


async def test_a_list_that_is_too_long_is_asked_for_in_parts() -> None:
    voice = ListedCalls(call(at) for at in range(0, 10_000, 10))
    assert await found(voice) == [f"c-{at}" for at in range(0, 10_000, 10)]
    assert 20 < len(voice.asked) < 40


async def test_it_is_not_halved_for_ever() -> None:
    voice = ListedCalls((call(at / 10, f"c-{at}") for at in range(200)), most=50)
    with pytest.raises(BandwidthError):
        await found(voice)
    assert len(voice.asked) < 20


async def test_only_those_that_are_up_ours_and_nobodys() -> None:
    voice = ListedCalls(
        [
            call(1, state="disconnected"),
            call(2, end_time="2026-01-01T00:00:00Z"),
            call(3, application_id="theirs"),
            call(4, "c-known"),
            call(5, "c-leg"),
            call(6, "c-b-leg", parent_call_id="c-known"),
            call(7, "c-nobodys", parent_call_id="c-unheard"),
            call(8, "c-new", state="something-new"),
        ]
    )
    assert await found(voice, NoKnownIds("c-known", named=["c-leg"])) == ["c-nobodys", "c-new"]
