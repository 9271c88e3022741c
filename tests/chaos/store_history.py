"""Reads the store's append-only file as a history: which keys there were after each step.

A step is what one script, or one command, has written: nobody sees the store between two writes of a step.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

Command = list[bytes]
"""Its name in capitals, and its arguments."""
Step = list[Command]
Value = bytes | dict[bytes, bytes] | dict[bytes, float] | set[bytes] | int
"""A string, a hash, a sorted set, a set; of a list or a stream the number of entries, from 1 on."""

EMPTY_BASE: Final = 200
"""Bytes of a binary base without keys at most: it has a header and nothing else."""
BINARY: Final = ".rdb"
UNFINISHED: Final = "temp-"
"""A manifest that the server is writing, or was when it was killed: the one before it still counts."""
MARK: Final = ":confirmed"
"""What is written where replicas have to confirm, after the partition: that they have all until then."""
AT: Final = b"PXAT"
"""How a server writes down each expiry of what is set."""
EXPIRES: Final = frozenset({b"PX", AT, b"EX", b"EXAT"})


class UnknownCommand(Exception):
    """A command that `StoreState` does not know: what is there after it nobody can say."""


def history(journal: Path) -> list[Step]:
    """All steps, in order. Empty where there is no journal, or its beginning cannot be read.

    Of a server that has taken over a copy the first step is all that the copy had.
    """
    bases, parts = _files(journal)
    if not parts or any(base.suffix == BINARY and base.stat().st_size > EMPTY_BASE for base in bases):
        return []
    copied = [
        [b"HSET" if name == b"HMSET" else name, *args]
        for base in bases
        if base.suffix != BINARY
        for name, *args in _commands(base.read_bytes())
        if name != b"SELECT"
    ]
    steps = [step for part in parts for step in _steps(_commands(part.read_bytes()))]
    return [copied, *steps] if copied else steps


def _files(journal: Path) -> tuple[list[Path], list[Path]]:
    """The base, and what was written since, as the manifest has them: older ones may lie there still."""
    bases: list[Path] = []
    parts: list[Path] = []
    for manifest in journal.glob("*.manifest"):
        if manifest.name.startswith(UNFINISHED):
            continue
        for line in manifest.read_text(encoding="utf-8").splitlines():
            words = line.split()
            fields = dict(zip(words[::2], words[1::2], strict=True))
            kinds = {"b": bases, "i": parts}
            if (files := kinds.get(fields["type"])) is not None:
                files.append(journal / fields["file"])
    return bases, parts


def _commands(text: bytes) -> Iterator[Command]:
    """Without one at the end that is cut off. Lines that begin with `#` say what time it is."""
    at, size = 0, len(text)
    while at < size:
        end = text.find(b"\r\n", at)
        if end < 0:
            return
        head, at = text[at:end], end + 2
        if head.startswith(b"#"):
            continue
        command: Command = []
        for _ in range(int(head[1:])):
            end = text.find(b"\r\n", at)
            if end < 0:
                return
            begin = end + 2
            at = begin + int(text[at + 1 : end]) + 2
            if at > size:
                return
            command.append(text[begin : at - 2])
        command[0] = command[0].upper()
        yield command


def _steps(commands: Iterable[Command]) -> Iterator[Step]:
    """Without one that was not finished: it has no effect."""
    several: Step | None = None
    for command in commands:
        match command[0]:
            case b"SELECT":
                pass
            case b"MULTI":
                several = []
            case b"EXEC":
                if several:
                    yield several
                several = None
            case _ if several is not None:
                several.append(command)
            case _:
                yield [command]


class StoreState:
    """What the store holds. `play` takes one step after the other."""

    def __init__(self) -> None:
        self.keys: dict[str, Value] = {}
        self.expires: dict[str, float] = {}
        """Keys that expire by themselves, and when (by the server's clock, in ms); 0: it is not said."""

    def play(self, step: Step) -> dict[str, None]:
        """The keys that it has touched, in order. Raises UnknownCommand."""
        touched: dict[str, None] = {}
        for name, *args in step:
            if name in {b"FLUSHALL", b"FLUSHDB"}:
                touched |= dict.fromkeys(self.keys)
                self.keys.clear()
                self.expires.clear()
                continue
            write = _WRITES.get(name)
            if write is None:
                raise UnknownCommand(name.decode("ascii", "replace"))
            for key in args if name in {b"DEL", b"UNLINK"} else args[:1]:
                text = key.decode()
                touched[text] = None
                write(self, text, args[1:])
        return touched

    def hash(self, key: str) -> Mapping[bytes, bytes]:
        """Empty where there is none."""
        found: Any = self.keys.get(key)
        return found if isinstance(found, dict) else MappingProxyType({})

    def scores(self, key: str) -> Mapping[bytes, float]:
        """Of a sorted set; empty where there is none."""
        found: Any = self.keys.get(key)
        return found if isinstance(found, dict) else MappingProxyType({})

    def members(self, key: str) -> set[bytes]:
        found = self.keys.get(key)
        return found if isinstance(found, set) else set()

    def text(self, key: str) -> bytes:
        found = self.keys.get(key)
        return found if isinstance(found, bytes) else b""

    def drop(self, key: str) -> None:
        self.keys.pop(key, None)
        self.expires.pop(key, None)

    def drop_if_empty(self, key: str) -> None:
        if not self.keys.get(key, True):
            self.drop(key)


def _set(state: StoreState, key: str, args: Sequence[bytes]) -> None:
    state.keys[key] = args[0]
    options = [arg.upper() for arg in args[1:]]
    if EXPIRES & {*options}:
        state.expires[key] = float(args[2 + options.index(AT)]) if AT in options else 0
    elif b"KEEPTTL" not in args:
        state.expires.pop(key, None)


def _del(state: StoreState, key: str, _args: Sequence[bytes]) -> None:
    state.drop(key)


def _expire(state: StoreState, key: str, _args: Sequence[bytes]) -> None:
    if key in state.keys:
        state.expires[key] = 0


def _expire_at(state: StoreState, key: str, args: Sequence[bytes]) -> None:
    if key in state.keys:
        state.expires[key] = float(args[0])


def _persist(state: StoreState, key: str, _args: Sequence[bytes]) -> None:
    state.expires.pop(key, None)


def _hash(state: StoreState, key: str) -> dict[bytes, bytes]:
    found: Any = state.keys.setdefault(key, {})
    return dict[bytes, bytes]() if not isinstance(found, dict) else found


def _hset(state: StoreState, key: str, args: Sequence[bytes]) -> None:
    _hash(state, key).update(zip(args[::2], args[1::2], strict=True))


def _hsetnx(state: StoreState, key: str, args: Sequence[bytes]) -> None:
    _hash(state, key).setdefault(args[0], args[1])


def _hincrby(state: StoreState, key: str, args: Sequence[bytes]) -> None:
    fields = _hash(state, key)
    fields[args[0]] = str(int(fields.get(args[0], b"0")) + int(args[1])).encode()


def _hdel(state: StoreState, key: str, args: Sequence[bytes]) -> None:
    fields: Any = state.keys.get(key)
    if isinstance(fields, dict):
        for field in args:
            fields.pop(field, None)
        state.drop_if_empty(key)


def _zadd(state: StoreState, key: str, args: Sequence[bytes]) -> None:
    scores: Any = state.keys.setdefault(key, {})
    first = 0
    while args[first].upper() in {b"NX", b"XX", b"GT", b"LT", b"CH"}:
        first += 1
    options = {arg.upper() for arg in args[:first]}
    for text, member in zip(args[first::2], args[first + 1 :: 2], strict=True):
        score, old = float(text), scores.get(member)
        wanted = b"XX" not in options if old is None else b"NX" not in options
        lower, higher = old is not None and score < old, old is not None and score > old
        if wanted and not (b"LT" in options and higher) and not (b"GT" in options and lower):
            scores[member] = score
    state.drop_if_empty(key)


def _zrem(state: StoreState, key: str, args: Sequence[bytes]) -> None:
    _hdel(state, key, args)


def _zremrangebyscore(state: StoreState, key: str, args: Sequence[bytes]) -> None:
    lowest, highest = args

    def within(score: float) -> bool:
        low, high = float(lowest.lstrip(b"(")), float(highest.lstrip(b"("))
        above = score > low if lowest.startswith(b"(") else score >= low
        return above and (score < high if highest.startswith(b"(") else score <= high)

    _hdel(state, key, [one for one, score in state.scores(key).items() if within(score)])


def _zremrangebyrank(state: StoreState, key: str, args: Sequence[bytes]) -> None:
    ranks = sorted(state.scores(key), key=lambda one: (state.scores(key)[one], one))
    first, last = int(args[0]), int(args[1])
    end = len(ranks) + last if last < 0 else last
    _hdel(state, key, ranks[first : end + 1])


def _sadd(state: StoreState, key: str, args: Sequence[bytes]) -> None:
    members: Any = state.keys.setdefault(key, set())
    members.update(args)


def _srem(state: StoreState, key: str, args: Sequence[bytes]) -> None:
    members: Any = state.keys.get(key)
    if isinstance(members, set):
        members.difference_update(args)
        state.drop_if_empty(key)


def _push(state: StoreState, key: str, args: Sequence[bytes]) -> None:
    count: Any = state.keys.get(key, 0)
    state.keys[key] = count + len(args)


def _pushx(state: StoreState, key: str, args: Sequence[bytes]) -> None:
    if key in state.keys:
        _push(state, key, args)


def _added(state: StoreState, key: str, _args: Sequence[bytes]) -> None:
    state.keys.setdefault(key, 1)


def _trim(_state: StoreState, _key: str, _args: Sequence[bytes]) -> None:
    """No script of ours trims to nothing."""


_WRITES: Final[Mapping[bytes, Callable[[StoreState, str, Sequence[bytes]], None]]] = MappingProxyType(
    {
        b"SET": _set,
        b"DEL": _del,
        b"UNLINK": _del,
        b"EXPIRE": _expire,
        b"PEXPIRE": _expire,
        b"PEXPIREAT": _expire_at,
        b"PERSIST": _persist,
        b"HSET": _hset,
        b"HSETNX": _hsetnx,
        b"HINCRBY": _hincrby,
        b"HDEL": _hdel,
        b"ZADD": _zadd,
        b"ZREM": _zrem,
        b"ZREMRANGEBYSCORE": _zremrangebyscore,
        b"ZREMRANGEBYRANK": _zremrangebyrank,
        b"SADD": _sadd,
        b"SREM": _srem,
        b"RPUSH": _push,
        b"RPUSHX": _pushx,
        b"LTRIM": _trim,
        b"XADD": _added,
        b"XSETID": _trim,
        b"XTRIM": _trim,
    }
)


class Key(msgspec.Struct, frozen=True):
    """One of the service's keys: `pstn:{p03}:kind:name`. `kind` is empty where it is none of these."""

    prefix: str
    kind: str
    name: str

    def __str__(self) -> str:
        return ":".join(part for part in (self.prefix, self.kind, self.name) if part)


def key_of(text: str) -> Key:
    if text.startswith("{p") and text.endswith(MARK):
        return Key(text.removesuffix(MARK), MARK.removeprefix(":"), "")
    parts = text.split(":", 3)
    if len(parts) < 3 or parts[0] != "pstn" or not parts[1].startswith("{p"):
        return Key("", "", text)
    return Key(f"{parts[0]}:{parts[1]}", parts[2], parts[3] if len(parts) > 3 else "")
