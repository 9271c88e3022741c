"""Decides when a replica may stand aside, so that a 503 from it is right. Only the order of events counts.

A replica stands aside from the line `replica.aside` of its log to the line `replica.back`. It is right where
it was cut off from Bandwidth before, and cannot know yet that it is no more. It knows once each API has
answered a request that was asked since, and another one that was asked after that.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING

import msgspec

from tests.chaos.troubles import NEVER, Trouble
from tests.simulator.clock import epoch_ms, monotonic
from tests.simulator.journal import Request

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence, LogLine

CUT = "cut-bandwidth"
VOICE = {"createCall", "updateCall", "getCall", "listCalls"}
TOKEN = "token"


class Aside(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which a replica stood aside, in monotonic seconds; `over` is NEVER where no line says it."""

    host: str
    process: str
    begun: float
    over: float
    is_right: bool


def asides(evidence: "Evidence") -> list[Aside]:
    """In no order."""
    cuts = [one for one in evidence.troubles.all if one.kind == CUT]
    known = healed(evidence.simulator.requests, cuts)
    return [
        Aside(
            host=host,
            process=process,
            begun=begun,
            over=over,
            is_right=any(
                one.host == host and one.begun <= begun <= until
                for one, until in zip(cuts, known, strict=True)
            ),
        )
        for host, process, begun, over in _spells(evidence.logs)
    ]


def _spells(logs: Iterable["LogLine"]) -> Iterator[tuple[str, str, float, float]]:
    """By the log's order within each process."""
    ahead = epoch_ms() / 1000 - monotonic()
    begun: dict[tuple[str, str], float] = {}
    for line in logs:
        process = (line.host, line.process)
        if line.event == "replica.aside":
            begun[process] = _seconds(line) - ahead
        elif line.event == "replica.back" and process in begun:
            yield (*process, begun.pop(process), _seconds(line) - ahead)
    for process, at in begun.items():
        yield (*process, at, NEVER)


def _seconds(line: "LogLine") -> float:
    return datetime.fromisoformat(line.timestamp).timestamp()


def healed(requests: Iterable[Request], cuts: Sequence[Trouble]) -> list[float]:
    """Of each cut from Bandwidth: when at the latest the replica knows that it is over."""
    answered: Mapping[str, _Answered] = _by_host(requests)
    return [
        max(answered[one.host].after(api, one.over) for api in (True, False)) if one.over < NEVER else NEVER
        for one in cuts
    ]


def _by_host(requests: Iterable[Request]) -> Mapping[str, "_Answered"]:
    of: dict[str, list[Request]] = defaultdict(list)
    for one in requests:
        if one.status is not None and one.received and one.operation != TOKEN:
            of[one.host].append(one)
    return defaultdict(lambda: _Answered([]), {host: _Answered(all_) for host, all_ in of.items()})


class _Answered:
    """Requests of one replica that were answered, for questions by when they were asked."""

    def __init__(self, requests: list[Request]) -> None:
        self._of: dict[bool, tuple[list[float], list[float]]] = {}
        for is_voice in (True, False):
            mine = sorted(
                (one for one in requests if (one.operation in VOICE) is is_voice), key=lambda one: one.at
            )
            ends = [one.at + one.ms / 1000 for one in mine]
            self._of[is_voice] = ([one.at for one in mine], [*accumulate(reversed(ends), min)][::-1])

    def after(self, is_voice: bool, since: float) -> float:
        """The end of the first that was asked after one had been answered that was asked since."""
        return self._first(is_voice, self._first(is_voice, since))

    def _first(self, is_voice: bool, since: float) -> float:
        asked, ends = self._of[is_voice]
        found = bisect_left(asked, since)
        return ends[found] if found < len(ends) else NEVER
