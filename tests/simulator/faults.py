"""Trouble on order: faults that strike API requests, and gates that hold a moment open for a test."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.simulator.background import Changes


class Fault:
    """Strikes `times` requests of one operation (`*`: any), None: until cleared.

    `page`: with a web page for a body, as from somebody in between and not from Bandwidth.
    `rewrite` makes another body of the answer's, of a request that had its effect; None for none.
    `executed` says whether the request had its effect before it failed. `delay` alone only slows down.
    `hang` and `reset`: it hangs until it is released, and its connection breaks then.
    `words`: what the error body says. `name`: of this kind of fault, for the journal.
    """

    def __init__(
        self,
        operation: str,
        *,
        status: int | None = None,
        times: int | None = 1,
        hang: bool = False,
        reset: bool = False,
        delay: float = 0.0,
        executed: bool = False,
        retry_after: str | None = None,
        page: bool = False,
        rewrite: Callable[[Any], Any] | None = None,
        words: str = "fault on order",
        name: str = "",
    ) -> None:
        if status is None and not hang and not reset and not delay and not rewrite:
            raise ValueError("a fault needs a status, hang, reset, delay or rewrite")
        self.operation = operation
        self.status = status
        self.remaining = times
        self.hang = hang
        self.reset = reset
        self.delay = delay
        self.executed = executed or rewrite is not None
        self.retry_after = retry_after
        self.page = page
        self.rewrite = rewrite
        self.words = words
        self.name = name
        self.hit_count = 0
        self._released = asyncio.Event()

    def __str__(self) -> str:
        """What it does, in few words."""
        does = {
            f"status {self.status}": self.status is not None,
            "hang": self.hang,
            "reset": self.reset,
            f"delay {self.delay:.2f} s": bool(self.delay),
            "another body": self.rewrite is not None,
            "web page": self.page,
            "carried out": self.executed,
            self.name: bool(self.name),
        }
        return ", ".join(word for word, true in does.items() if true)

    def release(self) -> None:
        """Let hung requests go on: they are answered as if nothing had been."""
        self._released.set()

    async def released(self) -> None:
        await self._released.wait()


class Faults:
    """`fault_for` is asked about each request that no fault on order strikes, by operation."""

    def __init__(self) -> None:
        self.fault_for: Callable[[str], Fault | None] = no_fault
        self._faults: list[Fault] = []
        self._hanging: set[Fault] = set()

    def add(
        self,
        operation: str,
        *,
        status: int | None = None,
        times: int | None = 1,
        hang: bool = False,
        reset: bool = False,
        delay: float = 0.0,
        executed: bool = False,
        retry_after: str | None = None,
        page: bool = False,
        rewrite: Callable[[Any], Any] | None = None,
        words: str = "fault on order",
        name: str = "",
    ) -> Fault:
        fault = Fault(
            operation,
            status=status,
            times=times,
            hang=hang,
            reset=reset,
            delay=delay,
            executed=executed,
            retry_after=retry_after,
            page=page,
            rewrite=rewrite,
            words=words,
            name=name,
        )
        self._faults.append(fault)
        return fault

    def pending(self, operation: str) -> int:
        """Faults on order for this operation that have more to strike."""
        return sum(fault.operation == operation for fault in self._faults)

    def take(self, operation: str) -> Fault | None:
        """The oldest fault that fits, once less to strike; or what `fault_for` says."""
        fault = next((fault for fault in self._faults if fault.operation in {operation, "*"}), None)
        if fault is not None and fault.remaining is not None:
            fault.remaining -= 1
            if fault.remaining <= 0:
                self._faults.remove(fault)
        fault = fault or self.fault_for(operation)
        if fault is not None:
            fault.hit_count += 1
            if fault.hang:
                self._hanging.add(fault)
        return fault

    def clear(self) -> None:
        """No more faults, and whatever hangs goes on."""
        self.fault_for = no_fault
        for fault in [*self._faults, *self._hanging]:
            fault.release()
        self._faults.clear()
        self._hanging.clear()


def no_fault(_operation: str) -> Fault | None:
    return None


class Gate:
    """Holds everything of one name until `release()`."""

    def __init__(self) -> None:
        self.held = 0
        self._changes = Changes()
        self._open = asyncio.Event()

    async def reached(self, timeout: float = 5.0, *, count: int = 1) -> None:  # noqa: ASYNC109 - a test's limit
        """Wait until so many have been held."""
        await self._changes.until(
            lambda: self.held >= count,
            timeout=timeout,
            what=lambda: f"gate reached by {self.held} of {count}",
        )

    @property
    def released(self) -> bool:
        return self._open.is_set()

    def release(self) -> None:
        self._open.set()

    async def pass_through(self) -> bool:
        if self._open.is_set():
            return False
        self.held += 1
        self._changes.notify()
        await self._open.wait()
        return True


class Gates:
    """Held by name: an operation, `webhook:<eventType>` before sending, `reply:<eventType>` after it."""

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = {}

    def hold(self, name: str) -> Gate:
        """From now on; one gate a name at a time."""
        if name in self._gates and not self._gates[name].released:
            raise ValueError(f"{name} is held already")
        gate = self._gates[name] = Gate()
        return gate

    async def pass_through(self, name: str) -> bool:
        """Whether it was held."""
        gate = self._gates.get(name)
        return gate is not None and await gate.pass_through()

    def release_all(self) -> None:
        for gate in self._gates.values():
            gate.release()
