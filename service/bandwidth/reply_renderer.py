"""Renders reply recipes as BXML."""

from typing import Final

from service.bandwidth import bxml, prompts
from service.bandwidth.callback_urls import MAX_ROUNDS, CallbackUrls
from service.bandwidth.interconnect import Interconnect, TransferParameters
from service.bandwidth.prompts import Prompts
from service.calls.model import Call, seat_of
from service.calls.replies import (
    AcceptLeg,
    BridgeLeg,
    BridgePhone,
    ErrorAndHangUp,
    GatherPin,
    HangUp,
    Hold,
    HoldLeg,
    NoReply,
    Reply,
    RingWhileDialing,
    SayAndHangUp,
    TransferToNumber,
    TransferToWebRtc,
    Wait,
    WaitForOthers,
)
from service.calls.room_settings import WaitingSound

_JOIN_POLL: Final = 1.0
_WAIT_ROUND: Final = 10.0
"""Seconds of one round of waiting, for whatever it is."""
_LEG_HOLD: Final = 60.0
_STORE_PAUSE: Final = 2.0
_TRANSFER_RING: Final = 30.0
"""Seconds; a transfer that is not answered by then has failed."""
_MAX_PIN_DIGITS: Final = 20


def is_past_last_round(round_number: int) -> bool:
    """Whether a caller who comes back for that round is told that we are sorry, and hung up."""
    return round_number > MAX_ROUNDS


class ReplyRenderer:
    def __init__(self, interconnect: Interconnect, callbacks: CallbackUrls, prompts: Prompts) -> None:
        self._interconnect = interconnect
        self._callbacks = callbacks
        self._prompts = prompts

    def render(self, reply: Reply, redirect_url: str, *, call: Call | None = None, token: str = "") -> bytes:
        """`redirect_url`: where who is told to wait asks again."""
        return bxml.render(*self._verbs(reply, redirect_url, call, token))

    def render_store_wait(self, redirect_url: str, round_number: int) -> bytes:
        """While nothing can be decided: keep the caller on the line, but not for ever."""
        if is_past_last_round(round_number):
            return self.render(ErrorAndHangUp("internal-error"), redirect_url)
        return bxml.render(
            bxml.SpeakSentence(prompts.ONE_MOMENT), bxml.Pause(_STORE_PAUSE), self._redirect(redirect_url)
        )

    def _verbs(self, reply: Reply, redirect_url: str, call: Call | None, token: str) -> list[bxml.Verb]:
        match reply:
            case TransferToWebRtc() | TransferToNumber() | BridgeLeg() | BridgePhone():
                return self._connect_verbs(reply, call, token)
            case AcceptLeg():
                return [bxml.Tag(reply.tag)]
            case Hold(ends_soon=True) | WaitForOthers(ends_soon=True):
                round_ = self._wait_verbs(reply)
                return [bxml.SpeakSentence(prompts.ENDS_SOON), *round_, self._redirect(redirect_url)]
            case Wait() | Hold() | WaitForOthers() | RingWhileDialing() | HoldLeg():
                return [*self._wait_verbs(reply), self._redirect(redirect_url)]
            case GatherPin():
                return [self._gather(reply, redirect_url)]
            case ErrorAndHangUp():
                return [bxml.SpeakSentence(self._prompts.apology(reply.reason)), bxml.Hangup()]
            case SayAndHangUp():
                return [bxml.SpeakSentence(reply.text), bxml.Hangup()]
            case HangUp():
                return [bxml.Hangup()]
            case NoReply():
                return []

    def _wait_verbs(self, reply: Wait | Hold | WaitForOthers | RingWhileDialing | HoldLeg) -> list[bxml.Verb]:
        match reply:
            case Hold() if self._prompts.hold_music:
                return [bxml.PlayAudio(self._prompts.hold_music)]
            case Hold():
                return [bxml.SpeakSentence(self._prompts.hold_message), bxml.Pause(_WAIT_ROUND)]
            case WaitForOthers():
                return self._empty_room_verbs(reply)
            case RingWhileDialing():
                return _announcement_verbs(reply.announcement) or [bxml.Ring(_WAIT_ROUND)]
            case HoldLeg():
                return [bxml.Pause(_LEG_HOLD)]
            case Wait():
                return [bxml.Pause(reply.seconds)]

    def _empty_room_verbs(self, reply: WaitForOthers) -> list[bxml.Verb]:
        waiting = reply.waiting
        match waiting.sound:
            case WaitingSound.MUSIC if waiting.music:
                return [bxml.PlayAudio(waiting.music)]
            case WaitingSound.MESSAGE:
                return [bxml.SpeakSentence(waiting.message or prompts.FIRST_IN_ROOM), bxml.Pause(_WAIT_ROUND)]
            case _:
                # Answered, because a call that is not cannot be redirected when somebody comes.
                return [bxml.Ring(_WAIT_ROUND)]

    def _connect_verbs(
        self,
        reply: TransferToWebRtc | TransferToNumber | BridgeLeg | BridgePhone,
        call: Call | None,
        token: str,
    ) -> list[bxml.Verb]:
        if call is None:
            raise ValueError("a connection belongs to a call")
        phone, leg = (
            self._callbacks.call_url(call.ref, reply.attempt),
            self._callbacks.leg_url(call.ref, reply.attempt),
        )
        match reply:
            case TransferToWebRtc():
                admission = self._transfer_parameters(call, reply.attempt, token)
                return [*_announcement_verbs(reply.announcement), self._interconnect.transfer_verb(admission)]
            case TransferToNumber():
                return [bxml.SpeakSentence(prompts.TRANSFERRING), self._number_transfer(reply, phone)]
            case BridgeLeg():
                return [
                    *_announcement_verbs(reply.announcement),
                    self._bridge(reply.leg_id, complete=phone, target=leg),
                ]
            case BridgePhone():
                return [self._bridge(reply.call_id, complete=leg, target=phone)]

    def _redirect(self, url: str) -> bxml.Redirect:
        return bxml.Redirect(
            url, fallback_url=self._callbacks.fallback_url(url), **self._callbacks.credentials
        )

    def _gather(self, reply: GatherPin, url: str) -> bxml.Gather:
        prompts = self._prompts
        return bxml.Gather(
            (bxml.SpeakSentence(prompts.pin_wrong if reply.after_wrong_pin else prompts.pin_prompt),),
            url=url,
            terminating_digits="#",
            max_digits=_MAX_PIN_DIGITS,
            first_digit_timeout=prompts.pin_first_digit_timeout,
            inter_digit_timeout=prompts.pin_digit_timeout,
            fallback_url=self._callbacks.fallback_url(url),
            **self._callbacks.credentials,
        )

    def _bridge(self, call_id: str, *, complete: str, target: str) -> bxml.Bridge:
        return bxml.Bridge(
            call_id,
            complete_url=complete,
            target_complete_url=target,
            complete_fallback_url=self._callbacks.fallback_url(complete),
            target_complete_fallback_url=self._callbacks.fallback_url(target),
            **self._callbacks.credentials,
        )

    def _transfer_parameters(self, call: Call, attempt: int, token: str) -> TransferParameters:
        url = self._callbacks.call_url(call.ref, attempt)
        return TransferParameters(
            call_id=call.call_id,
            token=token,
            complete_url=url,
            answer_url=url,
            disconnect_url=url,
            complete_fallback_url=self._callbacks.fallback_url(url),
            answer_fallback_url=self._callbacks.fallback_url(url),
            tag=seat_of(call.ref, attempt),
            call_timeout=_TRANSFER_RING,
            **self._callbacks.credentials,
        )

    def _number_transfer(self, reply: TransferToNumber, url: str) -> bxml.Transfer:
        return bxml.Transfer(
            (bxml.PhoneNumber(reply.number),),
            complete_url=url,
            fallback_url=self._callbacks.fallback_url(url),
            call_timeout=_TRANSFER_RING,
            diversion="stack" if reply.diverted else None,
            **self._callbacks.credentials,
        )


def _announcement_verbs(text: str) -> list[bxml.Verb]:
    return [bxml.SpeakSentence(text)] if text else []
