"""What operators have laid down for calls and rooms, as far as it may end a call.

A call may have a time limit, and may not be meant for machines. A room may be full with fewer members than
Bandwidth's limit, and may hang up on the last who is in it.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.chaos.alone import spans_alone
from tests.chaos.call_histories import CallHistories, CallHistory
from tests.chaos.room_members import MEMBERS, full_rooms_of
from tests.chaos.times import NEVER
from tests.simulator.detection import MACHINES

if TYPE_CHECKING:
    from tests.chaos.api import OperatorRequest
    from tests.chaos.evidence import Evidence

CALL_LIMIT: Final = "CALL_LIMIT"
TOLERANCE: Final = 1.0
"""Seconds: what is shared is kept to about a second of what has passed."""


class _Put(msgspec.Struct, frozen=True):
    """Settings that a room was given. Times are monotonic seconds."""

    sent_at: float
    over: float
    """NEVER where nobody knows whether they were taken."""
    settings: Mapping[str, Any]


class RoomSettingsHistory:
    """What each room may have been set to do, and when."""

    def __init__(self, asked: Iterable["OperatorRequest"]) -> None:
        self._puts: dict[str, list[_Put]] = defaultdict(list)
        for one in asked:
            room = one.path.removeprefix("/rooms/")
            if one.method != "PUT" or room == one.path or "/" in room:
                continue
            if one.status is None or one.status < 300 or one.status >= 500:
                ends = one.answered_at if one.status is not None and one.status < 300 else NEVER
                self._puts[room].append(_Put(one.sent_at, ends, one.body))

    def settings_between(self, room: str, since: float, until: float) -> list[Mapping[str, Any]]:
        """All that the room may have been set to in this time."""
        puts = self._puts.get(room, [])
        latest = max((one.sent_at for one in puts if one.over <= since), default=0.0)
        return [one.settings for one in puts if one.sent_at <= until and one.over >= latest]

    def limit(self, room: str, since: float, until: float) -> int:
        """The smallest number of members with which it may have been full in this time."""
        return min(
            [MEMBERS, *(int(one.get("limit", MEMBERS)) for one in self.settings_between(room, since, until))]
        )


class ConfiguredLimits:
    def __init__(self, evidence: "Evidence", histories: CallHistories) -> None:
        self._arrivals = histories.arrivals
        self._placed = {
            str(one.body["to"]): one.body
            for one in evidence.operator_requests
            if (one.method, one.path) == ("POST", "/calls")
        }
        self._limit = min(float(one.settings.get(CALL_LIMIT) or NEVER) for one in evidence.fleet.addresses)
        self._rooms = RoomSettingsHistory(evidence.operator_requests)
        self._full = full_rooms_of(evidence)
        self._browsers = _browsers(evidence)
        self._alone = spans_alone(evidence, histories)

    def seconds(self, history: CallHistory) -> float:
        """For which a call may last; NEVER where it has no limit."""
        return min(self._limit, float(self.options(history).get("maxDuration") or NEVER))

    def is_time_up(self, history: CallHistory, at: float) -> bool:
        limit, began = self.seconds(history), history.began
        return limit < NEVER and began < NEVER and at - began >= limit - TOLERANCE

    def ends_for_machine(self, history: CallHistory, until: float) -> bool:
        """Whether Bandwidth had said by then that a machine took a call that is not for machines."""
        wanted = self.options(history).get("machineDetection") or {}
        return wanted.get("then") in {"hangup", "message"} and any(
            one.payload.get("machineDetectionResult", {}).get("value") in MACHINES
            for one in history.deliveries
            if one.sent_at <= until
        )

    def message(self, history: CallHistory) -> str:
        """What is said to a machine; empty for nothing."""
        wanted = self.options(history).get("machineDetection") or {}
        return str(wanted.get("message", "")) if wanted.get("then") == "message" else ""

    def is_full(self, history: CallHistory, since: float, until: float) -> bool:
        """Whether one of its rooms may have been full by then, since it was sent there."""
        if self._full is not None:
            return any(self._full.was_full(room, history.sent_to(room), until) for room in history.rooms)
        # Without a journal nobody knows when somebody was out: whoever has come may be there still.
        for room in history.rooms:
            came = bisect_right(self._arrivals[room], until) + bisect_right(
                self._browsers.get(room, []), until
            )
            # One that comes back may meet its own seat, which has yet to be cleared.
            others = came if history.bridged_at <= until else came - 1
            if others >= self._rooms.limit(room, since, until):
                return True
        return False

    def was_left(self, history: CallHistory, until: float) -> bool:
        """Whether it had been the last for long enough by then, in a room that hangs up on the last."""
        return self.seemed_left(history, min(until, history.ended_at))

    def seemed_left(self, history: CallHistory, until: float) -> bool:
        """The same for who does not know of its end: to them it is there until it is put out."""
        spans = self._alone.get(history.call_id, [])
        longest = max((min(ended, until) - since for since, ended in spans if since <= until), default=0.0)
        if not longest:
            return False
        rules = (
            one.get("alone")
            for room in history.rooms
            for one in self._rooms.settings_between(room, 0.0, until)
        )
        return any(one["then"] == "hangup" and longest >= one["after"] - TOLERANCE for one in rules if one)

    def options(self, history: CallHistory) -> Mapping[str, Any]:
        return {} if history.inbound else self._placed.get(history.to, {})


def _browsers(evidence: "Evidence") -> dict[str, list[float]]:
    """By room: when seats were asked for, in order."""
    found: dict[str, list[float]] = defaultdict(list)
    for seat in evidence.records.browsers:
        found[seat.room].append(seat.asked_at)
    for one in evidence.operator_requests:
        if one.method == "POST" and one.path.endswith("/participants") and one.status != 201:
            found[one.path.split("/")[2]].append(one.sent_at)
    return {room: sorted(times) for room, times in found.items()}
