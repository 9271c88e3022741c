"""`pstn-bridge calls`: the calls that are up, and how the latest ended."""

import asyncio
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Final, NamedTuple, NoReturn

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from handlers.api.views import call_view
from handlers.cli import runtime
from handlers.cli.options import AsJson, Numbers, application
from handlers.cli.printing import STYLES, Column, Row, console, show, show_json, table, width
from handlers.cli.reasons import UNANSWERED
from handlers.cli.times import Since, clock, span
from service.calls.late import overdue_seconds
from service.calls.model import Blame, Call, Direction, Status
from service.calls.numbers import masked
from service.calls.outcomes import is_erased
from service.settings import Settings
from service.store.calls import Calls
from service.store.errors import StoreError
from service.store.pause import PauseState, PauseSwitch
from service.store.redis.client import Client

_HELP: Final = """\
List live calls and calls that began in the last 15 minutes, newest first.

Each line has: when the call began (UTC), its id (the beginning is enough for
`pstn-bridge call`), its direction, the number at the other side, its room, how
long it has been up, and its state, or whose fault its end was and why. With
--since: all calls that began since then, live or ended.

\b
Examples:
  pstn-bridge calls --watch
  pstn-bridge calls --ended-by bandwidth --since 2h
  pstn-bridge calls --ended-by service/credentials-refused
  pstn-bridge calls --state bridged --room sales
  pstn-bridge calls --since 1d --limit 1000 --json | jq -r .outcome.reason
"""
_RECENT: Final = 900.0
_PAGE: Final = 500
_LOOK: Final = 100_000
"""Calls that are looked at for one list."""
_EVERY: Final = 2.0
_SHORT: Final = 12
"""Characters of an id that tell calls apart, where there is no room for more."""
_NARROW: Final = 100
_ENDED_BY: Final = re.compile(r"([a-z]*)(?:/([a-z-]+))?")
_COLUMNS: Final = (
    Column("began"),
    Column("call"),
    Column("way"),
    Column("other side", 6),
    Column("room", 8),
    Column("for"),
    Column("state, or ended by", 12),
)
_NOT_A_FAULT: Final = frozenset({Blame.NOBODY, Blame.CALLER, Blame.CALLEE})
_WAYS: Final = {Direction.INBOUND: "in", Direction.OUTBOUND: "out"}


class CallFilter(NamedTuple):
    state: Status | None
    room: str | None
    direction: Direction | None
    blame: str
    reason: str
    since: float | None
    """Seconds."""
    limit: int

    def matches(self, call: Call) -> bool:
        return (
            self.state in {None, call.status}
            and self.room in {None, call.room, call.next_room}
            and self.direction in {None, call.direction}
            and self._ended(call)
        )

    def _ended(self, call: Call) -> bool:
        if not self.blame and not self.reason:
            return True
        end = call.outcome
        return end is not None and self.blame in {"", end.blame} and self.reason in {"", end.reason}


class CallList(NamedTuple):
    calls: list[Call]
    has_more: bool
    paused: PauseState | None
    read_at: float
    """When it was looked, in seconds since the epoch."""


def _ended_by(text: str) -> tuple[str, str]:
    """Blame and reason, each empty for any; raises BadParameter."""
    found = _ENDED_BY.fullmatch(text)
    blame, reason = (found[1], found[2] or "") if found else ("", "")
    if not found or (blame and blame not in set(Blame)):
        wants = f"wants one of {', '.join(Blame)}, or that with /reason, or /reason"
        raise typer.BadParameter(wants, param_hint="--ended-by")
    return blame, reason


app = application()


@app.command(help=_HELP)
def calls(
    *,
    state: Annotated[Status | None, typer.Option(help="Only calls in this state.")] = None,
    room: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only calls in, or for, this room.")
    ] = None,
    direction: Annotated[Direction | None, typer.Option(help="Only this direction.")] = None,
    since: Since = None,
    ended_by: Annotated[
        str, typer.Option(metavar="BLAME/REASON", help="Such as bandwidth, limit/room-full or /busy.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=_LOOK, help="At most this many.")] = 100,
    watch: Annotated[bool, typer.Option("--watch", help="Repeat every 2 seconds, until Ctrl-C.")] = False,
    numbers: Numbers = False,
    json: AsJson = False,
) -> None:
    wanted = CallFilter(state, room, direction, *_ended_by(ended_by), since, limit)

    async def work(client: Client, settings: Settings) -> int:
        if watch:
            await _watch(client, settings, wanted, numbers=numbers, as_json=json)
        found = await _read_calls(client, settings, wanted)
        if json:
            show_json(call_view(one, numbers=numbers) for one in found.calls)
        else:
            show(page(found, wanted, now=found.read_at, wide=width(), numbers=numbers))
        return runtime.DONE

    with suppress(KeyboardInterrupt):
        runtime.run_with_store(work)


async def _read_calls(client: Client, settings: Settings, wanted: CallFilter) -> CallList:
    index, now = Calls(client, ended_days=settings.ended_call_days), await runtime.store_time(client)
    paused, live, recent = await asyncio.gather(
        PauseSwitch(client).read(),
        index.list_live() if wanted.since is None else _none(),
        _recent(index, wanted, now - (_RECENT if wanted.since is None else wanted.since)),
    )
    every = {call.ref: call for call in (*recent, *live) if wanted.matches(call) and not is_erased(call)}
    newest = sorted(every.values(), key=lambda call: (call.created_at, call.ref), reverse=True)
    return CallList(newest[: wanted.limit], len(newest) > wanted.limit, paused, now)


async def _none() -> list[Call]:
    return []


async def _recent(index: Calls, wanted: CallFilter, since: float) -> list[Call]:
    """One more than are wanted, so that it is known whether there are more."""
    found: list[Call] = []
    before, looked = None, 0
    while looked < _LOOK and len(found) <= wanted.limit:
        recent = await index.list_recent(before=before, since=since, until=None, limit=_PAGE)
        found += [call for call in recent.calls if wanted.matches(call) and not is_erased(call)]
        before, looked = recent.next, looked + _PAGE
        if before is None:
            break
    return found


def page(found: CallList, wanted: CallFilter, *, now: float, wide: int | None, numbers: bool) -> list[Text]:
    rows = [_row(one, now, numbers=numbers, short=wide is not None and wide < _NARROW) for one in found.calls]
    lines = table(_COLUMNS, rows, wide) if rows else []
    return [*_paused(found.paused, now), *lines, *_late(found, now), *_foot(found, wanted)]


def _row(call: Call, now: float, *, numbers: bool, short: bool) -> Row:
    outcome = call.outcome
    blamed = outcome is not None and outcome.blame not in _NOT_A_FAULT
    other = call.from_number if call.direction is Direction.INBOUND else call.to_number
    cells = (
        clock(call.created_at)[:8],
        call.ref[:_SHORT] if short else call.ref,
        _WAYS[call.direction],
        other if numbers else masked(other),
        call.room,
        span((call.ended_at or now) - call.created_at),
        f"{outcome.blame}/{outcome.reason}" if outcome else _state(call, now),
    )
    return Row(cells, "fail" if blamed or overdue_seconds(call, now) else "" if call.live else "faint")


def _state(call: Call, now: float) -> str:
    late = overdue_seconds(call, now)
    return f"! {call.status} for {span(late)}" if late else str(call.status)


def _paused(paused: PauseState | None, now: float) -> Iterator[Text]:
    if paused:
        words = f"PAUSED for {span(now - paused.since)}: new calls are not taken (pstn-bridge resume)"
        yield Text(words, STYLES["warn"])


def _late(found: CallList, now: float) -> Iterator[Text]:
    if count := sum(overdue_seconds(call, now) > 0 for call in found.calls):
        words = f"! {count} not answered by Bandwidth's gateway, as far as we know: {UNANSWERED}"
        yield Text(words, STYLES["fail"])


def _foot(found: CallList, wanted: CallFilter) -> Iterator[Text]:
    period = (
        "up, or began in the last 15m" if wanted.since is None else f"began in the last {span(wanted.since)}"
    )
    if not found.calls:
        yield Text(
            f"no such call {'is ' if wanted.since is None else ''}{period}; --since looks further back"
        )
    elif found.has_more:
        yield Text(f"... and more: --limit shows more than {wanted.limit}", STYLES["faint"])


async def _watch(
    client: Client, settings: Settings, wanted: CallFilter, *, numbers: bool, as_json: bool
) -> NoReturn:
    """Until it is interrupted; a store that goes away is told, and looked for again."""
    told: dict[str, str] = {}
    with Live(console=console(), auto_refresh=False, screen=False) as live:
        while True:
            try:
                found = await _read_calls(client, settings, wanted)
            except StoreError as error:
                runtime.write_stderr(f"the store is away: {error}") if as_json else live.update(
                    Text(f"the store is away: {error}", STYLES["fail"]), refresh=True
                )
            else:
                if as_json:
                    _print_changes(found, told, numbers=numbers)
                else:
                    live.update(Group(*_screen(found, wanted, numbers=numbers)), refresh=True)
            await asyncio.sleep(_EVERY)


def _screen(found: CallList, wanted: CallFilter, *, numbers: bool) -> list[Text]:
    """No more lines than the terminal has."""
    size = shutil.get_terminal_size()
    lines = page(found, wanted, now=found.read_at, wide=size.columns, numbers=numbers)
    return lines[: size.lines - 1]


def _print_changes(found: CallList, shown_views: dict[str, str], *, numbers: bool) -> None:
    """A line for each call that is new or has changed."""
    for call in reversed(found.calls):
        view = call_view(call, numbers=numbers)
        if shown_views.get(call.ref) != str(view):
            shown_views[call.ref] = str(view)
            show_json([view])
