"""Reads calls for API and command line: one with its timeline, the newest, one by Bandwidth's id."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from service.calls.model import SCHEMA, Call, Direction
from service.calls.outcomes import is_erased
from service.calls.refs import PARTITIONS, is_ref, ref_of_call
from service.store import keys
from service.store.compression import decompress_text
from service.store.errors import NewerSchema, StoreCorrupt
from service.store.keys import CallKeys
from service.store.redis.client import Client
from service.store.redis.scripts import Script, Value
from service.store.script_values import nearest_ms, pairs
from service.store.timeline import unpack_entry

_GET: Final = Script("get")
_STATE: Final = Script("call_state")
_VIEW: Final = Script("call_view")
_INDEX: Final = Script("call_index")
_NAME: Final = Script("call_name")
_ERASE: Final = Script("call_erase")
_STANDING: Final = Script("standing_read")
_NAMED: Final = Script("call_named")
_CALL_ID: Final = re.compile(r"c-[A-Za-z0-9-]{1,200}")
_SCAN: Final = 20_000
"""Calls of a partition among which those with a certain beginning are looked for."""
_AT_ONCE: Final = 1_000
"""Calls that are read in one trip."""

HOUR_MS: Final = 3_600_000
"""Milliseconds of an hour."""
LIVE_TTL_MS: Final = 24 * HOUR_MS
"""Milliseconds from the last change for which a live call is kept."""
ENDED_TTL_MS: Final = HOUR_MS // 4
"""Milliseconds for which webhooks may come late."""

_encode = msgspec.json.Encoder().encode
_decode_call = msgspec.json.Decoder(Call).decode

CallPosition = tuple[float, str]
"""Of a call in the order of all: when it began, in seconds since the epoch, and its ref."""


class CallPage(msgspec.Struct, frozen=True):
    """Some calls, newest first."""

    calls: list[Call]
    next: CallPosition | None
    """Where to go on; None when there is nothing more."""


class CallIndex:
    """Looking at calls. `ended_days` is how long an ended one is kept; `on_erasure` follows each erasure."""

    def __init__(
        self, client: Client, *, ended_days: float, on_erasure: Callable[[], None] | None = None
    ) -> None:
        self._client = client
        self._on_erasure = on_erasure
        self._ended_ttl_ms = int(ended_days * 24 * HOUR_MS)
        self._alias_ttl_ms = self._ended_ttl_ms + LIVE_TTL_MS
        """Milliseconds from its beginning for which a call is listed, and has its other name."""

    async def view(self, ref: str) -> tuple[Call, list[dict[str, object]]] | None:
        """A call and what has happened to it, oldest first. Raises StoreCorrupt."""
        at = CallKeys.of(ref)
        state, entries = await self._client.run(_VIEW, {"call": at.call, "timeline": at.timeline}, {})
        if state is None:
            return None
        try:
            return _decode_call(decompress_text(state)), [unpack_entry(entry) for entry in entries]
        except msgspec.DecodeError as error:
            raise StoreCorrupt(f"call {ref}: {error}") from error

    async def list_recent(
        self, *, before: CallPosition | None, since: float | None, until: float | None, limit: int
    ) -> CallPage:
        """Newest first: calls that began at `since` or later and before `until`, after the position `before`.

        There may be fewer than `limit` although there is a next position: the index outlives calls. One that
        this release cannot read is left out like one that is gone.
        """
        found = await self._positions(before, since, until, limit)
        calls = await self.read_many([ref for _, ref in found[:limit]])
        if len(found) <= limit:
            return CallPage(calls, None)
        at, ref = found[limit - 1]
        return CallPage(calls, (at / 1000, ref))

    async def read_many(self, refs: Sequence[str]) -> list[Call]:
        """Those of them that are there and can be read."""
        states = await self._client.run_many(_STATE, [({"call": keys.call(ref)}, {}) for ref in refs])
        return [call for state in states if state is not None and (call := _readable(state))]

    async def list_live(self) -> list[Call]:
        """All calls that are up, in no order."""
        every = await self._client.run_many(
            _STANDING, [({"standing": keys.live_calls(partition)}, {}) for partition in range(PARTITIONS)]
        )
        refs = [ref.decode() for refs in every for ref in refs]
        found: list[Call] = []
        for begin in range(0, len(refs), _AT_ONCE):
            found += await self.read_many(refs[begin : begin + _AT_ONCE])
        return [call for call in found if call.live]

    async def find_by_prefix(self, prefix: str, *, limit: int) -> list[str]:
        """Refs that begin so, of the newest calls of each partition."""
        args: dict[str, Value] = {"prefix": prefix, "scan": _SCAN, "limit": limit}
        every = await self._client.run_many(
            _NAMED, [({"calls": keys.calls(partition)}, args) for partition in range(PARTITIONS)]
        )
        return sorted(ref.decode() for refs in every for ref in refs)[:limit]

    async def add_alias(self, call_id: str, ref: str) -> None:
        """Make a call known under the id that Bandwidth has given it."""
        await self._client.run(_NAME, {"alias": keys.alias(call_id)}, {"ref": ref, "ttl": self._alias_ttl_ms})

    async def ref_of_call_id(self, call_id: str) -> str:
        """The ref under which the call is kept, if it is: without another name it follows from the id."""
        ref = await self._client.run(_GET, {"value": keys.alias(call_id)}, {})
        return ref_of_call(call_id) if ref is None else str(ref.decode())

    async def find_ref(self, id_: str) -> str | None:
        """By our id of a call or by Bandwidth's; None for what is neither. Whether it is kept is not said."""
        if is_ref(id_):
            return id_
        return await self.ref_of_call_id(id_) if _CALL_ID.fullmatch(id_) else None

    async def erase(self, ref: str, tombstone: Call, *, now: float) -> bool | None:
        """Forget what is known of an ended call; the tombstone in its place has late webhooks begin nothing.

        None when the call is not known. False when it lives, and while it owes work, which is done first.
        """
        at = CallKeys.of(ref)
        erased = await self._client.run(
            _ERASE,
            {
                "call": at.call,
                "events": at.events,
                "timeline": at.timeline,
                "token": at.token,
                "owed": at.owed,
                "calls": at.calls,
            },
            {"ref": ref, "tombstone": _encode(tombstone), "ttl": ENDED_TTL_MS, "oldest": self._oldest(now)},
        )
        if erased and self._on_erasure:
            self._on_erasure()
        return None if erased is None else bool(erased)

    async def _positions(
        self, before: CallPosition | None, since: float | None, until: float | None, limit: int
    ) -> list[tuple[int, str]]:
        """The first `limit` positions in milliseconds, and one more if there is one."""
        above = -math.inf if since is None else nearest_ms(since)
        end = math.inf if until is None else nearest_ms(until)
        cursor = (math.inf, "") if before is None else (nearest_ms(before[0]), before[1])
        below = min(cursor[0], end)
        args: dict[str, Value] = {
            # Several may have begun in the same millisecond, of which some were before the cursor.
            "tie": cursor[0] if before and above <= cursor[0] < end else "",
            "below": f"({below}" if below < math.inf else "+inf",
            "above": above if above > -math.inf else "-inf",
            "limit": limit + 1,
        }
        pages = await self._client.run_many(
            _INDEX, [({"calls": keys.calls(partition)}, args) for partition in range(PARTITIONS)]
        )
        found: list[tuple[int, str]] = []
        for page in pages:
            found += [(int(score), ref.decode()) for ref, score in pairs(page)]
        return sorted((one for one in found if one < cursor), reverse=True)[: limit + 1]

    def _oldest(self, now: float) -> int:
        """Calls that began earlier are off the index."""
        return nearest_ms(now) - self._alias_ttl_ms


def read_call(state: bytes) -> Call:
    """For whoever writes it back. Raises NewerSchema, msgspec.DecodeError."""
    call = _decode_call(decompress_text(state))
    if call.schema > SCHEMA:
        # Writing it back would lose what this release does not know.
        raise NewerSchema(f"call {call.ref} has schema {call.schema}, this release writes {SCHEMA}")
    return call


def is_tombstone(call: Call) -> bool:
    """Whether nothing is known of the call but that it has ended: it had not begun before, or was erased."""
    if is_erased(call):
        return True
    began = call.attempt or call.ended_at > call.created_at
    return not call.live and not began and call.direction is Direction.INBOUND


def _readable(state: bytes) -> Call | None:
    try:
        return _decode_call(decompress_text(state))
    except msgspec.DecodeError:
        return None
