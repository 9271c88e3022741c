"""Whatever happens in a room, and in whatever order: in the end nothing is left, here or at Bandwidth."""

import random  # noqa: TID251 - seeded, so that a failure can be had again

import pytest
from redis.asyncio import Redis

from service.calls.effects import (
    AddParticipant,
    CheckRoom,
    CheckTakenFromPool,
    DeleteParticipant,
    DeleteSession,
    Effect,
    FreeSeat,
    PrepareParticipant,
    RemoveParticipant,
    ReplacePrepared,
    ReplaceSession,
    SummonWaiter,
    TellAlone,
    TellRoomClosed,
)
from service.calls.model import parse_seat
from service.calls.room_settings import AloneSettings, RoomSettings, WaitingSettings
from service.store import keys
from service.store.outbox import DueEffect, Outbox, UnreadableEffect
from service.store.redis.client import Client
from service.store.room_results import EmptyRoom, ReservedSeat, TakenSeat
from service.store.rooms import Rooms
from tests.seeded import SEED
from tests.store.seats import NOW, ROOM, left_over

STEPS = 180
GRACE = 61.0
"""Seconds after which a session that was replaced has gone too."""


class RoomModel:
    """Calls that come and go, and a Bandwidth that has sessions and participants."""

    def __init__(self, seed: int, rooms: Rooms, outbox: Outbox) -> None:
        self.random = random.Random(seed)
        self.rooms = rooms
        self.outbox = outbox
        self.now = NOW
        self.calls = 0
        self.sessions: dict[str, set[str]] = {}
        self.participants: set[str] = set()
        self.made = 0
        self.reserved: dict[str, str] = {}
        """The session by seat, empty where it has to make one."""
        self.inside: dict[str, str] = {}
        """The participant by seat."""
        self.waiting: set[str] = set()
        self.attempts: dict[str, int] = {}
        self.taken = 0
        self.coming: dict[str, str] = {}
        """The session by participant that is made for stock, and on its way into it."""

    async def step(self) -> None:
        self.now += self.random.choice([0, 0, 1, 30, 7200])
        await self.random.choices(
            [self.arrive, self.enter, self.leave, self.move_on, self.close, self.work, self.stock],
            [8, 8, 6, 1, 1, 6, 14],
        )[0]()

    async def arrive(self, ref: str = "") -> None:
        if not ref:
            self.calls += 1
            ref = f"c{self.calls}"
        self.attempts[ref] = self.attempts.get(ref, 0) + 1
        seat = f"{ref}.{self.attempts[ref]}"
        waits = self.random.random() < 0.7
        takes = self.random.random() < 0.8
        place = await self.rooms.reserve(
            ROOM, seat, wait_if_empty=waits, limit=7, now=self.now, use_prepared=takes
        )
        if isinstance(place, EmptyRoom):
            self.waiting.add(seat)
        elif isinstance(place, ReservedSeat) and place.participant_id:
            assert takes
            assert place.token == f"token-{place.participant_id}"
            assert place.participant_id in self.sessions[place.session_id], "it is in the session"
            assert place.participant_id not in self.inside.values()
            self.inside[seat] = place.participant_id
            self.taken += 1
        elif isinstance(place, ReservedSeat):
            self.reserved[seat] = place.session_id

    async def enter(self) -> None:
        if not self.reserved:
            return
        seat = self.random.choice(sorted(self.reserved))
        known = self.reserved.pop(seat)
        participant = f"p-{seat}"
        self.participants.add(participant)
        made = "" if known else self.make_session()
        entered = await self.rooms.take_seat(
            ROOM, seat, participant_id=participant, new_session_id=made, now=self.now
        )
        if isinstance(entered, TakenSeat):
            assert entered.session_id in self.sessions, "nobody is sent into a session that was deleted"
            self.inside[seat] = participant
            self.sessions[entered.session_id].add(participant)

    async def leave(self, seat: str = "") -> None:
        present = sorted([*self.inside, *self.reserved, *self.waiting])
        if not seat and not present:
            return
        seat = seat or self.random.choice(present)
        self.inside.pop(seat, None)
        self.reserved.pop(seat, None)
        self.waiting.discard(seat)
        await self.rooms.vacate(ROOM, seat, now=self.now)

    async def move_on(self) -> None:
        view = await self.rooms.read(ROOM)
        present = [member.seat for member in view.members if member.phase == "in"] if view else []
        if not present:
            return
        seat = self.random.choice(present)
        participant = self.inside.pop(seat)
        for members in self.sessions.values():
            members.discard(participant)
        await self.rooms.vacate(ROOM, seat, keep_participant=True, now=self.now)
        await self.work()
        assert participant in self.participants, "it lives on"
        self.participants.discard(participant)

    async def stock(self) -> None:
        """One that was made gets into its session, cannot be put into it, or is never heard of again."""
        if not self.coming:
            return
        participant = self.random.choice(sorted(self.coming))
        session = self.coming.pop(participant)
        if self.random.random() < 0.1:
            return
        if participant in self.participants and session in self.sessions and self.random.random() < 0.9:
            self.sessions[session].add(participant)
            await self.rooms.update_prepared(
                ROOM, "ready", participant, now=self.now, token=f"token-{participant}"
            )
        else:
            await self.rooms.update_prepared(ROOM, "failed", participant, now=self.now)

    async def close(self) -> None:
        await self.rooms.close(ROOM, now=self.now)

    def make_session(self) -> str:
        self.made += 1
        session = f"S{self.made}"
        self.sessions[session] = set()
        return session

    async def work(self) -> None:
        done: list[DueEffect] = []
        while due := await self.outbox.settle(keys.owner_room(ROOM), now=self.now, done=done, postponed=[]):
            for work in due:
                assert not isinstance(work.effect, UnreadableEffect)
                await self.perform(work.effect)
            done = due

    async def perform(self, effect: Effect) -> None:
        match effect:
            case AddParticipant():
                assert effect.participant_id in self.participants
                assert effect.session_id in self.sessions
                self.sessions[effect.session_id].add(effect.participant_id)
            case RemoveParticipant():
                self.sessions.get(effect.session_id, set()).discard(effect.participant_id)
            case DeleteParticipant():
                self.participants.discard(effect.participant_id)
                for members in self.sessions.values():
                    members.discard(effect.participant_id)
            case FreeSeat():
                await self.rooms.free_seat(ROOM, effect.seat, now=self.now)
            case DeleteSession():
                assert not self.sessions.pop(effect.session_id, set()), "it had members"
            case ReplaceSession():
                await self.rooms.roll_over(
                    ROOM, old_session_id=effect.session_id, new_session_id=self.make_session(), now=self.now
                )
            case _:
                await self.look(effect)

    async def look(self, effect: Effect) -> None:
        match effect:
            case PrepareParticipant() | ReplacePrepared():
                await self.change_stock(effect)
            case CheckRoom():
                await self.check(effect)
            case CheckTakenFromPool():
                pass  # whether they are there is Bandwidth's to say
            case SummonWaiter() | TellAlone() | TellRoomClosed():
                await self.tell(effect)
            case _:
                raise AssertionError(effect)

    async def change_stock(self, effect: PrepareParticipant | ReplacePrepared) -> None:
        if isinstance(effect, ReplacePrepared):
            await self.rooms.update_prepared(ROOM, "gone", effect.participant_id, now=self.now)
            return
        self.made += 1
        participant = f"stock-{self.made}"
        self.participants.add(participant)
        till = self.now + self.random.choice([60, 36_000])
        session = await self.rooms.update_prepared(
            ROOM, "coming", participant, now=self.now, usable_until=till
        )
        if session:
            self.coming[participant] = session

    async def check(self, effect: CheckRoom) -> None:
        """Who is in a session that is the room's has a seat in it."""
        view = await self.rooms.read(ROOM)
        if view and view.session_id == effect.session_id:
            # Stock that was given up may be on its way out.
            people = {one for one in self.sessions[effect.session_id] if not one.startswith("stock-")}
            assert people <= {one.participant_id for one in view.members}

    async def tell(self, effect: SummonWaiter | TellAlone | TellRoomClosed) -> None:
        if not isinstance(effect, SummonWaiter):
            await self.leave(effect.seat)
            return
        summoned = [seat for seat in self.waiting if parse_seat(seat)[0] == effect.ref]
        for seat in summoned:
            await self.leave(seat)
            await self.arrive(effect.ref)


@pytest.mark.parametrize("stock", [0, 2])
@pytest.mark.parametrize("seed", range(25 * SEED, 25 * SEED + 25))
async def test_in_the_end_nothing_is_left(
    seed: int, stock: int, client: Client, outbox: Outbox, redis: Redis
) -> None:
    rooms = Rooms(client, prepared=stock)
    await rooms.configure(
        ROOM, RoomSettings(waiting=WaitingSettings(), alone=AloneSettings(after=45), limit=4), now=NOW
    )
    world = RoomModel(seed, rooms, outbox)
    for _ in range(STEPS):
        await world.step()
        view = await rooms.read(ROOM)
        assert view
        assert {member.seat for member in view.members if member.phase == "in"} <= set(world.inside)
        if not view.members:
            assert not view.session_id
            assert not view.prepared
        assert len(view.prepared) <= stock
    while world.inside or world.reserved or world.waiting:
        await world.leave()
    await world.work()
    world.now += GRACE
    await world.work()
    assert await left_over(redis) == []
    assert world.sessions == {}
    assert world.participants == set()
    assert world.taken > 0 or (seed, stock) != (0, 2), "out of stock is taken, too"
