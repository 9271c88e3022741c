"""`pstn-bridge rooms`: who is in which room, and who waits."""

from typing import Annotated, Any, Final

import typer
from rich.text import Text

from handlers.api.views import room_view
from handlers.cli import runtime
from handlers.cli.options import AsJson, application
from handlers.cli.printing import STYLES, Column, Row, show, show_json, table, width
from handlers.cli.times import span
from service.calls.model import Call, parse_seat
from service.settings import Settings
from service.store.calls import Calls
from service.store.invitations import Passes, PassKind
from service.store.redis.client import Client
from service.store.room_index import Member, RoomView, empty_room
from service.store.rooms import Rooms

_HELP: Final = """\
List rooms: members, waiting callers, the age of the session, and settings.

Without a name: rooms with members, waiting callers or settings, the fullest
first. With a name: its members, with the states of their calls, and its open
invitations and visits (not with --json). PINs are not shown. The API ends
invitations and visits by their ids.

\b
Examples:
  pstn-bridge rooms
  pstn-bridge rooms sales
  pstn-bridge rooms --limit 1000
  pstn-bridge rooms --json | jq -r 'select(.members | length >= 20) | .room'
"""
_COLUMNS: Final = (
    Column("room", 10),
    Column("members"),
    Column("waiting"),
    Column("session", 8),
    Column("age"),
    Column("settings", 10),
)
_MEMBERS: Final = (Column("member", 12), Column("seat"), Column("call"), Column("participant", 8))
_PASSES: Final = (
    Column("open"),
    Column("id"),
    Column("name", 8),
    Column("may"),
    Column("key", 8),
    Column("for"),
)

app = application()

Name = Annotated[str | None, typer.Argument(metavar="ROOM", help="Show one room, with its members.")]


Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most this many.")]


@app.command(help=_HELP)
def rooms(name: Name = None, *, limit: Limit = 100, json: AsJson = False) -> None:
    async def work(client: Client, settings: Settings) -> int:
        directory = Rooms(client)
        now = await runtime.store_time(client)
        passes = [] if name is None else await _passes(Passes(client), name, now)
        found = await _fullest(directory) if name is None else [await _one(directory, name, passes)]
        if json:
            show_json(room_view(one, now=now, pins=False) for one in found[:limit])
        elif name is None:
            show([*_list(found[:limit], now), *_more(len(found) - limit)])
        else:
            calls = Calls(client, ended_days=settings.ended_call_days)
            show(
                [*await _members(found[0], calls, now), *(table(_PASSES, passes, width()) if passes else [])]
            )
        return runtime.DONE

    runtime.run_with_store(work)


async def _one(directory: Rooms, name: str, passes: list[Row]) -> RoomView:
    view = await directory.read(name)
    if view is None and not passes:
        runtime.fail(f"there is no room {name}: nobody is in it or waits for it, and it has no settings")
    return view or empty_room(name)


async def _passes(passes: Passes, room: str, now: float) -> list[Row]:
    """What is open, the visits after the invitations."""
    return [
        Row((kind, one.id, one.name or "-", "+".join(one.scopes), one.issued_by, span(one.until - now)))
        for kind in PassKind
        for one in await passes.list_open(room, kind, now=now)
    ]


async def _fullest(directory: Rooms) -> list[RoomView]:
    return sorted(await directory.list_all(), key=lambda one: (-len(one.members), one.name))


def _more(left: int) -> list[Text]:
    return [Text(f"... and {left} more: --limit shows them", STYLES["faint"])] if left > 0 else []


def _list(found: list[RoomView], now: float) -> list[Text]:
    if not found:
        return [Text("no room has members or settings")]
    rows = [
        Row(
            (
                one.name,
                f"{len(one.members)}/{one.settings.limit}",
                str(len(one.waiting)),
                one.session_id or "-",
                _age(one, now),
                _settings(one),
            ),
            "fail" if len(one.members) >= one.settings.limit else "",
        )
        for one in found
    ]
    return table(_COLUMNS, rows, width())


async def _members(room: RoomView, calls: Calls, now: float) -> list[Text]:
    refs = {parse_seat(one.seat)[0] for one in room.members if one.browser is None} | set(room.waiting)
    known = {call.ref: call for call in await calls.read_many(sorted(refs))}
    members = f"{len(room.members)} of {room.settings.limit} members, {len(room.waiting)} waiting"
    head = [
        Text(f"{room.name}: {members}", STYLES["title"]),
        Text(f"session {room.session_id or 'none'}, age {_age(room, now)}"),
        Text(f"settings {_settings(room)}"),
    ]
    rows = [_member(one, known) for one in room.members]
    rows += [Row((f"phone {ref}", "outside", _state(known.get(ref)), "-")) for ref in room.waiting]
    return [*head, *(table(_MEMBERS, rows, width()) if rows else [])]


def _member(member: Member, known: dict[str, Call]) -> Row:
    participant = member.participant_id or "-"
    if member.browser is not None:
        there = "connected" if member.presence.is_connected else "silent"
        return Row((f"browser {member.browser.name or '-'}", member.phase, there, participant))
    ref = parse_seat(member.seat)[0]
    return Row((f"phone {ref}", member.phase, _state(known.get(ref)), participant))


def _state(call: Call | None) -> str:
    return "unknown" if call is None else str(call.status)


def _age(room: RoomView, now: float) -> str:
    return span(now - room.opened) if room.session_id else "-"


def _settings(room: RoomView) -> str:
    """Those that were set, in a few words."""
    settings = room.settings
    found: dict[str, Any] = {
        "announcement": settings.announcement,
        "waiting": settings.waiting and settings.waiting.sound,
        "alone": settings.alone and settings.alone.then,
        "pin": settings.pin and "***",
        "interconnect": settings.interconnect,
    }
    return " ".join(f"{key}={value}" for key, value in found.items() if value) or "default"
