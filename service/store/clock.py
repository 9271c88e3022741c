"""Keeps the time that all replicas share: that of the store's server of partition 0.

Leases, deadlines and ages are compared by replicas that did not write them. They follow one clock, and not
those of the machines: one that is an hour ahead would end calls and take over work that others are at. It is
asked with each report of a replica, and goes on by itself in between.

That clock may be set, and after a failover it is another machine's. What replicas then see is a jump, as each
has counted the seconds itself. The first of them writes down by how much the server is off from what the time
should be, and all go on as if nothing had been. Keys expire by the server's own clock all the same.
"""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple

import structlog

from service.clock import Clock, SystemClock
from service.metrics import Metrics
from service.store import keys
from service.store.redis.client import Client
from service.store.redis.scripts import Result, Script
from service.store.script_values import ms, nearest_ms

_ASK: Final = Script("clock_ask")
_READ: Final = Script("clock_read")

JUMP_LIMIT: Final = 5.0
"""Seconds by which the store's clock has to be off from what it should be to have jumped."""
MACHINE_LIMIT: Final = 5.0
"""Seconds by which a machine's own clock may be off before somebody is told."""
_HOLD: Final = 10.0
"""Seconds for which time stands still at most, rather than to run back."""
_GAP_EXPLAINS: Final = 30.0
"""Seconds for which a gap explains what is seen: a replica that lives has asked by then."""
_GAP_WRITTEN: Final = 2.0
"""Seconds after a gap in which who saw a jump has written it down: whoever asked later has seen none."""

_elapsed: Final[Callable[[], float]] = partial(
    # That of Linux goes on while the machine sleeps, as the other does elsewhere.
    time.clock_gettime,
    getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC),
)

log = structlog.get_logger()


class ClockReading(NamedTuple):
    """What the store has answered, in milliseconds (clock.lua)."""

    server: int
    offset: int
    gap: int
    previous: int
    """When it was asked before."""

    @property
    def shared(self) -> float:
        """Seconds since the epoch."""
        return (self.server + self.offset) / 1000

    @property
    def is_first(self) -> bool:
        """Whether this is the answer after the gap: nobody can have seen it before."""
        return self.gap == self.server != self.previous

    @property
    def is_new(self) -> bool:
        """Whether the gap was a moment ago, and nobody has asked since who saw nothing wrong."""
        seen = self.previous - self.gap > ms(_GAP_WRITTEN)
        return 0 <= self.server - self.gap <= ms(_GAP_EXPLAINS) and not seen


class _TimedReading(NamedTuple):
    """An answer, and when it was asked for and came: the store looked at its clock some time in between."""

    reading: ClockReading
    asked_at: float
    answered_at: float

    def nearest_offset(self, ahead: float) -> float:
        """What fits the answer and is the nearest to `ahead`: by how much shared time is ahead of elapsed."""
        return min(max(ahead, self.reading.shared - self.answered_at), self.reading.shared - self.asked_at)

    @property
    def middle(self) -> float:
        return (self.asked_at + self.answered_at) / 2


class StoreClock:
    """A Clock whose `now` is the time that all replicas share; before `start` it is the machine's.

    It never runs back: where it was ahead by a little it stands still for as long.
    """

    def __init__(
        self,
        client: Client,
        *,
        machine: Clock | None = None,
        elapsed: Callable[[], float] = _elapsed,
        metrics: Metrics | None = None,
    ) -> None:
        """`elapsed`: seconds since some fixed moment, by a clock that nobody sets."""
        self._client = client
        self._machine = machine or SystemClock()
        # Asked some forty times for each join: the machine's own, without a call in between.
        self.monotonic: Callable[[], float] = self._machine.monotonic
        self._elapsed = elapsed
        self._metrics = metrics or Metrics()
        self._ahead = self._machine.now() - elapsed()
        self._floor = 0.0
        self._gap: int | None = None
        self._offset = 0
        self._warned = False
        self.machine_ahead = 0.0
        """Seconds by which the machine's own clock is ahead of the shared one."""

    def now(self) -> float:
        now = self._ahead + self._elapsed()
        return max(self._floor, now)

    async def sleep(self, seconds: float) -> None:
        await self._machine.sleep(seconds)

    async def start(self) -> None:
        """Before anything is served. Raises StoreUnavailable."""
        for _ in range(2):  # the first has the script sent as well, and says the less for it
            await self.sync(self._read_or_correct(known_offset="new"))

    async def sync(self, trip: Awaitable[Result]) -> None:
        """Go by what this trip brings: an answer of `clock_ask` in clock.lua. Raises StoreUnavailable."""
        heard = await self._read_timed(trip)
        if self._gap is None:
            self._ahead = heard.reading.shared - heard.middle
        elif (jump := self._jump_seconds(heard)) and self._is_store_jump(jump, heard.reading):
            offset = nearest_ms(self._ahead + heard.middle) - heard.reading.server
            heard = await self._read_timed(
                self._read_or_correct(known_offset=heard.reading.offset, new_offset=offset)
            )
            if self._jump_seconds(heard):
                self._offset = heard.reading.offset
                return  # it has jumped again: the next report finds it so
            log.warning(
                "clock.jumped", seconds=round(jump, 3), offset_s=round(heard.reading.offset / 1000, 3)
            )
        self._gap, self._offset = heard.reading.gap, heard.reading.offset
        self._correct(heard.nearest_offset(self._ahead))
        self._check_machine()

    def _is_store_jump(self, jump: float, reading: ClockReading) -> bool:
        """Whether its clock has jumped, and not ours: who sleeps counts too few seconds, never too many."""
        if reading.offset != self._offset and not reading.is_first:
            return False  # it has, and somebody has written that down
        return jump < 0 or (reading.gap != self._gap and reading.is_new)

    async def _read_or_correct(self, *, known_offset: int | str = 0, new_offset: int | None = None) -> Result:
        args = {"was": known_offset, "instead": "" if new_offset is None else new_offset}
        return await self._client.run(_ASK, {"clock": keys.clock()}, args)

    async def _read_timed(self, trip: Awaitable[Result]) -> _TimedReading:
        began = self._elapsed()
        told = ClockReading(*await trip)
        return _TimedReading(told, began, self._elapsed())

    def _jump_seconds(self, heard: _TimedReading) -> float:
        """Seconds by which shared time would be set on, or back; 0 where that is none to speak of."""
        seconds = heard.nearest_offset(self._ahead) - self._ahead
        return seconds if abs(seconds) > JUMP_LIMIT else 0.0

    def _correct(self, ahead: float) -> None:
        before, self._ahead = self.now(), ahead
        # Only who began with a clock that had just jumped is that far ahead, and has to go back.
        self._floor = before if before - (ahead + self._elapsed()) <= _HOLD else 0.0

    def _check_machine(self) -> None:
        """The machine's own clock is needed for nothing; but somebody should know."""
        self.machine_ahead = self._machine.now() - self.now()
        self._metrics.clock_off(self.machine_ahead)
        is_off = abs(self.machine_ahead) > MACHINE_LIMIT
        if is_off and not self._warned:
            log.warning(
                "clock.off",
                seconds=round(self.machine_ahead, 3),
                do="check NTP here and where the store runs",
            )
        elif self._warned and not is_off:
            log.info("clock.right", seconds=round(self.machine_ahead, 3))
        self._warned = is_off


class TimeRead(NamedTuple):
    shared: float
    """Seconds since the epoch."""
    offset: float
    """Seconds by which that is ahead of the clock of the store's server."""


async def read_time(client: Client) -> TimeRead:
    """What replicas go by, for who only looks. Raises StoreUnavailable."""
    server, offset = await client.run(_READ, {"clock": keys.clock()}, {})
    return TimeRead((server + offset) / 1000, offset / 1000)
