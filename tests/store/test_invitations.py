"""Invitations and visits in the store: which are open, and what ends them; every script is sent twice."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from service.invitations import INVITATION_LIFETIME, VISIT_LIFETIME, Pass, Scope
from service.store import keys
from service.store.invitations import InvitationState, Passes, PassKind
from service.store.redis.client import Client
from service.store.rooms import Rooms
from tests.store.repeating import RepeatingClient, contents

NOW = 1_800_000_000.0
QUARTER = 900.0
ROOM = "sales"
HOUR = 3600


def invitation(id_: str = "i", **more: Any) -> Pass:
    return replace(Pass(id_, ROOM, NOW + QUARTER, "crm", "Ada", (Scope.TALK, Scope.DIAL), "mark"), **more)


def visit(id_: str = "v", **more: Any) -> Pass:
    return invitation(id_, until=NOW + VISIT_LIFETIME, **more)


@pytest.fixture
async def client(store_url: str, redis: Redis) -> AsyncIterator[Client]:
    """Every reply is lost once."""
    client = RepeatingClient(store_url, redis)
    yield client
    await client.close()


@pytest.fixture
def passes(client: Client) -> Passes:
    return Passes(client, max_open=3)


@pytest.fixture
def rooms(client: Client) -> Rooms:
    return Rooms(client)


async def issued(passes: Passes, id_: str = "i", **more: Any) -> Pass:
    said = invitation(id_, **more)
    closed = await passes.issue(said, now=NOW)
    assert closed is not None
    return replace(said, room_closed_at=closed)


async def ids(passes: Passes, kind: PassKind, *, now: float = NOW) -> list[str]:
    return [one.id for one in await passes.list_open(ROOM, kind, now=now)]


# Used once --------------------------------------------------------------------------------------------------


async def test_an_invitation_becomes_one_visit(passes: Passes, redis: Redis) -> None:
    said = await issued(passes)
    assert await passes.invitation_state(said) is InvitationState.OPEN
    assert await passes.redeem(said, visit("v1"), now=NOW) is InvitationState.OPEN
    assert await passes.invitation_state(said) is InvitationState.USED
    assert await passes.redeem(said, visit("v2"), now=NOW) is InvitationState.USED
    elsewhere = replace(said, room="support")
    assert await passes.redeem(elsewhere, visit("v2", room="support"), now=NOW) is InvitationState.OPEN
    ttl = await redis.ttl(keys.used_invitation(ROOM, "i"))
    assert QUARTER < ttl <= QUARTER + 60, "good for as long as the invitation, and a bit"


async def test_a_reply_that_was_lost_does_not_lock_out_whoever_it_was_for(passes: Passes) -> None:
    """The client library sends the script again; the visit finds its own mark."""
    said = await issued(passes)
    for _ in range(2):
        assert await passes.redeem(said, visit("v1"), now=NOW) is InvitationState.OPEN


async def test_the_mark_outlives_an_invitation_that_is_just_running_out(passes: Passes, redis: Redis) -> None:
    for left in (0.001, -5.0):
        said = invitation(f"i{left}", until=NOW + left)
        assert await passes.redeem(said, visit(), now=NOW) is InvitationState.OPEN
        assert 55 < await redis.ttl(keys.used_invitation(ROOM, said.id)) <= 61


# Ended ------------------------------------------------------------------------------------------------------


async def test_an_invitation_that_was_ended_opens_nothing(passes: Passes) -> None:
    said = await issued(passes)
    assert await passes.end_invitation(ROOM, "i")
    assert await passes.invitation_state(said) is InvitationState.OVER
    assert await passes.redeem(said, visit(), now=NOW) is InvitationState.OVER
    assert await ids(passes, PassKind.INVITATION) == []
    assert await ids(passes, PassKind.VISIT) == []


async def test_one_that_was_used_cannot_be_ended(passes: Passes) -> None:
    said = await issued(passes)
    await passes.redeem(said, visit(), now=NOW)
    assert not await passes.end_invitation(ROOM, "i")
    assert await passes.invitation_state(said) is InvitationState.USED
    assert await passes.find_ended([visit()]) == set()


async def test_what_never_was_cannot_be_ended_and_leaves_nothing(passes: Passes, redis: Redis) -> None:
    assert not await passes.end_invitation(ROOM, "i")
    assert not await passes.end_visit(ROOM, "v")
    assert await contents(redis) == {}


async def test_a_visit_is_ended_alone(passes: Passes) -> None:
    for name in ("a", "b"):
        await passes.redeem(await issued(passes, f"i{name}"), visit(name), now=NOW)
    assert await passes.find_ended([visit("a"), visit("b")]) == set()
    assert await passes.end_visit(ROOM, "a")
    assert await passes.find_ended([visit("a"), visit("b"), visit("a", room="support")]) == {visit("a")}
    assert await ids(passes, PassKind.VISIT) == ["b"]


async def test_a_visit_that_is_on_no_list_is_ended_as_well(passes: Passes) -> None:
    """One of another release, or of before the store had lost something."""
    assert await passes.end_visit(ROOM, "v", listed=False)
    assert await passes.find_ended([visit()]) == {visit()}


# A room that is closed --------------------------------------------------------------------------------------


async def test_closing_a_room_ends_what_was_issued_for_it_before(passes: Passes, rooms: Rooms) -> None:
    said, later = await issued(passes), await issued(passes, "j")
    seen = visit(room_closed_at=said.room_closed_at)
    assert await passes.redeem(said, seen, now=NOW) is InvitationState.OPEN
    assert await rooms.close(ROOM, now=NOW)
    assert await passes.find_ended([seen]) == {seen}
    assert await passes.invitation_state(later) is InvitationState.OVER
    assert await passes.redeem(later, visit("w"), now=NOW) is InvitationState.OVER
    assert await ids(passes, PassKind.VISIT) == await ids(passes, PassKind.INVITATION) == []
    assert not await rooms.close(ROOM, now=NOW + 1), "there was nothing any more"


async def test_what_is_issued_afterwards_is_good(passes: Passes, rooms: Rooms) -> None:
    """In the same millisecond as well, and whatever the clock of the replica says."""
    for turn, now in enumerate((NOW, NOW, NOW - 5, NOW + 1)):
        before = await issued(passes, f"before{turn}")
        assert await rooms.close(ROOM, now=now)
        after = await issued(passes, f"after{turn}")
        assert (await passes.invitation_state(before), await passes.invitation_state(after)) == (
            InvitationState.OVER,
            InvitationState.OPEN,
        )
        assert await passes.find_ended([visit(room_closed_at=after.room_closed_at)]) == set()


async def test_it_is_known_for_as_long_as_anything_may_be_good(rooms: Rooms, redis: Redis) -> None:
    await rooms.close(ROOM, now=NOW)
    assert INVITATION_LIFETIME < await redis.ttl(keys.room_closed_at(ROOM)) <= INVITATION_LIFETIME + 60


# The list ---------------------------------------------------------------------------------------------------


async def test_what_is_open_is_listed_and_the_first_to_run_out_is_the_first(passes: Passes) -> None:
    await issued(passes, "late", until=NOW + 300)
    await issued(passes, "early", until=NOW + 60, name="", scopes=(Scope.TALK,))
    await issued(passes, "elsewhere", room="support")
    early, late = await passes.list_open(ROOM, PassKind.INVITATION, now=NOW)
    assert (early.id, early.name, early.scopes, early.until) == ("early", "", ("talk",), NOW + 60)
    assert (late.id, late.name, late.scopes, late.issued_by) == ("late", "Ada", ("talk", "dial"), "crm")
    assert await ids(passes, PassKind.INVITATION, now=NOW + 60) == ["late"]
    assert await ids(passes, PassKind.VISIT) == []


async def test_there_is_a_most_of_them(passes: Passes) -> None:
    for name in "abc":
        await issued(passes, name, until=NOW + 60)
    assert await passes.issue(invitation("d"), now=NOW) is None
    # What has become a visit counts as well; what has run out or was ended does not.
    await passes.redeem(invitation("a", until=NOW + 60), visit("v"), now=NOW)
    assert await passes.issue(invitation("d"), now=NOW) is None
    assert await passes.end_invitation(ROOM, "b")
    assert await passes.issue(invitation("d"), now=NOW) is not None
    assert await passes.issue(invitation("e"), now=NOW) is None
    assert await passes.issue(invitation("e"), now=NOW + 61) is not None
    assert await ids(passes, PassKind.INVITATION, now=NOW + 61) == ["d", "e"]
    assert await ids(passes, PassKind.VISIT) == ["v"]


async def test_everything_runs_out_and_what_has_does_not_add_up(passes: Passes, redis: Redis) -> None:
    for number in range(5):
        now = NOW + number * HOUR
        said = invitation(f"i{number}", until=now + 60)
        assert await passes.issue(said, now=now) is not None
    await passes.redeem(said, replace(visit(), until=now + VISIT_LIFETIME), now=now)
    await passes.end_visit(ROOM, "v")
    assert await redis.hlen(keys.passes(ROOM)) == await redis.zcard(keys.passes_until(ROOM)) == 0
    await issued(passes)
    names = [name async for name in redis.scan_iter("*")]
    assert {name.split(b":")[2] for name in names} == {b"passes", b"passes-until", b"invitation", b"visit"}
    for name in names:
        assert 0 < await redis.ttl(name) <= INVITATION_LIFETIME + 60, name
