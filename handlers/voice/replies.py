"""Renders reply recipes as BXML."""

from typing import Final, assert_never

from handlers.voice import speech
from service.bandwidth import bxml
from service.bandwidth.interconnect import Admission, Interconnect
from service.calls.model import Call, seat_of
from service.calls.replies import (
    Apologise,
    Elsewhere,
    Hangup,
    Hold,
    Join,
    KeepTag,
    Nothing,
    Reply,
    Transfer,
    Wait,
)
from service.engine.callbacks import Callbacks

_WAIT: Final = 1.0
_HOLD: Final = 10.0
_STORE_PAUSE: Final = 2.0
ROUNDS: Final = 3
"""How often a caller is asked to wait for a store that is down."""
_RING: Final = 30.0
"""Seconds; a transfer that is not answered by then has failed."""


class Renderer:
    def __init__(self, interconnect: Interconnect, callbacks: Callbacks) -> None:
        self._interconnect = interconnect
        self._callbacks = callbacks

    def render(
        self, reply: Reply, ref: str, *, attempt: int = 0, call: Call | None = None, token: str = ""
    ) -> bytes:
        """`attempt`: of the webhook's own URL; who is told to wait asks there again."""
        return bxml.render(*self._verbs(reply, self._callbacks.voice(ref, attempt or None), ref, call, token))

    def come_back(self, ref: str, round_: int) -> bytes:
        """While nothing can be decided: keep the caller on the line, but not for ever."""
        if round_ >= ROUNDS:
            return self.render(Apologise("internal-error"), ref)
        return bxml.render(
            bxml.SpeakSentence(speech.ONE_MOMENT),
            bxml.Pause(_STORE_PAUSE),
            self._redirect(self._callbacks.voice(ref, again=round_ + 1)),
        )

    def _verbs(self, reply: Reply, here: str, ref: str, call: Call | None, token: str) -> list[bxml.Verb]:
        match reply:
            case Transfer():
                if call is None:
                    raise ValueError("a transfer belongs to a call")
                said = [bxml.SpeakSentence(reply.announcement)] if reply.announcement else []
                return [*said, self._interconnect.enter(self._admission(call, reply.attempt, token))]
            case KeepTag():
                return [bxml.Tag(reply.tag)]
            case Elsewhere():
                return [bxml.SpeakSentence(speech.ELSEWHERE), self._elsewhere(reply, ref)]
            case Hold():
                return [bxml.SpeakSentence(speech.PLEASE_HOLD), bxml.Pause(_HOLD), self._redirect(here)]
            case Wait() | Join():
                # A join that is still to be carried out is waited for; the engine hands none out.
                return [bxml.Pause(_WAIT), self._redirect(here)]
            case Apologise():
                return [bxml.SpeakSentence(speech.apology(reply.reason)), bxml.Hangup()]
            case Hangup():
                return [bxml.Hangup()]
            case Nothing():
                return []
            case _:
                assert_never(reply)

    def _redirect(self, url: str) -> bxml.Redirect:
        return bxml.Redirect(
            url,
            username=self._callbacks.username,
            password=self._callbacks.password,
        )

    def _admission(self, call: Call, attempt: int, token: str) -> Admission:
        url = self._callbacks.voice(call.ref, attempt)
        return Admission(
            call_id=call.call_id,
            token=token,
            complete_url=url,
            answer_url=url,
            disconnect_url=url,
            username=self._callbacks.username,
            password=self._callbacks.password,
            tag=seat_of(call.ref, attempt),
            call_timeout=_RING,
        )

    def _elsewhere(self, reply: Elsewhere, ref: str) -> bxml.Transfer:
        return bxml.Transfer(
            (bxml.PhoneNumber(reply.number),),
            complete_url=self._callbacks.voice(ref, reply.attempt),
            username=self._callbacks.username,
            password=self._callbacks.password,
            call_timeout=_RING,
        )
