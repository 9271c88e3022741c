"""What a simulator is started with, and the voice application it serves."""

from dataclasses import dataclass
from typing import Literal

import msgspec

Auth = Literal["oauth", "basic", "both"]
Farewell = Literal["together", "leg-first", "call-first"]
DeviceRefusal = Literal["close", 401]

INTERCONNECT = "sip:sipx.webrtc.bandwidth.com:5060"


class SimulatorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds; `time_scale` is for what runs in calls: speech, pauses, timeouts of ringing and keys."""

    port: int = 0
    account_id: str = "9900000"
    client_id: str = "CLI-simulated"
    client_secret: str = "client-secret"
    username: str = "api-user"
    password: str = "api-password"
    application_id: str = "04e88489-df02-4e34-a0ee-27a91849555f"
    number: str = "+15551234567"
    voice_auth: Auth = "both"
    webrtc_auth: Auth = "both"
    token_lifetime: int = 3600
    # 131 characters is the length of the example in the sessions API's specification.
    device_token_length: int = 131
    # The transfer verb's page says 256; an older one and createCall say 350.
    uui_limit: int = 256
    interconnect_uri: str = INTERCONNECT
    interconnect_answer_delay: float = 0.0
    number_answer_delay: float = 0.0
    # Of a call's time, so scaled: until who answers is known, and how long a machine's message is then.
    detection_delay: float = 2.0
    machine_message: float = 6.0
    # What deleting or removing a participant does to its SIP leg is documented for removal only.
    delete_ends_leg: bool = True
    removal_ends_leg: bool = False
    farewell: Farewell = "together"
    # A call that is over answers 404 or 409 to updateCall, depending on how long ago it ended.
    ended_call_status: Literal[404, 409] = 404
    # getCallState is eventually consistent: seconds until a call can be seen.
    call_visible_after: float = 0.0
    callback_timeout: float = 15.0
    time_scale: float = 0.02
    latency: float = 0.0
    # Sound: browsers may connect to `device_url`, and phones that are through to WebRTC speak and hear.
    media: bool = False
    # Participant events are beta at Bandwidth, and perhaps not switched on; they need `media`.
    participant_events: bool = True
    # Seconds that a browser whose socket was lost is waited for; undocumented.
    device_grace: float = 30.0
    # What a device token that is not valid gets: closed with 1000, or the upgrade refused; undocumented.
    device_refusal: DeviceRefusal = "close"


@dataclass
class Application:
    """The voice application's settings (applications page): where inbound calls announce themselves."""

    initiate_url: str = ""
    status_url: str = ""
    username: str | None = None
    password: str | None = None
    initiate_fallback_url: str | None = None
    fallback_username: str | None = None
    fallback_password: str | None = None
    callback_timeout: float = 15.0
