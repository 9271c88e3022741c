"""One hostile client: its turns, its connections, and the count of what it was answered."""

import asyncio
import random  # noqa: TID251 - seeded, so that an attack can be had again
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

from tests.attack.connection import HttpConnection, HttpResponse, request
from tests.attack.pace import RateShare

WAITS: Final = 15.0
"""Seconds after which there is no answer."""
CLOSED: Final = "closed"
SILENT: Final = "no answer"


@dataclass
class AnswerCounts:
    """Of all hostile clients."""

    answers: dict[str, Counter[str]] = field(default_factory=dict)
    """By kind of client."""
    requests: int = 0
    connections: int = 0
    bytes_heard: int = 0
    """Of event streams."""

    def count(self, kind: str, answer: str) -> None:
        self.answers.setdefault(kind, Counter())[answer] += 1


class HostileClient:
    """`requests`, `connections`: the turns that it shares with the others of its kind.

    `churn`: after how large a share of answers it closes a connection and opens another.
    """

    def __init__(
        self,
        kind: str,
        port: int,
        tally: AnswerCounts,
        *,
        requests: RateShare,
        connections: RateShare,
        churn: float,
        seed: int,
    ) -> None:
        self.kind = kind
        self.tally = tally
        self.dice = random.Random(seed)
        self._port = port
        self._requests = requests
        self._connections = connections
        self._churn = churn
        self._kept: deque[HttpConnection] = deque()
        self._open: set[HttpConnection] = set()

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> HttpResponse | None:
        """Over a connection that is kept; what is answered is counted. None where nothing is.

        Names of headers have underscores for hyphens.
        """
        answer = await self.ask_uncounted(method, path, body, **headers)
        if answer is not None:
            self.count(answer.label)
        return answer

    async def ask_uncounted(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> HttpResponse | None:
        """For an answer whose meaning is more than its status; that there was none is counted."""
        raw = request(method, path, _named(headers), len(body)) + body
        line = self._kept.popleft() if self._kept else await self.line()
        await self.turn()
        answer = await self.heard(line, raw)
        if answer is not None:
            self._keep(line)
        return answer

    async def at_once(self, count: int, method: str, path: str, body: bytes) -> list[HttpResponse]:
        """The same request over as many connections, when there is a turn for each; uncounted."""
        raw = request(method, path, {}, len(body)) + body
        lines = [self._kept.popleft() if self._kept else await self.line() for _ in range(count)]
        for _ in lines:
            await self.turn()
        answers = await asyncio.gather(*(self.heard(line, raw) for line in lines))
        for line, answer in zip(lines, answers, strict=True):
            if answer is not None:
                self._keep(line)
        return [one for one in answers if one is not None]

    async def heard(self, line: HttpConnection, raw: bytes = b"") -> HttpResponse | None:
        """What is answered to it; one that says nothing is closed."""
        try:
            async with asyncio.timeout(WAITS):
                await line.say(raw)
                return await line.answer()
        except TimeoutError:
            self.count(SILENT)
        except (OSError, EOFError):
            self.count(CLOSED)
        self.leave(line)
        return None

    async def begin(
        self, line: HttpConnection, method: str, path: str, length: int | None, **headers: str
    ) -> None:
        """The head of a request whose body is to follow."""
        await self.turn()
        await line.say(request(method, path, _named(headers), length))

    async def line(self, *, window: int = 0) -> HttpConnection:
        """A new connection."""
        await self._connections.turn()
        self.tally.connections += 1
        line = await HttpConnection.to(self._port, window=window)
        self._open.add(line)
        return line

    async def turn(self) -> None:
        """For a request."""
        await self._requests.turn()
        self.tally.requests += 1

    def _keep(self, line: HttpConnection) -> None:
        if self.dice.random() < self._churn:
            self.leave(line)
        else:
            self._kept.append(line)

    def count(self, answer: str) -> None:
        self.tally.count(self.kind, answer)

    def leave(self, line: HttpConnection) -> None:
        self._open.discard(line)
        line.close()

    def close(self) -> None:
        self._kept.clear()
        while self._open:
            self._open.pop().close()


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
