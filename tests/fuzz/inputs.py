"""What is sent: the samples with fields changed, the samples with bytes changed, and orders of operators.

Texts between two `@` stand for ids that are known once there are calls: they are put in when it is sent.
"""

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from handlers.api.routes import RESOURCES
from handlers.webhooks.parsers import LEG_KINDS, WEBHOOK_KINDS

SAMPLES: Final[dict[str, dict[str, Any]]] = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent.parent / "samples").glob("*.json"))
}
_ANSWERING: Final = [one for one in RESOURCES if not one.template.endswith("/events")]
"""Live events have no end that could be waited for."""
LIVE: Final = ("@CALL@", "@LEG@", "@REF@", "@PARTICIPANT@", "@SESSION@", "@ROOM@")
FORGED: Final = tuple(f"c-forged-{number:04}" for number in range(40))
ROOMS: Final = ("lobby", "sales", "support")
NUMBERS: Final = ("+15551110000", "+15551110001", "+15551110002", "+15554440000")
EVENTS: Final = tuple(sorted({*WEBHOOK_KINDS, *LEG_KINDS, "recordingAvailable", "dtmf"}))


class Input(NamedTuple):
    method: str
    path: str
    body: bytes
    headers: dict[str, str]


odd_text = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "",
            " ",
            "\x00",
            "\ud800",
            "\ufffe",
            "\u202e\u200b",
            "é" * 200,
            "\U0001f600" * 70,
            "x" * 5000,
            "<Transfer><PhoneNumber>+19005550100</PhoneNumber></Transfer>",
            "</Tag><Hangup/>",
            "]]>&lt;&#0;",
            "${jndi:ldap://x}",
            "'; DROP TABLE calls; --",
            "../../../etc/passwd",
            "{p00}:call:*",
            "pstn:{p00}:agenda",
            "+1",
            "+" + "9" * 40,
            "sip:x@y",
            "2026-99-99T99:99:99Z",
        ]
    ),
)
numbers = st.one_of(
    st.integers(min_value=-(2**70), max_value=2**70),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0, -1, 10**400, 1e308, 2**63, 2**53 + 1]),
)
odd: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, odd_text, st.sampled_from(LIVE)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(odd_text, inner, max_size=4)),
    max_leaves=6,
)
ids = st.one_of(st.sampled_from(LIVE), st.sampled_from(FORGED), odd_text)
refs = st.one_of(
    st.sampled_from(["@REF@", "@REF@", "p03-aaaaaaaaaaaaaaaaaaaa", "p15-bbbbbbbbbbbbbbbbbbbb"]),
    st.sampled_from(
        [
            "p99-aaaaaaaaaaaaaaaaaaaa",
            "P03-AAAAAAAAAAAAAAAAAAAA",
            "%2e%2e",
            "%00",
            "%0d%0a",
            "%ff%fe",
            "%F0%9F%98%80",
            "{p00}",
            "*",
            "@CALL@",
            "x" * 3000,
            "%7Bp00%7D:agenda",
        ]
    ),
)
attempts = st.sampled_from(["0", "1", "2", "3", "-1", "x", "9" * 30, "%D9%A1", "1e3", "00001"])
rounds = st.sampled_from(
    ["", "", "", "?again=1", "?again=3", "?again=4", "?again=-1", "?again=x&again=2", "?%00"]
)


@st.composite
def webhook_bodies(draw: st.DrawFn) -> dict[str, Any]:
    """A sample, mostly as it is, with some fields gone, of another type or of another event."""
    body = dict(SAMPLES[draw(st.sampled_from(sorted(SAMPLES)))])
    body["eventType"] = draw(st.sampled_from(EVENTS) | st.just(body.get("eventType", "x")))
    body["callId"] = draw(st.sampled_from([*LIVE[:2], *FORGED]))
    if "parentCallId" in body:
        body["parentCallId"] = draw(st.sampled_from([LIVE[0], "\ud800", *FORGED]))
    body["accountId"] = "9900000"
    body["eventTime"] = draw(st.datetimes().map(lambda at: at.isoformat() + "Z"))
    body["direction"] = draw(st.sampled_from(["inbound", "outbound", body.get("direction", "x")]))
    for name in ("from", "to"):
        if name in body:
            body[name] = draw(st.sampled_from(NUMBERS) | odd_text)
    for name in draw(st.lists(st.sampled_from(sorted(body)), max_size=3)):
        match draw(st.sampled_from(["drop", "odd", "id"])):
            case "drop":
                body.pop(name, None)
            case "odd":
                body[name] = draw(odd)
            case "id":
                body[name] = draw(ids)
    for name in draw(st.lists(odd_text, max_size=2)):
        body[name] = draw(odd)
    return body


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """The bytes of a sample, a few of them changed."""
    raw = bytearray(json.dumps(SAMPLES[draw(st.sampled_from(sorted(SAMPLES)))]).encode())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(raw) - 1, 0)))
        match draw(st.sampled_from(["set", "insert", "cut", "end", "double"])):
            case "set" if raw:
                raw[at] = draw(st.integers(0, 255))
            case "insert":
                raw[at:at] = draw(st.binary(max_size=8))
            case "cut":
                del raw[at : at + draw(st.integers(1, 60))]
            case "end":
                del raw[at:]
            case _:
                raw[at:at] = raw[at : at + draw(st.integers(1, 200))]
    return bytes(raw)


@st.composite
def webhooks(draw: st.DrawFn) -> Input:
    ref, attempt = draw(refs), draw(attempts)
    path = draw(
        st.sampled_from(
            [
                *["/callbacks/voice"] * 5,
                *[f"/callbacks/voice/{ref}"] * 3,
                *[f"/callbacks/voice/{ref}/{attempt}"] * 5,
                *[f"/callbacks/legs/{ref}/{attempt}"] * 4,
                "@PARTICIPANT_URL@",
                f"/callbacks/participants/{ref}.{attempt}/{'0' * 32}",
            ]
        )
    ) + draw(rounds)
    match draw(st.sampled_from(["shape"] * 8 + ["bytes", "noise"])):
        case "shape":
            raw = json.dumps(draw(webhook_bodies())).encode()
        case "bytes":
            raw = draw(mutated())
        case _:
            raw = draw(st.binary(max_size=60))
    kind = draw(
        st.sampled_from(["application/json"] * 4 + ["text/plain", "application/x-www-form-urlencoded"])
    )
    return Input("POST", path, raw, {"Authorization": "@BASIC@", "Content-Type": kind})


FIELDS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "to": st.sampled_from(NUMBERS),
    "from": st.sampled_from(NUMBERS),
    "room": st.sampled_from(ROOMS),
    "prepare": st.sampled_from(["answer", "dial"]),
    "timeout": st.integers(1, 60),
    "hears": st.lists(st.sampled_from(["@REF@", "@PARTICIPANT@", "x"]), max_size=3),
    "pin": st.sampled_from(["1234", "99999999", ""]),
    "limit": st.integers(-1, 30),
    "interconnect": st.sampled_from(["transfer", "bridge"]),
    "waiting": st.dictionaries(st.sampled_from(["sound", "music", "message"]), odd_text, max_size=3),
}


@st.composite
def requests(draw: st.DrawFn) -> Input:
    """To the operator API: right paths mostly, and bodies that are right only now and then."""
    resource = draw(st.sampled_from(_ANSWERING))
    path = draw(st.sampled_from([resource.template] * 15 + ["/api/v1/nothing", "/api/v1"]))
    path = path.replace("{id}", draw(st.one_of(refs, st.just("@REF@"))))
    path = path.replace("{room}", draw(st.sampled_from([*ROOMS, "@ROOM@", "%00", "Ä", "x" * 300, ".."])))
    if draw(st.integers(0, 9)) == 9:
        path += draw(
            st.sampled_from(["?limit=1", "?limit=x", "?state=bridged", "?cursor=AAAA", "?a=b", "?since=%00"])
        )
    fields = draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=3, unique=True))
    body: Any = {name: draw(FIELDS[name] | odd) for name in fields}
    shaped = json.dumps(draw(st.one_of(st.just(body), st.just(body), odd))).encode()
    raw = draw(st.one_of(st.just(shaped), st.just(shaped), st.just(b""), st.binary(max_size=40)))
    headers = {"Authorization": "@BEARER@", "Content-Type": "application/json"}
    if draw(st.integers(0, 9)) == 9:
        name = draw(st.sampled_from(["Idempotency-Key", "Content-Type", "Authorization", "Accept", "X-Odd"]))
        headers[name] = draw(
            st.sampled_from(["", "x", "\xe9" * 10, "k" * 4000, "Bearer", "Basic Og==", "a;b=c,d"])
        )
    method = draw(st.sampled_from([*resource.operations] * 10 + ["PATCH", "HEAD", "OPTIONS", "DELETE"]))
    return Input(method, path, raw, headers)


def made(count: int, number: int) -> list[Input]:
    """So many of them, always the same for one `number`."""
    found: list[Input] = []

    @seed(number)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(webhooks(), webhooks(), webhooks(), requests()))
    def collect(one: Input) -> None:
        found.append(one)

    collect()
    return found
