"""Invitations: many issued, one opened by many at once, others forged."""

import json
from typing import Final
from urllib.parse import parse_qs, urlsplit

from handlers.api.routes import PREFIX
from service.clock import SystemClock
from service.invitations import Pass, PassSigner
from tests.attack.client import HostileClient
from tests.harness import API_KEY

_ROOMS: Final = 8
_SECONDS: Final = 60
"""For which an invitation is good; the shortest that there is."""
_AT_ONCE: Final = 10


async def issue(client: HostileClient) -> None:
    await client.ask("POST", _invitations(_room(client)), _wanted(), Authorization=f"Bearer {API_KEY}")


async def open_at_once(client: HostileClient) -> None:
    room = _room(client)
    made = await client.ask_uncounted(
        "POST", _invitations(room), _wanted(), Authorization=f"Bearer {API_KEY}"
    )
    if made is None:
        return
    if made.status != 201:
        client.count(made.label)
        return
    invitation = parse_qs(urlsplit(json.loads(made.body)["url"]).query)["invitation"][0]
    body = json.dumps({"invitation": invitation}).encode()
    answers = await client.at_once(_AT_ONCE, "POST", f"/join/{room}/visit", body)
    labels = [one.label for one in answers]
    if "200" in labels:
        client.count("200 once" if labels.count("200") == 1 else "200 more than once")
    if labels.count("403") == _AT_ONCE - 1:
        client.count("403 nine times")
    for label in labels:
        if label not in {"200", "403"}:
            client.count(label)


async def open_forged(client: HostileClient) -> None:
    room = _room(client)
    said = Pass("x", room, SystemClock().now() + _SECONDS, "all")
    genuine_looks = PassSigner("invitations", "guessed").sign(said)
    text = client.dice.choice((genuine_looks, genuine_looks[:-1], "A" * 1024, f"{'A' * 300}.{'A' * 43}"))
    if client.dice.random() < 0.5:
        await client.ask("POST", f"/join/{room}/visit", json.dumps({"invitation": text}).encode())
    elif client.dice.random() < 0.5:
        await client.ask("GET", f"/join/{room}?invitation={text}")
    else:
        await client.ask("GET", f"/join/{room}/visit", Cookie=f"pstn_visit={text}")


def _room(client: HostileClient) -> str:
    return f"attack-{client.dice.randrange(_ROOMS)}"


def _invitations(room: str) -> str:
    return f"{PREFIX}/rooms/{room}/invitations"


def _wanted() -> bytes:
    return json.dumps({"expiresIn": _SECONDS}).encode()
