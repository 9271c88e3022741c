"""Whether the callback URL leads to us, as far as that can be seen from here."""

import asyncio
import socket
import ssl
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from handlers.cli.health.finding import Finding, Findings, Result
from handlers.http.request_guard import DOCTOR_USER_AGENT
from service.clock import SystemClock
from service.settings import Settings

_TIMEOUT: Final = 5.0
_SOON: Final = 14
"""Days that a certificate should last."""
_DAY: Final = 86_400.0
_OURS: Final = 'Basic realm="callbacks"'


class _ProbeResponse(NamedTuple):
    status: int
    challenge: str
    expires: float | None
    """When the certificate does, in seconds since the epoch; None without TLS."""


async def check_addresses(settings: Settings) -> Findings:
    """In threads, since the standard library's client is enough for two requests."""
    named = (("callback url", settings.base_callback_url), ("fallback url", settings.fallback_callback_url))
    each = [asyncio.to_thread(_check, check, url) for check, url in named if url]
    return [finding for findings in await asyncio.gather(*each) for finding in findings]


def _check(check: str, url: str) -> Findings:
    host = urlsplit(url).hostname or ""
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        do = f"give {host} an address in your DNS, or correct BASE_CALLBACK_URL"
        return [Finding(check, "fail", f"{host} does not resolve: {error.strerror or error}", do)]
    try:
        answer = _probe(url)
    except ssl.SSLCertVerificationError as error:
        do = "renew or correct the certificate at your proxy: Bandwidth refuses it too"
        return [Finding(f"{check} TLS", "fail", f"{host}: {error.verify_message}", do)]
    except (OSError, HTTPException) as error:
        do = "is the proxy running, and does the port lead to it? From outside it may be otherwise"
        return [Finding(check, "fail", f"{url} cannot be reached: {str(error) or type(error).__name__}", do)]
    return [*_certificate(check, answer), _identify(check, url, answer)]


def _probe(url: str) -> _ProbeResponse:
    """A webhook without credentials: we refuse it, and leave no trace of it but a line in the log."""
    parts = urlsplit(url)
    host, path = parts.hostname or "", f"{parts.path}/callbacks/voice"
    connection: HTTPConnection
    if parts.scheme == "https":
        connection = HTTPSConnection(host, parts.port, timeout=_TIMEOUT, context=ssl.create_default_context())
    else:
        connection = HTTPConnection(host, parts.port, timeout=_TIMEOUT)
    try:
        connection.connect()
        expires = _expires(connection)
        connection.request(
            "POST", path, b"{}", {"Content-Type": "application/json", "User-Agent": DOCTOR_USER_AGENT}
        )
        response: HTTPResponse = connection.getresponse()
        return _ProbeResponse(response.status, response.headers.get("WWW-Authenticate", ""), expires)
    finally:
        connection.close()


def _expires(connection: HTTPConnection) -> float | None:
    found = connection.sock.getpeercert() if isinstance(connection.sock, ssl.SSLSocket) else None
    return ssl.cert_time_to_seconds(str(found["notAfter"])) if found and "notAfter" in found else None


def _certificate(check: str, answer: _ProbeResponse) -> Findings:
    if answer.expires is None:
        return []
    days = int((answer.expires - SystemClock().now()) / _DAY)
    until = datetime.fromtimestamp(answer.expires, UTC).strftime("%Y-%m-%d")
    result: Result = "ok" if days >= _SOON else "warn"
    do = "" if days >= _SOON else "renew it: Bandwidth sends no webhook to one that has expired"
    return [Finding(f"{check} TLS", result, f"the certificate is valid for {days} days, until {until}", do)]


def _identify(check: str, url: str, answer: _ProbeResponse) -> Finding:
    if answer.status == 401 and answer.challenge == _OURS:
        return Finding(check, "ok", f"{url} leads to this service")
    if answer.status == 401:
        do = "something before the service wants credentials of its own: let /callbacks/ through"
    elif answer.status in {502, 503, 504}:
        do = "the proxy is there and no service behind it: start one, see /readyz"
    else:
        do = "something else answers there: does your proxy let POST /callbacks/voice through to the service?"
    return Finding(
        check, "fail", f"{url}/callbacks/voice answers {answer.status} and is not this service", do
    )
