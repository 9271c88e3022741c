"""The model that the stateful test and the storm's judge go by, while one order or several are under way."""

import pytest

from tests.model import Model, Party
from tests.party_state import (
    OVER,
    CloseOrder,
    HangUpOrder,
    HoldOrder,
    JoinOrder,
    Location,
    Observation,
    Order,
    PartyState,
    SubscribeOrder,
    TransferOrder,
)

A, B, C = (PartyState(Location.ROOM, name) for name in "abc")
RINGING = PartyState(Location.RINGING, "a")


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def call(model: Model) -> Party:
    return model.add("call", A)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (JoinOrder("b"), B),
        (HoldOrder(), PartyState(Location.HELD)),
        (TransferOrder(), PartyState(Location.TRANSFERRED)),
        (HangUpOrder(), OVER),
        (CloseOrder("a"), OVER),
        (CloseOrder("b"), A),
        (SubscribeOrder(("x",)), PartyState(Location.ROOM, "a", ("x",))),
    ],
)
def test_one_order_after_the_other(model: Model, call: Party, order: Order, expected: PartyState) -> None:
    model.finish("call", order)
    assert call.only_state == expected


def test_until_an_order_has_come_about_both_may_be(model: Model, call: Party) -> None:
    step = model.sent("call", JoinOrder("b"))
    assert call.rooms == {"a", "b"}
    model.answered("call", step, accepted=True)
    assert call.rooms == {"a", "b"}
    model.settled("call")
    assert call.only_state == B


def test_who_may_wait_or_not_is_sent_where_it_is(model: Model) -> None:
    """Somebody was there: it is in, and hears nobody, as was ordered. Nobody was: it comes in anew."""
    waits = model.add("waits", PartyState(Location.ROOM, "a", waits_for_others=True))
    for order in (SubscribeOrder(()), JoinOrder("a")):
        model.finish("waits", order)
    assert waits.states == {PartyState(Location.ROOM, "a", ()), A}


def test_what_was_refused_does_not_come_about(model: Model, call: Party) -> None:
    model.answered("call", model.sent("call", HoldOrder()), accepted=False)
    assert call.only_state == A


def test_of_what_nobody_has_answered_either_may_be(model: Model, call: Party) -> None:
    model.answered("call", model.sent("call", JoinOrder("b")), accepted=None)
    model.settled("call")
    assert call.rooms == {"a", "b"}


def test_of_two_at_once_either_may_be_the_last(model: Model, call: Party) -> None:
    first, second = model.sent("call", JoinOrder("b")), model.sent("call", JoinOrder("c"))
    model.answered("call", second, accepted=True)
    model.answered("call", first, accepted=True)
    model.settled("call")
    assert call.rooms == {"b", "c"}


def test_of_two_at_once_the_first_may_change_what_the_second_has_brought(model: Model, call: Party) -> None:
    first, second = model.sent("call", SubscribeOrder(("x",))), model.sent("call", JoinOrder("b"))
    for step in (second, first):
        model.answered("call", step, accepted=True)
    assert {B, PartyState(Location.ROOM, "b", ("x",))} <= call.states


def test_who_was_seen_there_may_have_been_sent_on_at_the_same_time(model: Model, call: Party) -> None:
    model.finish("call", JoinOrder("c"))
    first, second = model.sent("call", TransferOrder()), model.sent("call", JoinOrder("b"))
    model.answered("call", second, accepted=True)
    model.seen_in("call", "b")
    model.answered("call", first, accepted=True)
    model.settled("call")
    assert call.states == {B, PartyState(Location.TRANSFERRED)}


def test_once_seen_there_it_does_not_go_back(model: Model, call: Party) -> None:
    model.answered("call", model.sent("call", JoinOrder("b")), accepted=None)
    model.seen_in("call", "b")
    assert call.only_state == B


def test_a_phone_that_rings(model: Model) -> None:
    call = model.add("call", RINGING, kept=True)
    assert model.seated("a") == ["call"]
    model.finish("call", JoinOrder("a"))
    assert model.seated("a") == ["call"]
    model.finish("call", JoinOrder("b"))
    assert (model.seated("a"), model.seated("b")) == ([], [])
    model.picked_up("call")
    assert call.only_state == B


@pytest.mark.parametrize(
    ("kept", "expected"),
    [(True, {OVER}), (False, {RINGING}), (None, {OVER, RINGING})],
    ids=["seat kept", "no seat", "not known"],
)
def test_its_room_is_closed_while_it_rings(
    model: Model, kept: bool | None, expected: set[PartyState]
) -> None:
    call = model.add("call", RINGING, kept=kept)
    model.finish("call", CloseOrder("a"))
    assert call.states == expected


def test_strangers(model: Model, call: Party) -> None:
    model.add("other", B)
    assert not model.may_meet("call", "other")
    assert not model.may_hear("call", "other", "p")
    step = model.sent("call", JoinOrder("b"))
    assert model.may_meet("call", "other")
    assert model.may_hear("call", "other", "p")
    assert not model.must_hear("call", "other", "p")
    model.answered("call", step, accepted=True)
    model.settled("call")
    assert model.must_hear("call", "other", "p")


def test_who_is_subscribed_to_others_hears_nobody_else(model: Model, call: Party) -> None:
    model.add("other", A)
    model.finish("call", SubscribeOrder(("p",)))
    assert model.must_hear("call", "other", "p")
    assert not model.may_hear("call", "other", "q")
    model.finish("call", JoinOrder("b"))
    assert call.only_state.hears is None


@pytest.mark.parametrize(
    ("standing", "seen", "expected"),
    [
        (A, Observation(stage="bridged", participant="p", session="s"), True),
        (A, Observation(stage="bridged", participant="p", session="s", rooms=frozenset("a")), True),
        (A, Observation(stage="bridged", participant="p", session="s", rooms=frozenset("b")), False),
        (A, Observation(stage="bridged", participant="p", session="s", rooms=frozenset("ab")), True),
        (A, Observation(stage="bridged", participant="p", session="s", rooms=frozenset("bc")), False),
        (A, Observation(stage="bridged", participant="p"), False),
        (A, Observation(stage="answered"), False),
        (PartyState(Location.ROOM, "a", waits_for_others=True), Observation(stage="answered"), True),
        (PartyState(Location.HELD), Observation(stage="answered"), True),
        (PartyState(Location.HELD), Observation(stage="answered", on_hold=True), True),
        (
            PartyState(Location.ROOM, "a", waits_for_others=True),
            Observation(stage="answered", on_hold=True),
            False,
        ),
        (PartyState(Location.OUTSIDE), Observation(stage="answered", on_hold=True), False),
        (PartyState(Location.HELD), Observation(stage="bridged", participant="p", session="s"), False),
        (PartyState(Location.TRANSFERRED), Observation(stage="bridged"), True),
        (PartyState(Location.TRANSFERRED), Observation(stage="bridged", participant="p"), False),
        (PartyState(Location.OUTSIDE), Observation(stage="answered"), True),
        (RINGING, Observation(stage="ringing"), True),
        (OVER, Observation(stage="ended"), True),
        (OVER, Observation(stage="answered"), False),
    ],
)
def test_what_is_to_be_seen(model: Model, standing: PartyState, seen: Observation, expected: bool) -> None:
    model.add("call", standing)
    assert model.matches("call", seen) is expected
