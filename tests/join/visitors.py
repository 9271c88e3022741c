"""A visitor as a test holds one: the requests of the page, without the page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.harness import ORIGIN, RunningService
from tests.operators import NO_TLS, Json, Operator

PROBLEM = "urn:pstn-bridge:problem:"


def invitation_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["invitation"][0]


async def invited(operator: Operator, room: str = "sales", **body: Any) -> str:
    """The text of a new invitation."""
    made = await operator.ask("POST", f"/rooms/{room}/invitations", body)
    return invitation_of(made["url"])


def problem_kind(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return str(answer.json()["type"]).removeprefix(PROBLEM)


class ApiVisitor:
    def __init__(self, client: httpx.AsyncClient, room: str) -> None:
        self.client = client
        self.room = room

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Header names with underscores for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"/join/{self.room}{path}"
        # Our cookies are for https, and the test's connection is not.
        cookie = {"cookie": self.cookie} if self.cookie else {}
        answer = await self.client.request(method, url, json=body, headers={**cookie, **named})
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer

    cookie = ""

    async def open(self, invitation: str) -> httpx.Response:
        return await self.send("POST", "/visit", {"invitation": invitation})

    async def sit(self, **body: Any) -> Json:
        answer = await self.send("POST", "/participant", body)
        assert answer.status_code == 201, answer.text
        seat: Json = answer.json()
        return seat

    async def beat(self, seat: Json) -> httpx.Response:
        return await self.send("POST", "/heartbeat", {"participantId": seat["participantId"]})

    async def leave(self, seat: Json) -> None:
        answer = await self.send("POST", "/leave", {"participantId": seat["participantId"]})
        assert answer.status_code == 204, answer.text


@asynccontextmanager
async def new_visitor(service: RunningService, room: str = "sales") -> AsyncIterator[ApiVisitor]:
    """Without an invitation yet."""
    headers = {"origin": ORIGIN}
    async with httpx.AsyncClient(base_url=service.url, headers=headers, verify=NO_TLS) as client:
        yield ApiVisitor(client, room)


@asynccontextmanager
async def visitor(
    service: RunningService, operator: Operator, room: str = "sales", **body: Any
) -> AsyncIterator[ApiVisitor]:
    """With a visit."""
    async with new_visitor(service, room) as visitor:
        answer = await visitor.open(await invited(operator, room, **body))
        assert answer.status_code == 200, answer.text
        yield visitor
