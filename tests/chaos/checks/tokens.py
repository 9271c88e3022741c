"""Secrets in logs, and device tokens that are kept for longer than they are needed, or in the wrong place.

A token lets anybody take its participant's place. A call's token is kept until its leg into the room has
answered; those of a room's stock until a caller gets them, and then as long as the caller has the seat.
None is ever in a log, and neither is any other secret of the site, or a number in full (`unlogged`): whoever
reads one need not be let into a room.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from service.store.compression import DICTIONARIES, decompress_text
from tests.chaos.finding import Finding
from tests.chaos.log_secrets import LogSecrets
from tests.chaos.store_history import Command, Key, StoreState, UnknownCommand, key_of
from tests.chaos.stored_calls import call_in

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

BEFORE_THE_ANSWER: Final = frozenset({"ready", "transferring"})
"""What a call's `media` is while its token is still needed."""
JWT: Final = b"eyJhbGciOi"
"""What every device token begins with. Three letters of it also come about by chance, as in a hash."""
OUT_OF_STOCK: Final = (b"stock:", b"given:")
"""Fields of a room that hold a token."""


def check(evidence: "Evidence") -> Iterator[Finding]:
    # First what says when it should have gone: the first finding is the one whose story is printed.
    found: dict[tuple[str, Key], None] = dict.fromkeys(_in_each_step(evidence))
    for stored in evidence.keys:
        key = key_of(stored.name)
        if key.kind == "token":
            found[f"{key} is left at the end", key] = None
    for what, key in found:
        yield Finding(what=what, ids=(key.name,))
    yield from _in_logs(evidence)


def _in_logs(evidence: "Evidence") -> Iterator[Finding]:
    calls = evidence.simulator.engine.calls.values()
    ends = {end for one in calls for end in (one.from_, one.to, one.transfer_to or "")}
    numbers = [one for one in ends if one.startswith("+")]
    unlogged = LogSecrets([one.settings for one in evidence.fleet.addresses], numbers)
    for line in evidence.logs:
        for what in unlogged.secrets_in(line.text):
            yield Finding(what=f"{line.process} has logged {what} with {line.event}", ids=line.ids)
    for text in evidence.noise:
        for what in unlogged.secrets_in(text):
            yield Finding(what=f"{text.partition(':')[0]} has written {what} besides its log")


def _in_each_step(evidence: "Evidence") -> Iterator[tuple[str, Key]]:
    state = StoreState()
    for step in evidence.store_steps:
        try:
            touched = state.play(step)
        except UnknownCommand:
            return  # the eye for keys tells it
        for command in step:
            if any(map(_has_token, command[2:])):
                yield from _elsewhere(command)
        for key in map(key_of, touched):
            if key.kind in {"call", "token"}:
                yield from _of_call(state, key)
            elif key.kind == "room":
                yield from _of_room(state.hash(str(key)), key)


def _of_call(state: StoreState, key: Key) -> Iterator[tuple[str, Key]]:
    if f"{key.prefix}:token:{key.name}" not in state.keys:
        return
    call = call_in(state, Key(key.prefix, "call", key.name))
    if call is None or not call.live or call.media not in BEFORE_THE_ANSWER:
        yield f"the token of {key.name} was kept while its call was {call}", key


def _of_room(room: Mapping[bytes, bytes], key: Key) -> Iterator[tuple[str, Key]]:
    for field in room:
        kind, _, whose = field.partition(b":")
        if kind == b"given" and b"seat:" + whose not in room:
            yield f"the token of seat {whose.decode()} was kept in {key} when the seat was free", key
        elif kind == b"stock" and b"session" not in room:
            yield f"the token of {whose.decode()} was kept in {key}, which had no session", key


def _elsewhere(command: Command) -> Iterator[tuple[str, Key]]:
    """Tokens where none should be."""
    name, where, *args = command
    key = key_of(where.decode())
    if name == b"HSET" and key.kind == "room":
        args = [
            text
            for field, text in zip(args[::2], args[1::2], strict=True)
            if not field.startswith(OUT_OF_STOCK)
        ]
    elif key.kind == "token":
        return
    if any(map(_has_token, args)):
        yield f"a token was written into {key}", key


def _has_token(arg: bytes) -> bool:
    """Bytes of what is compressed say nothing: three that look like a token come about by chance."""
    return JWT in (decompress_text(arg) if arg[:1] in DICTIONARIES else arg)
