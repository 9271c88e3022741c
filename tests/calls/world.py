"""One call, the joiner, the room and the worker, as they are outside the core: small enough to be checked.

Every decision of the call goes through `World.tell`, and what must always hold is checked there.
"""

import msgspec

from service.calls.decide import decide
from service.calls.decision import Decision
from service.calls.effects import CallEffect, HangUp, LeaveRoom, Owed
from service.calls.events import (
    Arrival,
    Disconnect,
    Event,
    Joined,
    JoinFailed,
    TransferAnswer,
    TransferComplete,
    Unknown,
)
from service.calls.model import Call, Intent, Media, Phone, Status, seat_of
from service.calls.replies import Apologise, Elsewhere, Hangup, Join, KeepTag, Nothing, Transfer, Wait
from tests.calls.cues import LEASE, NOW, REF, Cue, join_failed, joined

ON_A_LEG = (Arrival, TransferAnswer, TransferComplete, Unknown)
"""Webhooks whose reply is run; an empty document would hang the leg up."""
HANGS_UP = (Hangup, Apologise)


class World:
    def __init__(self) -> None:
        self.now = NOW
        self.call: Call | None = None
        self.owed: dict[str, Owed] = {}
        self.seats: set[str] = set()
        """Reserved or taken in the room: what would be left behind."""
        self.joins: dict[int, bool] = {}
        """Attempts that are being carried out, and whether their participant is in its seat."""
        self.reserved: set[int] = set()
        self.left: set[str] = set()
        """Seats that have been given up, whether anybody had them by then or not."""
        self.elsewhere: set[int] = set()
        self.told: list[Cue] = []
        self.hung_up = False

    # What happens ---------------------------------------------------------------------------------------

    def tell(self, cue: Cue) -> None:
        event = cue(self.now)
        decision = decide(self.call, event)
        assert decide(self.call, event) == decision, "another replica decides otherwise"
        self._check(event, decision)
        self.told.append(cue)
        self.call = decision.call
        for id_ in decision.cancelled:
            self.owed.pop(id_, None)
        for owed in decision.owed:
            self.owed[owed.effect.id] = owed
        if isinstance(decision.reply, Join):
            self.hung_up = False
            self.joins[decision.reply.attempt] = False
        self._check_world()

    def reserve(self, attempt: int) -> None:
        """Once; a replica that is slow does so after others have given the seat up, and gets none."""
        if attempt not in self.reserved:
            self.reserved.add(attempt)
            self.seats |= {seat_of(REF, attempt)} - self.left

    def enter(self, attempt: int) -> None:
        """The participant takes its seat, if nobody has given it up."""
        self.joins[attempt] = seat_of(REF, attempt) in self.seats

    def finish(self, attempt: int, *, well: bool) -> None:
        entered = self.joins.pop(attempt)
        self.tell(joined(attempt) if well and entered else join_failed(attempt, "bandwidth-timeout"))

    def kill(self, attempt: int) -> None:
        """The replica dies, with a seat reserved or taken, and nobody hears the result."""
        del self.joins[attempt]
        self._check_world()

    def work(self) -> None:
        """Carry out what is owed and due, in the order in which it was written down."""
        for id_, owed in [*self.owed.items()]:
            if owed.due <= self.now:
                del self.owed[id_]
                self._perform(owed.effect)
        self._check_world()

    def end(self) -> None:
        """The phone is gone, all joins are over, and the worker is idle: nothing may be left."""
        self.now += LEASE * 10
        self.work()
        assert not self.owed, f"still owed: {self.owed}"
        assert not self.seats, f"left behind: {self.seats}"

    def _perform(self, effect: CallEffect) -> None:
        match effect:
            case LeaveRoom():
                self.seats.discard(effect.seat)
                self.left.add(effect.seat)
            case HangUp():
                self.hung_up = True

    # What must always hold ------------------------------------------------------------------------------

    def _check(self, event: Event, decision: Decision) -> None:
        before, after, reply = self.call, decision.call, decision.reply
        if after is None:
            assert before is None
            assert not decision.owed
            assert isinstance(reply, Hangup | Nothing)
            return
        assert msgspec.json.decode(msgspec.json.encode(after), type=Call) == after
        assert isinstance(after.status, Status)
        if after.live and isinstance(event, ON_A_LEG):
            assert not isinstance(reply, Nothing), "an empty document hangs up"
        if after.live and isinstance(event, Joined | JoinFailed):
            assert not isinstance(reply, Nothing), "the webhook that began the join is answered by this"
        if isinstance(reply, Transfer):
            assert after.live
            assert after.media is Media.TRANSFERRING
            assert after.intent is Intent.BRIDGE
            assert reply.attempt == after.attempt, "a transfer of an attempt that was given up"
            assert self.now < after.token_until, "a transfer whose token has expired"
        if isinstance(reply, KeepTag):
            assert reply.tag, "an empty tag"
        if isinstance(reply, Elsewhere):
            self.elsewhere.add(reply.attempt)
            assert len(self.elsewhere) == 1, "the fallback number is used twice"
        self._check_attempt(before, event, decision)
        self._check_again(event, decision)
        self._check_making(before, after, decision)
        self._check_gone(before, event, decision)

    def _check_attempt(self, before: Call | None, event: Event, decision: Decision) -> None:
        if before is None or not before.live:
            return
        if getattr(event, "attempt", before.attempt) != before.attempt:
            assert decision.call == before, "an older attempt has changed the call"
            assert not decision.drops_token
        if isinstance(decision.reply, Join) and before.media is Media.MAKING:
            assert self.now >= before.lease_until, "two attempts at a time"

    def _check_again(self, event: Event, decision: Decision) -> None:
        """The same event a second time changes nothing, and a webhook is answered to the same effect."""
        again = decide(decision.call, event)
        assert again.call == decision.call, "a duplicate has changed the call"
        if isinstance(event, Joined | JoinFailed):
            return
        expected = Wait if isinstance(decision.reply, Join) else type(decision.reply)
        same = isinstance(again.reply, HANGS_UP if expected in HANGS_UP else expected)
        assert same, f"a duplicate is answered {again.reply} after {decision.reply}"

    def _check_making(self, before: Call | None, after: Call, decision: Decision) -> None:
        attempt = before.attempt if before else 0
        assert after.attempt in {attempt, attempt + 1}, "attempts only grow"
        assert after.ref == REF
        if isinstance(decision.reply, Join):
            assert decision.reply.attempt == after.attempt == attempt + 1, "a join under an old number"
            assert after.media is Media.MAKING
            assert after.live
        if after == before:
            assert not isinstance(decision.reply, Join), "made without being written down"

    def _check_gone(self, before: Call | None, event: Event, decision: Decision) -> None:
        after = decision.call
        assert after is not None
        if isinstance(event, Disconnect):
            assert after.phone is Phone.GONE, "still there after its disconnect"
        if after.live:
            assert before is None or before.live, "back from the dead"
            assert after.outcome is None
            return
        assert after.outcome is not None
        assert after.intent is Intent.HANGUP
        assert all(isinstance(owed.effect, LeaveRoom) for owed in decision.owed)
        if before is not None and not before.live:
            assert isinstance(decision.reply, Hangup | Nothing), "told something after the end"
            assert after.outcome == before.outcome
            assert after.attempt == before.attempt, "made for a phone that is gone"
        if after.attempt == 0:
            assert not decision.owed, "a tombstone has made nothing"

    def _check_world(self) -> None:
        call = self.call
        if call is None:
            assert not self.owed
            assert not self.seats
            return
        for seat in self.seats:
            self._check_seat(call, seat)
        if not call.live:
            assert not {"hang-up", "redirect-phone"} & set(self.owed), "the phone is gone"
        elif call.intent is Intent.HANGUP:
            assert "hang-up" in self.owed or self.hung_up, "nobody hangs up"
        elif call.media is not Media.LEAVING:
            assert "hang-up" not in self.owed, "somebody who is not to be is hung up"

    def _check_seat(self, call: Call, seat: str) -> None:
        """Somebody is answerable for it: the live call's present attempt, its join, or owed work."""
        in_use = call.live and seat == call.seat and call.media not in {Media.NONE, Media.LEAVING}
        joining = any(seat == seat_of(REF, attempt) for attempt in self.joins)
        assert in_use or joining or f"leave-room:{seat}" in self.owed, f"nobody gives up {seat}"
