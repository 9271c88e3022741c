"""Defines the parameters of createCall. They are checked when they are made.

ValueErrors name the field as Bandwidth calls it, and quote no phone number. Names and limits: voice API,
createCall.
"""

from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

from service.bandwidth import validation


@dataclass(frozen=True, slots=True)
class MachineDetection:
    """Whether a person or an answering machine took the call.

    `sync`: the answer webhook waits for the result and carries it. `async`: the result goes to
    `callback_url`, with `username` and `password`, or to `fallback_url` with the fallback pair.
    `delay_result`: until a machine has said its message. `detection_timeout`: seconds for all of it, 15
    without one; whole ones, as Bandwidth mishandles decimals.
    """

    mode: Literal["sync", "async"]
    _: KW_ONLY
    callback_url: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    fallback_url: str | None = None
    fallback_username: str | None = None
    fallback_password: str | None = field(default=None, repr=False)
    delay_result: bool = False
    detection_timeout: int | None = None

    def __post_init__(self) -> None:
        if self.mode == "async" and self.callback_url is None:
            raise ValueError("machineDetection.callbackUrl: needed for async")
        _check_url("machineDetection.callbackUrl", self.callback_url)
        _check_url("machineDetection.fallbackUrl", self.fallback_url)
        _check_credential("machineDetection.username", self.username)
        _check_credential("machineDetection.password", self.password)
        _check_credential("machineDetection.fallbackUsername", self.fallback_username)
        _check_credential("machineDetection.fallbackPassword", self.fallback_password)
        if self.detection_timeout is not None and self.detection_timeout < 1:
            raise ValueError(f"machineDetection.detectionTimeout: {self.detection_timeout} is not at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateCallRequest:
    """`to`: E.164 or a SIP URI. `from_`: E.164, a number of the account that `application_id` serves.

    `answer_url`: asked for BXML; `disconnect_url`: told of the end. `username`, `password`: Basic, for both;
    the fallback pair for `answer_fallback_url`. `call_timeout`: seconds of ringing, 30 without one.
    `callback_timeout`: seconds for each webhook of the call, 15 without one. `uui`: User-To-User values with
    their encodings, for SIP only. One may be a device token, so it is not shown.
    """

    to: str
    from_: str
    application_id: str
    answer_url: str
    disconnect_url: str
    username: str
    password: str = field(repr=False)
    answer_fallback_url: str | None = None
    fallback_username: str | None = None
    fallback_password: str | None = field(default=None, repr=False)
    call_timeout: float | None = None
    callback_timeout: float | None = None
    uui: str | None = field(default=None, repr=False)
    tag: str | None = None
    machine_detection: MachineDetection | None = None

    def __post_init__(self) -> None:
        validation.check_callee("to", self.to)
        validation.check_number("from", self.from_)
        validation.check_id("applicationId", self.application_id)
        _check_url("answerUrl", self.answer_url)
        _check_url("answerFallbackUrl", self.answer_fallback_url)
        _check_url("disconnectUrl", self.disconnect_url)
        _check_credential("username", self.username)
        _check_credential("password", self.password)
        _check_credential("fallbackUsername", self.fallback_username)
        _check_credential("fallbackPassword", self.fallback_password)
        validation.check_length("uui", self.uui, validation.UUI_LIMIT)
        validation.check_length("tag", self.tag, validation.CALL_TAG_LIMIT)
        if self.call_timeout is not None:
            validation.check_between("callTimeout", self.call_timeout, 1, 300)
        if self.callback_timeout is not None:
            validation.check_between("callbackTimeout", self.callback_timeout, 1, 25)


_DETECTION = {
    "mode": "mode",
    "callback_url": "callbackUrl",
    "username": "username",
    "password": "password",
    "fallback_url": "fallbackUrl",
    "fallback_username": "fallbackUsername",
    "fallback_password": "fallbackPassword",
    "delay_result": "delayResult",
    "detection_timeout": "detectionTimeout",
}
_CALL = {
    "to": "to",
    "from_": "from",
    "application_id": "applicationId",
    "answer_url": "answerUrl",
    "disconnect_url": "disconnectUrl",
    "username": "username",
    "password": "password",
    "answer_fallback_url": "answerFallbackUrl",
    "fallback_username": "fallbackUsername",
    "fallback_password": "fallbackPassword",
    "call_timeout": "callTimeout",
    "callback_timeout": "callbackTimeout",
    "uui": "uui",
    "tag": "tag",
}


def create_call_body(request: CreateCallRequest) -> dict[str, object]:
    """The body of createCall, with what is set and nothing else."""
    body = _set(request, _CALL)
    if request.machine_detection is not None:
        body["machineDetection"] = _set(request.machine_detection, _DETECTION)
    return body


def _set(part: CreateCallRequest | MachineDetection, names: dict[str, str]) -> dict[str, object]:
    values = {name: getattr(part, field_) for field_, name in names.items()}
    return {name: value for name, value in values.items() if value is not None and value is not False}


def _check_url(name: str, url: str | None) -> None:
    validation.check_url(name, url)
    validation.check_length(name, url, validation.URL_LIMIT)


def _check_credential(name: str, value: str | None) -> None:
    validation.check_length(name, value, validation.CREDENTIAL_LIMIT)
