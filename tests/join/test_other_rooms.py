"""What a visitor is told of calls that come from other rooms and go there: not what those are called."""

import json

from tests.harness import CALLEE, RunningService
from tests.join.test_more_visits import watching
from tests.join.visitors import visitor
from tests.operators import Operator, join_outbound
from tests.simulator.simulator import Simulator

SECRET = "takeover-of-acme"
DESK = "+15557650000"


async def test_no_event_names_another_room(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    """A call that goes and comes back, one that comes out of another room, and a transfer to a number."""
    phone, call = await join_outbound(simulator, operator, outbound=False)
    other = await operator.place(DESK, room=SECRET)
    desk = await simulator.called(DESK)
    await desk.until("bridged")
    async with visitor(service, operator, name="Ada") as ada:
        seat = await ada.sit()
        async with watching(ada) as heard:
            await heard.until("snapshot")
            await operator.order(call["id"], "join", room=SECRET)
            gone = await heard.until("call", id=call["id"], room=None)
            await heard.until("participant", call=call["id"], state="left")
            await operator.arrives(call["id"], SECRET)
            await operator.order(call["id"], "join", room="sales")
            await heard.until("call", id=call["id"], room="sales")
            await heard.until("participant", call=call["id"], state="in")
            await operator.order(other["id"], "join", room="sales")
            await heard.until("call", id=other["id"], room="sales")
            await operator.arrives(other["id"], "sales")
            await operator.order(other["id"], "transfer", to=CALLEE)
            await heard.until("participant", call=other["id"], state="left")
            await phone.hang_up()
            await heard.until("call", id=call["id"], state="ended")
        await ada.leave(seat)
    await desk.hang_up()
    assert gone["state"] == "bridged", "the rest is told as it is"
    rooms = {one.data["room"] for one in heard.heard}
    assert rooms == {"sales", None}
    assert SECRET not in json.dumps([one.data for one in heard.heard])
