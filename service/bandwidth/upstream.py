# ruff: noqa: ASYNC109 - each request has its deadline, and it belongs to whoever asks
"""Bundles what the modules of one of Bandwidth's APIs need: its address, our credentials, its breaker."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from service.bandwidth.api_client import ApiCredentials, HttpClient, Response
from service.bandwidth.circuit import Circuit, RequestKind
from service.bandwidth.codec import account_base, unusable_response
from service.bandwidth.errors import BandwidthError
from service.bandwidth.reachability import Reachability
from service.bandwidth.unreadable_responses import UnreadableResponses

T = TypeVar("T")
Circuits = Mapping[RequestKind, Circuit]
REQUEST_KINDS: Final[Mapping[str, RequestKind]] = {
    "create-session": RequestKind.CREATES,
    "create-participant": RequestKind.CREATES,
    "add-participant": RequestKind.CREATES,
    "update-subscriptions": RequestKind.CREATES,
    "create-call": RequestKind.CREATES,
    "redirect-call": RequestKind.CREATES,
    "remove-participant": RequestKind.CLEAN_UP,
    "delete-participant": RequestKind.CLEAN_UP,
    "delete-session": RequestKind.CLEAN_UP,
    "hang-up": RequestKind.CLEAN_UP,
    "get-session": RequestKind.QUESTIONS,
    "get-participant": RequestKind.QUESTIONS,
    "list-participants": RequestKind.QUESTIONS,
    "get-call": RequestKind.QUESTIONS,
    "list-calls": RequestKind.QUESTIONS,
}
"""Of every operation."""
_BLANK: Final = b"\xef\xbb\xbf \t\r\n"
"""What may stand before a page: a byte order mark, and white space."""


def ignore_body(operation: str) -> Callable[[Response], None]:
    """Reads no more than whether it is Bandwidth that has answered.

    A web page comes from something in between, which may have sent nothing on, whatever its status.
    """

    def read(response: Response) -> None:
        kind = response.headers.get("content-type", "").lower()
        text = response.body.lstrip(_BLANK)
        if text.startswith(b"<") or (text and kind.startswith("text/html")):
            raise unusable_response(operation, response, "web page")

    return read


def make_circuits(api: str, http: HttpClient) -> Circuits:
    kinds = (RequestKind.CREATES, RequestKind.CLEAN_UP, RequestKind.QUESTIONS)
    reach = Reachability()
    return {
        kind: Circuit(api, kind, clock=http.clock, metrics=http.metrics, reachability=reach) for kind in kinds
    }


class Upstream:
    """Two APIs may share a host and still fail apart, so each has circuits of its own."""

    def __init__(
        self,
        http: HttpClient,
        base_url: str,
        account_id: str,
        credentials: ApiCredentials,
        circuits: Circuits,
    ) -> None:
        """`base_url`: with its version. Raises ValueError for an account id that is none."""
        self.http = http
        self.base = account_base(base_url, account_id)
        self._credentials = credentials
        self._circuits = circuits
        self._unreadable_responses = UnreadableResponses(http.clock, http.metrics)

    async def send(
        self,
        operation: str,
        method: str,
        path: str,
        body: bytes | None,
        timeout: float,
        attempt: int,
        *,
        fresh_connection: bool = False,
        failure_key: str = "",
        read: Callable[[Response], T],
    ) -> T:
        """`path`: below the account, with its query. The rest as in `Http.send`.

        `read` makes of the response what is wanted, or raises BandwidthError.
        """
        try:
            response = await self.http.send(
                operation,
                method,
                self.base + path,
                credentials=self._credentials,
                circuit=self._circuits[REQUEST_KINDS[operation]],
                json=body,
                timeout=timeout,
                attempt=attempt,
                fresh_connection=fresh_connection,
                failure_key=failure_key,
            )
            return read(response)
        except BandwidthError as error:
            self._unreadable_responses.note(error)
            raise
