"""Tells the story of a finding: one timeline of simulator, service, store and operators."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from tests.chaos.finding import Finding
from tests.chaos.times import NEVER
from tests.simulator.journal import (
    Delivery,
    Happening,
    MemberChanged,
    PhoneChanged,
    Request,
    RequestAnswered,
    SpeechHeard,
    WebhookDelivered,
)

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence, ReplicaLogLine

MOST = 200
"""Lines of a story."""
REPLY = 160
"""Bytes of a reply that are shown."""
ID = 10
"""Characters of an id that are printed: a line with whole ones has four times the width of a terminal."""
IDS = re.compile(
    r"\bc-[0-9a-f]{8}-[0-9a-f-]{36}|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\bp\d\d-[a-z2-7]{20}"
)
"""Of calls, participants and sessions; and refs."""
_LOG_HEAD = {"timestamp", "level", "event", "version", "replica"}
_ENTRY_HEAD = {"at", "event", "requests"}
_AT: Callable[["FindingEvent"], float] = attrgetter("at")


class FindingEvent(msgspec.Struct, frozen=True):
    """`at`: seconds since the turn began."""

    at: float
    source: str
    text: str

    def __str__(self) -> str:
        return f"{self.at:+9.3f} s  {self.source:<11} {self.text}"


def finding_timelines(evidence: "Evidence", found: Mapping[str, list[Finding]]) -> list[dict[str, Any]]:
    """Everything that is wrong, each with its story."""
    return [
        {
            "eye": eye,
            "what": one.what,
            "at": (at := _since(evidence, one.at)),
            "story": timeline_of(evidence, one.ids, around=at, what=one.what),
        }
        for eye, all_ in found.items()
        for one in all_
        if not one.excuse
    ]


def timeline_of(
    evidence: "Evidence", ids: Iterable[str], *, around: float | None = None, what: str = ""
) -> list[str]:
    """All that happened to a call, participant or session, and what went wrong around it meanwhile.

    Of a long one what lies `around`, in seconds since the turn began: most of that before. `what` was found
    stands at that time.
    """
    known = relatives_of(evidence, {one for one in ids if one})
    # Each of them is in the order in which it happened, also within a millisecond: sorting keeps that.
    lines = sorted(
        [
            *_happened(evidence, known),
            *_logged(evidence, known),
            *_stored(evidence, known),
            *_ordered(evidence, known),
        ],
        key=_AT,
    )
    if lines:
        found = [FindingEvent(around, "found", what)] if around is not None and what else []
        lines = sorted([*_troubles(evidence, lines[0].at, lines[-1].at), *lines, *found], key=_AT)
    return [str(line) for line in lines[_part([line.at for line in lines], around, MOST)]]


def _part(times: Sequence[float], around: float | None, most: int) -> slice:
    """Which `most` lines to show: the last, or those around a time, a quarter of them at most after it."""
    after = len(times) if around is None else bisect_right(times, around) + most // 4
    end = min(max(after, most), len(times))
    return slice(max(end - most, 0), end)


def relatives_of(evidence: "Evidence", ids: AbstractSet[str]) -> set[str]:
    """With a call come its ref, its legs and what was created in its name."""
    known = set(ids)
    for call_id, ref in evidence.refs.items():
        if not known.isdisjoint({call_id, ref}):
            known |= {call_id, ref}
    for one in evidence.happenings:
        if isinstance(one, PhoneChanged):
            if one.parent_call_id in known:
                known.add(one.call_id)
            if one.call_id in known and one.participant_id:
                known.add(one.participant_id)
    for request in evidence.simulator.requests:
        if request.created and not known.isdisjoint(_ids_in(request.body)):
            known.add(request.created)
    return known


def _happened(evidence: "Evidence", known: AbstractSet[str]) -> Iterator[FindingEvent]:
    ahead, names = evidence.simulator.started - evidence.begun, _names(evidence)
    for one in evidence.happenings:
        for at, source, text in _simulated(one, known, names):
            yield FindingEvent(round((at if at is not None else one.at_ms / 1000) + ahead, 3), source, text)


def _names(evidence: "Evidence") -> Mapping[str, str]:
    """Of replicas, by the host under which each knows Bandwidth; the weather may name something else."""
    return {one.host: f"replica {one.name}" for one in evidence.fleet.addresses}


def _simulated(
    one: Happening, known: AbstractSet[str], names: Mapping[str, str]
) -> Iterator[tuple[float | None, str, str]]:
    match one:
        case PhoneChanged() if one.call_id in known:
            kind = "leg" if one.parent_call_id else "call"
            more = [word for word in (one.cause, one.participant_id and f"to {one.participant_id}") if word]
            yield None, "phone", " ".join([kind, one.call_id, one.stage, *more])
        case SpeechHeard() if one.call_id in known:
            yield None, "phone", f"hears: {one.text}"
        case MemberChanged() if one.participant_id in known:
            where = f"is in session {one.session_id}" if one.session_id else "is in no session"
            yield None, "bandwidth", f"participant {one.participant_id} {where}, hears {_heard(one)}"
        case WebhookDelivered(at_ms, delivery) if not known.isdisjoint(_ids_of(delivery)):
            yield at_ms / 1000, "bandwidth", _webhook(delivery)
        case RequestAnswered(at_ms, request) if not known.isdisjoint(_asked_about(request)):
            yield at_ms / 1000, "bandwidth", _request(request, names)


def _heard(one: MemberChanged) -> str:
    return "nobody" if one.hears is None else ", ".join(one.hears) or "everybody"


def _webhook(one: Delivery) -> str:
    answer = str(one.status) if one.status is not None else str(one.error)
    reply = one.reply[:REPLY].decode(errors="replace").partition("?>")[2].strip()
    return f"webhook {one.event_type} to {one.url}: {answer} in {one.ms:.0f} ms {reply}".rstrip()


def _request(one: Request, names: Mapping[str, str]) -> str:
    answer = str(one.status) if one.received else "answered to nobody"
    fault = f" [{one.fault}]" if one.fault else ""
    made = f", made {one.created}" if one.created else ""
    who = names.get(one.host, one.host)
    return f"request {one.operation} of {who} {one.path}: {answer} in {one.ms:.0f} ms{made}{fault}"


def _logged(evidence: "Evidence", known: AbstractSet[str]) -> Iterator[FindingEvent]:
    names = _names(evidence)
    for line in evidence.logs:
        if not known.isdisjoint(line.ids):
            yield FindingEvent(
                _time(evidence, line.timestamp), names.get(line.host, line.host), _log_text(line)
            )


def _log_text(line: "ReplicaLogLine") -> str:
    fields = " ".join(f"{name}={value}" for name, value in line.fields.items() if name not in _LOG_HEAD)
    return f"{line.event} {fields} ({line.process})"


def _stored(evidence: "Evidence", known: AbstractSet[str]) -> Iterator[FindingEvent]:
    """The call's own timeline is what the store has of it, and what is still owed stands at the end."""
    for call_id, call in evidence.calls.items():
        if call_id in known:
            for entry in call["timeline"]:
                fields = " ".join(f"{key}={value}" for key, value in entry.items() if key not in _ENTRY_HEAD)
                yield FindingEvent(_time(evidence, entry["at"]), "store", f"{entry['event']} {fields}")
    end = round(evidence.over - evidence.begun, 3)
    for owner, names in evidence.owed.items():
        if any(one in owner or any(one in name for name in names) for one in known):
            yield FindingEvent(end, "store", f"at the end {owner} owes {', '.join(names)}")
    for key in evidence.keys:
        if any(one in key.name for one in known):
            yield FindingEvent(end, "store", f"at the end there is {key.name}, for {key.ttl_ms / 1000:.0f} s")


def _ordered(evidence: "Evidence", known: AbstractSet[str]) -> Iterator[FindingEvent]:
    names = _names(evidence)
    for one in evidence.operator_requests:
        if not known.isdisjoint({*IDS.findall(one.path), *_ids_in(one.reply)}):
            took = (one.answered_at - one.sent_at) * 1000
            answer = one.status if one.status is not None else "nobody answers"
            who = names.get(one.host, one.host)
            text = f"{one.method} {one.path} {one.body or ''} at {who}: {answer} in {took:.0f} ms"
            yield FindingEvent(round(one.sent_at - evidence.begun, 3), "operator", text)


def _troubles(evidence: "Evidence", since: float, until: float) -> Iterator[FindingEvent]:
    begun, names = evidence.begun, _names(evidence)
    for one in evidence.troubles.between(begun + since, begun + until):
        over = f"until {one.over - begun:+.3f} s" if one.over < NEVER else "until the end"
        yield FindingEvent(
            round(one.begun - begun, 3),
            "weather",
            " ".join(filter(None, [one.kind, names.get(one.host, one.host), one.detail, over])),
        )


def _ids_of(delivery: Delivery) -> set[str]:
    return {delivery.call_id, str(delivery.payload.get("parentCallId") or ""), *IDS.findall(delivery.url)}


def _asked_about(request: Request) -> set[str]:
    return {*request.ids.values(), request.created or "", *_ids_in(request.body)} - {""}


def _ids_in(value: Any) -> list[str]:
    return IDS.findall(msgspec.json.encode(value).decode()) if value is not None else []


def _time(evidence: "Evidence", timestamp: str) -> float:
    """Of a wall clock, in seconds since the turn began; a replica whose clock is off tells another time."""
    if not timestamp:
        return 0.0
    return round(datetime.fromisoformat(timestamp).timestamp() - evidence.begun_wall, 3)


def _since(evidence: "Evidence", at: float | None) -> float | None:
    return None if at is None else round(at - evidence.begun, 3)


def print_timelines(
    stories: Sequence[dict[str, Any]], most: int, looks_for: Mapping[str, str]
) -> Iterator[str]:
    """The first story of each eye, for people; `most` lines of each. `looks_for`: in a sentence, by eye."""
    seen: set[str] = set()
    for one in stories:
        if one["eye"] not in seen:
            seen.add(one["eye"])
            at = "" if one["at"] is None else f", at {one['at']:+.3f} s"
            yield f"{one['eye']}: {one['what']}{at}"
            yield f"  eyes/{one['eye']}.py: {looks_for[one['eye']]}"
            times = [float(line.split(maxsplit=1)[0]) for line in one["story"]]
            yield from (f"  {_with_short_ids(line)}" for line in one["story"][_part(times, one["at"], most)])


def _with_short_ids(line: str) -> str:
    return IDS.sub(lambda found: f"{found[0][:ID]}…", line)
