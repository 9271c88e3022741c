"""What an older release has left, we go on with: its calls, its rooms, and all that it owed."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import get_args

import msgspec
from redis.asyncio import Redis

from service.calls.effects import (
    CheckPage,
    CheckSession,
    CheckTakenFromPool,
    DeleteSession,
    Effect,
    PrepareParticipant,
    ReplacePrepared,
    effect_tag,
)
from service.store.outbox import UnreadableEffect, read_effect
from service.store.outbox_index import OutboxIndex
from service.store.redis.client import Client
from tests.harness import NUMBER, RunningService, nothing_left, serving
from tests.operators import Operator
from tests.upgrade.record import NUMBERS, SETTINGS
from tests.upgrade.resumed import RecordedState, Resumed, load

RECORDING = msgspec.json.decode(
    Path(__file__).with_name("state-9efb8e0.json").read_bytes(), type=RecordedState
)
NOT_RECORDED = {CheckPage, CheckSession, CheckTakenFromPool, ReplacePrepared, PrepareParticipant}
"""Kinds of owed work that the recorded release knows, of rooms with stock, a page, or a session in doubt."""
SETTLED = 15.0
"""Seconds: owed work that failed has been put off for as long as that at most."""


@asynccontextmanager
async def resumed(redis: Redis, store_url: str, *, late: float) -> AsyncIterator[tuple[Resumed, Operator]]:
    """Our release at the other's state, `late` seconds after; in the end nothing is left."""
    await load(redis, RECORDING, late=late)
    async with Resumed(RECORDING) as simulator:
        rooms = json.dumps({number: room for room, number in NUMBERS.items()})
        async with serving(simulator, store_url, PIN_NUMBERS=NUMBER, ROOM_MAP=rooms) as service:
            async with Operator.of(service) as operator:
                yield simulator, operator
                for phone in simulator.phones:
                    await phone.hang_up()
                await leaves(operator, "watched")
                for room in SETTINGS:
                    await operator.ask("PUT", f"/rooms/{room}", {})
            await old_session_ends(store_url)
            await nothing_left(simulator, redis, seconds=SETTLED)
            assert all(one.status in {200, 204} for one in simulator.deliveries)
            _no_errors(service)


async def old_session_ends(store_url: str) -> None:
    """At once: it outlives the one that replaced it by a minute."""
    client = Client(store_url)
    directory = OutboxIndex(client)
    for one in await directory.list_owed(limit=100):
        if isinstance(one.effect, DeleteSession):
            await directory.retry_owed(one, now=0)
    await client.close()


async def leaves(operator: Operator, room: str) -> None:
    """The browser that is there."""
    [browser] = (await operator.room(room))["members"]
    gone = await operator.send("DELETE", f"/rooms/{room}/participants/{browser['participantId']}")
    assert gone.is_success


def _no_errors(service: RunningService) -> None:
    assert service.log(level="error") == []
    assert service.log(event="effect.not_known") == []


class ResumedCalls:
    """What comes next for each of the recorded calls, and what has to come of it."""

    def __init__(self, simulator: Resumed, operator: Operator) -> None:
        self.simulator = simulator
        self.operator = operator

    async def becomes(self, name: str, state: str, room: str = "") -> None:
        id_ = self.simulator.id_of(name)
        call = await self.operator.until(id_, state, seconds=SETTLED)
        if room:
            assert call["room"] == room, name
        if state == "bridged":
            phone, there = self.simulator.named(name), (call["participantId"], call["sessionId"])
            await self.simulator.until(
                lambda: phone.stage == "bridged" and (phone.participant_id, phone.session_id) == there,
                what=f"{name}: {phone}, {call}",
            )

    async def ends(self, name: str, reason: str) -> None:
        call = await self.operator.until(self.simulator.id_of(name), "ended", seconds=SETTLED)
        assert call["outcome"]["reason"] == reason, (name, call["outcome"])
        await self.simulator.named(name).until("ended")

    # What a worker finds owed

    async def was_ordered(self) -> None:
        await self.becomes("joins", "bridged", "target")
        await self.operator.arrives(self.simulator.id_of("moving"), "target")
        await self.becomes("moving", "bridged", "target")
        await self.simulator.named("removed").hears("Please hold")
        await self.becomes("removed", "detached")
        away = self.simulator.named("sent-away")
        await self.simulator.until(lambda: away.leg is not None and away.leg.transfer_to == "+15554440001")
        await self.ends("let-go", "completed")
        await self.ends("leg-let-go", "completed")

    async def was_closed(self) -> None:
        for name in ("doomed", "doomed-too"):
            await self.ends(name, "room-closed")

    async def was_repaired(self) -> None:
        """Its members are owed their places in the new session."""
        self.simulator.go_on("repairer", "redirect", "Redirect")
        await self.becomes("repairer", "bridged", "worn")
        members = [self.simulator.named(name) for name in ("worn", "worn-too", "repairer")]
        for phone in members:
            others = {other.participant_id for other in members if other is not phone}
            await self.simulator.until(
                lambda heard=others, phone=phone: self.simulator.hears(phone) == heard,  # type: ignore[misc]
                timeout=SETTLED,
            )

    async def was_summoned(self) -> None:
        await self.simulator.named("outside-lobby").until("bridged", timeout=SETTLED)
        await self.becomes("outside-lobby", "bridged", "lobby")

    async def was_set_to_hear_one(self) -> None:
        chosen, heard = self.simulator.named("chosen"), self.simulator.named("bridged")
        await self.simulator.until(
            lambda: any(one.operation == "updateParticipantSubscriptions" for one in self.simulator.requests)
        )
        assert self.simulator.hears(chosen) == {heard.participant_id}
        await heard.hang_up()
        await self.ends("bridged", "completed")

    # What the phones do next

    async def is_answered(self) -> None:
        for name, room in (("dialing", "out"), ("prepared", "prepared")):
            await self.becomes(name, "dialing", room)
            await self.simulator.answers(name).until("bridged")
            await self.becomes(name, "bridged", room)

    async def enters_its_digits(self) -> None:
        assert await self.simulator.repeated("asked") == self.simulator.first("asked")["reply"]
        phone = self.simulator.go_on("asked", "gather", "Gather", digits="73915", terminatingDigit="#")
        await phone.hears("Welcome.")
        await phone.until("bridged")
        await self.becomes("asked", "bridged", "coded")

    async def goes_on_holding(self) -> None:
        phone = self.simulator.go_on("held", "redirect", "Redirect")
        await phone.hears("Please hold")
        await self.becomes("held", "detached")
        await self.operator.order(phone.call_id, "join", room="target")
        await self.operator.arrives(phone.call_id, "target")
        await self.becomes("held", "bridged", "target")

    async def goes_on_waiting(self) -> None:
        phone = self.simulator.go_on("outside-club", "redirect", "Redirect")
        await self.simulator.until(lambda: phone.sounds[:1] == [("ring",)], what="it rings on")
        await self.becomes("outside-club", "initiated", "club")
        await phone.hang_up()
        await self.becomes("outside-club", "ended")

    async def far_end_leaves(self) -> None:
        """However its leg into WebRTC ends: the other release has seen that it was answered."""
        phones = {}
        for name, cause in (("elsewhere", "hangup"), ("named", "error")):
            phone = phones[name] = await self.simulator.far_end_leaves(name, cause)
            if cause == "error":
                # Lost, and not hung up: it is joined again.
                await self.simulator.until(
                    lambda: bool(phones["named"].leg and not phones["named"].leg.ended), what="a new leg"
                )
                await self.becomes(name, "bridged")
                await phone.hang_up()
            await phone.until("ended")
            await self.becomes(name, "ended")
            assert not [text for text in phone.heard if "sorry" in text.lower()], "it has been connected"

    async def leg_is_answered(self) -> None:
        """At its first webhook, repeated, it gets the very reply that the other release gave it."""
        assert await self.simulator.repeated("transferring") == self.simulator.first("transferring")["reply"]
        await self.simulator.leg_answers("transferring")
        await self.becomes("transferring", "bridged")

    async def own_leg_ends(self) -> None:
        old = self.simulator.named("two-legs").participant_id
        phone = await self.simulator.own_leg_ends("two-legs")
        await self.simulator.until(
            lambda: phone.stage == "bridged" and phone.participant_id not in {None, old}, timeout=SETTLED
        )
        await self.becomes("two-legs", "bridged", "legs")

    async def is_over(self) -> None:
        """What the other release has written of a call is still there to be read."""
        call = await self.operator.call(self.simulator.id_of("ended"))
        assert call["outcome"]["reason"] == "completed"
        assert call["timeline"][0]["event"] == "initiate"


async def _played(play: ResumedCalls) -> None:
    await asyncio.gather(
        play.was_ordered(),
        play.was_closed(),
        play.was_repaired(),
        play.was_summoned(),
        play.was_set_to_hear_one(),
        play.is_answered(),
        play.enters_its_digits(),
        play.goes_on_holding(),
        play.goes_on_waiting(),
        play.far_end_leaves(),
        play.leg_is_answered(),
        play.own_leg_ends(),
        play.is_over(),
    )


def test_the_recording_holds_every_kind_of_owed_work() -> None:
    kinds = set()
    for key, held in RECORDING.keys.items():
        _, is_owed, owner = key.partition(":owed:")
        for id_, value in held["value"].items() if is_owed else ():
            if not id_.startswith("."):
                effect = read_effect(value.split(" ", 5)[5].encode(), owner, id_)
                assert not isinstance(effect, UnreadableEffect), value
                kinds.add(effect_tag(effect))
    assert kinds == {kind.__struct_config__.tag for kind in get_args(Effect) if kind not in NOT_RECORDED}


async def test_the_next_release_goes_on_at_once(store_url: str, redis: Redis) -> None:
    async with resumed(redis, store_url, late=0) as (simulator, operator):
        await _played(ResumedCalls(simulator, operator))
        joining = await simulator.repeated("joining")
        assert "<Redirect" in joining, "who is at it may be alive"


async def test_the_next_release_comes_a_minute_later(store_url: str, redis: Redis) -> None:
    """The leases of the replica that was killed are over, and so is what had its time."""
    async with resumed(redis, store_url, late=60) as (simulator, operator):
        play = ResumedCalls(simulator, operator)
        await asyncio.gather(
            _played(play),
            play.ends("timed", "time-limit"),
            play.ends("alone", "left-alone"),
        )
        joining = await simulator.repeated("joining")
        assert "<Transfer" in joining, "another attempt is made"
