"""How long things are waited for that may never come. Tests are less patient."""

from typing import Final

import msgspec

from service.calls.looks import Enough
from service.store.rooms import ABSENT, OLD_SESSION, ROLL_OVER, UNUSED

MINUTE: Final = 60.0
HOUR: Final = 3600.0


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds."""

    asked: float = 10.0
    """By whoever asked for an outbound call, until Bandwidth answers."""
    unheard: float = 6 * MINUTE
    """Beyond its ringing, until its webhooks are given up: a call may be queued for five minutes before it is
    dialed (voice API, rate limits)."""
    session: float = ROLL_OVER
    """Until a room gets a new session."""
    old_session: float = OLD_SESSION
    """Until the one that was replaced is deleted."""
    joining: float = 20.0
    """Until a call is asked after that should be in its room, or on its way there, by now."""
    transferring: float = 30.0
    """Until one is asked after whose leg into WebRTC has not answered."""
    quiet: float = 15 * MINUTE
    """Until one is asked after of which nothing has to be heard; twice as long each time, up to `longest`."""
    longest: float = 2 * HOUR
    unknown: float = 30 * MINUTE
    """For which Bandwidth has to say that it does not know a call, at five looks, until it is over. An ended
    one stays known for 7 days, and a new one may take minutes to appear (voice API, getCallState)."""
    gone: float = 4.0
    """For which a session or a participant is not found, at three looks, until it is taken for gone."""
    unanswered: float = 10 * MINUTE
    """For which what is to be ended is not known, or somebody other than Bandwidth answers, five times, until
    it is struck off."""
    missing: float = 15.0
    """For which the store does not have what an effect is about, at three looks, until it is struck off."""
    lease: float = 45.0
    """For which a worker holds an owner of effects without a sign of life: more than the slowest takes."""
    stock: float = 20 * MINUTE
    """For which a participant that was made ahead may be handed out. How long its token lasts is not said
    anywhere; with the 25 minutes for which a transfer is repeated this is less than an hour."""
    unused: float = UNUSED
    """For which a seat is kept for a browser that was never heard of."""
    absent: float = ABSENT
    """Of silence, until a browser counts as gone."""
    listening: float = 15.0
    """To live news when there is none, until there is a sign of life; proxies wait for 30 s or a minute."""
    watch: float = 10.0
    """Between two looks whether the store has lost something."""
    journal: float = 15 * MINUTE
    """For which what was deleted, such as a spent token, may be in the file of the embedded store."""
    erasures: float = MINUTE
    """The same for a call that was erased."""
    short_leg: float = 5.0
    """For which a leg into WebRTC has to last to have been talked on; one that ends before is replaced."""
    searched: float = 5 * MINUTE
    """In which all calls and rooms are looked through once, for those that owe nothing and should."""
    strangers: float = 5 * MINUTE
    """For a participant in a session that has no seat in its room, until it is taken out."""

    @property
    def over(self) -> Enough:
        return Enough(5, self.unknown)

    @property
    def vanished(self) -> Enough:
        return Enough(3, self.gone)

    @property
    def lost(self) -> Enough:
        return Enough(3, self.missing)

    @property
    def given_up(self) -> Enough:
        return Enough(5, self.unanswered)


PATIENCE: Final = Patience()
