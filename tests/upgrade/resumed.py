"""A recorded moment, brought back: the store as a release left it, and Bandwidth as it was then."""

import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from redis.asyncio import Redis

from service.store.gauges import STEP
from tests.simulator.calls import Call, CallbackTargets
from tests.simulator.events import build
from tests.simulator.phones import Phone
from tests.simulator.sessions import Participant, Session, Subscriptions
from tests.simulator.simulator import Simulator
from tests.simulator.steps import Fetch, Over
from tests.simulator.webhooks import Target, WebhookRequest

DAY = 86_400.0
_TIME = re.compile(r"(?<![\w+.-])(?:\d{13}|\d{10}(?:\.\d+)?)(?![\w.-])")
"""A number that may be a time: milliseconds or seconds since the epoch."""


class RecordedState(msgspec.Struct, frozen=True):
    """What `tests/upgrade/record.py` writes."""

    release: str
    at: float
    keys: dict[str, dict[str, Any]]
    names: dict[str, str]
    bandwidth: dict[str, list[dict[str, Any]]]


async def load(redis: Redis, recording: RecordedState, *, late: float) -> None:
    """Fill the store as if it had been recorded `late` seconds ago.

    Whatever is a time within a day of the recording is moved on by as much as has passed since.
    """
    now = time.time()  # noqa: TID251 - of the machine, as the service takes it
    moved = partial(_moved, recording.at, now - late - recording.at)
    for key, held in recording.keys.items():
        value = held["value"]
        match held["type"]:
            case "string":
                await redis.set(key, moved(value))
            case "hash":
                await redis.hset(key, mapping={name: moved(one) for name, one in value.items()})
            case "list":
                await redis.rpush(key, *map(moved, value))
            case "set":
                await redis.sadd(key, *value)
            case "zset":
                await redis.zadd(key, {name: _score(moved, score) for name, score in value})
            case "stream":
                for id_, fields in value:
                    await redis.xadd(key, fields, id=id_)
        if held["ttl"] >= 0:
            await redis.pexpire(key, max(1, held["ttl"] - int(late * 1000)))


def _score(moved: Callable[[str], str], score: float) -> float:
    """Where calls are counted by state, a time has a state in front of it."""
    state, time_ = divmod(score, STEP)
    return state * STEP + float(moved(f"{time_:.0f}"))


def _moved(at: float, shift: float, text: str) -> str:
    def one(found: re.Match[str]) -> str:
        if len(found[0]) == 13 and found[0].isdigit():
            ms = int(found[0])
            return str(ms + round(shift * 1000)) if abs(ms / 1000 - at) < DAY else found[0]
        seconds = float(found[0])
        return repr(seconds + shift) if abs(seconds - at) < DAY else found[0]

    return _TIME.sub(one, text)


class Resumed(Simulator):
    """A Bandwidth whose calls are in the middle of something."""

    def __init__(self, recording: RecordedState) -> None:
        super().__init__()
        self.recording = recording
        bandwidth = recording.bandwidth
        for session in bandwidth["sessions"]:
            self.sessions.sessions[session["id"]] = Session(**session)
        for values in bandwidth["participants"]:
            self._participant(dict(values))
        for values in bandwidth["calls"]:
            self._call(dict(values))
        for values in bandwidth["calls"]:
            if values["peer"]:
                call, peer = (self.engine.calls[id_] for id_ in (values["call_id"], values["peer"]))
                call.peer, peer.peer = peer, call

    def named(self, name: str) -> Phone:
        """The phone of a call that lived."""
        return self.phone(self.recording.names[name])

    def first(self, name: str) -> dict[str, Any]:
        """The first webhook of a call, and what it was answered; empty where a replica was killed over it."""
        call_id = self.id_of(name)
        [found] = [one for one in self.recording.bandwidth["calls"] if one["call_id"] == call_id]
        told: dict[str, Any] = found["first"]
        return told

    def id_of(self, name: str) -> str:
        return self.recording.names[name]

    async def repeated(self, name: str) -> str:
        """The first webhook of a call once more: what it is answered now."""
        first, call = self.first(name), self.named(name).call
        assert call.callbacks.first
        payload = first["payload"] if first else build("initiate", call)
        hook = WebhookRequest(payload["eventType"], call.call_id, payload, call.callbacks.first, None, 15.0)
        return (await self.webhooks.deliver_synchronously(hook)).body.decode()

    def go_on(self, name: str, event: str, verb: str, **extra: Any) -> Phone:
        """The next webhook of a phone, to the URL for it in the verb that it is at."""
        phone = self.named(name)
        fetch = self._next(phone.call, event, verb, **extra)
        self.engine.run(phone.call, partial(self._interpreter.run, phone.call, fetch))
        return phone

    def answers(self, name: str) -> Phone:
        """A phone that rings is picked up."""
        call = self.named(name).call
        assert call.callbacks.first
        self.engine.answer(call)
        fetch = Fetch("answer", call.callbacks.first)
        self.engine.run(call, partial(self._interpreter.run, call, fetch))
        return self.named(name)

    async def leg_answers(self, name: str) -> Phone:
        """The B leg of a transfer that is under way answers, and is told to go on."""
        phone = self.named(name)
        [leg] = phone.call.live_legs
        over = await self._interpreter.conduct(leg, self._next(phone.call, "transferAnswer", "SipUri"))
        assert over is Over.RAN_OUT, "its leg was hung up"
        phone.call.peer, leg.peer = leg, phone.call
        self.engine.to_stage(leg, "bridged")
        self.engine.to_stage(phone.call, "bridged")
        return phone

    async def far_end_leaves(self, name: str, cause: str) -> Phone:
        """The B leg ends, and the phone asks what comes next."""
        phone = self.named(name)
        await phone.far_end_hangs_up(cause)
        return self.go_on(name, "transferComplete", "Transfer", cause=cause, transferTo="+15550000000")

    async def own_leg_ends(self, name: str) -> Phone:
        """The call of ours that runs the bridge with the phone ends, and the phone asks what comes next."""
        phone = self.named(name)
        leg = phone.call.peer
        assert leg is not None
        phone.call.peer = leg.peer = None
        self.engine.to_stage(phone.call, "answered")
        fetch = self._next(leg, "bridgeTargetComplete", "Bridge")
        await self.phone(leg.call_id).hang_up()
        self.engine.run(phone.call, partial(self._interpreter.run, phone.call, fetch))
        return phone

    def _next(self, call: Call, event: str, verb: str, **extra: Any) -> Fetch:
        [element] = list(ET.fromstring(call.document or "").iter(verb))
        url = element.attrib[f"{event}Url"]
        target = Target(url, element.get("username"), element.get("password"))
        if event == "transferComplete":
            extra["transferCallerId"] = call.from_
        return Fetch(event, target, None, extra)

    def _participant(self, values: dict[str, Any]) -> None:
        session, subscribed = values.pop("session_id"), values.pop("subscribed")
        one = Participant(**values, session_id=session)
        self.sessions.participants[one.id] = self.sessions._by_token[one.token] = one  # noqa: SLF001 - as it makes them
        if session is not None:
            self.sessions.sessions[session].members[one.id] = one
            one.subscriptions = Subscriptions(session if subscribed else "")

    def _call(self, values: dict[str, Any]) -> None:
        del values["peer"], values["first"]
        parent, callbacks = values.pop("parent"), values.pop("callbacks")
        first, last = (told and Target(*told) for told in (callbacks["first"], callbacks["last"]))
        call = Call(
            **values,
            account_id=self.account_id,
            call_url=f"https://voice.test/calls/{values['call_id']}",
            callbacks=CallbackTargets(first=first, last=last, timeout=callbacks["timeout"]),
            parent=self.engine.calls[parent] if parent else None,
        )
        if call.parent is not None:
            call.parent.legs.append(call)
        self.engine.calls[call.call_id] = self.engine.live[call.call_id] = call
