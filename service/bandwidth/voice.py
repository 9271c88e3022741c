# ruff: noqa: ASYNC109 - each request has its deadline, and it belongs to whoever asks
"""Phone calls: Bandwidth's Voice API, createCall, updateCall and getCallState."""

import msgspec

from service.bandwidth.errors import NotFound
from service.bandwidth.http import Credentials, Http, Response
from service.bandwidth.new_call import NewCall, as_json
from service.bandwidth.wire import account_base, decode, encode, known_id, segment


class CallState(msgspec.Struct, frozen=True, rename="camel"):
    """What Bandwidth knows of a call (voice API, getCallState). Times are ISO 8601, as they came.

    `state`: `queued`, `initiated`, `answered`, `disconnected` today; more may be added. It lags behind by
    seconds, at times minutes. `disconnect_cause`: an open list.
    """

    state: str
    disconnect_cause: str | None = None
    error_message: str | None = None
    error_id: str | None = None
    answer_time: str | None = None
    end_time: str | None = None


class _Created(msgspec.Struct, rename="camel"):
    call_id: str


class VoiceApi:
    """Every method: `timeout` in seconds, `attempt` the how-manieth time it is tried; BandwidthError."""

    def __init__(self, http: Http, base_url: str, account_id: str, credentials: Credentials) -> None:
        """`base_url`: with its version, as in `https://voice.bandwidth.com/api/v2`."""
        self._http = http
        self._base = account_base(base_url, account_id)
        self._credentials = credentials

    async def create_call(self, order: NewCall, *, timeout: float, attempt: int = 1) -> str:
        """Queues a new call by createCall; its id. Its first webhook may be here before that is.

        An error with `may_have_happened` may have left a call behind whose id nobody told: sending this
        again, whatever `retry` says, may ring twice. That the call cannot be routed is no error here: it
        comes as a disconnect (documents of Bandwidth's command line tool).
        """
        operation = "create-call"
        response = await self._send(operation, "POST", "/calls", encode(as_json(order)), timeout, attempt)
        return known_id(operation, response, decode(operation, response, _Created).call_id)

    async def hang_up(self, call_id: str, *, timeout: float, attempt: int = 1) -> None:
        """Sends updateCall with `completed`: ends, cancels, rejects or takes out of the queue.

        A call that is gone already is done. Raises Conflict while it cannot be ended, or just has ended.
        """
        try:
            await self._update("hang-up", call_id, {"state": "completed"}, timeout, attempt)
        except NotFound:
            return

    async def redirect(
        self,
        call_id: str,
        *,
        url: str,
        username: str,
        password: str,
        fallback_url: str | None = None,
        timeout: float,
        attempt: int = 1,
    ) -> None:
        """Sends updateCall with `active`: what runs is cut off, and `url` is asked for new BXML.

        Both URLs want the same credentials.

        Raises NotFound for a call that is gone, Conflict for one that is queued, unanswered or just ended.
        """
        change = {
            "state": "active",
            "redirectUrl": url,
            "redirectMethod": "POST",
            "username": username,
            "password": password,
        }
        if fallback_url is not None:
            change |= {
                "redirectFallbackUrl": fallback_url,
                "redirectFallbackMethod": "POST",
                "fallbackUsername": username,
                "fallbackPassword": password,
            }
        await self._update("redirect-call", call_id, change, timeout, attempt)

    async def get_call(self, call_id: str, *, timeout: float, attempt: int = 1) -> CallState | None:
        """Asks getCallState. None for a call that is not known: not yet (minutes), or for over 7 days."""
        try:
            response = await self._send("get-call", "GET", _call(call_id), None, timeout, attempt)
        except NotFound:
            return None
        return decode("get-call", response, CallState)

    async def _update(
        self, operation: str, call_id: str, change: dict[str, str], timeout: float, attempt: int
    ) -> None:
        await self._send(operation, "POST", _call(call_id), encode(change), timeout, attempt)

    async def _send(
        self, operation: str, method: str, path: str, body: bytes | None, timeout: float, attempt: int
    ) -> Response:
        return await self._http.send(
            operation,
            method,
            self._base + path,
            credentials=self._credentials,
            json=body,
            timeout=timeout,
            attempt=attempt,
        )


def _call(call_id: str) -> str:
    return f"/calls/{segment('call_id', call_id)}"
