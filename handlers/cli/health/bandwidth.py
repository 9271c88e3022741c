"""Whether Bandwidth lets us in, and both of its APIs answer."""

from collections.abc import Awaitable, Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Final

from handlers.app.bandwidth import create_bandwidth
from handlers.cli.health.finding import Finding, Findings, clock_finding
from service.bandwidth.api_client import HttpClient
from service.bandwidth.auth import OPERATION
from service.bandwidth.errors import BandwidthError
from service.bandwidth.reachability import MISSING_CALL_ID, MISSING_SESSION_ID
from service.clock import Clock, SystemClock
from service.setting_types import BASIC_AUTH_ENDS, basic_auth_is_over
from service.settings import Settings

_TIMEOUT: Final = 5.0
_WHOLE_SECONDS: Final = 3.0
"""Of the Date header, and what an answer takes on its way."""
_REFUSED: Final = frozenset({"unauthorized", "forbidden"})


async def check_bandwidth(settings: Settings, clock: Clock | None = None) -> Findings:
    clock = clock or SystemClock()
    http = HttpClient(clock=clock)
    try:
        bandwidth = create_bandwidth(settings, clock, http)
        found = [
            *_basic(settings, clock.now()),
            *await _tokens(settings, [one.prefetch for one in bandwidth.credentials]),
        ]

        async def voice() -> None:
            await bandwidth.voice.get_call(MISSING_CALL_ID, timeout=_TIMEOUT)

        async def webrtc() -> None:
            await bandwidth.webrtc.has_session(MISSING_SESSION_ID, timeout=_TIMEOUT)

        found += [
            await _check_api("voice api", settings.bw_voice_url, voice),
            await _check_api("sessions api", settings.bw_webrtc_url, webrtc),
            *_clock(http.last_server_date),
        ]
        return found
    finally:
        await http.close()


def _basic(settings: Settings, now: float) -> Iterator[Finding]:
    """Whoever signs in with Basic has to leave it; their answers say nothing of the day after."""
    names = [name for name in ("bw_voice_auth", "bw_webrtc_auth") if getattr(settings, name) == "basic"]
    if not names:
        return
    users = " and ".join(name.upper() for name in names)
    over = basic_auth_is_over(now)
    yield Finding(
        "basic auth",
        "fail" if over else "warn",
        f"{users}: Bandwidth {'ended Basic' if over else 'ends Basic'} on {BASIC_AUTH_ENDS}",
        "set BW_CLIENT_ID and BW_CLIENT_SECRET, and oauth there; ask Bandwidth should an API refuse tokens",
    )


async def _tokens(settings: Settings, warms: list[Callable[[], Awaitable[None]]]) -> Findings:
    """Basic credentials are tried by the requests themselves."""
    check = "token"
    if "oauth" not in {settings.bw_voice_auth, settings.bw_webrtc_auth}:
        return []
    try:
        for warm in warms:
            await warm()
    except BandwidthError as error:
        do = "check BW_CLIENT_ID and BW_CLIENT_SECRET in Bandwidth's dashboard"
        if error.retryable:
            do = f"can {settings.bw_token_url} be reached from here? Then Bandwidth's status page"
        return [Finding(check, "fail", f"none obtained: {_words(error)}", do)]
    return [Finding(check, "ok", f"obtained from {settings.bw_token_url}")]


async def _check_api(check: str, url: str, ask: Callable[[], Awaitable[None]]) -> Finding:
    clock = SystemClock()
    begun = clock.monotonic()
    try:
        await ask()
    except BandwidthError as error:
        if error.operation == OPERATION:
            words = f"{url} was not asked, for want of a token: {_words(error)}"
            return Finding(check, "fail", words, "see the token above")
        do = "Bandwidth's status page; what is owed is tried again until it answers"
        if error.code in _REFUSED:
            do = "is BW_ACCOUNT_ID right, and enabled for this API? Do the credentials have a role for it?"
        return Finding(check, "fail", f"{url}: {_words(error)}", do)
    ms = 1000 * (clock.monotonic() - begun)
    return Finding(check, "ok", f"{url} answers a question with our credentials in {ms:.0f} ms")


def _clock(heard: tuple[float, str] | None) -> Findings:
    """By the Date of the latest answer, which has whole seconds."""
    if heard is None:
        return []
    at, date = heard
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except ValueError:
        return []
    return [clock_finding("bandwidth clock", at - theirs, "Bandwidth's", least=_WHOLE_SECONDS)]


def _words(error: BandwidthError) -> str:
    if error.code == "paused":
        pause = max(1, round(error.retry_after or 0))
        return f"our own circuit breaker holds requests back for {pause} s, since those before it failed"
    status = f"{error.status} " if error.status else ""
    return f"{status}{error.code}" + (f" ({error.detail})" if error.detail else "")
