"""Authenticates us to Bandwidth: OAuth2 client credentials, or the older user name and password."""

import asyncio
import base64
from contextvars import Context
from functools import partial
from typing import Any, NamedTuple

import msgspec
import structlog

from service.bandwidth.api_client import ApiCredentials, HttpClient
from service.bandwidth.breaker import Breaker
from service.bandwidth.circuit import Circuit, RequestKind
from service.bandwidth.errors import BandwidthError, invalid_response
from service.bandwidth.validation import is_visible
from service.clock import Clock
from service.tasks import Tasks

__all__ = ["ApiCredentials", "Basic", "OAuth"]

# What Bandwidth's command line tool assumes where `expires_in` is missing or zero, and the margin that its
# SDK and its command line tool both keep. The life of a token in production is stated nowhere.
DEFAULT_LIFETIME = 3600.0
EXPIRY_MARGIN = 60.0
# A refresh ahead of time that failed is not repeated for so long: the old token is still good. Nor is a token
# replaced that is refused so soon after another: then it is not the token that Bandwidth dislikes.
PAUSE_AFTER_FAILURE = 5.0
# The longest that Retry-After keeps us from the next refresh: a caller may need the token at any moment, and
# there is time for another try before it ends.
LONGEST_PAUSE = EXPIRY_MARGIN / 2
# In a row. Token requests come one at a time and serve everybody, so that each of them weighs more.
TOKEN_FAILURE_THRESHOLD = 2
_MIN_CHECK_INTERVAL = 1.0
"""Seconds between two looks at a token, however short its life is."""
_LONGEST_TOKEN = 16 * 1024
"""Characters; more than any server takes in a header."""
OPERATION = "obtain-token"
_REFUSED_STATUSES = frozenset({400, 401, 403})
"""RFC 6749, 5.2: what a token endpoint says of credentials that it does not accept."""

log = structlog.get_logger()


class Basic:
    """User name and password on every request. Bandwidth ends this for API users on 2 December 2026."""

    def __init__(self, username: str, password: str) -> None:
        """Raises ValueError for a user name with a colon, which Basic cannot carry (RFC 7617)."""
        if ":" in username:
            raise ValueError("username: must not contain a colon")
        self._username = username
        self._header = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

    def __repr__(self) -> str:
        return f"Basic(username={self._username!r}, password=***)"

    @property
    def obtained(self) -> bool:
        return True

    @property
    def age(self) -> None:
        return None

    @property
    def unreachable_since(self) -> None:
        return None

    @property
    def circuits(self) -> tuple[Circuit, ...]:
        return ()

    async def prefetch(self) -> None:
        return

    async def refresh_if_due(self) -> None:
        return

    @property
    def current(self) -> str:
        return self._header

    async def header(self) -> str:
        return self._header

    def invalidate(self, header: str) -> bool:  # noqa: ARG002 - the same answer for every header
        return False


class _Token(NamedTuple):
    """`refresh_at`, `expires_at`: on the monotonic clock."""

    header: str
    refresh_at: float
    expires_at: float


class _TokenResponse(msgspec.Struct):
    """The token endpoint's answer. `expires_in` is read by hand: a strange one must not cost the token."""

    access_token: str
    expires_in: Any = None


class OAuth:
    """A bearer token by client credentials (voice API, OAuth2), shared by all callers.

    It is asked for once at a time, ahead of its end and in the background; who needs one while there is
    none waits for the running request, and giving up waiting does not stop that.
    """

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        token_url: str,
        http: HttpClient,
        clock: Clock,
        timeout: float = 5.0,
    ) -> None:
        """`timeout`: seconds for one token request, and so the longest that anybody waits here."""
        self._client_id = client_id
        self._client = Basic(client_id, client_secret)
        self._token_url = token_url
        self._http = http
        self._clock = clock
        self._timeout = timeout
        self._metrics = http.metrics
        self._circuit = Circuit(
            "token",
            RequestKind.TOKENS,
            breaker=Breaker(threshold=TOKEN_FAILURE_THRESHOLD),
            clock=clock,
            metrics=self._metrics,
        )
        self._tasks = Tasks()
        self._token: _Token | None = None
        self._refresh: asyncio.Task[_Token | BandwidthError] | None = None
        self._refresh_not_before = float("-inf")
        self._replace_not_before = float("-inf")
        self._obtained_at: float | None = None

    def __repr__(self) -> str:
        return f"OAuth(client_id={self._client_id!r}, client_secret=***, token_url={self._token_url!r})"

    @property
    def obtained(self) -> bool:
        """Whether there has been a token: the credentials work. Stays true while a refresh fails."""
        return self._obtained_at is not None

    @property
    def age(self) -> float | None:
        return None if self._obtained_at is None else self._clock.monotonic() - self._obtained_at

    @property
    def unreachable_since(self) -> float | None:
        return None if self._valid_token else self._circuit.reachability.unreachable_since

    @property
    def circuits(self) -> tuple[Circuit, ...]:
        return (self._circuit,)

    async def prefetch(self) -> None:
        """Gets the token before the first call needs it. Raises BandwidthError as `header` does."""
        await self.header()

    async def refresh_if_due(self) -> float:
        """Also while nobody needs one there is a token, and it does not end."""
        if not self.current or self._is_refresh_due():
            await asyncio.shield(self._start_refresh())
        due = max(self._token.refresh_at if self._token else 0.0, self._refresh_not_before)
        return max(due - self._clock.monotonic(), _MIN_CHECK_INTERVAL)

    async def header(self) -> str:
        """Raises BandwidthError: `no-token`, or with `retry` the code of what keeps us from getting one.

        Nothing has happened of the request that the token was for, so `may_have_happened` is false.
        """
        return self.current or await self._await_token()

    @property
    def current(self) -> str:
        """Empty without a token that is good. From a while before its end on the next one is asked for."""
        token = self._valid_token
        if token is None:
            return ""
        if self._is_refresh_due():
            self._start_refresh()
        return token.header

    @property
    def _valid_token(self) -> _Token | None:
        """One that has not ended; asking for this asks for no other."""
        token = self._token
        return token if token and self._clock.monotonic() < token.expires_at else None

    def _is_refresh_due(self) -> bool:
        """Whether it is near its end, and the last attempt to replace it some time ago."""
        refresh_at = self._token.refresh_at if self._token else 0.0
        return self._clock.monotonic() >= max(refresh_at, self._refresh_not_before)

    def invalidate(self, header: str) -> bool:
        """Forgets the token, unless another one has come in the meantime.

        However many requests are refused, with whatever token, that is one new token in five seconds.
        """
        if self._token is None or self._token.header != header:
            return True
        now = self._clock.monotonic()
        if now < self._replace_not_before:
            return False
        self._replace_not_before = now + PAUSE_AFTER_FAILURE
        self._token = None
        return True

    async def _await_token(self) -> str:
        result = await asyncio.shield(self._start_refresh())
        if isinstance(result, _Token):
            return result.header
        # Each waiting caller gets an exception of its own: tracebacks are written into them. One that says
        # which it is, refused credentials or an endpoint that is down: whoever looks into it goes elsewhere.
        raise BandwidthError(
            OPERATION,
            result.code if result.retryable else "no-token",
            status=result.status,
            retryable=result.retryable,
            retry_after=result.retry_after,
            detail=result.detail,
        ) from result

    def _start_refresh(self) -> asyncio.Task[_Token | BandwidthError]:
        """The running refresh, or a new one.

        In a context of its own: it belongs to no caller, neither in the log nor in a tally.
        """
        if self._refresh is None or self._refresh.done():
            start = partial(self._tasks.start, self._obtain(), name="bandwidth.obtain_token")
            self._refresh = Context().run(start)
        return self._refresh

    async def _obtain(self) -> _Token | BandwidthError:
        asked_at = self._clock.monotonic()
        try:
            response = await self._http.send(
                OPERATION,
                "POST",
                self._token_url,
                credentials=self._client,
                circuit=self._circuit,
                form={"grant_type": "client_credentials"},
                timeout=self._timeout,
            )
            token = _token(response.body, asked_at)
        except BandwidthError as error:
            pause = max(PAUSE_AFTER_FAILURE, min(error.retry_after or 0, LONGEST_PAUSE))
            self._refresh_not_before = self._clock.monotonic() + pause
            if error.code != "paused":
                self._metrics.token_failed(refused=not error.retryable and error.status in _REFUSED_STATUSES)
                log.warning(
                    "token.refresh_failed", error=error.code, status=error.status, detail=error.detail
                )
            return error
        self._token = token
        self._obtained_at = self._clock.monotonic()
        self._metrics.token_obtained()
        return token


def _token(body: bytes, asked_at: float) -> _Token:
    try:
        answer = msgspec.json.decode(body, type=_TokenResponse)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # Without the cause's text and without its chain: both may quote the token.
        raise invalid_response(OPERATION, f"not a token: {type(error).__name__}") from None
    if not is_visible(answer.access_token, longest=_LONGEST_TOKEN):
        raise invalid_response(OPERATION, "not a token that fits into a header")
    lifetime = _lifetime(answer.expires_in)
    return _Token(
        header=f"Bearer {answer.access_token}",
        refresh_at=asked_at + lifetime - min(EXPIRY_MARGIN, lifetime / 10),
        expires_at=asked_at + lifetime,
    )


def _lifetime(expires_in: object) -> float:
    """Seconds; digits in a string count as a number."""
    if isinstance(expires_in, str) and expires_in.isdecimal() and len(expires_in) < 10:
        expires_in = int(expires_in)
    if isinstance(expires_in, int | float) and not isinstance(expires_in, bool) and expires_in > 0:
        return float(expires_in)
    return DEFAULT_LIFETIME
