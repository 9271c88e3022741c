"""Hangs phones up and redirects them. What updateCall does not find is looked up with getCall."""

from typing import Final

from service.bandwidth.callback_urls import CallbackUrls
from service.bandwidth.errors import BandwidthError, Conflict, NotFound
from service.bandwidth.voice import VoiceApi
from service.calls.effects import RedirectPhone

TIMEOUT: Final = 10.0
"""Seconds for one request that nobody on the phone waits for."""
DISCONNECTED: Final = "disconnected"
"""getCallState's word for a call that is over (voice API); any other is one that lives."""


class PhoneControl:
    """Raises BandwidthError when it has to be tried again; NotFound if getCall knows no such call either."""

    def __init__(self, voice: VoiceApi, callbacks: CallbackUrls) -> None:
        self._voice = voice
        self._callbacks = callbacks

    async def hang_up(self, call_id: str, *, attempt: int) -> None:
        try:
            await self._voice.hang_up(call_id, timeout=TIMEOUT, attempt=attempt)
        except (NotFound, Conflict) as error:
            await self._check_ended(call_id, error, attempt)

    async def redirect(self, effect: RedirectPhone, *, attempt: int) -> None:
        url = self._callbacks.call_url(effect.ref, effect.attempt)
        try:
            await self._voice.redirect(
                effect.call_id,
                url=url,
                fallback_url=self._callbacks.fallback_url(url),
                username=self._callbacks.username,
                password=self._callbacks.password,
                timeout=TIMEOUT,
                attempt=attempt,
            )
        except (NotFound, Conflict) as error:
            await self._check_ended(effect.call_id, error, attempt)

    async def _check_ended(self, call_id: str, error: NotFound | Conflict, attempt: int) -> None:
        state = await self._voice.get_call(call_id, timeout=TIMEOUT, attempt=attempt)
        if state is None:
            raise error
        if state.state != DISCONNECTED:
            raise BandwidthError(
                error.operation,
                error.code,
                status=error.status,
                retryable=True,
                detail=f"it is {state.state}",
            ) from error
