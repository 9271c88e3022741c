"""Defines the errors that more than one module of the engine raises or handles."""

import msgspec


class JoinRefused(Exception):
    """It cannot succeed; the reason is one of `service.calls.outcomes.FAILURES`.

    `passes`: in a moment it might.
    """

    def __init__(self, reason: str, detail: str = "", *, is_transient: bool = False) -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.is_transient = is_transient


class JoinTimeout(Exception):
    """The create may still come through; it goes on in the background."""


class NotFoundUnconfirmed(Exception):
    """Nothing can be said for a moment.

    `participant`: it is that, and its session is there. `over`: the room has another session by now, or none.
    """

    def __init__(self, *, is_participant: bool, session_replaced: bool = False, detail: str = "") -> None:
        super().__init__(detail or "the session was not found, and is looked at again")
        self.is_participant = is_participant
        self.session_replaced = session_replaced


class RequestRefusal(msgspec.Struct, frozen=True):
    """No call has come of it; `retry_after` in seconds where waiting helps."""

    reason: str
    """`room-full`, `room-closed`, `rate-limited`, `calls-per-hour`, `calls-at-once`, `idempotency-mismatch`,
    `store-unavailable`, `not-configured`, `request-refused`, `credentials-refused`, `bandwidth-error`,
    `bandwidth-timeout`."""
    detail: str
    retry_after: float | None = None
    full_detail: str = ""
    """The detail with Bandwidth's own words: for the log, and for keys with the scope `numbers`. What is said
    there about an account, its numbers and its limits is no business of guests."""
