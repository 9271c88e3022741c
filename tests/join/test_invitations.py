"""Invitations: what they say, that they hold once and not for ever, and that nobody makes their own."""

import asyncio
import base64
from typing import Any

import pytest
from redis.asyncio import Redis

from service.invitations import ExpiredPass, InvalidPass, Pass, PassSigner, Scope
from tests.harness import API_KEYS, ORIGIN, RunningService
from tests.join.visitors import invitation_of, invited, new_visitor, problem_kind, visitor
from tests.operators import Operator, operator_for
from tests.simulator.simulator import Simulator

SAID = Pass("a1", "sales", 1000.0, "key-1", "Ada", (Scope.TALK, Scope.DIAL))


# The text ---------------------------------------------------------------------------------------------------


def test_what_is_signed_is_read() -> None:
    signer = PassSigner("visits", "secret")
    assert signer.verify(signer.sign(SAID), now=999.9) == SAID
    with pytest.raises(ExpiredPass):
        signer.verify(signer.sign(SAID), now=1000.0)
    assert "secret" not in repr(signer)


def test_another_purpose_or_password_signs_otherwise() -> None:
    text = PassSigner("visits", "secret").sign(SAID)
    for other in (PassSigner("invitations", "secret"), PassSigner("visits", "other")):
        with pytest.raises(InvalidPass):
            other.verify(text, now=0)
    assert PassSigner("visits", "new", "secret").verify(text, now=0) == SAID
    with pytest.raises(InvalidPass):
        PassSigner("visits", "secret").verify(PassSigner("visits", "new", "secret").sign(SAID), now=0)


def test_every_changed_character_shows() -> None:
    signer = PassSigner("visits", "secret")
    text = signer.sign(SAID)
    for place in range(len(text)):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        with pytest.raises(InvalidPass):
            signer.verify(changed, now=0)


@pytest.mark.parametrize("text", ["", ".", "a.b", "a.b.c", "é.é", "x" * 2000, "!!.!!", "====.===="])
def test_what_is_no_pass(text: str) -> None:
    with pytest.raises(InvalidPass):
        PassSigner("visits", "secret").verify(text, now=0)


def test_another_spelling_of_the_same_bytes_is_none() -> None:
    signer = PassSigner("visits", "secret")
    body, mac = signer.sign(SAID).split(".")
    for text in (f"{body}=.{mac}", f"{body}.{mac}=", f" {body}.{mac}", f"{body}.{mac}\n"):
        with pytest.raises(InvalidPass):
            signer.verify(text, now=0)


# By the API -------------------------------------------------------------------------------------------------


async def test_an_invitation_is_a_link_to_the_page(service: RunningService, operator: Operator) -> None:
    made = await operator.ask("POST", "/rooms/sales/invitations", {"name": "Ada", "scopes": ["hangup"]})
    assert made["url"].startswith(f"{ORIGIN}/join/sales?invitation=")
    assert made["scopes"] == ["talk", "hangup"]
    async with new_visitor(service) as visitor:
        opened = await visitor.open(invitation_of(made["url"]))
        assert opened.json() == {"room": "sales", "name": "Ada", "scopes": ["talk", "hangup"]}
        assert (await visitor.send("GET", "/visit")).json() == opened.json()
        cookie = opened.headers["set-cookie"].lower()
        for attribute in ("httponly", "samesite=lax", "secure", "path=/join/sales", "max-age=43200"):
            assert attribute in cookie


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["all"]}, "scopes.0"),
        ({"expiresIn": 59}, "expiresIn"),
        ({"expiresIn": 86401}, "expiresIn"),
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"who": "x"}, "who"),
    ],
)
async def test_a_body_with_a_wrong_shape(operator: Operator, body: Any, field: str) -> None:
    refused = await operator.send("POST", "/rooms/sales/invitations", body)
    assert (refused.status_code, refused.json()["field"]) == (422, field)


async def test_nobody_grants_what_the_key_may_not_do(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    keys = f"{API_KEYS},rooms:control:rooms-key-0123456789,dials:control+dial:dials-key-0123456789"
    async with operator_for(simulator, store_url, redis, API_KEYS=keys) as (service, _):
        for key, scope, status in (
            ("rooms-key-0123456789", "dial", 403),
            ("rooms-key-0123456789", "hangup", 201),
            ("dials-key-0123456789", "dial", 201),
            ("tests-reader-key-0123456789", "talk", 403),
        ):
            async with Operator.of(service, key) as operator:
                answer = await operator.send("POST", "/rooms/sales/invitations", {"scopes": [scope]})
                assert answer.status_code == status, (key, scope)
                if status == 403:
                    assert answer.json()["scope"] == ("dial" if scope == "dial" else "control")


async def test_an_invitation_opens_the_room_once(service: RunningService, operator: Operator) -> None:
    invitation = await invited(operator)
    async with new_visitor(service) as one, new_visitor(service) as other:
        assert (await one.open(invitation)).status_code == 200
        for visitor_ in (one, other):
            refused = await visitor_.open(invitation)
            assert (refused.status_code, problem_kind(refused)) == (403, "invitation-used")
        assert (await one.send("GET", "/visit")).status_code == 200
        assert problem_kind(await other.send("GET", "/visit")) == "invitation-needed"


async def test_of_many_who_open_it_at_once_one_gets_in(service: RunningService, operator: Operator) -> None:
    invitation = await invited(operator)
    async with new_visitor(service) as visitor_:
        answers = await asyncio.gather(*(visitor_.open(invitation) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [403] * 9


async def test_another_room_or_none_of_ours(service: RunningService, operator: Operator) -> None:
    invitation = await invited(operator, "support")
    async with new_visitor(service, "sales") as visitor_:
        for text in (invitation, "x.y", "", invitation[:-1], "A" * 3000):
            refused = await visitor_.open(text)
            assert (refused.status_code, problem_kind(refused)) == (403, "invitation-forged")
    async with new_visitor(service, "support") as visitor_:
        assert (await visitor_.open(invitation)).status_code == 200


async def test_an_expired_one(service: RunningService, operator: Operator) -> None:
    past = PassSigner("invitations", "callback-password").sign(Pass("x", "sales", 1000.0, "key-1"))
    async with new_visitor(service) as visitor_:
        assert problem_kind(await visitor_.open(past)) == "invitation-expired"


async def test_while_the_password_is_changed_both_are_good(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(
        simulator,
        store_url,
        redis,
        CALLBACK_PASSWORD="callback-password",
        CALLBACK_PASSWORD_PREVIOUS="older",
    ) as (service, operator):
        older = PassSigner("invitations", "older").sign(Pass("x", "sales", 4e9, "all"))
        async with new_visitor(service) as visitor_:
            assert (await visitor_.open(older)).status_code == 200
        async with visitor(service, operator) as visitor_:
            assert (await visitor_.send("GET", "/visit")).status_code == 200


# The page ---------------------------------------------------------------------------------------------------


async def test_opening_a_link_does_not_use_it_up(service: RunningService, operator: Operator) -> None:
    invitation = await invited(operator)
    async with new_visitor(service) as visitor_:
        for method in ("GET", "HEAD", "GET"):
            shown = await visitor_.send(method, f"?invitation={invitation}")
            assert shown.status_code == 200, "was the page built? make page"
        policy = shown.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "connect-src 'self' wss://device.webrtc.bandwidth.com;" in policy
        assert shown.headers["cache-control"] == "no-store"
        assert shown.headers["referrer-policy"] == "no-referrer"
        assert (await visitor_.open(invitation)).status_code == 200
        # From now on it is the cookie that opens the page.
        assert (await visitor_.send("GET", f"?invitation={invitation}")).status_code == 200
        assert (await visitor_.send("GET", "")).status_code == 200
    async with new_visitor(service) as other:
        refused = await other.send("GET", f"?invitation={invitation}")
        assert refused.status_code == 403
        assert "This invitation has been used" in refused.text


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/join/sales", 403, "You need an invitation"),
        ("/join/sales?invitation=", 403, "You need an invitation"),
        ("/join/sales?invitation=%3Cscript%3E", 403, "This invitation is not valid"),
        ("/join/Sales!", 404, "There is no such room"),
        ("/join/per-call", 404, "There is no such room"),
    ],
)
async def test_who_is_not_let_in_is_told_in_words(
    service: RunningService, path: str, status: int, words: str
) -> None:
    async with new_visitor(service) as visitor_:
        refused = await visitor_.client.get(path)
    assert (refused.status_code, refused.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert f"<h1>{words}</h1>" in refused.text
    assert "script" not in refused.text


async def test_an_expired_link_says_so(service: RunningService) -> None:
    past = PassSigner("invitations", "callback-password").sign(Pass("x", "sales", 1000.0, "key-1"))
    async with new_visitor(service) as visitor_:
        refused = await visitor_.send("GET", f"?invitation={past}")
    assert (refused.status_code, "This invitation has run out" in refused.text) == (403, True)


def test_a_text_holds_no_more_than_it_says() -> None:
    body, _ = PassSigner("visits", "secret").sign(SAID).split(".")
    assert b"secret" not in base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
