# ruff: noqa: ASYNC109 - each request has its deadline, and it belongs to whoever asks
"""Phone calls: Bandwidth's Voice API, createCall, updateCall, getCallState and listCalls."""

import asyncio
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from service.bandwidth.api_client import ApiCredentials, HttpClient, Response
from service.bandwidth.codec import checked_id, created_id, decode, encode, path_segment, unusable_response
from service.bandwidth.create_call import CreateCallRequest, create_call_body
from service.bandwidth.errors import BandwidthError, NotFound
from service.bandwidth.upstream import Circuits, Upstream, ignore_body, make_circuits
from service.bandwidth.validation import is_visible

_LONGEST_LINK: Final = 8192
"""Characters; aiohttp takes no longer header."""
PAGES: Final = 10
"""Of a list, each of 1000 calls; there are no more than 10000 in one (voice API, listCalls)."""


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


class FoundCall(msgspec.Struct, frozen=True, rename="camel"):
    """One call of a list (voice API, listCalls). Its numbers are not shown; the user's tag is not in it.

    `direction`: `inbound` or `outbound`. `parent_call_id`: the A leg, of the B leg of a transfer only.
    `start_time`: None while it is queued. The rest as in `CallState`.
    """

    call_id: str
    state: str | None = None
    direction: str | None = None
    to: str | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    application_id: str | None = None
    parent_call_id: str | None = None
    enqueued_time: str | None = None
    start_time: str | None = None
    end_time: str | None = None

    def __repr__(self) -> str:
        return f"FoundCall(call_id={self.call_id!r}, state={self.state!r}, direction={self.direction!r})"


class _CreatedCall(msgspec.Struct, rename="camel"):
    call_id: str


class TooManyCalls(BandwidthError):
    """More than a list may have: ask for less time."""


class VoiceApi:
    """Every method: `timeout` in seconds, `attempt` the how-manieth time it is tried; BandwidthError."""

    def __init__(
        self,
        http: HttpClient,
        base_url: str,
        account_id: str,
        credentials: ApiCredentials,
        *,
        circuits: Circuits | None = None,
    ) -> None:
        """`base_url`: with its version, as in `https://voice.bandwidth.com/api/v2`."""
        chosen = circuits or make_circuits("voice", http)
        self.circuits = tuple(chosen.values())
        self.credentials = credentials
        self._api = Upstream(http, base_url, account_id, credentials, chosen)

    async def create_call(self, request: CreateCallRequest, *, timeout: float, attempt: int = 1) -> str:
        """Queues a new call by createCall; its id. Its first webhook may be here before that is.

        An error with `may_have_happened` may have left a call behind whose id nobody told: sending this
        again, whatever `retry` says, may ring twice. That the call cannot be routed is no error here: it
        comes as a disconnect (documents of Bandwidth's command line tool).
        """
        body = encode(create_call_body(request))
        return await self._api.send(
            "create-call", "POST", "/calls", body, timeout, attempt, fresh_connection=True, read=_created_call
        )

    async def hang_up(self, call_id: str, *, timeout: float, attempt: int = 1) -> None:
        """Sends updateCall with `completed`: ends, cancels, rejects or takes out of the queue.

        Raises NotFound for a call that is gone, Conflict while it cannot be ended, or just has ended.
        """
        await self._update("hang-up", call_id, {"state": "completed"}, timeout, attempt)

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
            return await self._api.send(
                "get-call",
                "GET",
                _call_path(call_id),
                None,
                timeout,
                attempt,
                read=lambda response: decode("get-call", response, CallState),
            )
        except NotFound:
            return None

    async def list_calls(
        self,
        *,
        to: str = "",
        from_: str = "",
        since: float,
        until: float | None = None,
        timeout: float,
        attempt: int = 1,
    ) -> tuple[FoundCall, ...]:
        """By listCalls: the calls between two numbers, begun from `since` to `until`, oldest first.

        Empty stands for any number. Times are seconds since the epoch, by
        our clock. The list lags behind as `get_call`
        does and goes back 7 days; whether a queued call, which has not begun, is in it is not documented.
        `timeout`: for all pages together. A list that cannot be read to its end is an `invalid-response`, and
        a TooManyCalls where it has too many pages: half of one would look like a whole one.
        """
        operation, loop = "list-calls", asyncio.get_running_loop()
        deadline = loop.time() + timeout
        wanted = {"to": to, "from": from_, "minStartTime": _time(self._api.http.to_bandwidth_time(since))}
        wanted = {name: value for name, value in wanted.items() if value}
        if until is not None:
            wanted["maxStartTime"] = _time(self._api.http.to_bandwidth_time(until))
        path, found = f"/calls?{urlencode(wanted)}", list[FoundCall]()
        for _ in range(PAGES):
            left = max(deadline - loop.time(), 0)
            page, query = await self._api.send(operation, "GET", path, None, left, attempt, read=self._page)
            found += page
            if query is None:
                return tuple(found)
            path = f"/calls?{query}"
        raise TooManyCalls(operation, "invalid-response", detail=f"over {PAGES} pages")

    def _page(self, response: Response) -> tuple[list[FoundCall], str | None]:
        """Calls, and the query of the next page."""
        operation = "list-calls"
        page = decode(operation, response, list[FoundCall]) if response.body else []
        for one in page:
            checked_id(operation, response, one.call_id)
            if one.parent_call_id:
                checked_id(operation, response, one.parent_call_id)
        if response.next_page is None:
            return page, None
        query = _next_page_query(response.next_page, f"{self._api.base}/calls")
        if query is None:
            raise unusable_response(operation, response, "next page is elsewhere")
        return page, query

    async def _update(
        self, operation: str, call_id: str, change: dict[str, str], timeout: float, attempt: int
    ) -> None:
        body = encode(change)
        await self._api.send(
            operation, "POST", _call_path(call_id), body, timeout, attempt, read=ignore_body(operation)
        )


def _created_call(response: Response) -> str:
    """Its id is all that is needed of it."""
    try:
        return checked_id("create-call", response, decode("create-call", response, _CreatedCall).call_id)
    except BandwidthError:
        if made := created_id(response, "callId"):
            return made
        raise


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _next_page_query(next_page: str, collection: str) -> str | None:
    """All that is taken over of a link, so that our credentials go nowhere else; None for another place."""
    if len(next_page) > _LONGEST_LINK:
        return None
    try:
        link = urljoin(collection, next_page)
        if _collection_of(link) != _collection_of(collection):
            return None
    except ValueError:
        return None
    query = urlsplit(link).query
    return query if is_visible(query, longest=_LONGEST_LINK) else None


def _collection_of(url: str) -> tuple[str, str | None, int | None, str]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port, parts.path


def _call_path(call_id: str) -> str:
    return f"/calls/{path_segment('call_id', call_id)}"
