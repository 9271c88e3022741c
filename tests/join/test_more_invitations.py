"""What invitations and cookies withstand: other hands, other replicas, a store that loses its reply."""

import asyncio
import json

import httpx
import pytest
from redis.asyncio import Redis

from handlers.page import assets
from service.invitations import LONGEST, Pass, PassSigner, Scope
from tests.harness import API_KEY, LOG, PASSWORD, RunningService, serving
from tests.join.visitors import ApiVisitor, invitation_of, invited, new_visitor, problem_kind, visitor
from tests.operators import NO_TLS, Operator, operator_for
from tests.processes import environment, replica
from tests.simulator.simulator import Simulator


def changed(text: str, place: int) -> str:
    """Another character there, of those that base64url has."""
    return text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]


def regions(text: str) -> list[str]:
    """The text, changed in one place of each of its parts, cut off, put together otherwise."""
    dot = text.index(".")
    body, mac = text[:dot], text[dot + 1 :]
    places = (0, dot // 2, dot - 1, dot + 1, dot + len(mac) // 2)
    return [
        *(changed(text, place) for place in places),
        text.replace(".", "_"),
        body,
        f"{body}.",
        f".{mac}",
        f"{mac}.{body}",
        f"{text}.{mac}",
        text[:-1],
        f"{text}A",
    ]


# Forged -----------------------------------------------------------------------------------------------------


async def test_an_invitation_that_was_changed_anywhere(service: RunningService, operator: Operator) -> None:
    invitation = await invited(operator)
    async with new_visitor(service) as ada:
        for text in regions(invitation):
            refused = await ada.open(text)
            assert (refused.status_code, problem_kind(refused)) == (403, "invitation-forged")
            shown = await ada.client.get("/join/sales", params={"invitation": text})
            assert (shown.status_code, "This invitation is not valid" in shown.text) == (403, True)
            assert ada.cookie == ""
        # Nothing of that has used it up.
        assert (await ada.open(invitation)).status_code == 200


async def test_a_cookie_that_was_changed_anywhere(service: RunningService, operator: Operator) -> None:
    async with visitor(service, operator) as ada:
        name, _, whole = ada.cookie.partition("=")
        for text in regions(whole):
            ada.cookie = f"{name}={text}"
            refused = await ada.send("GET", "/visit")
            assert (refused.status_code, problem_kind(refused)) == (403, "invitation-needed")
            assert (await ada.send("GET", "")).status_code == 403
        ada.cookie = f"{name}={whole}"
        assert (await ada.send("GET", "/visit")).status_code == 200


async def test_more_cannot_be_granted_than_was_signed(service: RunningService, operator: Operator) -> None:
    """The words of one and the signature of another, both of them ours."""
    modest = await invited(operator)
    generous = await invited(operator, scopes=["dial", "hangup"])
    mixed = f"{generous.partition('.')[0]}.{modest.partition('.')[2]}"
    async with new_visitor(service) as ada:
        assert problem_kind(await ada.open(mixed)) == "invitation-forged"
        # A cookie is no invitation, whoever signed it.
        await ada.open(modest)
        assert problem_kind(await ada.open(ada.cookie.partition("=")[2])) == "invitation-forged"


@pytest.mark.parametrize("password", ["", "callback-passwor", "bandwidth", API_KEY])
async def test_what_somebody_else_has_signed(service: RunningService, password: str) -> None:
    said = Pass("x", "sales", 4e9, "all", "Eve", tuple(Scope))
    async with new_visitor(service) as eve:
        assert (
            problem_kind(await eve.open(PassSigner("invitations", password).sign(said)))
            == "invitation-forged"
        )
        eve.cookie = f"pstn_visit={PassSigner('visits', password).sign(said)}"
        assert problem_kind(await eve.send("GET", "/visit")) == "invitation-needed"


def test_the_test_knows_the_real_password() -> None:
    """Otherwise the passes above would be refused for a reason that is none."""
    assert PASSWORD == "callback-password"


async def test_the_longest_invitation_is_as_good(simulator: Simulator, store_url: str, redis: Redis) -> None:
    room, key = "r" * 64, "k" * 32
    keys = f"{key}:control+dial:{API_KEY}"
    async with operator_for(simulator, store_url, redis, API_KEYS=keys) as (service, operator):
        for name in ("\N{GRINNING FACE}" * 64, '"\\' * 32):
            made = await operator.ask(
                "POST",
                f"/rooms/{room}/invitations",
                {"name": name, "scopes": ["dial", "hangup"], "expiresIn": 86_400},
            )
            invitation = invitation_of(made["url"])
            assert len(invitation) <= LONGEST
            async with new_visitor(service, room) as ada:
                assert (await ada.open(invitation)).json()["name"] == name
                assert (await ada.send("GET", "/visit")).json()["name"] == name


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"invitation": 5}', 422),
        (b'{"invitation": null}', 422),
        (b'{"invitation": "x.y", "room": "sales"}', 422),
        (b"[]", 422),
        (b"", 400),
        (b'{"invitation": "\\ud800"}', 400),
        (b"\xff", 400),
        (b'{"invitation": "' + b"A" * 70_000 + b'"}', 413),
    ],
)
async def test_bodies_that_are_none(service: RunningService, body: bytes, status: int) -> None:
    async with new_visitor(service) as ada:
        refused = await ada.client.post(
            "/join/sales/visit", content=body, headers={"content-type": "application/json"}
        )
    assert (refused.status_code, "set-cookie" in refused.headers) == (status, False)
    assert refused.headers["cache-control"] == "no-store"


# Once -------------------------------------------------------------------------------------------------------


async def test_two_tabs_at_two_replicas(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with (
        operator_for(simulator, store_url, redis) as (one, operator),
        serving(simulator, store_url) as other,
    ):
        for _ in range(5):
            invitation = await invited(operator)
            async with new_visitor(one) as here, new_visitor(other) as there:
                answers = await asyncio.gather(*(tab.open(invitation) for tab in (here, there, here, there)))
                assert sorted(answer.status_code for answer in answers) == [200, 403, 403, 403]
                await both_know(one, other, here if here.cookie else there)


async def both_know(one: RunningService, other: RunningService, winner: ApiVisitor) -> None:
    for place in (one, other):
        async with new_visitor(place) as ada:
            ada.cookie = winner.cookie
            assert (await ada.send("GET", "/visit")).status_code == 200


# Cookies ----------------------------------------------------------------------------------------------------


async def test_a_cookie_is_for_https_where_the_service_is(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    loopback = {"BASE_CALLBACK_URL": "http://127.0.0.1:1"}
    async with (
        operator_for(simulator, store_url, redis, **loopback) as (service, operator),
        httpx.AsyncClient(base_url=service.url, verify=NO_TLS) as browser,
    ):
        invitation = await invited(operator)
        opened = await browser.post("/join/sales/visit", json={"invitation": invitation})
        words = [part.strip().lower() for part in opened.headers["set-cookie"].split(";")[1:]]
        assert sorted(words) == ["httponly", "max-age=43200", "path=/join/sales", "samesite=lax"]
        # A real jar sends it for this room and for no other, not even one whose name goes on.
        assert (await browser.get("/join/sales/visit")).status_code == 200
        for path in ("/join/sales-2/visit", "/join/support/visit"):
            assert (await browser.get(path)).status_code == 403


async def test_an_invitation_with_more_replaces_the_visit(
    service: RunningService, operator: Operator
) -> None:
    async with visitor(service, operator) as ada:
        assert (await ada.send("GET", "/visit")).json()["scopes"] == ["talk"]
        assert (await ada.open(await invited(operator, scopes=["dial"]))).status_code == 200
        assert (await ada.send("GET", "/visit")).json()["scopes"] == ["talk", "dial"]
        # One that is used up leaves the visit as it is.
        used = await invited(operator)
        async with new_visitor(service) as bob:
            await bob.open(used)
        assert (await ada.open(used)).status_code == 403
        assert (await ada.send("GET", "/visit")).json()["scopes"] == ["talk", "dial"]


# The page ---------------------------------------------------------------------------------------------------


async def test_every_page_has_the_headers(service: RunningService, operator: Operator) -> None:
    invitation = await invited(operator)
    async with new_visitor(service) as ada:
        for path in ("/join/sales", f"/join/sales?invitation={invitation}", "/join/Sales!"):
            for method in ("GET", "HEAD"):
                shown = await ada.client.request(method, path)
                headers = shown.headers
                assert headers["cache-control"] == "no-store"
                assert headers["referrer-policy"] == "no-referrer"
                assert headers["x-content-type-options"] == "nosniff"
                assert "microphone=(self)" in headers["permissions-policy"]
                policy = headers["content-security-policy"].split("; ")
                assert policy[0] == "default-src 'none'"
                assert "frame-ancestors 'none'" in policy
                assert not [one for one in policy if "unsafe" in one or "*" in one]
                assert (len(shown.content) == 0) == (method == "HEAD")
                assert "set-cookie" not in headers


async def test_the_policy_names_the_gateway(simulator: Simulator, store_url: str, redis: Redis) -> None:
    gateway = {"BW_DEVICE_URL": "ws://127.0.0.1:4711/base"}
    async with (
        operator_for(simulator, store_url, redis, **gateway) as (service, operator),
        visitor(service, operator) as ada,
    ):
        shown = await ada.send("GET", "")
        assert "connect-src 'self' ws://127.0.0.1:4711;" in shown.headers["content-security-policy"]
        seat = await ada.sit()
        assert seat["deviceUrl"] == "ws://127.0.0.1:4711/base"
        await ada.leave(seat)


async def test_a_service_without_its_page_says_so(
    service: RunningService, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "page", lambda: None)
    invitation = await invited(operator)
    async with new_visitor(service) as ada:
        missing = await ada.send("GET", f"?invitation={invitation}")
        assert (missing.status_code, "make page" in missing.text) == (503, True)
        # Whoever has no business here is told that first.
        assert (await ada.send("GET", "")).status_code == 403


@pytest.mark.parametrize("path", ["/join/sales", "/join/sales?invitation=x", "/join/Sales!"])
async def test_words_can_be_read_by_everybody(service: RunningService, path: str) -> None:
    async with new_visitor(service) as ada:
        shown = (await ada.client.get(path)).text
    for needed in ('<html lang="en">', '<meta charset="utf-8">', 'name="viewport"', "<title>", "<main><h1>"):
        assert needed in shown
    assert "style=" not in shown, "the policy forbids it"


# Logs -------------------------------------------------------------------------------------------------------


async def test_no_line_repeats_what_was_refused(service: RunningService, operator: Operator) -> None:
    written = len(LOG.written)
    invitation = await invited(operator)
    hidden = [invitation, *regions(invitation)[:5]]
    async with new_visitor(service) as ada:
        for text in hidden:
            await ada.send("GET", f"?invitation={text}")
            await ada.open(text)
            await ada.client.post(f"/join/sales/visit?invitation={text}", json={"invitation": text})
            ada.cookie = f"pstn_visit={text}"
            await ada.send("POST", "/participant", {})
    lines = LOG.written[written:]
    assert {json.loads(line)["event"] for line in lines} >= {"page.opened", "api.answered"}
    for text in [*hidden, invitation.partition(".")[2]]:
        assert not [line for line in lines if text in line]


async def test_a_real_process_does_not_write_down_links(simulator: Simulator, store_url: str) -> None:
    """Whatever writes there: uvicorn's own log has the query of each request if one lets it."""
    settings = environment(simulator, REDIS_URL=store_url, LOG_LEVEL="debug", API_KEYS=API_KEY)
    async with replica(settings) as process, Operator.at(process.url, API_KEY) as operator:
        invitation = await invited(operator)
        async with httpx.AsyncClient(base_url=process.url, verify=NO_TLS) as ada:
            await ada.get(f"/join/sales?invitation={invitation}")
            await ada.get(f"/join/sales/?invitation={invitation}", follow_redirects=True)
            opened = await ada.post("/join/sales/visit", json={"invitation": invitation})
        cookie = opened.headers["set-cookie"].partition("=")[2].partition(";")[0]
        assert process.log("page.opened")
        written = process._log.read_text()  # noqa: SLF001 - all of it, not only lines that are ours
    for secret in (invitation, cookie):
        assert secret not in written
