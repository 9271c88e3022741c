"""Defines how a phone call gets into WebRTC, so that the rest need not know by which way."""

import re
from dataclasses import dataclass, field
from typing import Protocol

from service.bandwidth.bxml import SipUri, Transfer, Verb
from service.bandwidth.validation import UUI_LIMIT, check_sip_uri

SIPX_URI = "sip:sipx.webrtc.bandwidth.com:5060"


class UuiTooLong(ValueError):
    """The participant's token does not fit into a User-To-User header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferParameters:
    """One phone call's way in: who it becomes, and where Bandwidth tells how it went.

    `token`: of its participant, which is in the session already. `complete_url`: hears of the end of the
    whole; `answer_url`, `disconnect_url`: of the leg into WebRTC. `username`, `password`: Basic, for the
    three of them; the fallback pair for the two fallback URLs. `tag`: of the leg into WebRTC. `call_timeout`:
    seconds.
    """

    call_id: str
    token: str = field(repr=False)
    complete_url: str
    answer_url: str
    disconnect_url: str
    username: str
    password: str = field(repr=False)
    tag: str | None = None
    complete_fallback_url: str | None = None
    answer_fallback_url: str | None = None
    fallback_username: str | None = None
    fallback_password: str | None = field(default=None, repr=False)
    caller_id: str | None = None
    call_timeout: float | None = None


class Interconnect(Protocol):
    def transfer_verb(self, parameters: TransferParameters) -> Verb:
        """The verb that connects the call with its participant. Raises ValueError if it cannot be made."""
        ...

    def check_token(self, call_id: str, token: str) -> None:
        """Raises ValueError for a token with which `transfer_verb` would fail, as soon as one is there."""
        ...


@dataclass(frozen=True, slots=True)
class SipTransfer:
    """By `<Transfer>` to the SIP interconnect of the sessions API (transfer-to-WebRTC BXML).

    `uui_limit`: characters. Bandwidth's documents disagree on 256 or 350.
    """

    sip_uri: str = SIPX_URI
    uui_limit: int = 256

    def __post_init__(self) -> None:
        check_sip_uri("sip_uri", self.sip_uri)
        if not 1 <= self.uui_limit <= UUI_LIMIT:
            raise ValueError(f"uui_limit: 1 to {UUI_LIMIT}, not {self.uui_limit}")

    def check_token(self, call_id: str, token: str) -> None:
        transfer_uui(call_id, token, self.uui_limit)

    def transfer_verb(self, parameters: TransferParameters) -> Verb:
        """Raises UuiTooLong, or another ValueError for an attribute that BXML does not allow.

        The `<Transfer>` has no tag: it would replace the phone call's own in all of its later webhooks.
        """
        target = SipUri(
            self.sip_uri,
            uui=transfer_uui(parameters.call_id, parameters.token, self.uui_limit),
            answer_url=parameters.answer_url,
            answer_fallback_url=parameters.answer_fallback_url,
            disconnect_url=parameters.disconnect_url,
            username=parameters.username,
            password=parameters.password,
            fallback_username=parameters.fallback_username,
            fallback_password=parameters.fallback_password,
            tag=parameters.tag,
        )
        return Transfer(
            (target,),
            complete_url=parameters.complete_url,
            fallback_url=parameters.complete_fallback_url,
            username=parameters.username,
            password=parameters.password,
            fallback_username=parameters.fallback_username,
            fallback_password=parameters.fallback_password,
            caller_id=parameters.caller_id,
            call_timeout=parameters.call_timeout,
        )


def leg_uui(token: str) -> str:
    """The User-To-User value of a call of its own into WebRTC (Bridge way): the participant's token.

    Raises UuiTooLong if it has over 350 characters, and ValueError for a token that is no JWT: a comma in
    it would add a value.
    """
    value = f"{token};encoding=jwt"
    if len(value) > UUI_LIMIT:
        raise UuiTooLong(f"uui: {len(value)} characters with a token of {len(token)}, at most {UUI_LIMIT}")
    if not re.fullmatch(r"[A-Za-z0-9._-]+", token):
        raise ValueError("invalid token shape")
    return value


def transfer_uui(call_id: str, token: str, limit: int) -> str:
    """The User-To-User value: the call id (for Bandwidth's own debugging) and the participant's token.

    Over `limit` characters, or with a call id that is not of Bandwidth's shape, it is the token only, which
    is the older form of the same. Raises what `leg_uui` does.
    """
    short = leg_uui(token)
    digits = "".join(call_id.split("-")[1:])
    if not re.fullmatch(r"c(-[0-9a-fA-F]+)+", call_id) or len(digits) != 40:
        return short
    full = f"{digits};encoding=base64,{short}"
    return full if len(full) <= limit else short
