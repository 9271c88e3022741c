"""The weathers of what fails at Bandwidth strike what they say."""

import json
from random import Random  # noqa: TID251 - what a weather is made of
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.chaos import settling
from tests.chaos.faults.base import MAX_PENDING_FAULTS, FaultProfile
from tests.chaos.faults.bursts import FaultBursts
from tests.chaos.faults.gateway_pages import GatewayPages
from tests.chaos.faults.lost_answers import LostAnswers
from tests.chaos.faults.one_operation import HOW, OneOperation
from tests.chaos.faults.slow_creates import SlowCreates
from tests.chaos.faults.wrong_bodies import ANY, NO_ID, OTHERS_OWN, WITH_ID, WrongBodies
from tests.chaos.operations import CREATE_CALL, CREATES, OTHERS
from tests.chaos.site import Site
from tests.simulator.faults import Fault
from tests.simulator.simulator import Simulator

MAKES = {*CREATES, CREATE_CALL}
OPERATIONS = {*MAKES, *OTHERS}
ID = "6b3cb0c2-0001-4f5e-8a51-9f2a7c1d0e4f"
ANSWERS: dict[str, dict[str, Any]] = {
    "createParticipant": {"participant": {"id": ID}, "token": "secret"},
    "createSession": {"id": ID, "tag": "a"},
    "createCall": {"to": "+15550001111", "callId": ID},
}


def strikes(weather: FaultBursts, spells: int = 60) -> list[Fault]:
    """Of twenty requests of each operation in each spell."""
    found: list[Fault | None] = []
    for _ in range(spells):
        assert weather.begin_burst() or isinstance(weather, SlowCreates)
        found += [weather.fault_for(operation) for operation in sorted(OPERATIONS) for _ in range(20)]
    return [fault for fault in found if fault is not None]


def test_pages_strike_everything_in_every_way() -> None:
    faults = strikes(GatewayPages(Random(1)))
    assert {(one.operation, one.status) for one in faults} == {
        (operation, status) for operation in OPERATIONS for status in (200, 404, 502, 503, 504)
    }
    assert all(one.page for one in faults)
    assert {one.operation for one in faults if one.executed} == OPERATIONS
    assert not [one for one in faults if one.operation in MAKES and one.executed and one.status == 404]


def test_one_operation_fails_at_a_time_and_all_have_their_turn() -> None:
    weather = OneOperation(Random(1))
    for _ in range(3):
        spells = [{one.operation for one in strikes(weather, 1)} for _ in OPERATIONS]
        assert [len(one) for one in spells] == [1] * len(OPERATIONS)
        assert set.union(*spells) == OPERATIONS


def test_one_operation_fails_in_every_way() -> None:
    faults = strikes(OneOperation(Random(1)), 200)
    ways = {str(one.status) if one.status else "reset" if one.reset else "slow" for one in faults}
    assert ways == {*HOW}
    # What has no name of ours is made only if its answer goes out.
    assert not [one for one in faults if one.operation in CREATES and one.executed]


def test_slow_creates_are_carried_out_and_nothing_else_is_slow() -> None:
    faults = strikes(SlowCreates(Random(1)))
    assert {one.operation for one in faults} == MAKES
    assert all(one.executed for one in faults)
    assert 0 < sum(one.hang and one.reset for one in faults) < len(faults) / 10
    delays = [one.delay for one in faults if not one.hang]
    assert min(delays) < 1
    assert 50 < max(delays) < 60


def test_answers_of_everything_are_lost() -> None:
    faults = strikes(LostAnswers(Random(1)))
    assert {one.operation for one in faults} == OPERATIONS
    assert all(one.reset and one.executed for one in faults)


def test_bodies_of_everything_are_wrong_in_every_way() -> None:
    faults = strikes(WrongBodies(Random(1)), 400)
    assert {one.operation for one in faults} == OPERATIONS
    own = [NO_ID, WITH_ID, OTHERS_OWN]
    assert {(one.operation, one.name) for one in faults} == {
        *((operation, name) for operation in OPERATIONS for name in ANY),
        *((operation, name) for table in own for operation, names in table.items() for name in names),
    }
    assert not [one.name for one in faults if ", " in one.name], "the judge splits there"


@pytest.mark.parametrize("operation", sorted(MAKES))
def test_an_id_is_in_a_wrong_body_or_it_is_not(operation: str) -> None:
    answer = ANSWERS[operation]
    for name, rewrite in WITH_ID[operation].items():
        assert f'"{ID}"' in _text(rewrite(answer)), name
    for name, rewrite in {**ANY, **NO_ID[operation]}.items():
        assert ID not in _text(rewrite(answer)), name


def test_faults_on_order_do_not_pile_up() -> None:
    """While the store is away nothing is asked of Bandwidth."""
    simulator = Simulator()
    weather, site = FaultProfile(Random(1)), cast("Site", SimpleNamespace(simulator=simulator))
    for _ in range(MAX_PENDING_FAULTS):
        assert weather.may_add_fault(site, "createSession")
        simulator.faults.add("createSession", status=503)
    assert not weather.may_add_fault(site, "createSession")
    assert weather.may_add_fault(site, "createParticipant")
    assert simulator.faults.take("createSession") is not None
    assert weather.may_add_fault(site, "createSession")


def _text(body: Any) -> str:
    return body.decode(errors="replace") if isinstance(body, bytes) else json.dumps(body)


async def test_what_bandwidth_has_yet_to_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[Any] = []
    looks = 0

    async def leaked(_site: Site) -> set[str]:
        nonlocal looks
        looks += 1
        if looks == 3:
            requests.append(SimpleNamespace(created=ID))
        return {ID}

    async def owed(_site: Site) -> list[str]:
        return []

    monkeypatch.setattr(settling, "STILL", 0.0)
    monkeypatch.setattr(settling, "leaked", leaked)
    monkeypatch.setattr(settling, "owed", owed)
    ledger = SimpleNamespace(alive=lambda: SimpleNamespace(calls=(), legs=()))
    simulator = SimpleNamespace(phones=[], ledger=ledger, requests=requests)
    await settling.settle(cast(Site, SimpleNamespace(simulator=simulator)), 5.0)
    assert looks > 3, "it has given up before the answer"
