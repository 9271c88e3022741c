"""A Bandwidth that answers at once, or after as long as it is told to: `python -m tests.bench.stub PORT`.

It says yes to everything. `GET /stats` gives the numbers of requests and connections, `GET /asked/<call>` the
answerUrl of a call once, and `PUT /latency/<ms>` sets how long an answer takes.
"""

import asyncio
import json
import re
import sys
from collections import Counter
from functools import partial
from typing import Final, cast
from uuid import uuid4

import httptools
import uvloop

from tests.simulator.sessions import device_token

_TOKEN_LENGTH: Final = 300
"""Characters of a device token: those of the simulator have as many, and `uui` takes 350."""


_OURS: Final = ("/stats", "/asked/", "/latency/")


class Stub:
    def __init__(self) -> None:
        self.latency = 0.0
        self.operations: Counter[str] = Counter()
        self.connections = 0
        self.answer_urls: dict[str, str] = {}

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if path == "/stats":
            stats = {"connections": self.connections, "operations": self.operations}
            return 200, json.dumps(stats).encode()
        if path.startswith("/asked/"):
            return 200, self.answer_urls.pop(path.rpartition("/")[2]).encode()
        if path.startswith("/latency/"):
            self.latency = float(path.rpartition("/")[2]) / 1000
            return 204, b""
        self.operations[f"{method} {re.sub('/[^/]*[0-9][^/]*', '/*', path)}"] += 1
        return self._bandwidth(method, path, body)

    def _bandwidth(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        content: object
        if path.endswith("/token"):
            content = {"access_token": uuid4().hex, "expires_in": 3600, "token_type": "bearer"}
        elif method == "POST" and path.endswith("/sessions"):
            content = {"id": str(uuid4())}
        elif method == "POST" and path.endswith("/participants"):
            id_ = str(uuid4())
            content = {"participant": {"id": id_}, "token": device_token(id_, _TOKEN_LENGTH)}
        elif method == "POST" and path.endswith("/calls"):
            id_ = f"c-{uuid4()}"
            order = json.loads(body)
            self.answer_urls[id_] = order["answerUrl"]
            content = {**order, "callId": id_, "callUrl": f"https://voice.test/{id_}"}
            return 201, json.dumps(content).encode()
        elif method == "GET":
            return 200, b"[]"
        else:
            return 204, b""
        return 200, json.dumps(content).encode()


class Connection(asyncio.Protocol):
    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url, self._body = b"", b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are not of asyncio's class.
        self._transport = cast("asyncio.Transport", transport)
        self._stub.connections += 1

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url, self._body = url, b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        method, path = self._parser.get_method().decode(), self._url.decode()
        status, body = self._stub.answer(method, path, self._body)
        kind = b"content-type: application/json\r\n" if body else b""
        length = b"" if status == 204 else b"content-length: %d\r\n" % len(body)
        answer = b"HTTP/1.1 %d x\r\n%s%s\r\n%s" % (status, kind, length, body)
        assert self._transport is not None
        if self._stub.latency and not path.startswith(_OURS):
            asyncio.get_running_loop().call_later(self._stub.latency, partial(self._transport.write, answer))
        else:
            self._transport.write(answer)


async def _serve(port: int) -> None:
    stub = Stub()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(stub), "127.0.0.1", port)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
