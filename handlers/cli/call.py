"""`pstn-bridge call`: what happened to one call, and whose fault its end was."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from handlers.api.views import full_call_view
from handlers.cli import runtime
from handlers.cli.diagram import draw
from handlers.cli.find_call import find_ref
from handlers.cli.options import AsJson, Numbers, application
from handlers.cli.outbox_view import CallOutbox, dead_letter_views, owed_views, read_call_outbox
from handlers.cli.printing import STYLES, show, show_json, width, wrapped
from handlers.cli.reasons import UNANSWERED, reason
from handlers.cli.timeline_view import Step, steps
from handlers.cli.times import moment, span
from service.calls.late import overdue_seconds
from service.calls.model import Blame, Call
from service.calls.numbers import masked
from service.settings import Settings
from service.store.calls import Calls
from service.store.outbox_index import OwedEffect
from service.store.redis.client import Client

_HELP: Final = """\
Show what happened to one call, and whose fault its end was.

Each line of the diagram has the time, how long after the line before, and what
went between the phone, Bandwidth, this service and operators. Requests to
Bandwidth have their status and milliseconds. A line with ! at the left went
wrong. Below the diagram: how the call ended, in words, and what is
still owed for it, by itself and by its rooms.

CALL is our id (p07-...), Bandwidth's (c-...), or how one of the two begins, as
`pstn-bridge calls` shows it.

\b
Examples:
  pstn-bridge call p07-ycvam76w
  pstn-bridge call c-5b1f9c3e --numbers
  pstn-bridge call p07-ycvam76w --json | jq .outcome
"""
_WIDTH: Final = 80
_NOT_A_FAULT: Final = frozenset({Blame.NOBODY, Blame.CALLER, Blame.CALLEE})
_LABEL: Final = 10
_NO_ANSWER: Final = "the caller hears nothing, or talks and transferAnswer was lost on its way here"

app = application()

Id = Annotated[str, typer.Argument(metavar="CALL", help="Our id, Bandwidth's, or its beginning.")]


@app.command(help=_HELP)
def call(name: Id, *, numbers: Numbers = False, json: AsJson = False) -> None:
    async def work(client: Client, settings: Settings) -> int:
        calls = Calls(client, ended_days=settings.ended_call_days)
        ref = await find_ref(calls, name)
        viewed = await calls.view(ref)
        if viewed is None:
            runtime.fail(f"there is no call {name} any more")
        found, timeline = viewed
        owed = await read_call_outbox(client, found, timeline)
        if json:
            more = {
                "owed": owed_views(owed.own),
                "roomOwes": owed_views(owed.rooms),
                "deadLetters": dead_letter_views(owed.dead),
            }
            show_json([full_call_view(found, timeline, numbers=numbers) | more])
        else:
            now = await runtime.store_time(client)
            show(page(found, timeline, owed, now=now, numbers=numbers, wide=width() or _WIDTH))
        return runtime.DONE

    runtime.run_with_store(work)


def page(
    found: Call,
    timeline: Sequence[Mapping[str, Any]],
    owed: CallOutbox,
    *,
    now: float,
    numbers: bool,
    wide: int,
) -> list[Text]:
    late = overdue_seconds(found, now)
    return [
        *_head(found, now=now, numbers=numbers, wide=wide),
        Text(""),
        *draw([*steps(found, timeline), *([_late_step(now, late)] if late else [])], wide),
        Text(""),
        *_end(found, _failed_requests(timeline), now, wide),
        *_owed(owed, now, wide),
    ]


def _late_step(now: float, late: float) -> Step:
    return Step(now, note=f"no answer for {span(late)}", bad=True)


def _head(found: Call, *, now: float, numbers: bool, wide: int) -> list[Text]:
    show_number = (lambda number: number) if numbers else masked
    parties = f"{show_number(found.from_number) or '-'} to {show_number(found.to_number) or '-'}"
    lasted = span((found.ended_at or now) - found.created_at)
    bridged = (
        f", {span((found.ended_at or now) - found.bridged_at)} of it bridged" if found.bridged_at else ""
    )
    rows = [
        ("Call", f"{found.ref}  {found.direction}, {found.status}", "title"),
        ("Bandwidth", found.call_id or "has given it no id", ""),
        ("From", parties, ""),
        ("Room", found.room + (f", on its way to {found.next_room}" if found.next_room else ""), ""),
        ("Began", f"{moment(found.created_at)}, lasted {lasted}{bridged}", ""),
    ]
    return [line for label, words, style in rows for line in _row(label, words, wide, style)]


def _failed_requests(timeline: Sequence[Mapping[str, Any]]) -> str:
    """The requests for which the last way into a room failed, if one did."""
    failed = [entry for entry in timeline if entry["event"] in {"joinFailed", "notPlaced"}]
    requests = failed[-1].get("requests", ()) if failed else ()
    return ", ".join(f"{one['operation']}: {_failed(one)}" for one in requests if one.get("error"))


def _failed(request: Mapping[str, Any]) -> str:
    if request["error"] == "paused":
        return "not sent, as others had failed just before (breaker open)"
    words = " ".join(str(request[part]) for part in ("status", "error") if part in request)
    return f"{words} after {request['ms']:.0f} ms"


def _end(found: Call, because: str, now: float, wide: int) -> list[Text]:
    outcome = found.outcome
    if outcome is None:
        told = f"; failed meanwhile: {found.failure}" if found.failure else ""
        lines = _row("Now", f"{found.status}, up for {span(now - found.created_at)}{told}", wide)
        if overdue_seconds(found, now):
            lines += _row("Look at", f"{_NO_ANSWER}; {UNANSWERED}", wide, "fail")
        return lines + (_row("Because", because, wide) if found.failure and because else [])
    style = "ok" if outcome.blame in _NOT_A_FAULT else "fail"
    said = [
        f"cause {outcome.cause}" if outcome.cause else "",
        f"errorId {outcome.error_id}" if outcome.error_id else "",
        f"SIP {outcome.sip_response_code}" if outcome.sip_response_code else "",
    ]
    why = reason(outcome.reason)
    lines = _row("Ended by", f"{outcome.blame}/{outcome.reason}: {why.means}", wide, style)
    if found.failure and because:
        lines += _row("Because", because, wide, style)
    if words := ", ".join(one for one in said if one):
        lines += _row("Bandwidth", words, wide)
    if found.outage_waits:
        times = "once" if found.outage_waits == 1 else f"{found.outage_waits} times"
        lines += _row("Store", f"was away: the caller was told {times} to wait a moment", wide, "fail")
    if found.silence_ms:
        heard = "waited" if found.outage_waits else "heard nothing"
        words = f"the caller {heard} for {found.silence_ms:.0f} ms while the way in was made"
        lines += _row("Silence", f"{words} ({found.requests} requests, {found.retries} repeated)", wide)
    return lines + (_row("Look at", why.look, wide) if why.look else [])


def _owed(owed: CallOutbox, now: float, wide: int) -> list[Text]:
    lines = []
    for label, effects in (("Owed", owed.own), ("Room owes", owed.rooms)):
        for one in effects:
            lines += _row(label, _effect(one, now), wide, "warn" if one.tries else "")
    for letter in owed.dead:
        given_up = f"given up after {letter.tries} tries ({letter.error})"
        words = f"{letter.effect_name} of {letter.owner}, {given_up}: pstn-bridge owed replay {letter.name}"
        lines += _row("Dead", words, wide, "fail")
    return lines or _row("Owed", "nothing, neither by the call nor by its rooms", wide)


def _effect(one: OwedEffect, now: float) -> str:
    due = f"due in {span(one.due - now)}" if one.due > now else "due now"
    tries = f", tried {one.tries} times in vain since {span(now - one.since)}" if one.tries else ""
    return f"{one.effect_name} of {one.owner}, {due}{tries}"


def _row(label: str, words: str, wide: int, style: str = "") -> list[Text]:
    """A label and its words; what does not fit goes on below the words."""
    lines = wrapped(words, max(wide - _LABEL - 1, 40))
    labels = [label, *("" for _ in lines[1:])]
    return [
        Text(f"{one.ljust(_LABEL)} {line}".rstrip(), STYLES.get(style, ""))
        for one, line in zip(labels, lines, strict=True)
    ]
