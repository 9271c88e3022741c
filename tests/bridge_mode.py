"""Two legs, as tests look at them: what was said about them, and which of them ran the bridge."""

import xml.etree.ElementTree as ET
from typing import Any

from tests.simulator.journal import Delivery, Request
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator


def verbs(document: bytes | str | None, name: str) -> list[ET.Element]:
    """Elements of this name in a document, wherever they stand."""
    return [] if not document else list(ET.fromstring(document).iter(name))


def replies_with_verb(simulator: Simulator, name: str) -> list[tuple[Delivery, ET.Element]]:
    """Replies with such a verb in it, and who was answered with it."""
    return [
        (delivery, verb)
        for delivery in simulator.deliveries
        if delivery.synchronous and delivery.status == 200
        for verb in verbs(delivery.reply, name)
    ]


def requests(simulator: Simulator, operation: str) -> list[Request]:
    return [one for one in simulator.requests if one.operation == operation]


def leg_requests(simulator: Simulator) -> list[Any]:
    """The bodies of all createCalls into WebRTC."""
    return [
        one.body for one in requests(simulator, "createCall") if one.body["to"] == simulator.interconnect.uri
    ]


def leg_of(phone: Phone, simulator: Simulator) -> Phone:
    """The call of ours that the phone is bridged with."""
    assert phone.leg is not None, phone
    return simulator.phone(phone.leg.call_id)


async def joined_again(simulator: Simulator, phone: Phone, participant_id: str | None) -> None:
    await simulator.until(
        lambda: phone.stage == "bridged" and phone.participant_id not in {None, participant_id},
        what="joined again",
    )


def delay_create_call(simulator: Simulator) -> None:
    """The next createCall makes its call at once, and says so later: the call's webhooks overtake it."""
    simulator.faults.add("createCall", delay=0.1, executed=True)
