"""<Transfer> with its B legs, and <Bridge> of two calls."""

from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol
from urllib.parse import urljoin
from uuid import uuid4

from tests.simulator.calls import Call, CallbackTargets, CallEngine
from tests.simulator.interconnect import Destinations
from tests.simulator.steps import Fetch, Over, fetch_of
from tests.simulator.verbs import Verb
from tests.simulator.webhooks import Target


class Unbridgeable(Exception):
    """Of the causes on the bridgeComplete page only busy is explained; when it is which other is assumed."""

    def __init__(self, cause: Literal["busy", "rejected", "unknown"], message: str) -> None:
        super().__init__(message)
        self.cause = cause


class Conductor(Protocol):
    """The part of the interpreter that is needed here."""

    async def run(self, call: Call, fetch: Fetch) -> None: ...

    async def conduct(self, call: Call, fetch: Fetch | None) -> Over | None: ...


class Transfers:
    def __init__(self, engine: CallEngine, destinations: Destinations, conductor: Conductor) -> None:
        self._engine = engine
        self._destinations = destinations
        self._conductor = conductor

    async def transfer(self, call: Call, verb: Verb, base_url: str) -> Fetch | None:
        """Returns when every leg has ended and the call has not: with transferComplete, or None to go on."""
        self._engine.to_stage(call, "transferring")
        legs = [self._leg(call, verb, destination, base_url) for destination in verb.children]
        for leg, destination in zip(legs, verb.children, strict=True):
            self._engine.run(leg, partial(self._ring, leg, legs, destination, base_url))
        await call.changes.until(lambda: all(leg.ended for leg in legs))
        self._engine.to_stage(call, "answered")
        # The leg that was bridged; if none was, one of them (transferComplete page).
        told = next((leg for leg in legs if leg.answer_time), legs[-1])
        return fetch_of(
            verb,
            "transferComplete",
            base_url,
            "transferComplete",
            transferCallerId=told.transfer_caller_id,
            transferTo=told.transfer_to,
            cause=told.cause,
            errorMessage=told.error_message,
            errorId=told.error_id,
        )

    def _leg(self, call: Call, verb: Verb, destination: Verb, base_url: str) -> Call:
        url = destination.get("transferDisconnectUrl")
        last = url and Target(
            urljoin(base_url, url), destination.get("username"), destination.get("password")
        )
        remote = call.from_ if call.direction == "inbound" else call.to
        return self._engine.create(
            to=call.to,
            from_=call.from_,
            application_id=call.application_id,
            direction="outbound",
            parent=call,
            transfer_caller_id=verb.get("transferCallerId") or remote,
            transfer_to=destination.text,
            tag=destination.get("tag"),
            ring_seconds=verb.seconds("callTimeout", 30),
            callbacks=CallbackTargets(first=None, last=last or None, timeout=call.callbacks.timeout),
        )

    async def _ring(self, leg: Call, legs: list[Call], destination: Verb, base_url: str) -> None:
        cause = await self._destinations.ring(leg, destination.text, destination.get("uui"))
        if cause is not None:
            self._engine.end(leg, cause, leg.error_message)
            return
        self._engine.answer(leg)
        self._engine.cancel_legs([other for other in legs if other is not leg])
        answered = fetch_of(destination, "transferAnswer", base_url, "transferAnswer")
        over = await self._conductor.conduct(leg, answered)
        if over is Over.HANGUP:
            self._engine.end(leg, "hangup")
        elif over is Over.RAN_OUT:
            self._join(leg)

    def _join(self, leg: Call) -> None:
        call = leg.parent
        if call is None:
            raise RuntimeError(f"{leg.call_id} is no leg")
        call.peer, leg.peer = leg, call
        self._engine.to_stage(leg, "bridged")
        self._engine.to_stage(call, "bridged")

    async def bridge(self, call: Call, verb: Verb, base_url: str) -> Fetch | None:
        """Returns when the target has left or could not be bridged."""
        complete = partial(fetch_of, verb, "bridgeComplete", base_url, "bridgeComplete")
        try:
            target = self._target(call, verb.text)
        except Unbridgeable as problem:
            return complete(cause=problem.cause, errorMessage=str(problem), errorId=str(uuid4()))
        # The target's BXML is cancelled the moment it is bridged (bridge verb page).
        self._engine.interrupt(target)
        self._engine.answer(target)
        call.peer, target.peer = target, call
        call.bridge_exit = self._caller_leaves(call, target, verb, base_url)
        target.bridge_exit = partial(_part, call, target)
        self._engine.to_stage(target, "bridged")
        self._engine.to_stage(call, "bridged")
        await call.changes.until(lambda: call.peer is not target)
        self._engine.to_stage(call, "answered")
        return complete(cause=None)

    def _target(self, call: Call, call_id: str) -> Call:
        target = self._engine.calls.get(call_id)
        if target is None or target is call or target.parent is not None:
            raise Unbridgeable("unknown", f"Call {call_id} is no call to bridge with")
        if target.ended:
            raise Unbridgeable("unknown", f"Call {call_id} has hung up")
        if target.peer is not None:
            raise Unbridgeable("busy", f"Call {call_id} is already bridged with another call")
        if target.direction == "outbound" and target.answer_time is None:
            raise Unbridgeable("rejected", f"Call {call_id} has not been answered")
        return target

    def _caller_leaves(self, call: Call, target: Call, verb: Verb, base_url: str) -> Callable[[], None]:
        fetch = fetch_of(verb, "bridgeTargetComplete", base_url, "bridgeTargetComplete")

        def leave() -> None:
            _part(call, target)
            if fetch is None:
                self._engine.end(target, "hangup")
            else:
                self._engine.to_stage(target, "answered")
                self._engine.run(target, partial(self._conductor.run, target, fetch))

        return leave


def _part(call: Call, target: Call) -> None:
    call.peer = target.peer = None
    call.bridge_exit = target.bridge_exit = None
    call.changes.notify()
