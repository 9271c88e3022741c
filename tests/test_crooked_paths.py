"""Paths that a proxy may fold into others than we would: they lead nowhere, and nothing is told of them."""

import asyncio
import json

from tests.harness import API_KEY, RunningService

CROOKED = [
    "/callbacks/../metrics",
    "/callbacks/./voice",
    "/callbacks/%2e%2e/metrics",
    "/callbacks/%2E./metrics",
    "/callbacks/%252e%252e/metrics",
    "/callbacks/..%2fmetrics",
    "/callbacks/..%2Fmetrics",
    "/callbacks/..%252fmetrics",
    "/callbacks/..%5cmetrics",
    "/callbacks/..\\metrics",
    "/callbacks/a%2fb/../../metrics",
    "/join/a/..",
    "/join/a%2fb",
    "/api/v1/..%2f..%2fcallbacks/voice",
    "/api/v1/calls/.",
    "/api/v1/calls/a%2fhangup",
    "/..",
    "/./metrics",
    "//../metrics",
]
METHODS = ("GET", "POST", "DELETE")
STRAIGHT = {
    "/livez": 200,
    "/livez?path=../..%2f": 200,
    "/api/v1/calls?room=..%2f": 422,
    "/.well-known/security.txt": 404,
    "/join/a..b": 404,
    "/join/%61": 403,
    "/api/v1/calls/..a": 404,
    "/%20": 404,
}
"""What looks like it, or is it in the query, and is answered as it always was."""


async def ask(service: RunningService, path: str, method: str = "GET") -> tuple[int, bytes]:
    """As it is written: clients fold paths too."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rpartition(":")[2]))
    lines = (f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {API_KEY}", "Connection: close")
    writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body


async def test_crooked_paths_lead_nowhere(service: RunningService) -> None:
    found = {(method, path): await ask(service, path, method) for path in CROOKED for method in METHODS}
    assert {status for status, _ in found.values()} == {404}
    problems = {body for (_, path), (_, body) in found.items() if path.startswith("/api/v1/")}
    words = {body for (_, path), (_, body) in found.items() if not path.startswith("/api/v1/")}
    assert words == {b"there is nothing here\n"}
    [problem] = map(json.loads, problems)
    assert problem.pop("title")
    kind = "urn:pstn-bridge:problem:not-found"
    assert problem == {"type": kind, "status": 404, "detail": "there is nothing here"}
    assert service.log("webhook.misaddressed") == service.log("api.answered") == []


async def test_what_only_looks_like_it_is_answered(service: RunningService) -> None:
    for path, status in STRAIGHT.items():
        answer = await ask(service, path)
        assert answer[0] == status, path
        assert b"there is nothing here" not in answer[1], path
