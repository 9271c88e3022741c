"""The eyes of the chaos judge for what is in the store: keys, owed work, tokens and leases."""

import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from msgspec.structs import replace

from service.bandwidth.callback_urls import CallbackUrls
from service.invitations import Pass, PassSigner
from service.store import keys as service_keys
from service.store.compression import compress_text
from tests.chaos import log_secrets
from tests.chaos.checks import commits, keys, owing, tokens, workers
from tests.chaos.evidence import Evidence, ReplicaLogLine, StoredKey
from tests.chaos.finding import Check
from tests.chaos.lifetimes import LIVES
from tests.chaos.previous_release import VERSION
from tests.chaos.store_history import Step, key_of
from tests.chaos.troubles import Troubles
from tests.simulator.journal import Request
from tests.store_step_builders import PARTITION, mark, step

REF = "p00-" + "a" * 20
CALL, TOKEN, AGENDA = f"{PARTITION}call:{REF}", f"{PARTITION}token:{REF}", f"{PARTITION}agenda"
OWED = f"{PARTITION}owed:call:{REF}"
ROOM, ROOM_OWED = f"{PARTITION}room:r", f"{PARTITION}owed:room:r"
SETTINGS = {
    "CALLBACK_USERNAME": "bandwidth",
    "CALLBACK_PASSWORD": "pass/word",
    "BW_CLIENT_ID": "client",
    "BW_CLIENT_SECRET": "s3cret",
    "API_KEYS": "all:read+dial:key-of-all,reader:read:key-of-reader",
    "REDIS_URL": "redis://user:of-the-store@127.0.0.1:6379/0",
    "BW_NUMBER": "+15551234567",
}
LIVE = '{"phone":"up","media":"transferring"}'
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ2IjoidjMifQ.x"
JSON_WITH_JWT = f'{{"event":"{JWT}"}}'.encode()
LIKE_A_TOKEN = compress_text(
    b'{"phone":"gone","ref":"9feaa489d05e633b74bd2239cfe56cc21d57fd55556593efac7a577691f18367"}'
)
"""Compressed it happens to have in it what tokens begin with."""


def evidence(*written: Step, **fields: Any) -> Evidence:
    """Of a turn in which nothing else happened."""
    nothing = {
        "store_steps": list(written),
        "logs": [],
        "keys": [],
        "due_owners": [],
        "owed": {},
        "troubles": Troubles(),
        "simulator": SimpleNamespace(requests=[], engine=SimpleNamespace(calls={})),
        "fleet": SimpleNamespace(addresses=[SimpleNamespace(settings=SETTINGS)]),
        "noise": [],
    }
    return cast("Evidence", SimpleNamespace(**{**nothing, **fields}))


def seen(eye: Check, *written: Step, **fields: Any) -> list[str]:
    return [one.what for one in eye(evidence(*written, **fields)) if not one.excuse]


def state(text: str = LIVE) -> tuple[str, ...]:
    return ("HSET", CALL, "revision", "1", "state", text)


EXPIRES = f"PEXPIREAT {CALL} 99"
OWES = (f"HSET {OWED} .seq 1 ask-after 1", f"ZADD {AGENDA} 5 call:{REF}")
BEGUN = step(state(), EXPIRES, *OWES)
"""A call that is what it should be."""


# Keys -------------------------------------------------------------------------------------------------------


def test_every_kind_of_key_is_known_to_the_eye() -> None:
    """Of the service's own list."""
    of_names = (
        "call",
        "room",
        "room_settings",
        "room_closed_at",
        "pin",
        "wrong_pins",
    )
    made = {getattr(service_keys, name)(REF) for name in (*of_names, "alias", "replica")}
    of_call = service_keys.CallKeys.of(REF)
    made |= {of_call.events, of_call.timeline, of_call.token}
    of_partitions = (
        "calls",
        "live_calls",
        "configured",
        "live_rooms",
        "news",
        "marker",
        "agenda",
        "searched",
    )
    made |= {getattr(service_keys, name)(0) for name in (*of_partitions, "unknown", "offered", "dead")}
    made |= {getattr(service_keys, name)() for name in ("paused", "replicas", "standby", "clock")}
    made |= {
        service_keys.vacated_seat("r", "x"),
        service_keys.used_invitation("r", "x"),
        service_keys.idempotency_key("k", "x"),
    }
    made |= {service_keys.ended_visit("r", "x"), service_keys.passes("r"), service_keys.passes_until("r")}
    made |= {
        service_keys.placed("k"),
        service_keys.concurrent_calls("k"),
        service_keys.all_concurrent_calls(),
        service_keys.owed("room:r"),
    }
    made.add("{p00}:confirmed")  # see RedisClient, where replicas have to confirm
    kinds = {key_of(one).kind for one in made}
    assert kinds == LIVES.keys() | keys.STAY.keys()


SPAN = re.compile(r"(\d+) (s|min|h|days)\b")
MILLISECONDS = {"s": 1000, "min": 60_000, "h": 3_600_000, "days": 24 * 3_600_000}
AS_ANOTHER = {"events", "timeline", "alias", "calls", "live", "passes-until", "up-all"}
"""Kinds of keys that live as long as those of another kind, in the words of the table."""


def test_keys_live_as_long_as_the_table_of_the_design_says() -> None:
    text = (Path(__file__).parent.parent / "docs" / "design.md").read_text(encoding="utf-8")
    said = dict[str, int]()
    for row in (line for line in text.splitlines() if line.startswith("| `") and "{p" in line):
        kind = key_of(row.split("`")[1].replace("{pNN}", "{p00}")).kind
        lives = row.split("|")[4].replace("`ENDED_CALL_DAYS`", "7 days")
        spans = [int(number) * MILLISECONDS[unit] for number, unit in SPAN.findall(lives)]
        if spans and kind not in AS_ANOTHER:
            said[kind] = sum(spans) if " and " in lives else max(spans)
    assert said == {kind: lives for kind, lives in LIVES.items() if kind not in AS_ANOTHER}


@pytest.mark.parametrize(("lives", "count"), [(15 * 60_000, 0), (16 * 60_000, 1), (15_000 * 60_000, 1)])
def test_a_key_that_is_kept_for_longer_than_is_promised(lives: int, count: int) -> None:
    """By the server's clock when it was written, which may be set before and afterwards."""
    key, now = f"{PARTITION}left:s", 1_800_000_000_000
    turn = (
        mark(1, now),
        step(f"SET {key} 1 PXAT {now + 50 + lives}"),
        mark(2, now + 100),
        mark(3, now - 10**9),
        mark(4, now),
    )
    assert len(seen(keys.check, *turn)) == count
    assert len(seen(keys.check, *turn, step(f"DEL {key}"))) == count, "although it is gone at the end"


def test_a_clock_that_is_set_back_makes_no_key_live_longer() -> None:
    """What a step has not said when it expires is as it was."""
    room, now = f"{PARTITION}room:r", 1_800_000_000_000
    turn = (
        mark(1, now),
        step(f"HSET {room} members 1", f"PEXPIREAT {room} {now + 12 * 3_600_000}"),
        mark(2, now),
        mark(3, now - 3_600_000),
        step(f"HSET {room} members 2"),
        mark(4, now - 3_600_000),
    )
    assert seen(keys.check, *turn) == []


def test_how_long_a_key_is_kept_without_a_journal() -> None:
    [found] = [
        one
        for one in seen(
            keys.check,
            keys=[StoredKey(f"{PARTITION}replica:x", 19_000), StoredKey(f"{PARTITION}replica:y", 60_000)],
        )
        if "promised" in one
    ]
    assert "replica:y" in found
    assert "3.0 times" in found


def test_well_kept_keys_are_nothing() -> None:
    events = f"{PARTITION}events:{REF}"
    ended = step(state('{"phone":"gone"}'), f"DEL {OWED}", f"ZREM {AGENDA} call:{REF}")
    settings = step(
        ("SET", f"{PARTITION}settings:r", '{"pin":"12"}'),
        f"SADD {PARTITION}configured r",
        f"SET {PARTITION}pin:12 r",
    )
    turn = [
        settings,
        BEGUN,
        step(f"HSET {events} a b", f"PEXPIREAT {events} 99"),
        step(f"SET {TOKEN} {JWT} PXAT 99"),
        step(f"DEL {TOKEN}"),
        ended,
    ]
    for eye in (keys.check, owing.check, tokens.check, workers.check):
        stored = [StoredKey(f"{PARTITION}pin:12", -1), StoredKey(CALL, 9), StoredKey(events, 9)]
        assert seen(eye, *turn, keys=stored) == []


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (step(state()), "has no expiry"),
        (
            step(
                f"SADD {PARTITION}live r",
                f"PEXPIREAT {PARTITION}live 9",
                f"SREM {PARTITION}live r",
                f"SADD {PARTITION}live r",
            ),
            "no expiry",
        ),
        (step(f"SET {PARTITION}what:x 1 PXAT 9"), "no kind that is known"),
        (step("SET other 1 PXAT 9"), "no kind that is known"),
        (
            step(f"HSET {PARTITION}events:{REF} a b", f"PEXPIREAT {PARTITION}events:{REF} 9"),
            "written without its call",
        ),
        (step(f"SET {PARTITION}pin:12 r"), "whose settings do not have it"),
        (step(f"SADD {PARTITION}configured r"), "not both"),
        (step(f"SADD {PARTITION}live r", f"PEXPIREAT {PARTITION}live 9"), "which is not there"),
    ],
)
def test_keys_that_are_wrong_after_some_step(written: Step, expected: str) -> None:
    assert expected in " ".join(seen(keys.check, written))


def test_a_command_that_the_judge_does_not_know() -> None:
    assert seen(keys.check, step("BITOP AND a b c")) == ["the judge does not know what BITOP does"]


def test_what_was_wrong_and_put_right_is_seen() -> None:
    [found] = seen(keys.check, step(state()), step(EXPIRES))
    assert "has no expiry" in found


def test_a_call_that_goes_before_its_parts() -> None:
    events = f"{PARTITION}events:{REF}"
    [found] = seen(
        keys.check, [*BEGUN, *step(f"HSET {events} a b", f"PEXPIREAT {events} 9")], step(f"DEL {CALL}")
    )
    assert "went before its events" in found


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (StoredKey(f"{PARTITION}news", -1), "has no expiry"),
        (StoredKey(ROOM, 9), "is left, and on no agenda"),
        (StoredKey(ROOM_OWED, -1), "is on no agenda"),
        (StoredKey(f"{PARTITION}timeline:{REF}", 9), "left without its call"),
        (StoredKey(f"{PARTITION}offered", 9), "but one release"),
    ],
)
def test_keys_that_are_wrong_at_the_end(stored: StoredKey, expected: str) -> None:
    """Whether the store has a journal or not."""
    started = ReplicaLogLine("a", "a0", "", {"event": "service.started", "version": "1"})
    assert expected in " ".join(seen(keys.check, keys=[stored], logs=[started]))


def test_what_somebody_will_look_at_may_be_left() -> None:
    """A browser may sit in a room for as long as it likes."""
    stored = [StoredKey(ROOM, 9), StoredKey(ROOM_OWED, -1), StoredKey(AGENDA, -1)]
    assert (
        seen(keys.check, BEGUN, keys=stored, due_owners=["room:r"], owed={"room:r": ["check-room:s"]}) == []
    )


@pytest.mark.parametrize(
    ("version", "field", "excuse"),
    [
        (VERSION, "told:web-1", "left-by-the-release-before"),
        ("1", "told:web-1", ""),
        (VERSION, "seat:web-1", ""),
    ],
)
def test_what_the_release_before_leaves_of_a_room(version: str, field: str, excuse: str) -> None:
    freed = {"event": "effect.done", "effect": "free-seat", "seat": "web-1"}
    said = [
        ReplicaLogLine("a", "a0", "", one)
        for one in ({"event": "service.started", "version": version}, freed)
    ]
    left = evidence(
        step(f"HSET {ROOM} {field} 1", f"PEXPIREAT {ROOM} 9"), keys=[StoredKey(ROOM, 9)], logs=said
    )
    assert [one.excuse for one in keys.check(left)] == [excuse]


def test_what_a_release_does_not_know_is_marked_beside_another_release() -> None:
    started = [
        ReplicaLogLine("a", one, "", {"event": "service.started", "version": one}) for one in ("1", "2")
    ]
    assert seen(keys.check, BEGUN, keys=[StoredKey(f"{PARTITION}offered", 9)], logs=started) == []


# Owed work --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (step(state(), EXPIRES, OWES[0]), "was on no agenda"),
        (step(f"HSET {ROOM_OWED} .seq 1"), "owes nothing, and was on no agenda"),
        (step(state(), f"HSET {OWED} .seq 1 hang-up 1", OWES[1]), "nobody would have asked after it"),
        (step(state(), f"HSET {OWED} .seq 1 end-dialing 1", OWES[1]), "nobody would have asked after it"),
        (step(f"HSET {ROOM} session s", f"HSET {ROOM_OWED} check-room:s 1"), "not owe replace-session:s"),
        (step(f"HSET {ROOM} seat:x leaving-p"), ""),
        (step(("HSET", ROOM, "seat:x", "leaving p")), "does not owe free-seat:x"),
        (step(("HSET", ROOM, "seat:x", "closing p s")), "does not owe free-seat:x"),
        (step(("HSET", ROOM, "seat:web-x", "in p")), "does not owe check-presence:web-x"),
    ],
)
def test_what_is_not_owed(written: Step, expected: str) -> None:
    found = seen(owing.check, written)
    assert expected in " ".join(found)
    assert bool(found) is bool(expected)


def test_an_agenda_that_forgets_is_seen_though_the_owner_is_put_back() -> None:
    [found] = seen(owing.check, BEGUN, step(f"ZREM {AGENDA} call:{REF}"), step(OWES[1]))
    assert "was on no agenda" in found


def test_a_call_that_is_being_dialed_is_seen_to_by_one_of_two() -> None:
    dialing = state('{"phone":"dialing"}')
    assert seen(owing.check, step(dialing, f"HSET {OWED} .seq 1 end-dialing 1", OWES[1])) == []


def test_what_a_round_through_the_store_has_found_was_forgotten() -> None:
    line = ReplicaLogLine("a", "a0", "owed.forgotten", {"event": "owed.forgotten"})
    assert seen(owing.check, logs=[line]) == ["a: owed.forgotten"]


@pytest.mark.parametrize(
    ("limit", "phone", "intent", "owes", "found"),
    [
        (4, "up", "bridge", False, 1),
        (4, "up", "bridge", True, 0),
        (4, "ringing", "ask", False, 1),
        (4, "dialing", "bridge", False, 0),
        (4, "gone", "hangup", False, 0),
        (4, "up", "hangup", False, 0),
        (0, "up", "bridge", False, 0),
    ],
)
def test_whose_time_nobody_looks_at(limit: int, phone: str, intent: str, *, owes: bool, found: int) -> None:
    call = state(f'{{"phone":"{phone}","intent":"{intent}","max_duration":{limit}}}')
    asks = f"HSET {OWED} .seq 1 ask-after 1 end-dialing 1" + (" tell-time-up 1" if owes else "")
    what = seen(owing.check, step(call, EXPIRES, asks, OWES[1]))
    assert len(what) == found
    assert all("a limit of 4 s" in one for one in what)


def owed(effect: str) -> str | bytes:
    return f"1 2 lane 0 3 {effect}"


REDIRECT = f'{{"type":"redirect-phone","call_id":"c-1","ref":"{REF}","attempt":2}}'
HANG_UP = '{"type":"hang-up","call_id":"c-1"}'
REMOVE = '{"type":"remove-participant","seat":"x","session_id":"s","participant_id":"p"}'
DELETE = '{"type":"delete-participant","participant_id":"p"}'
DROP = '{"type":"delete-session","session_id":"s"}'
URL = f"https://a.test/callbacks/voice/{REF}"


def asked_of(operation: str, status: int | None = 200, *, body: Any = None, **ids: str) -> Request:
    return Request(
        operation=operation,
        method="POST",
        path="/",
        ids=ids,
        status=status,
        at=1.0,
        ms=5.0,
        scheme=None,
        body=body,
        received=status is not None,
    )


def redirected(attempt: int, status: int | None = 200) -> Request:
    body = {"state": "active", "redirectUrl": f"{URL}/{attempt}"}
    return asked_of("updateCall", status, body=body, callId="c-1")


def hung_up(call_id: str) -> Request:
    return asked_of("updateCall", 404, body={"state": "completed"}, callId=call_id)


@pytest.mark.parametrize(
    ("effect", "requests", "found"),
    [
        (REDIRECT, [], 1),
        (REDIRECT, [redirected(2)], 0),
        (REDIRECT, [redirected(2, 503)], 1),
        (REDIRECT, [redirected(2, None)], 1),
        (REDIRECT, [redirected(2, 404)], 0),
        (REDIRECT, [redirected(2, 503), redirected(2)], 0),
        (REDIRECT, [redirected(1)], 1),
        (REDIRECT, [hung_up("c-1")], 1),
        (HANG_UP, [hung_up("c-1")], 0),
        (HANG_UP, [hung_up("c-2")], 1),
        (HANG_UP, [redirected(2)], 1),
        (REMOVE, [asked_of("removeParticipantFromSession", sessionId="s", participantId="p")], 0),
        (REMOVE, [asked_of("removeParticipantFromSession", sessionId="t", participantId="p")], 1),
        (DELETE, [asked_of("deleteParticipant", participantId="p")], 0),
        (DELETE, [asked_of("deleteParticipant", 500, participantId="p")], 1),
        (DROP, [asked_of("deleteSession", sessionId="s")], 0),
        (DROP, [asked_of("deleteParticipant", participantId="p")], 1),
        ('{"type":"leave-room"}', [], 0),
        ("*", [], 0),
    ],
)
def test_what_is_struck_off_was_done(effect: str, requests: list[Request], found: int) -> None:
    owes = step(("HSET", OWED, "work", owed(effect)))
    simulator = SimpleNamespace(requests=requests)
    strikes = step(f"HDEL {OWED} work")
    assert len(seen(owing.check, BEGUN, owes, strikes, simulator=simulator)) == found
    # Called off by what has happened to the call, or laid aside as a dead letter.
    called_off = step(state(), f"HDEL {OWED} work")
    dead = step(f"HDEL {OWED} work", f"ZADD {PARTITION}dead 1 work")
    for other in (called_off, dead):
        assert seen(owing.check, BEGUN, owes, other, simulator=simulator) == []


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ('{"phone":"up","media":"bridged"}', 1),
        ('{"phone":"up","intent":"hold"}', 1),
        ('{"phone":"up","intent":"hangup"}', 0),
        ('{"phone":"gone"}', 0),
        ("", 0),
    ],
)
def test_that_its_time_is_up_was_told_to_the_call(call: str, found: int) -> None:
    effect = f'{{"type":"tell-time-up","ref":"{REF}"}}'
    owes = step(("HSET", OWED, "tell-time-up", owed(effect)))
    told = step(state(call)) if call else step(f"DEL {CALL}")
    assert len(seen(owing.check, BEGUN, owes, told, step(f"HDEL {OWED} tell-time-up"))) == found


@pytest.mark.parametrize(
    ("answers", "session", "found"),
    [([], "s", 1), ([404], "s", 1), ([200, 404], "s", 0), ([404], "t", 0), ([200], "", 0)],
    ids=["not asked", "vanished", "found", "replaced", "closed"],
)
def test_a_doubt_of_a_session_is_over(answers: list[int], session: str, found: int) -> None:
    effect = '{"type":"check-session","room":"r","session_id":"s","looks":[]}'
    keeps = f"HSET {ROOM_OWED} .seq 1 check-room:? 1 replace-session:? 1"
    begun = step(f"HSET {ROOM} session s", keeps.replace("?", "s"), f"ZADD {AGENDA} 5 room:r")
    doubt = step(f"HSET {ROOM} doubt s", ("HSET", ROOM_OWED, "check-session:s", owed(effect)))
    now = f"HSET {ROOM} session {session}" if session else f"HDEL {ROOM} session"
    simulator = SimpleNamespace(requests=[asked_of("getSession", one, sessionId="s") for one in answers])
    turn = [
        begun,
        doubt,
        step(now, keeps.replace("?", session or "s")),
        step(f"HDEL {ROOM_OWED} check-session:s"),
    ]
    assert len(seen(owing.check, *turn, simulator=simulator)) == found


def test_a_session_that_vanishes_after_a_doubt_of_it_was_over() -> None:
    """What was found once is no answer to a second doubt."""
    effect = '{"type":"check-session","room":"r","session_id":"s","looks":[]}'
    begun = step(
        f"HSET {ROOM} session s",
        f"HSET {ROOM_OWED} .seq 1 check-room:s 1 replace-session:s 1",
        f"ZADD {AGENDA} 5 room:r",
    )
    doubt = step(f"HSET {ROOM} doubt s", ("HSET", ROOM_OWED, "check-session:s", owed(effect)))
    over = step(f"HDEL {ROOM_OWED} check-session:s")
    simulator = SimpleNamespace(requests=[asked_of("getSession", one, sessionId="s") for one in (200, 404)])
    assert seen(owing.check, begun, doubt, over, simulator=simulator) == []
    assert len(seen(owing.check, begun, doubt, over, doubt, over, simulator=simulator)) == 1


# Tokens -----------------------------------------------------------------------------------------------------


KEPT = f"SET {TOKEN} {JWT} PXAT 99"


@pytest.mark.parametrize("kept", ['{"phone":"up","media":"bridged"}', '{"phone":"gone","media":"ready"}'])
def test_a_token_of_a_call_that_was_answered_or_is_over(kept: str) -> None:
    [found] = seen(tokens.check, BEGUN, step(KEPT), step(state(kept)))
    assert "was kept while its call was" in found
    assert seen(tokens.check, BEGUN, step(KEPT), step(state(kept), f"DEL {TOKEN}")) == []


def test_a_token_of_an_ended_call_whose_state_is_compressed() -> None:
    ended = ("HSET", CALL, "state", compress_text(b'{"phone":"gone"}'))
    assert len(seen(tokens.check, BEGUN, step(KEPT), step(ended))) == 1


def test_a_token_that_comes_after_the_answer() -> None:
    assert len(seen(tokens.check, step(state('{"phone":"up","media":"bridged"}')), step(KEPT))) == 1


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (step(("HSET", ROOM, "given:x", f"1 p {JWT}", "seat:x", "in p")), ""),
        (step(("HSET", ROOM, "given:x", f"1 p {JWT}")), "when the seat was free"),
        (step(("HSET", ROOM, "session", "s", "stock:p", f"ready s 1 {JWT}")), ""),
        (step(("HSET", ROOM, "stock:p", f"ready s 1 {JWT}")), "which had no session"),
        (step(("HSET", ROOM, "web:x", JWT)), "a token was written into"),
        (step(f"RPUSH {PARTITION}timeline:{REF} {JWT}"), "a token was written into"),
        (
            step(("RPUSH", f"{PARTITION}timeline:{REF}", compress_text(JSON_WITH_JWT))),
            "a token was written into",
        ),
        (step(("HSET", CALL, "state", LIKE_A_TOKEN)), ""),
    ],
)
def test_tokens_elsewhere(written: Step, expected: str) -> None:
    found = seen(tokens.check, written)
    assert expected in " ".join(found)
    assert bool(found) is bool(expected)


SIGNED = PassSigner("invitation", "pass/word").sign(Pass("i", "a", 1e9, "all"))
PROVES = CallbackUrls("https://a.test", "bandwidth", "pass/word").participant_url("web-1.1")
PHONE = SimpleNamespace(from_="+15557654321", to="+15551234567", transfer_to="sip:x@y", legs=[])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"uui={JWT}", "a token"),
        ("uui=...", ""),
        ("it said pass/word to us", "CALLBACK_PASSWORD"),
        ("password=pass%2Fword", "CALLBACK_PASSWORD"),
        ("b'YmFuZHdpZHRoOnBhc3Mvd29yZA=='", "CALLBACK_PASSWORD"),
        ("client:s3cret", "BW_CLIENT_SECRET"),
        ("Basic Y2xpZW50OnMzY3JldA==", "an Authorization header|BW_CLIENT_SECRET"),
        ("Authorization: Bearer mF_9.B5f-4.1JqM", ""),
        ("Bearer mF9B5f41JqMmF9B5f41JqM", "an Authorization header"),
        ("key key-of-all", "API_KEYS"),
        ("key-of-reader", "API_KEYS"),
        ("redis://user:of-the-store@127.0.0.1", "REDIS_URL"),
        ("redis://user:***@127.0.0.1:6379/0", ""),
        (f"/rooms/a?invitation={SIGNED}", "a signed text"),
        (PROVES, "an address with its proof"),
        (PROVES.rpartition("/")[0], ""),
        ("to +15557654321", "a number in full"),
        ("to 5557654321", "a number in full"),
        ("to sip:+15551234567@host", "a number in full"),
        ("to +1*******21", ""),
        ("since=1555765432100", ""),
        (f"at 15557654321{'0' * 9}", ""),
        ("all reader bandwidth client 127.0.0.1:6379", ""),
    ],
)
def test_what_is_in_a_log(text: str, what: str) -> None:
    line = ReplicaLogLine("a", "replica-a0.log", text, {"event": "call.changed"})
    simulator = SimpleNamespace(engine=SimpleNamespace(calls={"c": PHONE}))
    told = seen(tokens.check, logs=[line], simulator=simulator)
    assert told == [
        f"replica-a0.log has logged {one} with call.changed" for one in filter(None, what.split("|"))
    ]
    told = seen(tokens.check, noise=[f"replica-a0.log: {text}"], simulator=simulator)
    assert told == [
        f"replica-a0.log has written {one} besides its log" for one in filter(None, what.split("|"))
    ]
    assert not any(secret in one for one in told for secret in ("pass", "s3cret", "key-of", "555"))


def test_each_secret_of_the_settings_is_looked_for() -> None:
    """As they are declared: one that comes later is looked for by itself."""
    names = {*log_secrets.SECRET_SETTINGS}
    assert {"CALLBACK_PASSWORD", "CALLBACK_PASSWORD_PREVIOUS", "BW_CLIENT_SECRET", "BW_PASSWORD"} < names
    for name in names - {"REDIS_URL"}:
        assert [*log_secrets.LogSecrets([{name: "hidden-1"}], []).secrets_in("x hidden-1 y")] == [name]
    assert [*log_secrets.LogSecrets([{}], []).secrets_in("nothing is set, nothing is found")] == []


def test_a_token_that_is_left_is_seen_without_a_journal() -> None:
    assert seen(tokens.check, keys=[StoredKey(TOKEN, 9)]) == [f"{TOKEN} is left at the end"]


# Workers ----------------------------------------------------------------------------------------------------


def leased(worker: str, ends: int) -> Step:
    return step(("HSET", ROOM_OWED, ".lease", f"{worker} {ends}"))


NOW = 1_000_000
LEASE = workers.LEASE


def it_is(now: int) -> Step:
    return step(("SET", f"{PARTITION}clock", f"500 {now - 500} 0", "PXAT", "99"))


@pytest.mark.parametrize(
    ("between", "begun", "expected"),
    [
        ([], NOW + LEASE, 0),
        ([], NOW + LEASE - 1, 1),
        ([step(f"HDEL {ROOM_OWED} .lease")], NOW + 1, 0),
        ([step(f"DEL {ROOM_OWED}")], NOW + 1, 0),
    ],
)
def test_a_lease_of_another(between: Sequence[Step], begun: int, expected: int) -> None:
    """`begun`: when the second worker took it."""
    turn = [it_is(NOW), leased("a", NOW + LEASE), *between, it_is(begun), leased("b", begun + LEASE)]
    assert len(seen(workers.check, *turn)) == expected


def test_a_lease_that_is_taken_again_by_the_same() -> None:
    assert seen(workers.check, it_is(NOW), leased("a", NOW + LEASE), leased("a", NOW + LEASE + 5)) == []


@pytest.mark.parametrize(("ends", "expected"), [(NOW + LEASE + 5, 0), (NOW + LEASE, 1)])
def test_a_worker_that_goes_on_has_a_lease(ends: int, expected: int) -> None:
    goes_on = step(("HSET", ROOM_OWED, ".lease", f"a {ends}"), f"ZADD {AGENDA} {NOW + LEASE + 5} room:r")
    assert len(seen(workers.check, it_is(NOW), leased("a", NOW + LEASE), goes_on)) == expected


def test_who_is_to_end_takes_over_what_is_due_and_leaves_it() -> None:
    """The lease ends as it is written: it did not begin a whole lease ago."""
    turn = [it_is(NOW), leased("a", NOW + LEASE), it_is(NOW + LEASE + 5), leased("b", NOW + LEASE + 5)]
    assert seen(workers.check, *turn) == []


def deletion(at: float, host: str, *, received: bool = True) -> Request:
    return Request(
        operation="deleteSession",
        method="DELETE",
        path="/sessions/s",
        ids={"session": "s"},
        status=204,
        at=at,
        ms=1000,
        scheme=None,
        body=None,
        received=received,
        host=host,
    )


@pytest.mark.parametrize(
    ("second", "trouble", "expected"),
    [
        (deletion(10.5, "b"), None, 1),
        (deletion(11.5, "b"), None, 0),
        (deletion(10.5, "a"), None, 0),
        (deletion(10.5, "b"), ("a", 10.2, 20.0), 0),
        (deletion(10.5, "b"), ("", 8.0, 10.1), 0),
        (deletion(10.5, "b"), ("b", 10.2, 20.0), 1),
        (deletion(10.5, "b"), ("a", 5.0, 9.0), 1),
        (deletion(10.5, "b"), ("a", 10.6, 20.0), 1),
    ],
    ids=["at once", "after", "same", "killed", "store", "other killed", "killed before", "killed after"],
)
def test_two_replicas_ask_the_same(
    second: Request, trouble: tuple[str, float, float] | None, expected: int
) -> None:
    """Only what befell the first, from its request on and before the second asked, excuses that."""
    troubles = Troubles()
    if trouble is not None:
        host, begun, over = trouble
        troubles.begin("killed", begun, host=host).over = over
    simulator = SimpleNamespace(requests=[deletion(10, "a"), second])
    assert len(seen(workers.check, simulator=simulator, troubles=troubles)) == expected


@pytest.mark.parametrize(
    ("operation", "sessions", "expected"),
    [
        ("addParticipantToSession", "st", 0),
        ("removeParticipantFromSession", "st", 0),
        ("removeParticipantFromSession", "ss", 1),
    ],
)
def test_rooms_that_both_owe_that_somebody_is_taken_down(
    operation: str, sessions: str, expected: int
) -> None:
    """As after a move, also one that did not come about."""
    moves = [
        msgspec.structs.replace(
            deletion(number, "a"), operation=operation, ids={"participantId": "p", "sessionId": session}
        )
        for number, session in enumerate(sessions)
    ]
    takes_down = [
        msgspec.structs.replace(deletion(at, host), operation="deleteParticipant", ids={"participantId": "p"})
        for at, host in [(10, "a"), (10.5, "b")]
    ]
    simulator = SimpleNamespace(requests=[*moves, *takes_down])
    assert len(seen(workers.check, simulator=simulator, troubles=Troubles())) == expected


@pytest.mark.parametrize(
    ("kind", "expected"), [("frozen", 0), ("cut-store", 0), ("clock", 1), ("ended", 1), ("pages", 1)]
)
def test_what_does_not_take_a_lease_away_excuses_nothing(kind: str, expected: int) -> None:
    troubles = Troubles()
    troubles.begin(kind, 10.2, host="a").over = 10.3
    simulator = SimpleNamespace(requests=[deletion(10, "a"), deletion(10.5, "b")])
    assert len(seen(workers.check, simulator=simulator, troubles=troubles)) == expected


def test_a_request_that_was_given_up_is_under_way_for_nobody() -> None:
    simulator = SimpleNamespace(requests=[deletion(10, "a", received=False), deletion(10.5, "b")])
    assert seen(workers.check, simulator=simulator) == []


@pytest.mark.parametrize(("sessions", "expected"), [(("s", "t"), 0), (("s", "s"), 1)])
def test_both_rooms_of_a_participant_that_was_moved_take_it_down(
    sessions: tuple[str, ...], expected: int
) -> None:
    def asked(operation: str, at: float, host: str, **ids: str) -> Request:
        return replace(deletion(at, host), operation=operation, ids={"participantId": "p", **ids})

    moves = [asked("addParticipantToSession", 5, "a", sessionId=one) for one in sessions]
    deletions = [asked("deleteParticipant", 10, "a"), asked("deleteParticipant", 10.5, "b")]
    simulator = SimpleNamespace(requests=[*moves, *deletions])
    assert len(seen(workers.check, simulator=simulator)) == expected


@pytest.mark.parametrize("kind", ["failover-killed", "store-away"])
def test_a_journal_is_never_missing(kind: str) -> None:
    troubles = Troubles()
    troubles.begin(kind, 1.0)
    assert [one.excuse for one in keys.check(evidence(troubles=troubles))] == [""]


# Commits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ('{"phone":"up","attempt":1}', '{"phone":"up","attempt":2}', 0),
        ('{"phone":"up","attempt":2}', '{"phone":"up","attempt":1}', 1),
        ('{"phone":"dialing","attempt":1}', '{"phone":"gone","attempt":1}', 0),
        ('{"phone":"gone","attempt":1}', '{"phone":"up","attempt":2}', 1),
        ('{"phone":"gone","attempt":1}', '{"phone":"gone"}', 0),
    ],
)
def test_calls_that_go_back(before: str, after: str, expected: int) -> None:
    assert len(seen(commits.check, step(state(before)), step(state(after)))) == expected
    assert seen(commits.check, step(state(before)), step(f"DEL {CALL}"), step(state(after))) == []
