"""Calls in the store: load with one trip, commit with one."""

from collections.abc import Callable
from typing import Final

import msgspec

from service.calls.change_view import call_change
from service.calls.effects import Scheduled
from service.calls.model import Call
from service.calls.replies import RecordedReply
from service.store.call_index import ENDED_TTL_MS, HOUR_MS, LIVE_TTL_MS, CallIndex, is_tombstone, read_call
from service.store.compression import compress_text, decompress_text
from service.store.errors import StoreCorrupt
from service.store.gauges import STEP, state_index
from service.store.keys import CallKeys
from service.store.outbox import MAX_TIMELINE_ENTRIES, encode_scheduled
from service.store.redis.client import Client
from service.store.redis.scripts import Script
from service.store.script_values import ms, nearest_ms
from service.store.timeline import pack_entry
from service.store.unknown_fields import unknown_fields, with_unknown_fields

_LOAD: Final = Script("call_load")
_COMMIT: Final = Script("call_commit")
_KEEP: Final = Script("call_keep")
_TOKEN_TTL_MS: Final = HOUR_MS // 2
"""Milliseconds for which the device token of an unanswered transfer is kept."""

_encode = msgspec.json.Encoder().encode
_decode_reply: msgspec.json.Decoder[RecordedReply] = msgspec.json.Decoder(RecordedReply)


class StoredCall(msgspec.Struct, frozen=True):
    """A call as it was when it was loaded."""

    revision: int
    call: Call | None
    reply: RecordedReply | None
    """What the event that it was loaded for has been answered before."""
    token: str
    """The device token of a transfer that has not been answered; empty where there is none."""
    unknown_fields: bytes = b""
    """What a newer release has written of the call."""

    def __repr__(self) -> str:
        return f"StoredCall(revision={self.revision}, call={self.call}, reply={self.reply}, token=***)"


class CallCommit(msgspec.Struct, frozen=True, kw_only=True):
    """What one event does to a call; all of it is written or nothing."""

    call: Call
    event_key: str
    """Key of the event that is answered; empty for one that has no answer to be remembered."""
    reply: RecordedReply
    timeline_entry: dict[str, object] | None
    """For the timeline; None for what would only fill it."""
    before: Call | None = None
    """What the call was, so that who looks on is told what has changed of it."""
    effects: tuple[Scheduled, ...] = ()
    cancels: tuple[str, ...] = ()
    token: str | None = ""
    """A token to keep, None to drop the one that is kept, empty to leave it."""
    unknown_fields: bytes = b""
    """As it was loaded."""

    def __repr__(self) -> str:
        return (
            f"CallCommit(call={self.call}, event_key={self.event_key!r}, reply={self.reply}, "
            f"effects={self.effects}, token=***)"
        )


class Calls(CallIndex):
    """The calls. `ended_days` is how long an ended one is kept; a tombstone goes with its events.

    With `compress` what has ended is compressed, and so is each entry of a timeline.
    """

    def __init__(
        self,
        client: Client,
        *,
        ended_days: float,
        compress: bool = False,
        on_erasure: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(client, ended_days=ended_days, on_erasure=on_erasure)
        self._compress = compress

    async def load(self, ref: str, event_key: str = "") -> StoredCall:
        """Raises StoreUnavailable, NewerSchema, StoreCorrupt."""
        at = CallKeys.of(ref)
        revision, state, reply, token = await self._client.run(
            _LOAD, {"call": at.call, "events": at.events, "token": at.token}, {"event": event_key}
        )
        try:
            call = None if state is None else read_call(state)
            return StoredCall(
                revision=int(revision or 0),
                call=call,
                unknown_fields=b"" if call is None else unknown_fields(decompress_text(state), call),
                reply=None if reply is None else _decode_reply.decode(reply),
                token="" if token is None else token.decode(),
            )
        except msgspec.DecodeError as error:
            raise StoreCorrupt(f"call {ref}: {error}") from error

    async def commit(self, revision: int, change: CallCommit, *, now: float, commit_id: str) -> bool:
        """False when another commit came first; `commit_id` is an id of this one."""
        call = change.call
        news = None if is_tombstone(call) else call_change(change.before, call)
        token = "-" if change.token is None else change.token
        at = CallKeys.of(call.ref)
        written = await self._client.run(
            _COMMIT,
            {
                "call": at.call,
                "events": at.events,
                "timeline": at.timeline,
                "token": at.token,
                "owed": at.owed,
                "agenda": at.agenda,
                "calls": at.calls,
                "standing": at.live_calls,
                "news": at.news,
            },
            {
                "now": ms(now),
                "revision": revision,
                "commit": commit_id,
                "state": self._packed(
                    with_unknown_fields(_encode(call), change.unknown_fields), compress=not call.live
                ),
                "event": change.event_key,
                "reply": _encode(change.reply),
                "entry": b""
                if change.timeline_entry is None
                else self._packed(pack_entry(change.timeline_entry)),
                "entries": MAX_TIMELINE_ENTRIES,
                "effects": _encode([encode_scheduled(one) for one in change.effects]),
                "cancelled": _encode(change.cancels),
                "owner": at.owner,
                "device": token,
                "ttl": self._ttl(call),
                "events_ttl": LIVE_TTL_MS if call.live else ENDED_TTL_MS,
                "token_ttl": _TOKEN_TTL_MS,
                "ref": call.ref,
                "began": nearest_ms(call.created_at),
                "listed": int(not is_tombstone(call)),
                "oldest": self._oldest(now),
                "calls_ttl": self._alias_ttl_ms,
                "stands": state_index(call),
                "step": STEP,
                "rooms": " ".join(news.rooms) if news else "",
                "told": _encode(news.call) if news else b"",
            },
        )
        return bool(written)

    async def extend_ttl(self, ref: str, *, now: float) -> None:
        """A live call of which nothing was heard for long is not forgotten."""
        at = CallKeys.of(ref)
        await self._client.run(
            _KEEP,
            {"call": at.call, "events": at.events, "timeline": at.timeline, "standing": at.live_calls},
            {"now": ms(now), "ttl": LIVE_TTL_MS, "ref": ref, "step": STEP},
        )

    def _packed(self, text: bytes, *, compress: bool = True) -> bytes:
        return compress_text(text) if compress and self._compress else text

    def _ttl(self, call: Call) -> int:
        if call.live:
            return LIVE_TTL_MS
        return ENDED_TTL_MS if is_tombstone(call) else self._ended_ttl_ms
