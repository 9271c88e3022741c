"""The model that the stateful test and the storm's judge go by, while one order or several are under way."""

import pytest

from tests.model import Model, Party
from tests.party_state import OVER, Close, HangUp, Hold, Join, Order, Seen, Standing, Subscribe, Transfer, Where

A, B, C = (Standing(Where.ROOM, name) for name in "abc")
RINGING = Standing(Where.RINGING, "a")


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def call(model: Model) -> Party:
    return model.begun("call", A)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Join("b"), B),
        (Hold(), Standing(Where.HELD)),
        (Transfer(), Standing(Where.AWAY)),
        (HangUp(), OVER),
        (Close("a"), OVER),
        (Close("b"), A),
        (Subscribe(("x",)), Standing(Where.ROOM, "a", ("x",))),
    ],
)
def test_one_order_after_the_other(model: Model, call: Party, order: Order, expected: Standing) -> None:
    model.done("call", order)
    assert call.one == expected


def test_until_an_order_has_come_about_both_may_be(model: Model, call: Party) -> None:
    step = model.sent("call", Join("b"))
    assert call.rooms == {"a", "b"}
    model.answered("call", step, accepted=True)
    assert call.rooms == {"a", "b"}
    model.settled("call")
    assert call.one == B


def test_what_was_refused_does_not_come_about(model: Model, call: Party) -> None:
    model.answered("call", model.sent("call", Hold()), accepted=False)
    assert call.one == A


def test_of_what_nobody_has_answered_either_may_be(model: Model, call: Party) -> None:
    model.answered("call", model.sent("call", Join("b")), accepted=None)
    model.settled("call")
    assert call.rooms == {"a", "b"}


def test_of_two_at_once_either_may_be_the_last(model: Model, call: Party) -> None:
    first, second = model.sent("call", Join("b")), model.sent("call", Join("c"))
    model.answered("call", second, accepted=True)
    model.answered("call", first, accepted=True)
    model.settled("call")
    assert call.rooms == {"b", "c"}


def test_of_two_at_once_the_first_may_change_what_the_second_has_brought(model: Model, call: Party) -> None:
    first, second = model.sent("call", Subscribe(("x",))), model.sent("call", Join("b"))
    for step in (second, first):
        model.answered("call", step, accepted=True)
    assert {B, Standing(Where.ROOM, "b", ("x",))} <= call.standings


def test_who_was_seen_there_may_have_been_sent_on_at_the_same_time(model: Model, call: Party) -> None:
    model.done("call", Join("c"))
    first, second = model.sent("call", Transfer()), model.sent("call", Join("b"))
    model.answered("call", second, accepted=True)
    model.seen_in("call", "b")
    model.answered("call", first, accepted=True)
    model.settled("call")
    assert call.standings == {B, Standing(Where.AWAY)}


def test_once_seen_there_it_does_not_go_back(model: Model, call: Party) -> None:
    model.answered("call", model.sent("call", Join("b")), accepted=None)
    model.seen_in("call", "b")
    assert call.one == B


def test_a_phone_that_rings(model: Model) -> None:
    call = model.begun("call", RINGING, kept=True)
    assert model.seated("a") == ["call"]
    model.done("call", Join("a"))
    assert model.seated("a") == ["call"]
    model.done("call", Join("b"))
    assert (model.seated("a"), model.seated("b")) == ([], [])
    model.picked_up("call")
    assert call.one == B


@pytest.mark.parametrize(
    ("kept", "expected"),
    [(True, {OVER}), (False, {RINGING}), (None, {OVER, RINGING})],
    ids=["seat kept", "no seat", "not known"],
)
def test_its_room_is_closed_while_it_rings(model: Model, kept: bool | None, expected: set[Standing]) -> None:
    call = model.begun("call", RINGING, kept=kept)
    model.done("call", Close("a"))
    assert call.standings == expected


def test_strangers(model: Model, call: Party) -> None:
    model.begun("other", B)
    assert not model.may_meet("call", "other")
    assert not model.may_hear("call", "other", "p")
    step = model.sent("call", Join("b"))
    assert model.may_meet("call", "other")
    assert model.may_hear("call", "other", "p")
    assert not model.must_hear("call", "other", "p")
    model.answered("call", step, accepted=True)
    model.settled("call")
    assert model.must_hear("call", "other", "p")


def test_who_is_subscribed_to_others_hears_nobody_else(model: Model, call: Party) -> None:
    model.begun("other", A)
    model.done("call", Subscribe(("p",)))
    assert model.must_hear("call", "other", "p")
    assert not model.may_hear("call", "other", "q")
    model.done("call", Join("b"))
    assert call.one.hears is None


@pytest.mark.parametrize(
    ("standing", "seen", "expected"),
    [
        (A, Seen(stage="bridged", participant="p", session="s"), True),
        (A, Seen(stage="bridged", participant="p", session="s", rooms=frozenset("a")), True),
        (A, Seen(stage="bridged", participant="p", session="s", rooms=frozenset("b")), False),
        (A, Seen(stage="bridged", participant="p", session="s", rooms=frozenset("ab")), True),
        (A, Seen(stage="bridged", participant="p", session="s", rooms=frozenset("bc")), False),
        (A, Seen(stage="bridged", participant="p"), False),
        (A, Seen(stage="answered"), False),
        (Standing(Where.ROOM, "a", waits=True), Seen(stage="answered"), True),
        (Standing(Where.HELD), Seen(stage="answered"), True),
        (Standing(Where.HELD), Seen(stage="answered", on_hold=True), True),
        (Standing(Where.ROOM, "a", waits=True), Seen(stage="answered", on_hold=True), False),
        (Standing(Where.OUTSIDE), Seen(stage="answered", on_hold=True), False),
        (Standing(Where.HELD), Seen(stage="bridged", participant="p", session="s"), False),
        (Standing(Where.AWAY), Seen(stage="bridged"), True),
        (Standing(Where.AWAY), Seen(stage="bridged", participant="p"), False),
        (Standing(Where.OUTSIDE), Seen(stage="answered"), True),
        (RINGING, Seen(stage="ringing"), True),
        (OVER, Seen(stage="ended"), True),
        (OVER, Seen(stage="answered"), False),
    ],
)
def test_what_is_to_be_seen(model: Model, standing: Standing, seen: Seen, expected: bool) -> None:
    model.begun("call", standing)
    assert model.stands("call", seen) is expected
