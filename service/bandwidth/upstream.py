# ruff: noqa: ASYNC109 - each request has its deadline, and it belongs to whoever asks
"""One of Bandwidth's APIs as the modules for its operations use it: where it is, who we are, how it fares."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from service.bandwidth.circuit import Circuit, Kind
from service.bandwidth.errors import BandwidthError
from service.bandwidth.api_client import Credentials, Http, Response
from service.bandwidth.reachability import Reach
from service.bandwidth.unreadable_responses import Unreadable
from service.bandwidth.codec import account_base, unusable

T = TypeVar("T")
Circuits = Mapping[Kind, Circuit]
KINDS: Final[Mapping[str, Kind]] = {
    "create-session": Kind.CREATES,
    "create-participant": Kind.CREATES,
    "add-participant": Kind.CREATES,
    "update-subscriptions": Kind.CREATES,
    "create-call": Kind.CREATES,
    "redirect-call": Kind.CREATES,
    "remove-participant": Kind.CLEAN_UP,
    "delete-participant": Kind.CLEAN_UP,
    "delete-session": Kind.CLEAN_UP,
    "hang-up": Kind.CLEAN_UP,
    "get-session": Kind.QUESTIONS,
    "get-participant": Kind.QUESTIONS,
    "list-participants": Kind.QUESTIONS,
    "get-call": Kind.QUESTIONS,
    "list-calls": Kind.QUESTIONS,
}
"""Of every operation."""
_BLANK: Final = b"\xef\xbb\xbf \t\r\n"
"""What may stand before a page: a byte order mark, and white space."""


def done(operation: str) -> Callable[[Response], None]:
    """Reads no more than whether it is Bandwidth that has answered.

    A web page comes from something in between, which may have sent nothing on, whatever its status.
    """

    def read(response: Response) -> None:
        kind = response.headers.get("content-type", "").lower()
        text = response.body.lstrip(_BLANK)
        if text.startswith(b"<") or (text and kind.startswith("text/html")):
            raise unusable(operation, response, "web page")

    return read


def circuits_of(api: str, http: Http) -> Circuits:
    kinds = (Kind.CREATES, Kind.CLEAN_UP, Kind.QUESTIONS)
    reach = Reach()
    return {kind: Circuit(api, kind, clock=http.clock, metrics=http.metrics, reach=reach) for kind in kinds}


class Upstream:
    """Two APIs may share a host and still fail apart, so each has circuits of its own."""

    def __init__(
        self, http: Http, base_url: str, account_id: str, credentials: Credentials, circuits: Circuits
    ) -> None:
        """`base_url`: with its version. Raises ValueError for an account id that is none."""
        self.http = http
        self.base = account_base(base_url, account_id)
        self._credentials = credentials
        self._circuits = circuits
        self._unreadable = Unreadable(http.clock, http.metrics)

    async def send(
        self,
        operation: str,
        method: str,
        path: str,
        body: bytes | None,
        timeout: float,
        attempt: int,
        *,
        fresh: bool = False,
        about: str = "",
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
                circuit=self._circuits[KINDS[operation]],
                json=body,
                timeout=timeout,
                attempt=attempt,
                fresh=fresh,
                about=about,
            )
            return read(response)
        except BandwidthError as error:
            self._unreadable.note(error)
            raise
