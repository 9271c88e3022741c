"""`pstn-bridge sweep`: what was made at Bandwidth and nobody knows of any more, by what the logs tell."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import typer

from handlers.app.bandwidth import Bandwidth, create_bandwidth
from handlers.app.store import store_name
from handlers.cli import runtime
from handlers.cli.logs import STANDARD_INPUT, LogLine, read_logs
from handlers.cli.options import AsJson, application
from handlers.cli.printing import Column, Row, show, show_json, table, width
from handlers.cli.times import duration, iso, moment
from service.bandwidth.api_client import HttpClient
from service.bandwidth.errors import BandwidthError
from service.bandwidth.validation import is_id
from service.bandwidth.voice import FoundCall
from service.clock import SystemClock
from service.engine.orphan_sweep import (
    AGE,
    BandwidthResource,
    OrphanSweeper,
    ResourceKind,
    SweepVerdict,
    unknown_calls,
)
from service.settings import Settings
from service.store.known_ids import KnownIds
from service.store.marker import was_used
from service.store.redis.client import Client

_HELP: Final = """\
Find by the logs what was made at Bandwidth and is not known any more.

A replica that is killed, or that ends while the store is away, may leave a
session or a participant behind that only its log knows: the line of each create
names it (create.done), and so does the line of each removal that was not stored
(cleanup.not_stored). Bandwidth is asked about each of them that is older than
10 minutes, that the store does not know, and whose removal is in no line. With
--apply they are taken down, participants before sessions; a session with
members that are not taken down stays. Without --apply nothing is changed.

Calls that are up at Bandwidth and that the store does not know are listed, and
never hung up: a live call makes itself known by its webhooks.

Bandwidth has no list of sessions: what neither the store nor a log knows lives
for up to 9 hours. Give the logs of all replicas of this installation, and of no
other, written with LOG_FORMAT=json and LOG_LEVEL=info: what only another store
knows would be taken down. What was made before the store was empty or lost data
(store.marked, store.state_lost in a log) stays: callers may be talking in it.

\b
Examples:
  pstn-bridge sweep                               which calls are not known
  pstn-bridge sweep --from-logs *.log             what would be taken down
  pstn-bridge sweep --from-logs *.log --apply     takes it down
  kubectl logs -l app=pstn-bridge --tail=-1 | pstn-bridge sweep --from-logs -

\b
fates:
  left        would be taken down by --apply     taken-down  was taken down
  in-use      has other members, and stays       gone        does not exist
  known       is in the store, and stays         young       too new; stays
  unsure      older than a loss of the store     unknown     a call: check it
  failed      could not be asked about or ended
"""
_MADE: Final = frozenset({"create.done", "create.unusable", "cleanup.not_stored"})
_LOST: Final = frozenset({"store.state_lost", "store.marked"})
_ENDED: Final[Mapping[str, ResourceKind]] = {"delete-participant": "participant", "delete-session": "session"}
_KINDS: Final[tuple[ResourceKind, ...]] = get_args(ResourceKind)
_MOST: Final = 1_000_000
"""Things that are kept in memory while the logs are read."""
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
_EVERY: Final = 5.0
"""Seconds between two lines about how far it is."""
_WANTED: Final = "it takes logs of this service with LOG_FORMAT=json and LOG_LEVEL=info"
_SHOWN: Final = frozenset({"left", "taken-down", "in-use", "unsure", "failed"})

app = application()


@app.command(help=_HELP)
def sweep(
    more: Annotated[list[str] | None, typer.Argument(metavar="[FILE...]", help="More log files.")] = None,
    *,
    from_logs: Annotated[
        list[str] | None,
        typer.Option("--from-logs", metavar="FILE...", help="Log files of JSON lines; - is standard input."),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Take down what is left.")] = False,
    since: Annotated[
        float,
        typer.Option("--since", parser=duration, metavar="24h", help="Calls: how far back to look."),
    ] = "24h",  # type: ignore[assignment] # as it would be typed
    json: AsJson = False,
) -> None:
    names = [*(from_logs or []), *(more or [])]
    if more and not from_logs:
        runtime.fail(f"give logs as: pstn-bridge sweep --from-logs {' '.join(more)}", runtime.USAGE)
    if not all(names):
        runtime.fail("--from-logs wants names of files, and one is empty", runtime.USAGE)
    if apply and not names:
        runtime.fail("--apply wants --from-logs: only the logs say what there is", runtime.USAGE)

    async def work(client: Client, settings: Settings) -> int:
        await client.send_to_masters([("PING",)])  # before logs are read for minutes
        await _check_store(client, settings, apply=apply)
        logs = _LoggedThings()
        with ExitStack() as stack:
            for line in read_logs(list(map(Path, names)), stack):
                logs.read_line(line)
        _check_logs(logs, names, apply=apply)
        begun = await runtime.store_time(client) - since
        return await _sweep(client, settings, logs, apply=apply, since=begun, as_json=json)

    runtime.run_with_store(work)


async def _check_store(client: Client, settings: Settings, *, apply: bool) -> None:
    """One that no service uses knows nothing, and everything would be taken down."""
    if not await was_used(client):
        _warn_or_fail(
            f"no service has ever used this store: {store_name(settings)}: give REDIS_URL and its "
            "database as the service has them; a service that runs has used it within 10 seconds",
            refuse=apply,
        )


def _check_logs(logs: "_LoggedThings", names: Sequence[str], *, apply: bool) -> None:
    if logs.undated:
        _warn_or_fail(f"when the store lost what it held cannot be read: {logs.undated}", refuse=apply)
    if names and not logs.useful_files:
        _warn_or_fail(f"no line tells what was made or taken down: {_WANTED}", refuse=apply)
    else:
        for file in sorted({_file(one) for one in names} - logs.useful_files):
            runtime.write_stderr(f"warning: no line of {file} tells what was made or taken down: {_WANTED}")


def _warn_or_fail(words: str, *, refuse: bool) -> None:
    if refuse:
        runtime.fail(words)
    runtime.write_stderr(f"warning: {words}")


def _file(name: str) -> str:
    return STANDARD_INPUT if name == "-" else str(Path(name))


class _LoggedThings:
    """What the lines tell of: made, and not taken down."""

    def __init__(self) -> None:
        self.things: dict[tuple[ResourceKind, str], BandwidthResource] = {}
        self.made = 0
        self.unreadable_lines = 0
        """Lines that are not ours, or that tell of something without saying what or when."""
        self.useful_files: set[str] = set()
        """Files with a line of a service that writes down what it makes."""
        self.lost_at = 0.0
        """When the store was empty or has lost what it held, in seconds since the epoch."""
        self.undated = ""
        """A line that tells of that without saying when."""
        self._ended: set[tuple[ResourceKind, str]] = set()

    def read_line(self, line: LogLine) -> None:
        event, at = line.fields.get("event"), _time(line.fields.get("timestamp"))
        if not isinstance(event, str) or at is None:
            self.unreadable_lines += bool(line.text.strip())
            if isinstance(event, str) and event in _LOST:
                self.undated = f"{line.file}, line {line.number}: {event} has no timestamp with a zone"
            return
        if event in _MADE or line.fields.get("level") in ("debug", "info"):
            self.useful_files.add(line.file)
        if event in _MADE:
            self._note_made(line, at)
        elif event in _LOST:
            self.lost_at = max(self.lost_at, at)
        elif event == "effect.done":
            self._note_ended(line)

    def _note_ended(self, line: LogLine) -> None:
        for effect, kind in _ENDED.items():
            id_ = line.fields.get(f"{kind}_id")
            if line.fields.get("effect") == effect and isinstance(id_, str):
                self._ended.add((kind, id_))
                self.things.pop((kind, id_), None)

    def _note_made(self, line: LogLine, at: float) -> None:
        found = False
        for kind in _KINDS:
            id_ = line.fields.get(f"{kind}_id")
            if not isinstance(id_, str) or not is_id(id_):
                continue
            found, key = True, (kind, id_)
            if key in self._ended or key in self.things:
                continue
            if len(self.things) == _MOST:
                runtime.fail(f"the logs tell of more than {_MOST:,} things: give fewer of them")
            self.made += 1
            room = line.fields.get("room")
            self.things[key] = BandwidthResource(kind, id_, at, room if isinstance(room, str) else "")
        # A leg and a call are no things of the sessions API; Bandwidth lists them.
        self.unreadable_lines += not found and not {"leg_id", "call_id"} & line.fields.keys()


def _time(text: object) -> float | None:
    """None for what is no time of this century, or one of nobody knows which zone."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
        seconds = at.timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if at.tzinfo and _EARLIEST <= seconds < _LATEST else None


async def _sweep(
    client: Client, settings: Settings, logs: _LoggedThings, *, apply: bool, since: float, as_json: bool
) -> int:
    clock, known = SystemClock(), KnownIds(client)
    http = HttpClient(clock=clock)
    progress = _Progress(clock.monotonic())
    try:
        bandwidth = create_bandwidth(settings, clock, http)
        sweeper = OrphanSweeper(
            webrtc=bandwidth.webrtc,
            known=known,
            clock=clock,
            apply=apply,
            on_progress=lambda done, of: progress.tell(done, of, clock.monotonic()),
            store_lost_at=logs.lost_at,
        )
        judged = await sweeper.sweep(list(logs.things.values()))
        calls = await _calls(bandwidth, settings, known, since)
    except BandwidthError as error:
        runtime.write_stderr(f"error: Bandwidth: {error}")
        return runtime.FAILED
    finally:
        await http.close()
    _show(judged, calls, as_json=as_json)
    _summarize(judged, calls, logs, apply=apply)
    return runtime.FAILED if any(one.fate == "failed" for one in judged) else runtime.DONE


async def _calls(bandwidth: Bandwidth, settings: Settings, known: KnownIds, since: float) -> list[FoundCall]:
    if settings.bw_voice_application_id is None:
        runtime.write_stderr("warning: calls are not listed: BW_VOICE_APPLICATION_ID says which are ours")
        return []
    return await unknown_calls(
        bandwidth.voice,
        known,
        SystemClock(),
        application_id=settings.bw_voice_application_id,
        since=since,
    )


class _Progress:
    def __init__(self, now: float) -> None:
        self._next = now + _EVERY

    def tell(self, done: int, of: int, now: float) -> None:
        if now >= self._next:
            self._next = now + _EVERY
            runtime.write_stderr(f"{done} of {of} asked for")


def _show(judged: Iterable[SweepVerdict], calls: Iterable[FoundCall], *, as_json: bool) -> None:
    if as_json:
        show_json(_views(judged, calls))
        return
    rows = [
        Row(
            [
                one.fate,
                one.resource.kind,
                one.resource.id,
                moment(one.resource.created_at),
                one.resource.room,
                one.detail,
            ]
        )
        for one in judged
        if one.fate in _SHOWN
    ]
    rows += [
        Row(["unknown", "call", one.call_id, one.start_time or "-", "", f"{one.direction} {one.state}"])
        for one in calls
    ]
    if rows:
        titles = ("fate", "kind", "id", "made", "room", "more")
        show(
            table([Column(title, 12 if title in {"room", "more"} else 0) for title in titles], rows, width())
        )


def _views(judged: Iterable[SweepVerdict], calls: Iterable[FoundCall]) -> Iterator[dict[str, Any]]:
    for one in judged:
        yield {
            "fate": one.fate,
            "kind": one.resource.kind,
            "id": one.resource.id,
            "made": iso(one.resource.created_at),
            "room": one.resource.room,
            "detail": one.detail,
        }
    for call in calls:
        yield {
            "fate": "unknown",
            "kind": "call",
            "id": call.call_id,
            "made": call.start_time,
            "direction": call.direction,
            "state": call.state,
        }


def _summarize(
    judged: list[SweepVerdict], calls: list[FoundCall], logs: _LoggedThings, *, apply: bool
) -> None:
    """To standard error, which does not get in the way of JSON."""
    fates = Counter(one.fate for one in judged)
    counts = ", ".join(f"{fates[fate]} {fate}" for fate in sorted(fates)) or "none"
    runtime.write_stderr(
        f"made and not taken down, by the logs: {len(judged)} ({counts}); "
        f"lines that say nothing: {logs.unreadable_lines}"
    )
    runtime.write_stderr(f"calls that are up and unknown to the store: {len(calls)}")
    if fates["unsure"]:
        runtime.write_stderr(
            f"unsure: {fates['unsure']} made before the store was empty or lost what it held "
            f"({moment(logs.lost_at)}): "
            "they stay, since callers may be in them, and end by themselves within 9 hours"
        )
    if young := [one.resource.created_at for one in judged if one.fate == "young"]:
        again = datetime.fromtimestamp(max(young) + AGE, UTC) + timedelta(minutes=1)
        runtime.write_stderr(
            f"{len(young)} {'is' if len(young) == 1 else 'are'} younger than {AGE / 60:.0f} minutes: "
            f"run it again after {again:%H:%M} UTC"
        )
    if fates["left"] and not apply:
        runtime.write_stderr("nothing was changed; --apply takes down what is left")
