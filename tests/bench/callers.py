"""Phones as Bandwidth tells of them: the webhooks of one call after the other, and how long each took."""

import json
import re
import time
from typing import Any, Final
from uuid import uuid4

from tests.bench.fast_http import FastClient, FastResponse
from tests.simulator.clock import timestamp

ACCOUNT: Final = "9900000"
CALLBACKS: Final = "/callbacks/voice"
_CALLER: Final = "+19195550142"
_TRANSFER_ANSWER: Final = re.compile(rb'transferAnswerUrl="https?://[^/"]+([^"]*)"')


class NotBridged(Exception):
    """The service answered with something else than a transfer into the room."""


class BenchCall:
    """One call. Each method posts a webhook, and gives the seconds until its answer."""

    def __init__(
        self,
        client: FastClient,
        number: str,
        *,
        call_id: str = "",
        path: str = CALLBACKS,
        outbound: bool = False,
    ) -> None:
        """`path`: where Bandwidth was told to ask about a call that it was asked to make."""
        self._client = client
        self._ours = number
        self._outbound = outbound
        self.call_id = call_id or f"c-{uuid4()}"
        self._path = path
        self._answered = ""

    async def comes_in(self) -> float:
        """Until the caller is transferred into the room. Raises NotBridged."""
        event = "answer" if self._outbound else "initiate"
        answer, seconds = await self._post(self._path, self._webhook(event))
        found = _TRANSFER_ANSWER.search(answer.body)
        if found is None:
            raise NotBridged(f"{answer.status}: {answer.body.decode()}")
        self._answered = found[1].decode()
        return seconds

    async def is_bridged(self) -> float:
        leg = self._webhook("transferAnswer") | {
            "callId": f"c-{uuid4()}",
            "parentCallId": self.call_id,
            "direction": "outbound",
            "answerTime": timestamp(),
        }
        return (await self._post(self._answered, leg))[1]

    async def hangs_up(self) -> float:
        ended = {"cause": "hangup", "answerTime": timestamp(), "endTime": timestamp()}
        return (await self._post(self._path, self._webhook("disconnect") | ended))[1]

    async def _post(self, path: str, body: dict[str, Any]) -> tuple[FastResponse, float]:
        raw = json.dumps(body).encode()
        begun = time.perf_counter()
        answer = await self._client.send("POST", path, raw)
        seconds = time.perf_counter() - begun
        if answer.status not in {200, 204}:
            raise NotBridged(f"{body['eventType']}: {answer.status} {answer.body.decode()}")
        return answer, seconds

    def _webhook(self, event: str) -> dict[str, Any]:
        """The fields that its page gives it (voice API, webhooks)."""
        us_first = self._outbound
        return {
            "eventType": event,
            "eventTime": timestamp(),
            "accountId": ACCOUNT,
            "applicationId": "7fc9698a-b04a-468b-9e8f-91238c0d0086",
            "to": _CALLER if us_first else self._ours,
            "from": self._ours if us_first else _CALLER,
            "direction": "outbound" if us_first else "inbound",
            "callId": self.call_id,
            "callUrl": f"https://voice.bandwidth.com/api/v2/accounts/{ACCOUNT}/calls/{self.call_id}",
            "startTime": timestamp(),
        }
