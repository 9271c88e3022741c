"""Shares one connection among all: what is sent in one turn of the loop goes out in one write.

A connection for each command costs a task, two timeouts and a write each time. Scripts are short, and the
server runs one after the other anyway. What makes a server wait (WAIT) must not come this way.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Final, NamedTuple

import hiredis
from redis._parsers import BaseParser
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeout

from service.store.redis.scripts import Result, Value
from service.tasks import Tasks

_WATCHED: Final = 0.25
"""Share of the time limit between two looks at who waits."""
_NOTHING_YET: Final = object()


_CONNECT_TRIES: Final = 2
"""Connections that are begun for those who wait, where the first is given up while it is made."""


class _PendingReply(NamedTuple):
    since: float
    results: list[Result]
    wanted: int
    future: "asyncio.Future[list[Result]]"


class SharedConnection:
    """Connects with the first command, and anew after trouble. Raises the client library's exceptions.

    Who gives up waiting takes nothing from the others: the answer is read and dropped.
    """

    def __init__(
        self,
        new_connection: Callable[[], AbstractConnection],
        timeout: float,
        on_lost: Callable[[], None],
    ) -> None:
        """`new_connection` makes one that is not connected and has no time limit of its own.

        `timeout`: seconds, for connecting, and for the answer to whoever waits longest. `on_lost` is called
        when the connection shows that another server may be master: it broke in use, or it takes no writes.
        """
        self._new_connection = new_connection
        self._timeout = timeout
        self._on_lost = on_lost
        self._drops = 0
        self._current: _Connection | None = None
        self._tasks = Tasks()
        self._connecting: asyncio.Task[_Connection | Exception] | None = None

    async def send(self, commands: Sequence[tuple[Value, ...]]) -> list[Result]:
        """The answers, an error that the server answers with in the place of its command."""
        wire = self._current
        if wire is None or wire.is_broken:
            wire = await self._connect_once()
        return await wire.send(commands)

    def drop(self) -> None:
        """The next command goes over a connection that is not begun yet."""
        self._drops += 1
        if self._current is not None:
            self._current.fail(RedisConnectionError("the connection is given up"))

    async def _connect_once(self) -> "_Connection":
        """What comes of the one attempt that is under way, for everybody who waits for it.

        One after the other each would wait for a server that takes connections and says nothing.
        """
        if self._connecting is None or self._connecting.done():
            start = partial(self._tasks.start, self._connect(), name="store.connect")
            self._connecting = Context().run(start)
        found = await asyncio.shield(self._connecting)
        if isinstance(found, Exception):
            raise _copy_error(found) from found
        return found

    async def _connect(self) -> "_Connection | Exception":
        given_up = RedisConnectionError("the connection was given up while it was made")
        for _ in range(_CONNECT_TRIES):
            drops = self._drops
            try:
                wire = await self._open(self._new_connection())
            except Exception as error:  # noqa: BLE001 - whatever it is, everybody who waits is told
                return (
                    RedisTimeout("Timeout connecting to server") if isinstance(error, TimeoutError) else error
                )
            if drops == self._drops:
                self._current = wire
                return wire
            # It was asked who is master before that changed. A failover tells of itself twice.
            wire.fail(given_up)
        return given_up

    async def _open(self, connection: AbstractConnection) -> "_Connection":
        try:
            async with asyncio.timeout(self._timeout):
                await connection.connect()  # type: ignore[no-untyped-call]
            return _Connection(connection, self._timeout, self._on_lost)
        except BaseException:
            with suppress(Exception):
                await connection.disconnect(nowait=True)
            raise


class _Connection(asyncio.Protocol):
    """A connection until the first thing that goes wrong with it; everybody who waits then learns what.

    The client library connects; from then on what arrives is read here. Its own reading and writing took a
    task for each write and several coroutines for each answer, a tenth of what a join cost.
    """

    def __init__(self, connection: AbstractConnection, timeout: float, on_lost: Callable[[], None]) -> None:
        """Raises ConnectionError for a connection that is closed by now."""
        writer = connection._writer  # noqa: SLF001 - it gives its transport to nobody
        if writer is None or writer.is_closing():
            raise RedisConnectionError("Connection closed by server")
        self.is_broken = False
        self._connection = connection
        self._timeout = timeout
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=BaseParser.parse_error, notEnoughData=_NOTHING_YET
        )
        self._outgoing: list[bytes] = []
        self._pending: deque[_PendingReply] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._empty_context = Context()
        """What is done for all belongs to no call, neither in the log nor in a tally."""
        self._tasks = Tasks()
        self._transport = writer.transport
        self._transport.set_protocol(self)

    async def send(self, commands: Sequence[tuple[Value, ...]]) -> list[Result]:
        if self.is_broken:
            # Between the end of connecting and the turn of those who have waited for it: nobody would answer.
            raise RedisConnectionError("the connection is given up")
        answered: asyncio.Future[list[Result]] = self._loop.create_future()
        if not self._outgoing:
            self._loop.call_soon(self._write, context=self._empty_context)
        # The client library's own packing takes six times as long.
        self._outgoing += [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type] # its stub wants one word
        self._pending.append(_PendingReply(self._loop.time(), [], len(commands), answered))
        if self._timer is None:
            self._check_timeout()
        return await answered

    def fail(self, error: Exception) -> None:
        if self.is_broken:
            return
        self.is_broken = True
        if self._timer is not None:
            self._timer.cancel()
        waiting, self._pending = self._pending, deque()
        for one in waiting:
            if not one.future.done():
                one.future.set_exception(_copy_error(error))
        # What is still to be sent is not: it would run whenever the server comes back to itself.
        self._transport.abort()
        start = partial(self._tasks.start, self._close(), name="store.close")
        self._empty_context.copy().run(start)

    async def _close(self) -> None:
        """For the client library's own books."""
        with suppress(Exception):
            await self._connection.disconnect(nowait=True)

    def _write(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if not self.is_broken:
            self._transport.write(b"".join(outgoing))

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (result := self._reader.gets()) is not _NOTHING_YET:
                if not isinstance(result, hiredis.PushNotification):
                    self._receive(result)
        except Exception as error:  # noqa: BLE001 - whatever it is, everybody who waits is told
            self._fail_and_report(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Also while nobody waits: that the server has closed it is then known before it is used."""
        self._fail_and_report(exc or RedisConnectionError("Connection closed by server"))

    def _fail_and_report(self, error: Exception) -> None:
        """An idle connection that is closed says nothing of the master: servers close those that are old."""
        in_use = bool(self._pending) or isinstance(error, ReadOnlyError)
        self.fail(error)
        if in_use:
            self._on_lost()

    def _receive(self, result: Result) -> None:
        if isinstance(result, RedisConnectionError):
            # It is loading, or wants credentials: nothing else will be answered either.
            raise result
        if isinstance(result, ReadOnlyError):
            # It was master when it was connected to. Whoever waits for this answer still gets it.
            self._loop.call_soon(self._fail_and_report, result, context=self._empty_context)
        if not self._pending:
            raise RedisConnectionError("an answer that nobody has asked for")
        first = self._pending[0]
        first.results.append(result)
        if len(first.results) == first.wanted:
            self._pending.popleft()
            if not first.future.done():
                first.future.set_result(first.results)

    def _check_timeout(self) -> None:
        """Whether somebody has waited for too long; while anybody waits, again in a moment."""
        self._timer = None
        if self.is_broken or not self._pending:
            return
        if self._loop.time() - self._pending[0].since >= self._timeout:
            self._fail_and_report(RedisTimeout("Timeout reading from the store"))
            return
        self._timer = self._loop.call_later(self._timeout * _WATCHED, self._check_timeout)


def _copy_error(error: Exception) -> Exception:
    """One for each who waits, since tracebacks are written into them; of a kind that is tried again."""
    kind = RedisTimeout if isinstance(error, TimeoutError | RedisTimeout) else RedisConnectionError
    return kind(f"{type(error).__name__}: {error}")
