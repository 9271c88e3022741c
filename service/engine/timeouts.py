"""Defines how long the engine waits for each thing. Tests use shorter times."""

from typing import Final

import msgspec

from service.calls.looks import Threshold
from service.store.rooms import ABSENT_TIMEOUT, OLD_SESSION_GRACE, ROLL_OVER_AFTER, UNUSED_TIMEOUT

MINUTE: Final = 60.0
HOUR: Final = 3600.0


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds."""

    create_call_wait: float = 10.0
    """By whoever asked for an outbound call, until Bandwidth answers."""
    dial_grace: float = 6 * MINUTE
    """Beyond its ringing, until its webhooks are given up: a call may be queued for five minutes before it is
    dialed (voice API, rate limits)."""
    session_max_age: float = ROLL_OVER_AFTER
    """Until a room gets a new session."""
    old_session_grace: float = OLD_SESSION_GRACE
    """Until the one that was replaced is deleted."""
    join_check: float = 20.0
    """Until a call is asked after that should be in its room, or on its way there, by now."""
    transfer_check: float = 30.0
    """Until one is asked after whose leg into WebRTC has not answered."""
    idle_check: float = 15 * MINUTE
    """Until one is asked after of which nothing has to be heard; twice as long each time, up to
    `idle_check_max`.
    """
    idle_check_max: float = 2 * HOUR
    not_found_grace: float = 30 * MINUTE
    """For which Bandwidth has to say that it does not know a call, at five looks, until it is over. An ended
    one stays known for 7 days, and a new one may take minutes to appear (voice API, getCallState)."""
    vanished_grace: float = 4.0
    """For which a session or a participant is not found, at three looks, until it is taken for gone."""
    unanswered_grace: float = 10 * MINUTE
    """For which what is to be ended is not known, or somebody other than Bandwidth answers, five times, until
    it is struck off."""
    not_in_store_grace: float = 15.0
    """For which the store does not have what an effect is about, at three looks, until it is struck off."""
    worker_lease: float = 45.0
    """For which a worker holds an owner of effects without a sign of life: more than the slowest takes."""
    prepared_lifetime: float = 20 * MINUTE
    """For which a participant that was made ahead may be handed out. How long its token lasts is not said
    anywhere; with the 25 minutes for which a transfer is repeated this is less than an hour."""
    unused_seat: float = UNUSED_TIMEOUT
    """For which a seat is kept for a browser that was never heard of."""
    browser_absence: float = ABSENT_TIMEOUT
    """Of silence, until a browser counts as gone."""
    feed_heartbeat: float = 15.0
    """To live news when there is none, until there is a sign of life; proxies wait for 30 s or a minute."""
    store_check: float = 10.0
    """Between two looks whether the store has lost something."""
    deleted_retention: float = 15 * MINUTE
    """For which what was deleted, such as a spent token, may be in the file of the embedded store."""
    erased_retention: float = MINUTE
    """The same for a call that was erased."""
    min_leg_duration: float = 5.0
    """For which a leg into WebRTC has to last to have been talked on; one that ends before is replaced."""
    unscheduled_scan: float = 5 * MINUTE
    """In which all calls and rooms are looked through once, for those that owe nothing and should."""
    orphan_grace: float = 5 * MINUTE
    """For a participant in a session that has no seat in its room, until it is taken out."""

    @property
    def not_found_limit(self) -> Threshold:
        return Threshold(5, self.not_found_grace)

    @property
    def vanished_limit(self) -> Threshold:
        return Threshold(3, self.vanished_grace)

    @property
    def not_in_store_limit(self) -> Threshold:
        return Threshold(3, self.not_in_store_grace)

    @property
    def unanswered_limit(self) -> Threshold:
        return Threshold(5, self.unanswered_grace)


DEFAULT_TIMEOUTS: Final = Timeouts()
