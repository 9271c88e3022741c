"""An operator who asks the other replica when one does not answer, and records every request."""

import asyncio
import random  # noqa: TID251 - seeded, so that a storm can be had again
from typing import Any

import httpx
import msgspec

from tests.chaos.fleet import Fleet
from tests.harness import API_KEY
from tests.operators import NO_TLS
from tests.simulator.clock import monotonic

TRIES = 12
PAUSE = 0.5
TOO_BUSY = {429, 503}
"""Statuses after which the same is asked again."""
BANDWIDTH_OR_STORE = {502, 503, 504}
"""Statuses that say that Bandwidth or the store has failed: they are answers."""


class OperatorRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request to the API. `status` None: nobody has answered. Times are monotonic seconds."""

    method: str
    path: str
    body: Any
    host: str
    sent_at: float
    answered_at: float
    status: int | None
    reply: Any = None
    """The JSON of the answer."""
    idempotency_key: str = ""
    given_up: bool = False
    """Whether nobody has answered for so long that the operator waits no more. Who was asked has it, and may
    carry it out yet: a replica that is frozen does so when it goes on."""


class OperatorApi:
    def __init__(self, fleet: Fleet, dice: random.Random) -> None:
        self.addresses = fleet.addresses
        self._clients = [
            (
                one.host,
                httpx.AsyncClient(
                    base_url=f"{one.url}/api/v1",
                    headers={"authorization": f"Bearer {API_KEY}"},
                    verify=NO_TLS,
                ),
            )
            for one in fleet.addresses
        ]
        self._dice = dice
        self.hold_order = "hold"
        """The last part of the path by which a call is put on hold."""
        self.requests: list[OperatorRequest] = []
        """All but what only reads."""
        self.bad_answers: list[str] = []
        """Answers that are no answers."""

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response | None:
        """None where nobody has answered."""
        first = self._dice.randrange(2)
        for n in range(TRIES):
            host, client = self._clients[(first + n) % 2]
            sent_at = monotonic()
            answer: httpx.Response | httpx.TransportError
            try:
                answer = await client.request(method, path, json=body, headers=headers, timeout=15)
            except httpx.TransportError as error:
                answer = error
            self._note(method, path, body, host, sent_at, answer, headers.get("idempotency-key", ""))
            if isinstance(answer, httpx.Response) and answer.status_code not in TOO_BUSY:
                return answer
            await asyncio.sleep(PAUSE)
        return None

    def _note(
        self,
        method: str,
        path: str,
        body: Any,
        host: str,
        sent_at: float,
        answered: httpx.Response | httpx.TransportError,
        idempotency_key: str,
    ) -> None:
        answer = answered if isinstance(answered, httpx.Response) else None
        if answer is not None and answer.status_code >= 500 and answer.status_code not in BANDWIDTH_OR_STORE:
            self.bad_answers.append(f"{method} {path}: {answer.status_code} {answer.text}")
        if method == "GET":
            return
        reply = None
        if answer is not None and answer.content:
            try:
                reply = answer.json()
            except ValueError:
                self.bad_answers.append(f"{method} {path}: {answer.status_code} with a body that is no JSON")
        self.requests.append(
            OperatorRequest(
                method=method,
                path=path,
                body=body,
                host=host,
                sent_at=sent_at,
                answered_at=monotonic(),
                status=answer.status_code if answer is not None else None,
                reply=reply,
                idempotency_key=idempotency_key,
                given_up=isinstance(answered, httpx.ReadTimeout),
            )
        )

    async def close(self) -> None:
        for _, client in self._clients:
            await client.aclose()
