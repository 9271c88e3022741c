"""Reads rooms: which there are, how they are set, and who is in them."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from service.calls.browser import Browser, Presence
from service.calls.refs import PARTITIONS
from service.calls.room_settings import RoomSettings
from service.store import keys
from service.store.errors import StoreCorrupt
from service.store.redis.client import Client
from service.store.redis.scripts import Script
from service.store.script_values import ms, pairs
from service.store.unknown_fields import unknown_fields

_GET: Final = Script("get")
_CONFIGURE: Final = Script("room_configure")
_CLAIM: Final = Script("pin_claim")
_RELEASE: Final = Script("pin_release")
_READ: Final = Script("room_read")
_NAMES: Final = Script("room_names")

_PIN: Final = re.compile(r"[0-9]{1,50}")
_AT_ONCE: Final = 500
"""Rooms that are read in one trip."""
_CLAIM_GRACE: Final = 60.0
"""Seconds within which the settings that a claim was made for are written, if they ever are."""

_decode: Final = msgspec.json.Decoder(RoomSettings).decode
_decode_browser: Final = msgspec.json.Decoder(Browser).decode


class Member(msgspec.Struct, frozen=True):
    seat: str
    phase: str
    """reserved, in or leaving."""
    participant_id: str
    """Empty while the seat is reserved."""
    browser: Browser | None = None
    """None for a phone."""
    presence: Presence = Presence(0)
    """Of a browser."""
    unknown_fields: bytes = b""
    """What a newer release has written of the browser."""


class RoomView(msgspec.Struct, frozen=True, kw_only=True):
    """A room as it is. One that is merely configured has no epoch, session or people."""

    name: str
    epoch: int
    """When this life of the room began, in milliseconds since the epoch; 0 while nobody has a seat."""
    session_id: str
    opened: float
    """Seconds since the epoch: since when the session is the room's; 0 without one."""
    members: tuple[Member, ...]
    """Who is still being taken down after the room was closed is none."""
    waiting: tuple[str, ...]
    """Refs of the calls that wait outside."""
    settings: RoomSettings
    handed_out_seats: frozenset[str] = frozenset()
    """Seats whose participant was lately taken out of stock."""
    prepared: Mapping[str, bool] = MappingProxyType({})
    """Participants that were made ahead, by id, and whether they are in the session for certain."""


def empty_room(name: str) -> RoomView:
    """One that nobody is in, and that nobody has set."""
    return RoomView(
        name=name, epoch=0, session_id="", opened=0, members=(), waiting=(), settings=RoomSettings()
    )


class RoomPage(NamedTuple):
    rooms: list[RoomView]
    last: str
    """The name after which it goes on; empty when there is nothing more."""


class RoomIndex:
    """Settings of rooms, the digits that name them, and what there is to see."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read_settings(self, room: str) -> RoomSettings:
        return decode_settings(room, await self._client.run(_GET, {"value": keys.room_settings(room)}, {}))

    async def configure(self, room: str, settings: RoomSettings, *, now: float) -> str:
        """Set the room; empty, or the name of the room that has the PIN already, and nothing is changed.

        PIN and settings are in two partitions. Whatever this is interrupted at, a PIN leads to no room whose
        settings do not have it, and does not stay out of reach: what is left over is taken over later.
        """
        if settings.pin and (holder := await self._claim(settings.pin, room, now)):
            return holder
        before = decode_settings(
            room,
            await self._client.run(
                _CONFIGURE,
                {
                    "settings": keys.room_settings(room),
                    "configured": keys.configured(keys.partition_of_room(room)),
                },
                {
                    "name": room,
                    "value": b"" if settings == RoomSettings() else msgspec.json.encode(settings),
                },
            ),
        )
        if before.pin and before.pin != settings.pin:
            await self._client.run(_RELEASE, {"pin": keys.pin(before.pin)}, {"name": room, "now": ms(now)})
        return ""

    async def find_by_pin(self, digits: str) -> str:
        """The room that the digits name; empty for none."""
        if not _PIN.fullmatch(digits):
            return ""
        claim = await self._client.run(_GET, {"value": keys.pin(digits)}, {})
        if claim is None:
            return ""
        room, _ = _claim_of(claim)
        return room if (await self.read_settings(room)).pin == digits else ""

    async def list_names(self) -> list[str]:
        """Rooms that are live or have settings."""
        found = await self._client.run_many(
            _NAMES,
            [
                (
                    {"configured": keys.configured(partition), "live": keys.live_rooms(partition)},
                    {"rooms": keys.room_prefix(partition)},
                )
                for partition in range(PARTITIONS)
            ],
        )
        return sorted({name.decode() for names in found for name in names})

    async def read(self, room: str) -> RoomView | None:
        """None when nobody is in the room or waits for it, and it has no settings."""
        [(_, kept)] = await self._read_raw([room])
        return _view(room, *kept)

    async def list_all(self) -> list[RoomView]:
        """All rooms that are live or have settings; one that cannot be read is left out."""
        return await self._views(await self.list_names())

    async def list_page(self, *, after: str, limit: int) -> RoomPage:
        """Some of them in the order of their names, which come after this one."""
        names = [name for name in await self.list_names() if name > after]
        last = names[limit - 1] if len(names) > limit else ""
        return RoomPage(await self._views(names[:limit]), last)

    async def _views(self, names: Sequence[str]) -> list[RoomView]:
        found: list[RoomView] = []
        for begin in range(0, len(names), _AT_ONCE):
            for room, kept in await self._read_raw(names[begin : begin + _AT_ONCE]):
                with suppress(StoreCorrupt):
                    found += [view] if (view := _view(room, *kept)) else []
        return found

    async def _read_raw(self, rooms: Sequence[str]) -> list[tuple[str, tuple[list[bytes], bytes | None]]]:
        kept = await self._client.run_many(
            _READ,
            [({"room": keys.room(room), "settings": keys.room_settings(room)}, {}) for room in rooms],
        )
        return list(zip(rooms, kept, strict=True))

    async def _claim(self, pin: str, room: str, now: float) -> str:
        """Take the PIN; empty, or the name of the room that has it.

        A claim whose room does not have the PIN is what an interrupted change has left, unless it is so new
        that its settings may be about to be written.
        """
        if not (held := await self._claim_over(pin, room, now, b"")):
            return ""
        holder, since = _claim_of(held)
        if now - since <= _CLAIM_GRACE or (await self.read_settings(holder)).pin == pin:
            return holder
        held = await self._claim_over(pin, room, now, held)
        return _claim_of(held)[0] if held else ""

    async def _claim_over(self, pin: str, room: str, now: float, stale: bytes) -> bytes:
        held = await self._client.run(
            _CLAIM, {"pin": keys.pin(pin)}, {"name": room, "now": ms(now), "stale": stale}
        )
        return bytes(held)


def _view(room: str, flat: list[bytes], settings: bytes | None) -> RoomView | None:
    fields = dict(pairs(text.decode() for text in flat))
    waiting = tuple(sorted(field.removeprefix("waiter:") for field in fields if field.startswith("waiter:")))
    if settings is None and not waiting and "members" not in fields:
        return None
    return RoomView(
        name=room,
        epoch=int(fields.get("began", 0)),
        session_id=fields.get("session", ""),
        opened=int(fields.get("opened", 0)) / 1000,
        members=_members(room, fields),
        waiting=waiting,
        settings=decode_settings(room, settings),
        handed_out_seats=frozenset(
            field.removeprefix("given:") for field in fields if field.startswith("given:")
        ),
        prepared={
            field.removeprefix("stock:"): value.startswith("ready ")
            for field, value in fields.items()
            if field.startswith("stock:")
        },
    )


def decode_settings(room: str, text: bytes | None) -> RoomSettings:
    """Raises StoreCorrupt."""
    if not text:
        return RoomSettings()
    try:
        return _decode(text)
    except msgspec.DecodeError as error:
        raise StoreCorrupt(f"settings of room {room}: {error}") from error


def _members(room: str, fields: dict[str, str]) -> tuple[Member, ...]:
    found = []
    for field, value in sorted(fields.items()):
        phase, _, participant = value.partition(" ")
        if not field.startswith("seat:") or phase == "closing":
            continue
        seat = field.removeprefix("seat:")
        browser, kept = _browser(room, fields.get(f"web:{seat}"))
        found.append(
            Member(
                seat,
                phase,
                "" if participant == "-" else participant,
                browser,
                _presence(fields.get(f"seen:{seat}")),
                kept,
            )
        )
    return tuple(found)


def _browser(room: str, text: str | None) -> tuple[Browser | None, bytes]:
    """Raises StoreCorrupt."""
    if text is None:
        return None, b""
    try:
        browser = _decode_browser(text)
        return browser, unknown_fields(text.encode(), browser)
    except msgspec.DecodeError as error:
        raise StoreCorrupt(f"browser in room {room}: {error}") from error


def _presence(text: str | None) -> Presence:
    return Presence(*(int(at) / 1000 for at in (text or "0").split()))


def _claim_of(value: bytes) -> tuple[str, float]:
    room, _, since = value.decode().partition(" ")
    return room, int(since) / 1000
