"""Writes log lines: one JSON object (or one console line) for each event, ours and those of libraries.

Our events are `noun.verb_past` with fixed keys. What must not be in a log is kept out where it is logged; the
`redact` step is the net below that, for the line somebody adds in a hurry.
"""

import functools
import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final, Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor

from service.clock import Clock, SystemClock

MASK = "***"
PERSONAL = "pii_"  # a key that begins so is meant to hold a number
_SECRET_KEY = re.compile(r"token|authorization|password|secret|credential|api_?key|uui(?!d)", re.IGNORECASE)
_LONGEST = 32 * 1024
"""Characters of a value, the rest is cut off: what is logged may come from outside, and each is searched."""
_JWT = re.compile(r"eyJ[\w-]*+(\.[\w-]++\.[\w-]*+)?")
"""Takes what only begins like one as well, so that no character is looked at for each `eyJ` before it."""
_NUMBER = re.compile(r"(\+|%2B)([0-9]{6,13})([0-9]{2})(?![0-9])", re.IGNORECASE)
_LEVEL_OF = {"warn": "warning", "exception": "error"}
"""Methods that are not named like the level of their lines."""
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(
    *,
    format: Literal["json", "console"],  # noqa: A002 - the word of LOG_FORMAT
    level: str,
    stream: TextIO | None = None,
    clock: Clock | None = None,
) -> None:
    """Send all logging of this process to `stream` (default: standard output) from `level` on.

    Libraries speak from warning on (from info on where `level` is debug). An unknown level raises
    KeyError. Loggers are cached at their first line: call this once, before it.
    """
    if stream is None:
        stream = sys.stdout
        if hasattr(stream, "reconfigure"):  # the locale must not make a caller's name raise
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    lines = _LineWriter(stream)
    chain: list[Processor] = [
        _describe_exception,
        redact,
        _add_header(clock or SystemClock()),
        _json_line if format == "json" else _console(colors=stream.isatty()),
    ]
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_StdlibHandler(chain, lines)]
    root.setLevel(logging.INFO if level == "debug" else max(logging.WARNING, _LEVELS[level]))
    access = logging.getLogger("uvicorn.access")  # each webhook has a line of ours
    access.handlers, access.propagate = [], False


class log_context:  # noqa: N801 - used like a function
    """Adds ref, call_id, room, session_id, participant_id and such to each line inside, where not None.

    All in one context variable: structlog has one for each key, and setting and reading those took more than
    writing the lines.
    """

    __slots__ = ("_keys", "_outside")

    def __init__(self, **keys: str | None) -> None:
        self._keys = keys

    def __enter__(self) -> None:
        # Masked once, and not on each line.
        outside = _log_context.get()
        inside = {**outside}
        for key, value in self._keys.items():
            # What is bound again, as much is, was masked when it was bound first.
            if value is not None and outside.get(key) is not value:
                inside[key] = _clean(key, value)
        self._outside = _log_context.set(inside)

    def __exit__(self, *_: object) -> None:
        _log_context.reset(self._outside)


def current_log_context() -> Mapping[str, str | None]:
    """What is bound here, for work that goes on elsewhere."""
    return _log_context.get()


@contextmanager
def use_log_context(keys: Mapping[str, str | None]) -> Iterator[None]:
    """These and no others: a task that does the work of many has what was bound where it was started."""
    outside = _log_context.set(keys)
    try:
        yield
    finally:
        _log_context.reset(outside)


_NOTHING: Final[Mapping[str, str | None]] = {}
_log_context: ContextVar[Mapping[str, str | None]] = ContextVar("log_keys", default=_NOTHING)


class _LineWriter:
    """Writes whole lines. A reader that has gone away must not fail the call that is being logged."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bytes: BinaryIO | None = getattr(stream, "buffer", None)
        """What is below the text, for lines that are encoded already."""
        self._lock = threading.Lock()

    def msg(self, line: str | bytes) -> None:
        with self._lock, suppress(OSError, ValueError):
            if isinstance(line, bytes) and self._bytes is not None:
                self._bytes.write(line + b"\n")
                self._bytes.flush()
                return
            self._stream.write((line if isinstance(line, str) else line.decode()) + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


class _StdlibHandler(logging.Handler):
    """What libraries log through the standard library, in the shape of our own lines."""

    def __init__(self, chain: list[Processor], lines: _LineWriter) -> None:
        super().__init__()
        self._chain = chain
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event: Any = {"event": record.getMessage(), "logger": record.name, "exc_info": record.exc_info}
            for step in self._chain:
                event = step(None, record.levelname.lower(), event)
            self._lines.msg(event)
        except Exception:  # noqa: BLE001 - the way of the standard library's own handlers
            self.handleError(record)


def _add_header(clock: Clock) -> Processor:
    """When, how grave and what; then what is bound, and what was said. All of it is masked already."""

    def begin(_logger: Any, method: str, event: EventDict) -> EventDict:
        now = clock.now()
        second = int(now)
        return {
            "timestamp": f"{_second(second)}.{int((now - second) * 1000):03}Z",
            "level": _LEVEL_OF.get(method, method),
            "event": event["event"],
            **_log_context.get(),
            **event,
        }

    return begin


@functools.lru_cache(maxsize=2)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _describe_exception(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """`exc_info` becomes `error`, in one line, and `exception`, the whole traceback."""
    given = event.pop("exc_info", None)
    if isinstance(given, tuple):
        error = given[1]
    elif isinstance(given, BaseException):
        error = given
    else:
        error = sys.exc_info()[1] if given else None
    if error is not None:
        event.setdefault("error", repr(error))
        event["exception"] = "".join(traceback.format_exception(error)).rstrip()
    return event


def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Masks values under keys that name secrets, and JWTs and E.164 numbers in every text.

    A number keeps its last two digits, unless its key begins with `pii_`. What is no plain JSON value is
    replaced by its repr, masked alike, so that no object carries a secret past this step.
    """
    return {key: _clean(key, value) for key, value in event.items()}


def _clean(key: str, value: Any) -> Any:
    kind = type(value)
    if value is None or kind is bool:
        return value
    if _names_secret(key):
        return MASK
    # Most are texts with nothing in them that could be meant, or numbers, and each line has many.
    if kind is str and len(value) <= _LONGEST:
        if "+" in value or "%" in value or "eyJ" in value:
            return _mask(value, numbers=not key.startswith(PERSONAL))
        return value
    if kind is int or kind is float:
        return value
    if isinstance(value, str):
        return _clean(key, str(value[:_LONGEST]))
    if isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        return {_mask(name, numbers=True): _clean(name, item) for name, item in _named(value)}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(key, item) for item in value]
    return _mask(repr(value)[:_LONGEST], numbers=True)


def _named(value: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    return [(str(name)[:_LONGEST], item) for name, item in value.items()]


@functools.lru_cache(maxsize=1024)
def _names_secret(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None


def _mask(text: str, *, numbers: bool) -> str:
    if "eyJ" in text:
        text = _JWT.sub(lambda found: MASK if found[1] else found[0], text)
    if numbers and ("+" in text or "%2" in text):
        text = _NUMBER.sub(lambda found: found[1] + "*" * len(found[2]) + found[3], text)
    return text


def _json_line(_logger: Any, _method: str, event: EventDict) -> bytes:
    try:
        return msgspec.json.encode(event)
    except (TypeError, ValueError, OverflowError):  # lone surrogates, integers past 64 bits
        return json.dumps(event, default=repr).encode()


def _console(*, colors: bool) -> Callable[[Any, str, EventDict], str]:
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
