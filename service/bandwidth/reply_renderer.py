"""Renders reply recipes as BXML."""

from typing import Final

from service.bandwidth import prompts
from service.bandwidth.prompts import Words
from handlers.webhooks.payload import ROUNDS
from service.bandwidth import bxml
from service.bandwidth.interconnect import Admission, Interconnect
from service.calls.model import Call, seat_of
from service.calls.replies import (
    Apologise,
    AskDigits,
    AwaitOthers,
    BridgeLeg,
    BridgePhone,
    Elsewhere,
    Farewell,
    Hangup,
    Hold,
    Join,
    KeepTag,
    Nothing,
    Park,
    ParkLeg,
    Reply,
    Transfer,
    Wait,
)
from service.calls.room_settings import Sound
from service.bandwidth.callback_urls import Callbacks

_WAIT: Final = 1.0
_ROUND: Final = 10.0
"""Seconds of one round of waiting, for whatever it is."""
_PARKED: Final = 60.0
_STORE_PAUSE: Final = 2.0
_RING: Final = 30.0
"""Seconds; a transfer that is not answered by then has failed."""
_LONGEST_PIN: Final = 20


def is_let_go(round_: int) -> bool:
    """Whether a caller who comes back for that round is told that we are sorry, and hung up."""
    return round_ > ROUNDS


class Renderer:
    def __init__(self, interconnect: Interconnect, callbacks: Callbacks, words: Words) -> None:
        self._interconnect = interconnect
        self._callbacks = callbacks
        self._words = words

    def render(self, reply: Reply, here: str, *, call: Call | None = None, token: str = "") -> bytes:
        """`here`: where who is told to wait asks again."""
        return bxml.render(*self._verbs(reply, here, call, token))

    def come_back(self, here: str, round_: int) -> bytes:
        """While nothing can be decided: keep the caller on the line, but not for ever."""
        if is_let_go(round_):
            return self.render(Apologise("internal-error"), here)
        return bxml.render(
            bxml.SpeakSentence(prompts.ONE_MOMENT), bxml.Pause(_STORE_PAUSE), self._redirect(here)
        )

    def _verbs(self, reply: Reply, here: str, call: Call | None, token: str) -> list[bxml.Verb]:
        match reply:
            case Transfer() | Elsewhere() | BridgeLeg() | BridgePhone():
                return self._connect(reply, call, token)
            case KeepTag():
                return [bxml.Tag(reply.tag)]
            case Hold(ends_soon=True) | AwaitOthers(ends_soon=True):
                round_ = self._while_waiting(reply)
                return [bxml.SpeakSentence(prompts.ENDS_SOON), *round_, self._redirect(here)]
            case Join() | Wait() | Hold() | AwaitOthers() | Park() | ParkLeg():
                return [*self._while_waiting(reply), self._redirect(here)]
            case AskDigits():
                return [self._gather(reply, here)]
            case Apologise():
                return [bxml.SpeakSentence(self._words.apology(reply.reason)), bxml.Hangup()]
            case Farewell():
                return [bxml.SpeakSentence(reply.text), bxml.Hangup()]
            case Hangup():
                return [bxml.Hangup()]
            case Nothing():
                return []

    def _while_waiting(self, reply: Join | Wait | Hold | AwaitOthers | Park | ParkLeg) -> list[bxml.Verb]:
        match reply:
            case Hold() if self._words.hold_music:
                return [bxml.PlayAudio(self._words.hold_music)]
            case Hold():
                return [bxml.SpeakSentence(self._words.hold_message), bxml.Pause(_ROUND)]
            case AwaitOthers():
                return self._waiting(reply)
            case Park():
                return _said(reply.announcement) or [bxml.Ring(_ROUND)]
            case ParkLeg():
                return [bxml.Pause(_PARKED)]
            case Wait():
                return [bxml.Pause(reply.seconds)]
            case Join():
                # A join that is still to be carried out is waited for; the engine hands none out.
                return [bxml.Pause(_WAIT)]

    def _waiting(self, reply: AwaitOthers) -> list[bxml.Verb]:
        waiting = reply.waiting
        match waiting.sound:
            case Sound.MUSIC if waiting.music:
                return [bxml.PlayAudio(waiting.music)]
            case Sound.MESSAGE:
                return [bxml.SpeakSentence(waiting.message or prompts.WAITING), bxml.Pause(_ROUND)]
            case _:
                # Answered, because a call that is not cannot be redirected when somebody comes.
                return [bxml.Ring(_ROUND)]

    def _connect(
        self, reply: Transfer | Elsewhere | BridgeLeg | BridgePhone, call: Call | None, token: str
    ) -> list[bxml.Verb]:
        if call is None:
            raise ValueError("a connection belongs to a call")
        phone, leg = (
            self._callbacks.voice(call.ref, reply.attempt),
            self._callbacks.leg(call.ref, reply.attempt),
        )
        match reply:
            case Transfer():
                admission = self._admission(call, reply.attempt, token)
                return [*_said(reply.announcement), self._interconnect.enter(admission)]
            case Elsewhere():
                return [bxml.SpeakSentence(prompts.ELSEWHERE), self._elsewhere(reply, phone)]
            case BridgeLeg():
                return [*_said(reply.announcement), self._bridge(reply.leg_id, complete=phone, target=leg)]
            case BridgePhone():
                return [self._bridge(reply.call_id, complete=leg, target=phone)]

    def _redirect(self, url: str) -> bxml.Redirect:
        return bxml.Redirect(url, fallback_url=self._callbacks.fallback(url), **self._callbacks.credentials)

    def _gather(self, reply: AskDigits, url: str) -> bxml.Gather:
        words = self._words
        return bxml.Gather(
            (bxml.SpeakSentence(words.pin_wrong if reply.again else words.pin_prompt),),
            url=url,
            terminating_digits="#",
            max_digits=_LONGEST_PIN,
            first_digit_timeout=words.pin_first_digit_timeout,
            inter_digit_timeout=words.pin_digit_timeout,
            fallback_url=self._callbacks.fallback(url),
            **self._callbacks.credentials,
        )

    def _bridge(self, call_id: str, *, complete: str, target: str) -> bxml.Bridge:
        return bxml.Bridge(
            call_id,
            complete_url=complete,
            target_complete_url=target,
            complete_fallback_url=self._callbacks.fallback(complete),
            target_complete_fallback_url=self._callbacks.fallback(target),
            **self._callbacks.credentials,
        )

    def _admission(self, call: Call, attempt: int, token: str) -> Admission:
        url = self._callbacks.voice(call.ref, attempt)
        return Admission(
            call_id=call.call_id,
            token=token,
            complete_url=url,
            answer_url=url,
            disconnect_url=url,
            complete_fallback_url=self._callbacks.fallback(url),
            answer_fallback_url=self._callbacks.fallback(url),
            tag=seat_of(call.ref, attempt),
            call_timeout=_RING,
            **self._callbacks.credentials,
        )

    def _elsewhere(self, reply: Elsewhere, url: str) -> bxml.Transfer:
        return bxml.Transfer(
            (bxml.PhoneNumber(reply.number),),
            complete_url=url,
            fallback_url=self._callbacks.fallback(url),
            call_timeout=_RING,
            diversion="stack" if reply.diverted else None,
            **self._callbacks.credentials,
        )


def _said(words: str) -> list[bxml.Verb]:
    return [bxml.SpeakSentence(words)] if words else []
