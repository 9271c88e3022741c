"""What is kept of a timeline is short, and what is shown of it is whole."""

import msgspec
import pytest

from service.calls.request_record import RequestRecord
from service.store.timeline import pack_entry, unpack_entry

REQUESTS = (
    RequestRecord(at=99.5, operation="create-participant", ms=40.2, status=200),
    RequestRecord(at=99.75, operation="add-participant", ms=12.0, error="unanswered"),
    RequestRecord(at=99.9, operation="get-session", ms=1.5, status=500, error="server-error", repeats=2),
)


def test_requests_come_back_as_they_were() -> None:
    entry = {
        "at": 100.0,
        "event": "joined",
        "before": "joining",
        "after": "transferring",
        "requests": REQUESTS,
    }
    text = pack_entry(entry)
    assert text.endswith(
        b'"requests":[[500,"create-participant",40.2,200],'
        b'[250,"add-participant",12.0,null,"unanswered"],[100,"get-session",1.5,500,"server-error",2]]}'
    )
    assert unpack_entry(text) == {**entry, "requests": [msgspec.to_builtins(one) for one in REQUESTS]}


def test_what_a_new_call_was_before_goes_without_saying() -> None:
    entry = {"at": 1.0, "event": "initiate", "before": "new", "after": "joining"}
    assert b"before" not in pack_entry(entry)
    assert unpack_entry(pack_entry(entry)) == entry


@pytest.mark.parametrize("entry", [{"at": 1.0, "event": "effectDone", "effect": "hang-up", "tries": 1}])
def test_what_is_no_change_was_nothing_before(entry: dict[str, object]) -> None:
    assert unpack_entry(pack_entry(entry)) == entry


def test_what_an_older_release_has_kept_is_shown_alike() -> None:
    request = {"at": 99.5, "operation": "create-session", "ms": 1.0, "status": 200}
    entry = {"at": 100.0, "event": "joined", "before": "new", "after": "x", "requests": [request]}
    assert unpack_entry(msgspec.json.encode(entry)) == entry
