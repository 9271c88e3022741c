"""When a visitor's browser is out: as the visit runs out, and by an operator who comes a moment late."""

from redis.asyncio import Redis

from service.clock import SystemClock
from service.invitations import Pass, PassSigner
from tests.browsers import ApiBrowser
from tests.harness import PASSWORD, RunningService
from tests.join.visitors import invited, new_visitor, problem_kind, visitor
from tests.operators import Operator, operator_for
from tests.simulator.simulator import Simulator
from tests.test_browsers import HASTY
from tests.waiting import wait_until


async def test_a_browser_does_not_outlive_its_visit(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    """By `onConnect` alone, which is good for as long as nothing else is heard."""
    async with (
        operator_for(simulator, store_url, redis, HASTY) as (service, operator),
        visitor(service, operator) as bob,
        new_visitor(service) as ada,
    ):
        said = Pass("a" * 16, "sales", SystemClock().now() + 2.0, "all")
        ada.cookie = f"pstn_visit={PassSigner('visits', PASSWORD).sign(said)}"
        guests = [ApiBrowser(simulator, operator, {**await who.sit(), "room": "sales"}) for who in (ada, bob)]
        for guest in guests:
            assert await guest.tell(service, "onConnect") == 200
        await guests[0].gone()
        assert SystemClock().now() >= said.until
        assert await guests[1].seated()
        assert [line["why"] for line in service.log("participant.left")] == ["over"]
        assert await guests[1].leave() == 204
        await guests[1].gone()


async def test_who_has_just_come_back_is_removed_by_the_participant_of_before(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    """What an operator saw is being taken down; it is the person that is to go."""
    async with visitor(service, operator) as ada:
        first = await ada.sit()
        path = f"/rooms/sales/participants/{first['participantId']}"
        gate = simulator.gates.hold("removeParticipantFromSession")
        second = await ada.sit()
        assert (await operator.send("DELETE", path)).status_code == 204
        assert (await ada.beat(second)).status_code == 410
        refused = await ada.send("POST", "/participant", {})
        assert (refused.status_code, problem_kind(refused)) == (403, "invitation-needed")
        gate.release()
        await wait_until(lambda: not simulator.sessions.participants, what="it is there all the same")
        assert (await operator.send("DELETE", path)).status_code == 404
        assert (await ada.open(await invited(operator))).status_code == 200
