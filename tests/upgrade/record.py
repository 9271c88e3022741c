"""Records what a release leaves in its store, for later releases to go on with.

Run it in the tree of the release that is recorded, with a Python that has what it needs:

    cd TREE && PYTHONPATH=. PYTHON tests/upgrade/record.py NAME FILE

Calls are brought into every state that can be stored. What a worker would carry out at once is asked for
while no worker runs, so that it is still owed when the replica is killed.
"""

import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from service.store.redis.embedded import EmbeddedServer
from tests.browsers import add_browser
from tests.harness import API_KEY, API_KEYS, NUMBER, ORIGIN, PASSWORD, USERNAME
from tests.operators import Operator
from tests.processes import environment, replica
from tests.simulator.calls import Call
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.simulator.webhooks import Target
from tests.waiting import wait_until

ROOMS = ["sales", "solo", "legs", "club", "lobby", "doomed", "worn", "target"]
NUMBERS = {room: f"+1555111000{number}" for number, room in enumerate(ROOMS)}
SETTINGS: dict[str, dict[str, Any]] = {
    "solo": {"alone": {"after": 30, "then": "hangup"}},
    "legs": {"interconnect": "bridge"},
    "club": {"waiting": {"sound": "ring"}},
    "lobby": {"waiting": {"sound": "message", "message": "Just you so far."}},
    "coded": {"pin": "73915", "announcement": "Welcome.", "limit": 5},
}
FAILING = {"emptied": "deleteSession", "leaving": "deleteParticipant"}
CALL_FIELDS = [
    *("call_id", "to", "from_", "application_id", "direction", "stage", "tag", "sip_call_id", "document"),
    *("enqueued_time", "start_time", "answer_time", "ring_seconds"),
    *("participant_id", "transfer_caller_id", "transfer_to"),
]


def settings_of(simulator: Simulator, store: str) -> dict[str, str]:
    """Of the recorded service, and of the one that goes on."""
    return environment(
        simulator,
        REDIS_URL=store,
        BW_VOICE_APPLICATION_ID=simulator.application_id,
        BW_NUMBER=NUMBER,
        OUTBOUND_PREFIXES="+1",
        HOLD_LIMIT="600",
        API_KEYS=API_KEYS,
        PIN_NUMBERS=NUMBER,
        ROOM_MAP=json.dumps({number: room for room, number in NUMBERS.items()}),
    )


class Recorder:
    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.phones: dict[str, Phone] = {}
        self.operator: Operator
        self._dialed = 0

    async def dial(self, name: str, to: str = "+15551119999") -> Phone:
        self._dialed += 1
        to = NUMBERS.get(to, to)
        phone = self.phones[name] = await self.simulator.dial(to=to, from_=f"+1555222{self._dialed:04}")
        return phone

    async def bridged(self, name: str, room: str = "") -> Phone:
        phone = await self.dial(name, *[room] if room else [])
        await phone.until("bridged")
        await self.operator.until(phone.call_id, "bridged")
        return phone

    async def placed(self, name: str, **more: Any) -> Phone:
        """An outbound call; `ring` where nobody answers for the time being."""
        self._dialed += 1
        to = f"+1555333{self._dialed:04}"
        if more.pop("ring", False):
            self.simulator.numbers[to] = "ring"
        await self.operator.place(to=to, callTimeout=300, **more)
        self.phones[name] = phone = await self.simulator.called(to)
        return phone

    async def order(self, name: str, what: str, **body: Any) -> None:
        await self.operator.order(self.phones[name].call_id, what, **body)

    async def quiet(self) -> None:
        """All that a worker is to do is done."""
        for name, settings in SETTINGS.items():
            await self.operator.ask("PUT", f"/rooms/{name}", settings)
        for name in ("bridged", "chosen"):
            await self.bridged(name, "sales")
        for name in ("two-legs", "leg-let-go"):
            await self.bridged(name, "legs")
        for name in ("doomed", "doomed-too"):
            await self.bridged(name, "doomed")
        for name in ("worn", "worn-too"):
            await self.bridged(name, "worn")
        for name in ("held", "joins", "moving", "removed", "let-go", "sent-away", "gone"):
            await self.bridged(name)
        for name in ("held", "joins"):
            await self.order(name, "hold")
            await self.phones[name].hears("Please hold")
        for name in ("club", "lobby"):
            outside = await self.dial(f"outside-{name}", name)
            await self.simulator.until(lambda phone=outside: phone.sounds != [])  # type: ignore[misc]
        # Nobody enters any; that is not to be told.
        self.simulator.gates.hold("webhook:gather")
        await (await self.dial("asked", NUMBER)).hears("conference code")
        await self.order_elsewhere()
        await self.placed("dialing", room="out", ring=True)
        prepared = await self.placed("prepared", room="prepared", prepare="dial", ring=True)
        await self.simulator.until(lambda: len(self.simulator.sessions.participants) > 0)
        await self.settles(prepared, lambda call: bool(call["participantId"]))
        timed = await self.placed("timed", room="timed", maxDuration=40)
        await timed.until("bridged")
        await (await self.placed("long", room="timed", maxDuration=400)).until("bridged")
        await add_browser(self.simulator, self.operator, "watched")
        await self.bridged("alone", "solo")
        await (await self.bridged("left-alone", "solo")).hang_up()
        await (await self.bridged("ended")).hang_up()
        await self.settles(self.phones["ended"], lambda call: call["state"] == "ended")

    async def order_elsewhere(self) -> None:
        phone = await self.bridged("elsewhere")
        await self.order("elsewhere", "transfer", to="+15554440000")
        await self.simulator.until(
            lambda: phone.stage == "bridged" and phone.leg is not None and phone.participant_id is None
        )

    async def settles(self, phone: Phone, there: Callable[[dict[str, Any]], bool]) -> None:
        async def settled() -> bool:
            return there(await self.operator.call(phone.call_id))

        await wait_until(settled)

    async def failing(self) -> None:
        """What a worker tries in vain."""
        for name, operation in FAILING.items():
            phone = await self.bridged(name)
            self.simulator.faults.add(operation, status=503, times=None)
            await phone.hang_up()
            await self.simulator.until(
                lambda operation=operation: (
                    (operation, 503)  # type: ignore[misc]
                    in [(one.operation, one.status) for one in self.simulator.requests]
                )
            )
        await self.repairing()

    async def repairing(self) -> None:
        """A session has vanished: its room has another by now, and its members are not in there yet."""
        simulator, session = self.simulator, self.phones["worn"].session_id
        assert session is not None
        simulator.expire_session(session)
        # Who finds it gone waits, and would be the first in the new one.
        # So do phones that hold or wait: they would learn what they are to be told.
        simulator.gates.hold("webhook:redirect")
        repairer = await self.dial("repairer", "worn")
        await simulator.until(lambda: "<Redirect" in (repairer.call.document or ""))
        simulator.faults.add("addParticipantToSession", status=503, times=None)
        await simulator.until(
            lambda: (
                {one.status for one in simulator.requests if one.operation == "addParticipantToSession"}
                >= {404, 503}
            ),
            timeout=30.0,
        )

    async def unattended(self) -> None:
        """What no worker comes to do."""
        simulator = self.simulator
        simulator.faults.clear()
        chosen, heard = self.phones["chosen"].call_id, self.phones["bridged"].participant_id
        await self.operator.ask("PUT", f"/calls/{chosen}/subscriptions", {"hears": [heard]})
        await self.order("joins", "join", room="target")
        await self.order("moving", "join", room="target")
        await self.order("removed", "hold")
        await self.order("let-go", "hangup")
        await self.order("leg-let-go", "hangup")
        await self.order("sent-away", "transfer", to="+15554440001")
        await self.phones["gone"].hang_up()
        await self.settles(self.phones["gone"], lambda call: call["state"] == "ended")
        await self.operator.send("DELETE", "/rooms/doomed")
        await self.summons()
        await (await self.placed("named", room="named")).until("bridged")

    async def summons(self) -> None:
        """Somebody who does not wait comes in: a call that is moved there."""
        await self.placed("company", room="lobby")
        await self.phones["company"].until("bridged")

    async def under_way(self) -> None:
        """What is cut off in the middle."""
        answers = self.simulator.gates.hold("webhook:transferAnswer")
        await self.dial("transferring")
        await answers.reached()
        creates = self.simulator.gates.hold("createParticipant")
        await self.dial("joining", "sales")
        await creates.reached()


async def record(release: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bridge-record-") as directory:
        server = EmbeddedServer(Path(directory))
        url = await server.start()
        try:
            async with Simulator() as simulator:
                application = simulator.application
                application.initiate_url = application.status_url = f"{ORIGIN}/callbacks/voice"
                application.username, application.password = USERNAME, PASSWORD
                recorder = Recorder(simulator)
                bandwidth = await recorded(recorder, settings_of(simulator, url))
                return {
                    "release": release,
                    "at": time.time(),  # noqa: TID251 - of the machine, as in what the service has written
                    "keys": await dumped(url),
                    "names": {name: phone.call_id for name, phone in recorder.phones.items()},
                    "bandwidth": bandwidth,
                }
        finally:
            await server.stop()


async def recorded(recorder: Recorder, settings: dict[str, str]) -> dict[str, Any]:
    """What lives at Bandwidth when the last replica is killed."""
    simulator = recorder.simulator
    async with replica(settings) as worker, replica(settings, "--no-worker") as other:
        simulator.map_origin(ORIGIN, worker.url)
        async with Operator.at(worker.url, API_KEY) as recorder.operator:
            await recorder.quiet()
            await recorder.failing()
        simulator.map_origin(ORIGIN, other.url)
        worker.signal(signal.SIGTERM)
        await worker.ended()
        async with Operator.at(other.url, API_KEY) as recorder.operator:
            await recorder.unattended()
            await recorder.under_way()
        found = snapshot(simulator)
        other.signal(signal.SIGKILL)
        await other.ended()
    return found


async def dumped(url: str) -> dict[str, Any]:
    """Every key: its type, its value, and the milliseconds it has left (-1: it stays)."""
    found = {}
    async with Redis.from_url(url, decode_responses=True) as redis:
        async for key in redis.scan_iter("*"):
            assert isinstance(key, str)
            kind = str(await redis.type(key))
            found[key] = {"type": kind, "value": await _value(redis, kind, key), "ttl": await redis.pttl(key)}
    return dict(sorted(found.items()))


async def _value(redis: Redis, kind: str, key: str) -> Any:
    match kind:
        case "string":
            return await redis.get(key)
        case "hash":
            return await redis.hgetall(key)
        case "list":
            return await redis.lrange(key, 0, -1)
        case "set":
            return sorted(await redis.smembers(key))
        case "zset":
            return await redis.zrange(key, 0, -1, withscores=True)
        case "stream":
            # Who looks on reads from where they were.
            return list(reversed(await redis.xrevrange(key, count=3) or ()))
    raise ValueError(f"{key} is a {kind}")


def snapshot(simulator: Simulator) -> dict[str, Any]:
    """What lives at Bandwidth."""
    sessions = simulator.sessions
    return {
        "sessions": [{"id": one.id, "tag": one.tag} for one in sessions.sessions.values()],
        "participants": [
            {
                "id": one.id,
                "token": one.token,
                "tag": one.tag,
                "callback_url": one.callback_url,
                "publish_permissions": one.publish_permissions,
                "device_api_version": one.device_api_version,
                "session_id": one.session_id,
                "subscribed": not one.subscriptions.empty,
            }
            for one in sessions.participants.values()
        ],
        "calls": [_call(simulator, call) for call in simulator.engine.calls.values() if not call.ended],
    }


def _call(simulator: Simulator, call: Call) -> dict[str, Any]:
    told = [one for one in simulator.deliveries if one.call_id == call.call_id and one.synchronous]
    return {
        **{field: getattr(call, field) for field in CALL_FIELDS},
        "parent": call.parent and call.parent.call_id,
        "peer": call.peer and call.peer.call_id,
        "callbacks": {
            "first": _target(call.callbacks.first),
            "last": _target(call.callbacks.last),
            "timeout": call.callbacks.timeout,
        },
        "first": {"payload": told[0].payload, "reply": told[0].reply.decode()} if told else {},
    }


def _target(target: Target | None) -> list[str | None] | None:
    return None if target is None else [target.url, target.username, target.password]


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(asyncio.run(record(sys.argv[1])), indent=1) + "\n")
