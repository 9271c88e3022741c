"""Whatever the outside sends, of the largest size that is taken, is read in linear time."""

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, cast

import msgspec
import pytest
from starlette.datastructures import QueryParams
from starlette.requests import Request

from handlers.api import bodies, queries
from handlers.api.json_body import convert_body
from handlers.app.request_bounds import HEADERS, TARGET
from handlers.http.problems import Problem
from handlers.http.request_guard import BODY_LIMIT, VISITOR_LIMIT, CallbackCredentials, HttpError
from handlers.join import calls, visits
from handlers.join.cookies import COOKIE, read_visit_cookie
from handlers.join.origin import check_origin
from handlers.webhooks.participant_events import ParticipantEvent
from handlers.webhooks.payload import ForeignAccount, MalformedWebhook, parse
from service.api_keys import generate_key
from service.api_keys import parse as parse_keys
from service.bandwidth.api_client import _next_page
from service.bandwidth.errors import DETAIL_LIMIT, error_text, parse_retry_after
from service.bandwidth.transport import BODY_LIMIT as ANSWER_LIMIT
from service.bandwidth.voice import _next_page_query
from service.calls.numbers import hide_numbers
from service.clock import SystemClock
from service.cursors import CursorHolder, CursorSigner
from service.engine.visitors import VisitorAccess, create_visitor_access
from service.logs import redact
from service.store.invitations import Passes
from tests.harness import API_KEY, RunningService
from tests.join.visitors import new_visitor

MOST: Final = 0.010
"""Seconds of processor time for one text of the largest size."""
PARTS: Final = (
    "Object contains unknown field `",
    "Object missing required field `",
    " - at `$",
    "` - at `$.",
    "matching regex '",
    "[",
    ".",
    "`",
    "\\",
    '"',
    "eyJ",
    "eyJ.a",
    "+1234567",
    "%2B12345678901234",
    "; ",
    ", <",
    ",  ",
    "=",
    "\u0301a",
    " ",
    "9",
    "a",
    "1    ",
    "123456-",
    "abcdef12-",
)
TAILS: Final = ("", "x - at `$ ", "\n", "`")


def texts(size: int) -> Iterator[str]:
    """Made of what our readers look for, again and again, with an end that lets it all fail."""
    for part in PARTS:
        for tail in TAILS:
            yield part * (max(0, size - len(tail)) // len(part)) + tail


def cost(read: Callable[[str], object], text: str) -> float:
    """Seconds of processor time, without what else the machine did: the best of several."""
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        read(text)
        best = min(best, time.process_time() - began)
        if best < MOST / 4:
            break
    return best


def shapes() -> dict[str, type[msgspec.Struct]]:
    """Every body that there is."""
    found: dict[str, type[msgspec.Struct]] = {"Invited": visits.RedeemBody}
    waiting = [bodies.RequestBody]
    while waiting:
        for one in waiting.pop().__subclasses__():
            found[one.__name__] = one
            waiting.append(one)
    return found


SHAPES: Final = shapes()
VISITORS: Final = (visits.RedeemBody, bodies.NamedBody, visits.SeatBody, calls.VisitorDialBody)


def refused(shape: type[msgspec.Struct], value: Any) -> None:
    try:
        convert_body(value, shape)
    except Problem as problem:
        body = bytes(problem.response().body)
        assert len(body) < 1500


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_a_body_with_hostile_names_and_values(name: str) -> None:
    shape = SHAPES[name]
    size = VISITOR_LIMIT if shape in VISITORS else BODY_LIMIT
    fields = [field.encode_name for field in msgspec.structs.fields(shape)]

    def named(text: str) -> None:
        refused(shape, {text: 1})
        for field in fields:
            refused(shape, {field: {text: 1}})

    def valued(text: str) -> None:
        for field in fields:
            refused(shape, {**dict.fromkeys(fields, "x"), field: text})

    for text in texts(size):
        many = 1 + len(fields)
        assert cost(named, text) < MOST * many, text[:80]
        assert cost(valued, text) < MOST * many, text[:80]


@lru_cache(maxsize=1)
def webhooks(text: str) -> list[bytes]:
    """Written once: that takes longer than to read them."""
    common = {"eventType": "initiate", "callId": "c-1", "accountId": "1"}
    names = ("eventType", "callId", "accountId", "parentCallId", "from")
    bodies_ = ({text: 1}, *({**common, name: text} for name in names), {**common, text: text})
    return [msgspec.json.encode(body) for body in bodies_]


def webhook(text: str) -> None:
    for body in webhooks(text):
        with contextlib.suppress(MalformedWebhook, ForeignAccount):
            parse(body, at=0, account_id="1").text("from")


def digits(text: str) -> None:
    """Numbers without an end, which Python would turn into one of ours in quadratic time."""
    for number in (b"9" * len(text), b"1e" + b"9" * len(text), b"0." + b"9" * len(text)):
        with contextlib.suppress(MalformedWebhook):
            parse(b'{"eventType":"x","callId":' + number + b"}", at=0, account_id="1")


def participant_event(text: str) -> None:
    for body in ({"event": text, "participantId": text}, {text: text}):
        with contextlib.suppress(msgspec.ValidationError):
            msgspec.json.decode(msgspec.json.encode(body), type=ParticipantEvent)


def query(text: str) -> None:
    for name in queries.PARAMETERS:
        with contextlib.suppress(Problem):
            queries.parse(QueryParams({name: text}))


def request_with(name: str, text: str) -> Request:
    return Request(
        {"type": "http", "method": "POST", "headers": [(name.encode(), text.encode("latin-1", "replace"))]}
    )


KEYS: Final = parse_keys(f"x:control:{generate_key()}")
DOOR: Final[VisitorAccess] = create_visitor_access(
    cast("Passes", None),  # no invitation is opened here
    SystemClock(),
    keys=KEYS,
    passwords=("callback password",),
)
DOOR.read_visit("", "a")  # the key is made once, slowly


def cookie(text: str) -> None:
    for one in (text, f"{COOKIE}={text}", f'{COOKIE}="{text}"'):
        assert DOOR.read_visit(read_visit_cookie(request_with("cookie", one)), "a") is None


def origin(text: str) -> None:
    for one in (text, f"https://{text}", f"https://[{text}"):
        with contextlib.suppress(Problem):
            check_origin(request_with("origin", one), "https://bridge.example.com")


def cursor(text: str) -> None:
    cursors, holder = CursorSigner("a"), CursorHolder("key", "a", None)
    for one in (text, f"{text}.", f".{text}", f"AAAA.{text}"):
        assert cursors.verify(one, holder, now=0) is None


def credentials(text: str) -> None:
    for one in (text, f"Basic {text}"):
        with pytest.raises(HttpError):
            CallbackCredentials("a", "b").check(request_with("authorization", one))


def answered(text: str) -> None:
    """What Bandwidth, or somebody before it, says about an error."""
    assert len(error_text(text.encode())) <= 300
    error_text(msgspec.json.encode({"description": text}))


def next_page(text: str) -> None:
    for one in (text, f"<{text}>; rel=next", f'<x>; rel="{text}'):
        if url := _next_page({"link": one}):
            _next_page_query(url, "https://voice.bandwidth.com/api/v2/accounts/1/calls")


READERS: Final[dict[str, tuple[Callable[[str], object], int]]] = {
    "webhook": (webhook, BODY_LIMIT),
    "webhook numbers": (digits, BODY_LIMIT),
    "participant event": (participant_event, BODY_LIMIT),
    "query": (query, TARGET),
    "room": (bodies.is_room_name, TARGET),
    "cookie": (cookie, HEADERS),
    "origin": (origin, HEADERS),
    "callback credentials": (credentials, HEADERS),
    "event cursor": (cursor, HEADERS),
    "log line": (lambda text: redact(None, "", {"reason": text, "more": {text: [text]}}), BODY_LIMIT),
    "foreign words": (hide_numbers, 4 * DETAIL_LIMIT),
    "link header": (next_page, 8190),
    "retry-after": (lambda text: parse_retry_after(text, now=0), 8190),
}
"""Each reader of outside text, and the largest that reaches it."""


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_hostile_text(name: str) -> None:
    read, size = READERS[name]
    for text in texts(size):
        assert cost(read, text) < MOST, text[:80]


def test_an_error_body_of_bandwidths_of_the_largest_size() -> None:
    """Megabytes are decoded before they are cut: what is more than that, for each of them, is not."""
    for text in texts(ANSWER_LIMIT):
        began = time.process_time()
        msgspec.json.decode(msgspec.json.encode({"description": text}))
        text.encode()
        decoding = time.process_time() - began
        assert cost(answered, text) < MOST + 4 * decoding, text[:80]


@pytest.mark.parametrize("path", ["visit", "participant", "heartbeat", "leave", "calls"])
async def test_a_visitors_body_is_4_kib_at_most(service: RunningService, path: str) -> None:
    async with new_visitor(service) as visitor:
        answer = await visitor.send("POST", f"/{path}", {"x": "y" * VISITOR_LIMIT})
    assert answer.status_code == (413 if path == "visit" else 403)


async def test_an_address_and_headers_of_any_length_are_not_looked_at(service: RunningService) -> None:
    async with new_visitor(service) as visitor:
        client = visitor.client
        fits = await client.get("/livez", params={"x": "y" * (TARGET - 10)})
        long = await client.get("/livez", params={"x": "y" * TARGET})
        much = await client.get("/livez", headers={f"x-{n}": "y" * 4000 for n in range(9)})
    assert (fits.status_code, long.status_code, much.status_code) == (200, 414, 431)
    assert long.text == f"the address is longer than {TARGET} bytes\n"
    assert API_KEY not in much.text
