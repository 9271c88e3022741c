"""Finds which of Bandwidth's ids the store knows, before a sweep ends the others.

Everything is looked through as text, and nothing is decoded: what this release cannot read is somebody's too.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from service.calls.refs import PARTITIONS, ref_of_call
from service.store import keys
from service.store.redis.client import Client
from service.store.redis.scripts import Result, Script, Value
from service.store.script_values import pairs

T = TypeVar("T")
Bound = tuple[Mapping[str, str], Mapping[str, Value]]

_NAMES: Final = Script("room_names")
_ROOM: Final = Script("room_read")
_AGENDA: Final = Script("agenda_read")
_OWED: Final = Script("owed_read")
_STANDING: Final = Script("standing_read")
_STATE: Final = Script("call_state")
_GET: Final = Script("get")
_AT_ONCE: Final = 500
"""Keys that are read in one trip."""
_ALL: Final = 0
"""Owners of an agenda that are read: as the limit it means all."""
_QUOTED: Final = re.compile(rb'"([^"\\]*)"')


class KnownIds:
    """Raises StoreUnavailable."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def filter_known(self, ids: Iterable[str]) -> set[str]:
        """Those that a room, a live call or owed work names. A dead letter owns nothing: nobody does it."""
        wanted = {id_.encode() for id_ in ids}
        found: set[bytes] = set()
        if not wanted:
            return set()

        async def look(script: Script, each: Sequence[Bound]) -> None:
            for some in _batches(each):
                for result in await self._client.run_many(script, some):
                    for text in _texts(result):
                        found.update(wanted.intersection(_ids(text)))

        # Owed work first: what goes over to a room meanwhile was seen, what leaves one is taken down anyway.
        owners = await self._for_each_partition(
            _AGENDA, lambda one: ({"agenda": keys.agenda(one)}, {"limit": _ALL})
        )
        await look(_OWED, [({"owed": keys.owed(owner)}, {}) for owner, _ in pairs(owners)])
        refs = await self._for_each_partition(_STANDING, lambda one: ({"standing": keys.live_calls(one)}, {}))
        await look(_STATE, [({"call": keys.call(ref)}, {}) for ref in refs])
        rooms = await self._for_each_partition(_NAMES, _names)
        await look(
            _ROOM, [({"room": keys.room(one), "settings": keys.room_settings(one)}, {}) for one in rooms]
        )
        return {id_.decode() for id_ in found}

    async def filter_known_calls(self, call_ids: Sequence[str]) -> set[str]:
        """Those under whose id a call is kept, live or ended."""
        found: set[str] = set()
        for some in _batches(call_ids):
            names = await self._client.run_many(_GET, [({"value": keys.alias(one)}, {}) for one in some])
            refs = [
                ref_of_call(one) if name is None else name.decode()
                for one, name in zip(some, names, strict=True)
            ]
            states = await self._client.run_many(_STATE, [({"call": keys.call(ref)}, {}) for ref in refs])
            found |= {one for one, state in zip(some, states, strict=True) if state is not None}
        return found

    async def _for_each_partition(self, script: Script, bound: Callable[[int], Bound]) -> list[str]:
        """What a script gives for each partition, in one list."""
        found = await self._client.run_many(script, [bound(one) for one in range(PARTITIONS)])
        return [text.decode() for texts in found for text in texts]


def _names(partition: int) -> Bound:
    return (
        {"configured": keys.configured(partition), "live": keys.live_rooms(partition)},
        {"rooms": keys.room_prefix(partition)},
    )


def _batches(all_: Sequence[T]) -> Iterator[Sequence[T]]:
    for begin in range(0, len(all_), _AT_ONCE):
        yield all_[begin : begin + _AT_ONCE]


def _texts(result: Result) -> Iterator[bytes]:
    """All that a script has given, however deep."""
    if isinstance(result, bytes):
        yield result
    elif isinstance(result, list | tuple):
        for one in result:
            yield from _texts(one)


def _ids(text: bytes) -> Iterator[bytes]:
    """Whatever may be one: what stands in quotes, words, and what is behind the name of a field."""
    yield from _QUOTED.findall(text)
    for word in text.split():
        yield word
        yield word.partition(b":")[2]
