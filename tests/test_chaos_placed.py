"""The judge of calls that are asked for twice."""

from types import SimpleNamespace
from typing import cast

from tests.chaos.api import Asked
from tests.chaos.evidence import Evidence
from tests.chaos.eyes import placed


def asked(id_: str, key: str = "k") -> Asked:
    body = {"to": "+1"}
    return Asked(
        method="POST",
        path="/calls",
        body=body,
        host="",
        sent_at=0,
        over=1,
        status=201,
        reply={"id": id_},
        idempotency_key=key,
    )


def found(*all_: Asked, phones: int = 1) -> list[str]:
    phone = SimpleNamespace(call=SimpleNamespace(to="+1"))
    evidence = SimpleNamespace(asked=all_, simulator=SimpleNamespace(phones=[phone] * phones))
    return [one.what for one in placed.look(cast("Evidence", evidence))]


def test_one_call_for_one_key() -> None:
    assert found(asked("a"), asked("a")) == []


def test_two_calls_for_one_key() -> None:
    assert found(asked("a"), asked("b")) == ["k is 2 calls: ['a', 'b']"]


def test_a_phone_that_rang_twice() -> None:
    assert found(asked("a"), asked("a"), phones=2) == ["+1 rang 2 times for k"]
