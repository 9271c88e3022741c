"""Dials our own call into WebRTC, the second leg where INTERCONNECT is bridge (voice interworking page)."""

from typing import Final

from service.bandwidth.callback_urls import CallbackUrls
from service.bandwidth.create_call import CreateCallRequest
from service.bandwidth.interconnect import leg_uui
from service.bandwidth.voice import VoiceApi
from service.calls.model import Call, Direction
from service.engine.errors import JoinRefused
from service.engine.joining.compensated import CompensatedCreate
from service.engine.joining.creates import CREATE_TIMEOUT
from service.engine.joining.session_join import SessionJoiner

_RINGS: Final = 30.0


class LegDialer:
    """`number`: ours, for the legs of calls that do not name one of ours themselves."""

    def __init__(
        self,
        *,
        voice: VoiceApi,
        session_joiner: SessionJoiner,
        callbacks: CallbackUrls,
        sip_uri: str,
        application_id: str | None,
        number: str | None,
    ) -> None:
        self._voice = voice
        self._session_joiner = session_joiner
        self._callbacks = callbacks
        self._sip_uri = sip_uri
        self._application_id = application_id
        self._number = number

    def dial(self, call: Call, token: str) -> CompensatedCreate[str]:
        """Call the SIP interconnect as the participant of this token; it makes Bandwidth's id of that call.

        Raises JoinRefused where our settings do not allow it. Should its fate be unknown, the leg is refused
        at its answer, when its attempt has been given up.
        """
        ours = self._number or (call.to_number if call.direction is Direction.INBOUND else call.from_number)
        if not self._application_id or not ours:
            raise JoinRefused(
                "not-configured", "interconnect bridge needs BW_VOICE_APPLICATION_ID and BW_NUMBER"
            )
        url = self._callbacks.leg_url(call.ref, call.attempt)
        order = CreateCallRequest(
            to=self._sip_uri,
            from_=ours,
            application_id=self._application_id,
            uui=leg_uui(token),
            answer_url=url,
            answer_fallback_url=self._callbacks.fallback_url(url),
            disconnect_url=url,
            call_timeout=_RINGS,
            **self._callbacks.credentials,
        )
        return self._session_joiner.creator.create_leg(
            call.room, lambda: self._voice.create_call(order, timeout=CREATE_TIMEOUT)
        )
