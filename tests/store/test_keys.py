"""The keys are what installations have in their stores: none of them ever changes."""

import pytest
from msgspec.structs import asdict

from service.calls.refs import partition_of_ref
from service.store import keys
from service.store.keys import CallKeys, OwnerKeys, RoomKeys

REF = "p03-abcdefghijklmnopqrst"


def test_the_keys_of_a_call() -> None:
    assert asdict(CallKeys.of(REF)) == {
        "call": "pstn:{p03}:call:p03-abcdefghijklmnopqrst",
        "events": "pstn:{p03}:events:p03-abcdefghijklmnopqrst",
        "timeline": "pstn:{p03}:timeline:p03-abcdefghijklmnopqrst",
        "token": "pstn:{p03}:token:p03-abcdefghijklmnopqrst",
        "owner": "call:p03-abcdefghijklmnopqrst",
        "owed": "pstn:{p03}:owed:call:p03-abcdefghijklmnopqrst",
        "agenda": "pstn:{p03}:agenda",
        "calls": "pstn:{p03}:calls",
        "live_calls": "pstn:{p03}:standing",
        "news": "pstn:{p03}:news",
    }
    assert keys.call(REF) == CallKeys.of(REF).call
    assert keys.alias("c-1") == "pstn:{p09}:alias:c-1"


def test_the_keys_of_a_room() -> None:
    assert asdict(RoomKeys.of("sales")) == {
        "room": "pstn:{p12}:room:sales",
        "settings": "pstn:{p12}:settings:sales",
        "closed_at": "pstn:{p12}:closed:sales",
        "passes": "pstn:{p12}:passes:sales",
        "passes_until": "pstn:{p12}:passes-until:sales",
        "owner": "room:sales",
        "owed": "pstn:{p12}:owed:room:sales",
        "agenda": "pstn:{p12}:agenda",
        "live_rooms": "pstn:{p12}:live",
        "news": "pstn:{p12}:news",
    }
    assert keys.vacated_seat("sales", "a.1") == "pstn:{p12}:left:a.1"
    assert keys.used_invitation("sales", "i") == "pstn:{p12}:invitation:i"
    assert keys.ended_visit("sales", "v") == "pstn:{p12}:visit:v"
    assert keys.configured(12) == "pstn:{p12}:configured"


@pytest.mark.parametrize(
    ("owner", "partition", "name", "of_timeline"),
    [
        (f"call:{REF}", 3, f"call:{REF}", REF),
        ("room:sales", 12, "room:sales", "room:sales"),
        ("room:call:sales", 12, "room:call:sales", "room:call:sales"),
    ],
)
def test_the_keys_of_an_owner(owner: str, partition: int, name: str, of_timeline: str) -> None:
    tag = f"pstn:{{p{partition:02}}}"
    assert asdict(OwnerKeys.of(owner)) == {
        "partition": partition,
        "owed": f"{tag}:owed:{name}",
        "timeline": f"{tag}:timeline:{of_timeline}",
        "agenda": f"{tag}:agenda",
        "dead": f"{tag}:dead",
        "unknown": f"{tag}:unknown",
        "offered": f"{tag}:offered",
    }
    assert keys.owed(owner) == OwnerKeys.of(owner).owed


def test_a_ref_is_parsed_once_for_all_keys_of_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []

    def counted(ref: str) -> int:
        parsed.append(ref)
        return partition_of_ref(ref)

    monkeypatch.setattr(keys, "partition_of_ref", counted)
    ref = "p05-parsedparsedparsedpa"
    assert CallKeys.of(ref) is CallKeys.of(ref)
    assert parsed == [ref]
