"""Builds the clients of Bandwidth's APIs from the settings, for the service and for commands that read."""

from typing import NamedTuple

from service.bandwidth.api_client import HttpClient
from service.bandwidth.auth import ApiCredentials, Basic, OAuth
from service.bandwidth.circuit import Circuit
from service.bandwidth.interconnect import SipTransfer
from service.bandwidth.reachability import MISSING_CALL_ID, MISSING_SESSION_ID
from service.bandwidth.voice import VoiceApi
from service.bandwidth.webrtc import WebRtcApi
from service.clock import Clock
from service.engine.standby import PROBE_TIMEOUT, MonitoredApi
from service.settings import Settings


class Bandwidth(NamedTuple):
    voice: VoiceApi
    webrtc: WebRtcApi
    interconnect: SipTransfer
    credentials: tuple[ApiCredentials, ...]

    @property
    def circuits(self) -> tuple[Circuit, ...]:
        """Every breaker there is: one for each kind of work at each API, and that of the token endpoint."""
        tokens = [circuit for one in self.credentials for circuit in one.circuits]
        return (*self.voice.circuits, *self.webrtc.circuits, *tokens)

    @property
    def apis(self) -> tuple[MonitoredApi, ...]:
        """What has to be reached, each with a question that changes nothing."""
        return (
            MonitoredApi(
                "voice",
                self.voice.circuits,
                self.voice.credentials,
                lambda: self.voice.get_call(MISSING_CALL_ID, timeout=PROBE_TIMEOUT),
            ),
            MonitoredApi(
                "webrtc",
                self.webrtc.circuits,
                self.webrtc.credentials,
                lambda: self.webrtc.has_session(MISSING_SESSION_ID, timeout=PROBE_TIMEOUT),
            ),
        )


def create_bandwidth(settings: Settings, clock: Clock, http: HttpClient) -> Bandwidth:
    """The APIs, each with the scheme chosen for it; the same scheme shares one token."""
    schemes: dict[str, ApiCredentials] = {}
    for scheme in (settings.bw_voice_auth, settings.bw_webrtc_auth):
        if scheme not in schemes:
            schemes[scheme] = _credentials(settings, clock, http, scheme)
    account = settings.bw_account_id
    return Bandwidth(
        VoiceApi(http, settings.bw_voice_url, account, schemes[settings.bw_voice_auth]),
        WebRtcApi(http, settings.bw_webrtc_url, account, schemes[settings.bw_webrtc_auth]),
        SipTransfer(settings.bw_sipx_uri, settings.uui_limit),
        tuple(schemes.values()),
    )


def _credentials(settings: Settings, clock: Clock, http: HttpClient, scheme: str) -> ApiCredentials:
    if scheme == "basic":
        password = settings.bw_password
        return Basic(settings.bw_username or "", password.get_secret_value() if password else "")
    secret = settings.bw_client_secret
    return OAuth(
        client_id=settings.bw_client_id or "",
        client_secret=secret.get_secret_value() if secret else "",
        token_url=settings.bw_token_url,
        http=http,
        clock=clock,
    )
