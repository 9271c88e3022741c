"""Defines the result of an order."""

import msgspec

from service.calls.model import Call


class OrderResult(msgspec.Struct, frozen=True):
    """The call after an order; `refusal` says why it was not obeyed, empty when it was."""

    call: Call | None
    refusal: str = ""
