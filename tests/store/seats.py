"""What tests of rooms do again and again."""

from typing import Any, Final

from redis.asyncio import Redis

from service.calls.effects import Effect, FreeSeat
from service.calls.room_settings import RoomSettings
from service.store import keys
from service.store.outbox import Outbox, UnreadableEffect, read_effect
from service.store.room_results import EmptyRoom, ReservedSeat, RoomFull, SeatGone, SessionInDoubt, TakenSeat
from service.store.rooms import Rooms

NOW: Final = 1_700_000_000.0
ROOM: Final = "lobby"
PARTITION: Final = keys.partition_of_room(ROOM)
NO_SETTINGS: Final = RoomSettings()


async def reserve(
    rooms: Rooms, seat: str, *, waits: bool = False, limit: int = 20
) -> ReservedSeat | RoomFull | EmptyRoom | SeatGone | SessionInDoubt:
    return await rooms.reserve(ROOM, seat, wait_if_empty=waits, limit=limit, now=NOW)


async def seated(rooms: Rooms, seat: str, *, session: str = "") -> None:
    """Take a seat with the participant `part-<seat>`."""
    assert isinstance(await reserve(rooms, seat), ReservedSeat)
    entered = await rooms.take_seat(
        ROOM, seat, participant_id=f"part-{seat}", new_session_id=session, now=NOW
    )
    assert isinstance(entered, TakenSeat)


async def owed(outbox: Outbox, *, now: float = NOW) -> list[Effect]:
    """Everything that the room owes by then, in the order in which it is done; nothing of it is left."""
    found: list[Effect] = []
    due = await outbox.settle(keys.owner_room(ROOM), now=now, done=[], postponed=[])
    while due:
        found += [work.effect for work in due if not isinstance(work.effect, UnreadableEffect)]
        due = await outbox.settle(keys.owner_room(ROOM), now=now, done=due, postponed=[])
    return found


async def execute_owed(rooms: Rooms, outbox: Outbox, *, now: float = NOW) -> list[Effect]:
    """As `owed`, and seats are freed."""
    found: list[Effect] = []
    while due := await owed(outbox, now=now):
        for effect in due:
            if isinstance(effect, FreeSeat):
                await rooms.free_seat(effect.room, effect.seat, now=now)
        found += due
    return found


async def owes(redis: Redis) -> dict[str, tuple[float, Effect]]:
    """What the room owes by id: in how many seconds, and what."""
    found = {}
    fields: dict[Any, Any] = await redis.hgetall(keys.owed(keys.owner_room(ROOM)))
    for id_, value in fields.items():
        if not id_.startswith(b"."):
            _, due, _, _, _, effect = value.split(b" ", 5)
            known = read_effect(effect, keys.owner_room(ROOM), id_.decode())
            assert not isinstance(known, UnreadableEffect)
            found[id_.decode()] = (int(due) / 1000 - NOW, known)
    return found


async def left_over(redis: Redis) -> list[str]:
    """What is in the store but settings, and marks of seats and news, which go by themselves."""
    lasting = (":left:", ":closed:", ":settings:", ":configured", ":news")
    found: list[Any] = await redis.keys()
    return [key.decode() for key in found if not any(kind in key.decode() for kind in lasting)]
