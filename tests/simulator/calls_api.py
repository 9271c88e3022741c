"""The part of the voice API that is simulated: createCall, getCallState, updateCall, listCalls."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import msgspec
from starlette.routing import Route

from tests.simulator.calls import Call, CallbackTargets, CallEngine
from tests.simulator.clock import monotonic, timestamp
from tests.simulator.detection import Detection
from tests.simulator.gateway import ApiAnswer, Gateway, IncomingRequest, RefusedRequest, read
from tests.simulator.settings import Auth, SimulatorSettings
from tests.simulator.steps import Fetch
from tests.simulator.verbs import E164, PRIVACY, SIP_URI, UUI_LIMIT, is_full_url
from tests.simulator.webhooks import Target

BASE = "/api/v2/accounts/{accountId}/calls"
Url = Annotated[str, msgspec.Meta(max_length=2048)]
Credential = Annotated[str, msgspec.Meta(max_length=1024)]
# 4096 in the specification since April 2026; the guides of 2023 said 256.
Tag = Annotated[str, msgspec.Meta(max_length=4096)]
Seconds = Annotated[int, msgspec.Meta(ge=1)]
PAGE_SIZES = range(1, 10_001)
KEPT = timedelta(days=7)
ERROR_TYPES = {
    401: "authentication-error",
    403: "authorization-error",
    429: "error",
    500: "internal-error",
    503: "system-overloaded",
}


class MachineDetection(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """createCall asks for whole numbers here, as others are mishandled; that none is zero is assumed."""

    mode: Literal["sync", "async"] = "async"
    detection_timeout: Seconds | None = None
    silence_timeout: Seconds | None = None
    speech_threshold: Seconds | None = None
    speech_end_threshold: Seconds | None = None
    machine_speech_end_threshold: Seconds | None = None
    delay_result: bool | None = None
    callback_url: Url | None = None
    callback_method: Literal["POST"] = "POST"
    username: Credential | None = None
    password: Credential | None = None
    fallback_url: Url | None = None
    fallback_method: Literal["POST"] = "POST"
    fallback_username: Credential | None = None
    fallback_password: Credential | None = None


class CreateCall(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """createCall's body; GET for webhooks is not simulated."""

    to: str
    from_: str = msgspec.field(name="from")
    application_id: str
    answer_url: Url
    answer_method: Literal["POST"] = "POST"
    answer_fallback_url: Url | None = None
    answer_fallback_method: Literal["POST"] = "POST"
    username: Credential | None = None
    password: Credential | None = None
    fallback_username: Credential | None = None
    fallback_password: Credential | None = None
    disconnect_url: Url | None = None
    disconnect_method: Literal["POST"] = "POST"
    call_timeout: Annotated[float, msgspec.Meta(ge=1, le=300)] | None = None
    callback_timeout: Annotated[float, msgspec.Meta(ge=1, le=25)] | None = None
    uui: Annotated[str, msgspec.Meta(max_length=UUI_LIMIT)] | None = None
    privacy: bool | None = None
    display_name: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    priority: Annotated[int, msgspec.Meta(ge=1, le=5)] | None = None
    tag: Tag | None = None
    machine_detection: MachineDetection | msgspec.UnsetType = msgspec.UNSET


class UpdateCall(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    state: Literal["active", "completed"] | None = None
    redirect_url: Url | None = None
    redirect_method: Literal["POST"] = "POST"
    username: Credential | None = None
    password: Credential | None = None
    redirect_fallback_url: Url | None = None
    redirect_fallback_method: Literal["POST"] = "POST"
    fallback_username: Credential | None = None
    fallback_password: Credential | None = None
    tag: Tag | None = None


class CallsApi:
    """`place` dials an outbound call, `redirect` runs new BXML on a live one."""

    def __init__(
        self,
        settings: SimulatorSettings,
        engine: CallEngine,
        may_send_credentials: Callable[[str], bool],
        place: Callable[[Call, Fetch, Detection | None], None],
        redirect: Callable[[Call, Fetch], None],
    ) -> None:
        self.auth: Auth | None = settings.voice_auth
        self._settings = settings
        self._engine = engine
        self._may_send_credentials = may_send_credentials
        self._place = place
        self._redirect = redirect

    def routes(self, gateway: Gateway) -> list[Route]:
        call = f"{BASE}/{{callId}}"
        return [
            gateway.route(self, "POST", BASE, "createCall", self._create),
            gateway.route(self, "GET", BASE, "listCalls", self._list),
            gateway.route(self, "GET", call, "getCall", self._get),
            gateway.route(self, "POST", call, "updateCall", self._update),
            gateway.unknown(self, "/api/v2/{path:path}"),
        ]

    def error(self, status: int, message: str) -> ApiAnswer:
        """The errors page: `id` is null, or an empty string for 409 and 429."""
        identity = "" if status in {409, 429} else None
        kind = ERROR_TYPES.get(status, "validation")
        return ApiAnswer(status, {"type": kind, "description": message, "id": identity})

    def _create(self, inquiry: IncomingRequest) -> ApiAnswer:
        body: CreateCall = read(inquiry, CreateCall)
        self._check_create(body)
        timeout = self._settings.callback_timeout if body.callback_timeout is None else body.callback_timeout
        answer = Target(body.answer_url, body.username, body.password)
        fallback = _target(body.answer_fallback_url, body.fallback_username, body.fallback_password)
        call = self._engine.create(
            to=body.to,
            from_=body.from_,
            application_id=body.application_id,
            direction="outbound",
            uui=body.uui,
            tag=body.tag,
            enqueued_time=timestamp(),
            ring_seconds=30.0 if body.call_timeout is None else body.call_timeout,
            callbacks=CallbackTargets(
                first=answer,
                first_fallback=fallback,
                last=_target(body.disconnect_url, body.username, body.password),
                timeout=timeout,
            ),
        )
        self._place(call, Fetch("answer", answer, fallback), _detection(body.machine_detection))
        content = msgspec.to_builtins(body) | {
            "accountId": call.account_id,
            "callId": call.call_id,
            "callUrl": call.call_url,
            "enqueuedTime": call.enqueued_time,
            "callTimeout": call.ring_seconds,
            "callbackTimeout": timeout,
            "priority": body.priority or 5,
        }
        for secret in ("password", "fallbackPassword"):
            content[secret] = "*****" if content[secret] is not None else None
        for not_echoed in ("uui", "privacy", "displayName", "machineDetection"):
            content.pop(not_echoed, None)
        return ApiAnswer(201, content, {"Location": call.call_url}, created=call.call_id)

    def _check_create(self, body: CreateCall) -> None:
        if not (E164.fullmatch(body.to) or SIP_URI.fullmatch(body.to)):
            raise RefusedRequest(400, f"to is neither E.164 nor a SIP URI: {body.to}", complaint=True)
        if not E164.fullmatch(body.from_):
            raise RefusedRequest(400, f"from is not E.164: {body.from_}", complaint=True)
        if body.application_id != self._settings.application_id:
            raise RefusedRequest(400, f"applicationId is unknown: {body.application_id}", complaint=True)
        if body.display_name is not None and body.privacy and body.display_name not in PRIVACY:
            raise RefusedRequest(400, "displayName with privacy must be a privacy word", complaint=True)
        if body.uui is not None and not all(
            re.fullmatch(r"[^;,\s]+;encoding=(jwt|base64|hex)", one) for one in body.uui.split(",")
        ):
            raise RefusedRequest(
                400, "every uui value must end in ;encoding=jwt, base64 or hex", complaint=True
            )
        self._check_url("answerUrl", body.answer_url, body.username, body.password)
        self._check_url("disconnectUrl", body.disconnect_url, body.username, body.password)
        self._check_url(
            "answerFallbackUrl", body.answer_fallback_url, body.fallback_username, body.fallback_password
        )
        if body.machine_detection is not msgspec.UNSET:
            self._check_detection(body.machine_detection)

    def _check_detection(self, body: MachineDetection) -> None:
        """The URLs are for async only, and the guide calls callbackUrl required there.

        What happens to them with sync is undocumented; assumed: refused, methods alone are not.
        """
        primary = (body.callback_url, body.username, body.password)
        fallback = (body.fallback_url, body.fallback_username, body.fallback_password)
        if body.mode == "async" and body.callback_url is None:
            raise RefusedRequest(400, "machineDetection.callbackUrl is required with async", complaint=True)
        if body.mode == "sync" and any(value is not None for value in (*primary, *fallback)):
            raise RefusedRequest(
                400, "machineDetection has URLs and credentials with async only", complaint=True
            )
        self._check_url("machineDetection.callbackUrl", *primary)
        self._check_url("machineDetection.fallbackUrl", *fallback)

    def _check_url(self, name: str, url: str | None, *credentials: str | None) -> None:
        if url is None:
            return
        if not is_full_url(url):
            raise RefusedRequest(400, f"{name} is no full URL: {url}", complaint=True)
        if any(credentials) and not self._may_send_credentials(url):
            raise RefusedRequest(
                400, f"{name} must be https when credentials are given: {url}", complaint=True
            )

    def _get(self, inquiry: IncomingRequest) -> ApiAnswer:
        call = self._call(inquiry)
        if not self._visible(call):
            raise RefusedRequest(404, f"call {call.call_id} not found")
        return ApiAnswer(200, _state(call))

    def _update(self, inquiry: IncomingRequest) -> ApiAnswer:
        call = self._call(inquiry)
        body: UpdateCall = read(inquiry, UpdateCall)
        completing = body.state == "completed"
        if completing and (body.redirect_url is not None or body.tag is not None):
            raise RefusedRequest(400, "redirectUrl and tag are not allowed with completed", complaint=True)
        if not completing and body.redirect_url is None:
            raise RefusedRequest(400, "redirectUrl is required with active", complaint=True)
        self._check_url("redirectUrl", body.redirect_url, body.username, body.password)
        self._check_url(
            "redirectFallbackUrl", body.redirect_fallback_url, body.fallback_username, body.fallback_password
        )
        if call.ended:
            status = self._settings.ended_call_status
            reason = "not found" if status == 404 else "cannot be modified in its current state"
            raise RefusedRequest(status, f"call {call.call_id} {reason}")
        if body.redirect_url is None:
            unanswered = call.answer_time is None
            self._engine.end(call, _completion(call) if unanswered else "hangup")
            return ApiAnswer(200)
        # Whether the B leg of a transfer can be redirected is undocumented; assumed: no.
        if call.answer_time is None or call.parent is not None:
            raise RefusedRequest(409, f"call {call.call_id} cannot be modified in its current state")
        if body.tag is not None:
            call.tag = body.tag
        fallback = _target(body.redirect_fallback_url, body.fallback_username, body.fallback_password)
        self._redirect(
            call, Fetch("redirect", Target(body.redirect_url, body.username, body.password), fallback)
        )
        return ApiAnswer(200)

    def _list(self, inquiry: IncomingRequest) -> ApiAnswer:
        """Oldest first; `Link` names the next page."""
        query = dict(inquiry.query)
        known = {"to", "from", "minStartTime", "maxStartTime", "disconnectCause", "pageSize", "pageToken"}
        if strange := set(query) - known:
            raise RefusedRequest(400, f"unknown query parameters {sorted(strange)}", complaint=True)
        size, offset = _number(query, "pageSize", 1000), _number(query, "pageToken", 0)
        if size not in PAGE_SIZES:
            raise RefusedRequest(400, f"pageSize must be 1 to 10000, not {size}", complaint=True)
        earliest, latest = _moment(query, "minStartTime"), _moment(query, "maxStartTime")
        found = [
            call
            for call in self._engine.calls.values()
            if self._visible(call)
            and query.get("to", call.to) == call.to
            and query.get("from", call.from_) == call.from_
            and query.get("disconnectCause", call.cause) == call.cause
            and (earliest is None or _parsed(call.start_time) >= earliest)
            and (latest is None or _parsed(call.start_time) <= latest)
        ]
        headers = {}
        if offset + size < len(found):
            more = urlencode(query | {"pageToken": str(offset + size)})
            headers["Link"] = (
                f'<{self._engine.voice_url}/accounts/{self._settings.account_id}/calls?{more}>; rel="next"'
            )
        return ApiAnswer(200, [_state(call) for call in found[offset : offset + size]], headers)

    def _call(self, inquiry: IncomingRequest) -> Call:
        call_id = inquiry.ids["callId"]
        call = self._engine.calls.get(call_id)
        if call is None:
            raise RefusedRequest(404, f"call {call_id} not found")
        return call

    def _visible(self, call: Call) -> bool:
        """Eventually consistent, and kept for 7 days after its end (getCallState, listCalls)."""
        if call.end_time is not None and _parsed(timestamp()) - _parsed(call.end_time) > KEPT:
            return False
        return monotonic() - call.began >= self._settings.call_visible_after


def _target(url: str | None, username: str | None, password: str | None) -> Target | None:
    return Target(url, username, password) if url else None


def _detection(body: MachineDetection | msgspec.UnsetType) -> Detection | None:
    """With the defaults of the specification."""
    if body is msgspec.UNSET:
        return None
    return Detection(
        mode=body.mode,
        detection_timeout=15 if body.detection_timeout is None else body.detection_timeout,
        silence_timeout=10 if body.silence_timeout is None else body.silence_timeout,
        delay_result=bool(body.delay_result),
        callback=_target(body.callback_url, body.username, body.password),
        fallback=_target(body.fallback_url, body.fallback_username, body.fallback_password),
    )


def _completion(call: Call) -> str:
    """Completing an unanswered call cancels an outbound one and rejects an inbound one (updateCall)."""
    return "cancel" if call.direction == "outbound" else "rejected"


def _number(query: dict[str, str], name: str, default: int) -> int:
    try:
        return int(query.get(name, default))
    except ValueError:
        raise RefusedRequest(400, f"{name} is no number", complaint=True) from None


def _parsed(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment


def _moment(query: dict[str, str], name: str) -> datetime | None:
    if name not in query:
        return None
    try:
        return _parsed(query[name])
    except ValueError:
        raise RefusedRequest(400, f"{name} is no ISO 8601 time: {query[name]}", complaint=True) from None


def _state(call: Call) -> dict[str, Any]:
    """The callState schema; further stages than these four are inside `answered`."""
    state = {"ended": "disconnected", "ringing": "initiated"}.get(call.stage, "answered")
    return {
        "applicationId": call.application_id,
        "accountId": call.account_id,
        "callId": call.call_id,
        "parentCallId": call.parent.call_id if call.parent else None,
        "to": call.transfer_to or call.to,
        "from": call.transfer_caller_id or call.from_,
        "direction": call.direction,
        "state": state,
        "stirShaken": call.stir_shaken,
        "identity": None,
        "enqueuedTime": call.enqueued_time,
        "startTime": call.start_time,
        "answerTime": call.answer_time,
        "endTime": call.end_time,
        "disconnectCause": call.cause,
        "errorMessage": call.error_message,
        "errorId": call.error_id,
        "lastUpdate": call.last_update,
    }
