"""Decides when a replica may stand aside, so that a 503 from it is right. Only the order of events counts.

A replica stands aside from the line `replica.aside` of its log to the line `replica.back`. It is right where
it was cut off from Bandwidth before, and cannot know yet that it is no more. It knows once each API has
answered a request that was asked since, and another one that was asked after that.

It is right as well where faults have left it without an answer: of each API that it names, or of who gives
tokens out, one request was struck so, another one that was asked since, and none was answered meanwhile.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from tests.chaos.requests_in_flight import answered_at
from tests.chaos.times import NEVER
from tests.chaos.troubles import Trouble
from tests.simulator.clock import epoch_ms, monotonic
from tests.simulator.journal import Request

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence, ReplicaLogLine

CUT = "cut-bandwidth"
VOICE = {"createCall", "updateCall", "getCall", "listCalls"}
TOKEN = "token"
NO_ANSWER = frozenset({"reset", "hang"})
"""What a fault does that leaves a request without one."""


class StandbySpan(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which a replica stood aside, in monotonic seconds; `over` is NEVER where no line says it."""

    host: str
    process: str
    begun: float
    over: float
    is_right: bool


def standby_spans(evidence: "Evidence") -> list[StandbySpan]:
    """In no order."""
    cuts = [one for one in evidence.troubles.all if one.kind == CUT]
    known = healed(evidence.simulator.requests, cuts)
    return [
        StandbySpan(
            host=one.host,
            process=one.process,
            begun=one.begun,
            over=one.over,
            is_right=any(
                cut.host == one.host and cut.begun <= one.begun <= until
                for cut, until in zip(cuts, known, strict=True)
            )
            or _is_struck(one, evidence.simulator.requests),
        )
        for one in _logged_spans(evidence.logs)
    ]


class _LoggedSpan(NamedTuple):
    host: str
    process: str
    started: float
    """When the process wrote its first line."""
    apis: Sequence[str]
    begun: float
    over: float = NEVER


def _logged_spans(logs: Iterable["ReplicaLogLine"]) -> Iterator[_LoggedSpan]:
    """By the log's order within each process."""
    ahead = epoch_ms() / 1000 - monotonic()
    started: dict[str, float] = {}
    begun: dict[str, _LoggedSpan] = {}
    for line in logs:
        at, process = _seconds(line) - ahead, line.process
        started.setdefault(process, at)
        if line.event == "replica.aside":
            apis = line.fields.get("apis", [])
            begun[process] = _LoggedSpan(line.host, process, started[process], apis, at)
        elif line.event == "replica.back" and process in begun:
            yield begun.pop(process)._replace(over=at)
    yield from begun.values()


def _is_struck(spell: _LoggedSpan, requests: Iterable[Request]) -> bool:
    """Whether faults alone have left this process without an answer of each API that it names."""
    own = [one for one in requests if one.host == spell.host and spell.started <= one.at <= spell.begun]
    tokens = [one for one in own if one.operation == TOKEN]
    voice = [one for one in own if one.operation in VOICE]
    webrtc = [one for one in own if one.operation not in {TOKEN, *VOICE}]
    lost_tokens = _in_a_row(tokens, own, spell.begun)
    return bool(spell.apis) and all(
        lost_tokens or _in_a_row(voice if api == "voice" else webrtc, own, spell.begun) for api in spell.apis
    )


def _in_a_row(asked: Sequence[Request], own: Sequence[Request], until: float) -> bool:
    """Whether two were struck, one after the other, and it cannot know of an answer since.

    It knows of one once another request, for whatever, that was asked after that has ended.
    """
    answers = [_end(one) for one in asked if one.received]
    heard = [at for at in answers if any(at <= one.at and _end(one) <= until for one in own)]
    lost = [one for one in asked if _is_lost(one)]
    return any(
        answered_at(first) <= second.at and all(at <= answered_at(first) for at in heard)
        for first in lost
        for second in lost
    )


def _is_lost(request: Request) -> bool:
    return not request.received and not NO_ANSWER.isdisjoint((request.fault or "").split(", "))


def _end(request: Request) -> float:
    return request.at + request.ms / 1000


def _seconds(line: "ReplicaLogLine") -> float:
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
