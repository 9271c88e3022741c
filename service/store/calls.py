"""Calls in the store: load with one trip, commit with one."""

from collections.abc import Callable
from typing import Final

import msgspec

from service.calls.effects import Owed
from service.calls.model import Call
from service.calls.change_view import call_news
from service.calls.refs import partition_of_ref
from service.calls.replies import Reply
from service.store import keys
from service.store.call_index import AFTER_END, HOUR, LIVE, CallIndex, is_tombstone, read_call
from service.store.redis.client import Client
from service.store.compression import compressed, plain
from service.store.errors import StoreCorrupt
from service.store.unknown_fields import foreign, with_foreign
from service.store.outbox import TIMELINE, encode_owed
from service.store.redis.scripts import Script
from service.store.gauges import STEP, standing
from service.store.timeline import packed

_LOAD: Final = Script("call_load")
_COMMIT: Final = Script("call_commit")
_KEEP: Final = Script("call_keep")
_TOKEN: Final = HOUR // 2

_encode = msgspec.json.Encoder().encode
_decode_reply: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


class Stored(msgspec.Struct, frozen=True):
    """A call as it was when it was loaded."""

    revision: int
    call: Call | None
    reply: Reply | None
    """What the event that it was loaded for has been answered before."""
    token: str
    """The device token of a transfer that has not been answered; empty where there is none."""
    foreign: bytes = b""
    """What a newer release has written of the call."""

    def __repr__(self) -> str:
        return f"Stored(revision={self.revision}, call={self.call}, reply={self.reply}, token=***)"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What one event does to a call; all of it is written or nothing."""

    call: Call
    event: str
    """Key of the event that is answered; empty for one that has no answer to be remembered."""
    reply: Reply
    entry: dict[str, object] | None
    """For the timeline; None for what would only fill it."""
    before: Call | None = None
    """What the call was, so that who looks on is told what has changed of it."""
    owed: tuple[Owed, ...] = ()
    cancelled: tuple[str, ...] = ()
    token: str | None = ""
    """A token to keep, None to drop the one that is kept, empty to leave it."""
    foreign: bytes = b""
    """As it was loaded."""

    def __repr__(self) -> str:
        return (
            f"Change(call={self.call}, event={self.event!r}, reply={self.reply}, owed={self.owed}, token=***)"
        )


class Calls(CallIndex):
    """The calls. `ended_days` is how long an ended one is kept; a tombstone goes with its events.

    With `compresses` what has ended is compressed, and so is each entry of a timeline.
    """

    def __init__(
        self,
        client: Client,
        *,
        ended_days: float,
        compresses: bool = False,
        on_erasure: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(client, ended_days=ended_days, on_erasure=on_erasure)
        self._compresses = compresses

    async def load(self, ref: str, event: str = "") -> Stored:
        """Raises StoreUnavailable, NewerSchema, StoreCorrupt."""
        revision, state, reply, token = await self._client.run(
            _LOAD,
            {"call": keys.call(ref), "events": keys.events(ref), "token": keys.token(ref)},
            {"event": event},
        )
        try:
            call = None if state is None else read_call(state)
            return Stored(
                revision=int(revision or 0),
                call=call,
                foreign=b"" if call is None else foreign(plain(state), call),
                reply=None if reply is None else _decode_reply.decode(reply),
                token="" if token is None else token.decode(),
            )
        except msgspec.DecodeError as error:
            raise StoreCorrupt(f"call {ref}: {error}") from error

    async def commit(self, revision: int, change: Change, *, now: float, commit: str) -> bool:
        """False when another commit came first; `commit` is an id of this one."""
        call = change.call
        news = None if is_tombstone(call) else call_news(change.before, call)
        token = "-" if change.token is None else change.token
        written = await self._client.run(
            _COMMIT,
            {
                "call": keys.call(call.ref),
                "events": keys.events(call.ref),
                "timeline": keys.timeline(call.ref),
                "token": keys.token(call.ref),
                "owed": keys.owed(keys.owner_call(call.ref)),
                "agenda": keys.agenda(partition_of_ref(call.ref)),
                "calls": keys.calls(partition_of_ref(call.ref)),
                "standing": keys.standing(partition_of_ref(call.ref)),
                "news": keys.news(partition_of_ref(call.ref)),
            },
            {
                "now": int(now * 1000),
                "revision": revision,
                "commit": commit,
                "state": self._kept(with_foreign(_encode(call), change.foreign), compress=not call.live),
                "event": change.event,
                "reply": _encode(change.reply),
                "entry": b"" if change.entry is None else self._kept(packed(change.entry)),
                "entries": TIMELINE,
                "effects": _encode([encode_owed(one) for one in change.owed]),
                "cancelled": _encode(change.cancelled),
                "owner": keys.owner_call(call.ref),
                "device": token,
                "ttl": self._ttl(call),
                "events_ttl": LIVE if call.live else AFTER_END,
                "token_ttl": _TOKEN,
                "ref": call.ref,
                "began": round(call.created_at * 1000),
                "listed": int(not is_tombstone(call)),
                "oldest": self._oldest(now),
                "calls_ttl": self._longest,
                "stands": standing(call),
                "step": STEP,
                "rooms": " ".join(news.rooms) if news else "",
                "told": _encode(news.call) if news else b"",
            },
        )
        return bool(written)

    async def keep(self, ref: str, *, now: float) -> None:
        """A live call of which nothing was heard for long is not forgotten."""
        await self._client.run(
            _KEEP,
            {
                "call": keys.call(ref),
                "events": keys.events(ref),
                "timeline": keys.timeline(ref),
                "standing": keys.standing(partition_of_ref(ref)),
            },
            {"now": int(now * 1000), "ttl": LIVE, "ref": ref, "step": STEP},
        )

    def _kept(self, text: bytes, *, compress: bool = True) -> bytes:
        return compressed(text) if compress and self._compresses else text

    def _ttl(self, call: Call) -> int:
        if call.live:
            return LIVE
        return AFTER_END if is_tombstone(call) else self._ended
