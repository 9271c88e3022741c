"""What an operator takes back of what was granted: by the key, the person, the room, or one by one."""

import asyncio
import re
from datetime import datetime
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from handlers.http.sse import VISIT_CHECK_INTERVAL
from service.clock import SystemClock
from service.invitations import INVITATION_LIFETIME, VISIT_LIFETIME, Pass, PassSigner, Scope
from service.store import keys
from service.store.invitations import MAX_OPEN
from tests.api.schema_check import check_response
from tests.harness import API_KEYS, CALLEE, PASSWORD, READER_KEY, RunningService, serving
from tests.join.test_more_visits import watching
from tests.join.visitors import ApiVisitor, invitation_of, invited, new_visitor, problem_kind, visitor
from tests.operators import Json, Operator, operator_for
from tests.scraping import scraped, wait_for_metric
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

OLD, NEW, OTHER = "old-key-0123456789ab", "new-key-0123456789ab", "other-key-0123456789"
SOON = VISIT_CHECK_INTERVAL + 3.0
"""Seconds in which an open stream has to notice."""
PATHS: tuple[tuple[str, str, Json | None], ...] = (
    ("GET", "/visit", None),
    ("GET", "/events", None),
    ("POST", "/participant", {}),
    ("POST", "/calls", {"to": CALLEE}),
    ("POST", "/calls/x/hangup", {}),
)


async def is_out(who: ApiVisitor, *, beat: tuple[int, str] = (410, "gone")) -> None:
    """Nothing can be done any more, by words that say nothing of why."""
    for method, path, body in PATHS:
        refused = await who.send(method, path, body)
        assert (refused.status_code, problem_kind(refused)) == (403, "invitation-needed"), path
        assert refused.json()["detail"] == "this browser has no visit to the room, or it is over"
    gone = await who.send("POST", "/heartbeat", {"participantId": "x"})
    assert (gone.status_code, problem_kind(gone)) == beat
    assert (await who.send("GET", "")).status_code == 403


async def visits(operator: Operator, room: str = "sales") -> list[Json]:
    answer = await operator.send("GET", f"/rooms/{room}/visits")
    check_response(answer)
    found: list[Json] = answer.json()["visits"]
    return found


async def invitations(operator: Operator, room: str = "sales") -> list[Json]:
    answer = await operator.send("GET", f"/rooms/{room}/invitations")
    check_response(answer)
    found: list[Json] = answer.json()["invitations"]
    return found


def of_before(purpose: str, letter: str, until: float) -> str:
    """As a release has signed it that went by names."""
    said = Pass(letter * 16, "sales", until, "all", "Ada", tuple(Scope))
    return f"pstn_visit={PassSigner(purpose, PASSWORD).sign(said)}"


async def end(operator: Operator, path: str) -> int:
    answer = await operator.send("DELETE", path)
    check_response(answer)
    return answer.status_code


async def test_a_seat_that_was_taken_after_the_visit_had_ended_is_given_up(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    """As by a replica of the release before, which knows nothing of ended visits."""
    async with (
        operator_for(simulator, store_url, redis) as (service, operator),
        visitor(service, operator) as ada,
    ):
        seat = await ada.sit()
        [seen] = await visits(operator)
        await redis.set(keys.ended_visit("sales", seen["id"]), "-", px=60_000)
        gone = await ada.send("POST", "/heartbeat", {"participantId": seat["participantId"]})
        assert (gone.status_code, problem_kind(gone)) == (410, "gone")
        await simulator.until(lambda: not simulator.ledger.alive().participants, what="it is out")


# The key ----------------------------------------------------------------------------------------------------


async def test_what_a_bare_key_has_granted_ends_with_it(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    """The next one has its name from then on: bare keys are named by position."""
    async with (
        serving(simulator, store_url, API_KEYS=f"{OLD},{OTHER}") as service,
        Operator.of(service, OLD) as operator,
        visitor(service, operator) as ada,
    ):
        cookie, spare = ada.cookie, await invited(operator)
    async with (
        operator_for(simulator, store_url, redis, API_KEYS=f"{OTHER},{API_KEYS}") as (service, _),
        new_visitor(service) as ada,
        new_visitor(service) as bob,
    ):
        ada.cookie = cookie
        await is_out(ada, beat=(403, "invitation-needed"))
        assert problem_kind(await bob.open(spare)) == "invitation-expired"


async def test_a_key_is_renewed_under_its_name(simulator: Simulator, store_url: str, redis: Redis) -> None:
    """Both are good while both are listed, and what the old one has granted ends with it alone."""
    old, new = f"crm:control:{OLD}", f"crm:control:{NEW}"
    async with serving(simulator, store_url, API_KEYS=f"{old},{new}") as service:
        async with Operator.of(service, OLD) as operator, visitor(service, operator) as ada:
            by_old, spare = ada.cookie, await invited(operator)
        async with Operator.of(service, NEW) as operator, visitor(service, operator) as bob:
            by_new = bob.cookie
    for entries, status in ((f"{new},{old}", 200), (f"{new},{API_KEYS}", 403)):
        async with serving(simulator, store_url, API_KEYS=entries) as service, new_visitor(service) as ada:
            ada.cookie = by_old
            assert (await ada.send("GET", "/visit")).status_code == status
            ada.cookie = by_new
            assert (await ada.send("GET", "/visit")).status_code == 200
    async with (
        operator_for(simulator, store_url, redis, API_KEYS=f"{new},{API_KEYS}") as (service, _),
        new_visitor(service) as bob,
    ):
        assert problem_kind(await bob.open(spare)) == "invitation-expired"


async def test_what_is_of_before_is_good_by_name(service: RunningService, operator: Operator) -> None:
    """A release before this one has signed no more than the name of the key."""
    good, gone = (Pass("a" * 16, "sales", 4e9, name) for name in ("all", "crm"))
    async with new_visitor(service) as ada:
        for said, status in ((good, 200), (gone, 403)):
            ada.cookie = f"pstn_visit={PassSigner('visits', PASSWORD).sign(said)}"
            assert (await ada.send("GET", "/visit")).status_code == status
            opened = await ada.open(PassSigner("invitations", PASSWORD).sign(said))
            assert opened.status_code == status
    assert [one["issuedBy"] for one in await visits(operator)] == ["all"]


async def test_a_visit_outlives_the_password_that_has_signed_its_invitation(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    passwords = {"CALLBACK_PASSWORD": "new-password-0123", "CALLBACK_PASSWORD_PREVIOUS": PASSWORD}
    async with serving(simulator, store_url) as service, Operator.of(service) as operator:
        link = await invited(operator)
    async with serving(simulator, store_url, **passwords) as service, new_visitor(service) as ada:
        assert (await ada.open(link)).status_code == 200
        cookie = ada.cookie
    del passwords["CALLBACK_PASSWORD_PREVIOUS"]
    async with (
        operator_for(simulator, store_url, redis, **passwords) as (service, _),
        new_visitor(service) as ada,
    ):
        ada.cookie = cookie
        assert (await ada.send("GET", "/visit")).status_code == 200


def test_nobody_can_try_keys_on_a_pass() -> None:
    """What stands in it for the key needs the password as well."""
    digest = bytes(range(32))
    [mark] = PassSigner("invitations", PASSWORD).key_marks(digest)
    assert re.fullmatch(r"[\w-]{11}", mark)
    assert PassSigner("invitations", "other", PASSWORD).key_marks(digest)[1] == mark
    assert PassSigner("invitations", "other").key_marks(digest) != (mark,)
    assert PassSigner("invitations", PASSWORD).key_marks(digest[::-1]) != (mark,)


# The person -------------------------------------------------------------------------------------------------


async def test_who_was_removed_does_not_come_back(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with (
        operator_for(simulator, store_url, redis) as (service, operator),
        serving(simulator, store_url) as other,
        visitor(service, operator, scopes=["dial", "hangup"]) as ada,
        visitor(service, operator) as bob,
        new_visitor(other) as there,
    ):
        seat, stays = await ada.sit(), await bob.sit()
        there.cookie = ada.cookie
        assert await end(operator, f"/rooms/sales/participants/{seat['participantId']}") == 204
        await is_out(there)  # at the other replica at once
        await is_out(ada)
        await ada.leave(seat)
        assert len(await visits(operator)) == 1
        assert (await bob.beat(stays)).status_code == 204
        # Invited anew, by the same browser.
        assert (await ada.open(await invited(operator))).status_code == 200
        await ada.leave(await ada.sit())
        await bob.leave(stays)


async def test_a_companys_own_browser_has_no_visit_to_end(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    made = await operator.ask("POST", "/rooms/sales/participants", {})
    async with visitor(service, operator) as ada:
        assert await end(operator, f"/rooms/sales/participants/{made['participantId']}") == 204
        await wait_until(lambda: not simulator.sessions.participants, what="it is still there")
        assert (await ada.send("GET", "/visit")).status_code == 200


async def test_open_streams_end_with_the_visit(simulator: Simulator, store_url: str, redis: Redis) -> None:
    """At whichever replica they are, in seconds; those of others go on."""
    async with (
        operator_for(simulator, store_url, redis) as (service, operator),
        serving(simulator, store_url) as other,
        visitor(service, operator) as ada,
        visitor(service, operator) as bob,
        new_visitor(other) as there,
    ):
        there.cookie = ada.cookie
        seat = await ada.sit()
        async with watching(ada) as heard, watching(there) as elsewhere, watching(bob) as others:
            for one in (heard, elsewhere, others):
                await one.until("snapshot")
            await end(operator, f"/rooms/sales/participants/{seat['participantId']}")
            for one in (heard, elsewhere):
                await wait_until(lambda one=one: one.over, seconds=SOON, what="the stream goes on")  # type: ignore[misc]
            await bob.leave(await bob.sit())
            await others.until("participant", state="left", name=None)
            assert not others.over
        for place in (service, other):
            await wait_until(lambda place=place: place.log("stream.ended", reason="over"))  # type: ignore[misc]


async def test_an_open_stream_ends_when_the_visit_has_run_out(
    service: RunningService, operator: Operator
) -> None:
    async with visitor(service, operator) as ada, new_visitor(service) as bob:
        said = Pass("b" * 16, "sales", SystemClock().now() + VISIT_CHECK_INTERVAL, "all")
        bob.cookie = f"pstn_visit={PassSigner('visits', PASSWORD).sign(said)}"
        async with watching(bob) as heard, watching(ada) as others:
            await heard.until("snapshot")
            await wait_until(
                lambda: heard.over, seconds=VISIT_CHECK_INTERVAL + SOON, what="the stream goes on"
            )
            assert not others.over
    assert service.log("stream.ended", reason="over")


async def test_one_that_is_sitting_down_as_it_ends_gets_no_seat(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    """The request has been let in, and whoever ends the visit finds no seat of it yet."""
    async with visitor(service, operator) as ada:
        before = (await scraped(service.url)).get("pstn_store_seconds_count", script="pass_read")
        where = urlsplit(service.url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        head = f"POST /join/sales/participant HTTP/1.1\r\nHost: x\r\nCookie: {ada.cookie}\r\n"
        head += "Connection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
        writer.write(f"{head}{{".encode())
        await wait_for_metric(service.url, "pstn_store_seconds_count", before + 1, script="pass_read")
        [visit] = await visits(operator)
        assert await end(operator, f"/rooms/sales/visits/{visit['id']}") == 204
        writer.write(b"}")
        answer = (await reader.read()).decode()
        writer.close()
    assert answer.startswith("HTTP/1.1 403 ")
    assert "token" not in answer
    await wait_until(lambda: not simulator.sessions.participants, what="it is there all the same")


# The room ---------------------------------------------------------------------------------------------------


async def test_who_was_in_a_room_that_was_closed_is_not_let_into_the_next(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with (
        operator_for(simulator, store_url, redis) as (service, operator),
        serving(simulator, store_url) as other,
        visitor(service, operator, scopes=["dial", "hangup"]) as ada,
        visitor(service, operator, "support") as eve,
        new_visitor(other) as bob,
    ):
        spare = await invited(operator)
        await ada.sit()
        async with watching(ada) as heard:
            await heard.until("snapshot")
            assert (await operator.send("DELETE", "/rooms/sales")).status_code == 202
            await heard.until("room", state="closed")
            await wait_until(lambda: heard.over, seconds=SOON, what="the stream goes on")
        await is_out(ada)
        assert problem_kind(await bob.open(spare)) == "invitation-expired"
        assert (await bob.send("GET", f"?invitation={spare}")).status_code == 403
        assert await visits(operator) == await invitations(operator) == []
        # The next room of that name, and another room.
        assert (await bob.open(await invited(operator))).status_code == 200
        await bob.leave(await bob.sit())
        assert (await eve.send("GET", "/visit")).status_code == 200


async def test_a_room_that_nobody_is_in_yet_is_closed_for_who_was_invited(operator: Operator) -> None:
    assert await end(operator, "/rooms/sales") == 404
    await invited(operator)
    assert await end(operator, "/rooms/sales") == 202
    assert await invitations(operator) == []
    assert await end(operator, "/rooms/sales") == 404


async def test_what_is_of_before_ends_as_well(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    """It does not say of which closing it knows: of none after which it can have been issued."""
    made = await operator.ask("POST", "/rooms/sales/invitations", {"expiresIn": 60})
    now = datetime.fromisoformat(made["expiresAt"]).timestamp() - 60
    async with new_visitor(service) as ada, new_visitor(service) as bob:
        ada.cookie = of_before("visits", "a", now - 1 + VISIT_LIFETIME)
        seat = await ada.sit()
        await end(operator, f"/rooms/sales/participants/{seat['participantId']}")
        await is_out(ada)
        bob.cookie = of_before("visits", "b", now - 1 + VISIT_LIFETIME)
        assert (await bob.send("GET", "/visit")).status_code == 200
        assert await end(operator, "/rooms/sales") == 202
        await is_out(bob)
        link = of_before("invitations", "c", now + INVITATION_LIFETIME - 1).partition("=")[2]
        assert problem_kind(await bob.open(link)) == "invitation-expired"
        # By a replica of that release, after the room was closed.
        bob.cookie = of_before("visits", "d", now + 30 + VISIT_LIFETIME)
        assert (await bob.send("GET", "/visit")).status_code == 200
    await wait_until(lambda: not simulator.sessions.participants, what="somebody is still there")


async def test_a_room_has_no_more_than_so_many(
    service: RunningService, operator: Operator, redis: Redis
) -> None:
    made = await operator.ask("POST", "/rooms/sales/invitations", {})
    others = {f"visit:{number}": 4e12 for number in range(MAX_OPEN - 1)}
    await redis.zadd(keys.passes_until("sales"), others)
    refused = await operator.send("POST", "/rooms/sales/invitations", {})
    check_response(refused)
    assert (refused.status_code, problem_kind(refused)) == (409, "too-many-invitations")
    await invited(operator, "support")
    # Whoever has an invitation comes in.
    async with new_visitor(service) as ada:
        assert (await ada.open(invitation_of(made["url"]))).status_code == 200


# One by one -------------------------------------------------------------------------------------------------


async def test_what_is_open_is_listed(service: RunningService, operator: Operator) -> None:
    assert await invitations(operator) == await visits(operator) == []
    made = await operator.ask("POST", "/rooms/sales/invitations", {"name": "Bob", "scopes": ["dial"]})
    async with visitor(service, operator, name="Ada", expiresIn=60) as ada:
        [invitation] = await invitations(operator)
        assert invitation == {
            "id": made["id"],
            "name": "Bob",
            "scopes": ["talk", "dial"],
            "issuedBy": "all",
            "expiresAt": made["expiresAt"],
        }
        [visit] = await visits(operator)
        assert (visit["name"], visit["scopes"], visit["participantId"]) == ("Ada", ["talk"], None)
        seat = await ada.sit()
        [visit] = await visits(operator)
        assert visit["participantId"] == seat["participantId"]
        assert await visits(operator, "support") == []
        await ada.leave(seat)
        # An id opens nothing, as what it is of or as anything else.
        for id_ in (invitation["id"], visit["id"]):
            assert problem_kind(await ada.open(id_)) == "invitation-forged"
            assert id_ not in ada.cookie
        assert made["url"].partition("=")[2].partition(".")[2] not in repr([invitation, visit])


async def test_an_invitation_is_ended(service: RunningService, operator: Operator) -> None:
    made = await operator.ask("POST", "/rooms/sales/invitations", {})
    other = await invited(operator)
    assert await end(operator, f"/rooms/support/invitations/{made['id']}") == 404
    assert await end(operator, f"/rooms/sales/visits/{made['id']}") == 404
    for _ in range(2):
        assert await end(operator, f"/rooms/sales/invitations/{made['id']}") == 204
    async with new_visitor(service) as ada:
        link = invitation_of(made["url"])
        assert "has run out" in (await ada.send("GET", f"?invitation={link}")).text
        assert problem_kind(await ada.open(link)) == "invitation-expired"
        assert (await ada.open(other)).status_code == 200
    assert await invitations(operator) == []


async def test_one_that_was_used_is_ended_as_a_visit(service: RunningService, operator: Operator) -> None:
    made = await operator.ask("POST", "/rooms/sales/invitations", {"scopes": ["dial", "hangup"]})
    async with new_visitor(service) as ada:
        await ada.open(invitation_of(made["url"]))
        seat = await ada.sit()
        assert await end(operator, f"/rooms/sales/invitations/{made['id']}") == 404
        assert (await ada.beat(seat)).status_code == 204
        [visit] = await visits(operator)
        assert await end(operator, f"/rooms/sales/visits/{visit['id']}") == 204
        assert await end(operator, f"/rooms/sales/visits/{visit['id']}") == 204, "again, if need be"
        await is_out(ada)
        room = await operator.send("GET", "/rooms/sales")
        assert [one for one in room.json().get("members", []) if one["state"] == "in"] == []
        assert await visits(operator) == []


@pytest.mark.parametrize("id_", ["0" * 16, "x", "%00", "%F0%9F%98%80", "a" * 5000, "..%2F..", "*"])
@pytest.mark.parametrize("what", ["invitations", "visits"])
async def test_an_id_that_is_none(operator: Operator, what: str, id_: str) -> None:
    assert (await operator.send("DELETE", f"/rooms/sales/{what}/{id_}")).status_code == 404


async def test_who_may_look_and_who_may_end(service: RunningService, operator: Operator) -> None:
    made = await operator.ask("POST", "/rooms/sales/invitations", {})
    async with Operator.of(service, READER_KEY) as reader:
        assert [one["id"] for one in await invitations(reader)] == [made["id"]]
        assert await visits(reader) == []
        for what in ("invitations", "visits"):
            refused = await reader.send("DELETE", f"/rooms/sales/{what}/{made['id']}")
            assert (refused.status_code, refused.json()["scope"]) == (403, "control")
    assert len(await invitations(operator)) == 1
