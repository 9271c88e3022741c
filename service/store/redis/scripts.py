"""Loads the Lua scripts, whose headers name their keys, arguments and replies.

The names become the script's local variables, and a caller has to give exactly them, so that a script and its
caller cannot drift apart. A line `-- reads` says that a script writes nothing: the server then holds it to
that, and nobody waits for replicas.

A line `-- returns: <form>` in each file says what its script returns. Tests compare the replies. The forms:

    library                           put in front of scripts that name it in `uses`; no script itself
    nothing                           1, which means nothing
    1 if <when>, else 0               one or the other
    number: <what>                    an integer; `number or nil: <what>` where there may be none
    text: <what>                      a text; `text or nil: <what>` where there may be none
    3: <name>, <name>, <name>         a list of as many values; some may be nil or lists
    2 or 3: <name>, <name>, <name>    the same without the last, or with it
    list of 2: <name>, <name>         a flat list of any number of such groups
    1, then list of 2: <name>, ...    as many values, and a flat list of groups behind them
"""

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib import resources
from typing import Any, Final

_HEADER: Final = re.compile(r"^-- (uses|keys|args): (.+)$", re.MULTILINE)
_READS: Final = re.compile(r"^-- reads$", re.MULTILINE)
_FOLDER: Final = resources.files("service.store") / "lua"

Value = str | int | float | bytes


class Script:
    """One Lua file. Raises TypeError when it is called with other names than its header says."""

    def __init__(self, name: str) -> None:
        text = (_FOLDER / f"{name}.lua").read_text()
        header = {kind: tuple(names.split()) for kind, names in _HEADER.findall(text)}
        self.name = name
        self.keys = header.get("keys", ())
        self.args = header.get("args", ())
        self.is_read_only = bool(_READS.search(text))
        parts = [(_FOLDER / f"{used}.lua").read_text() for used in header.get("uses", ())]
        if self.keys:
            parts.append(f"local {', '.join(self.keys)} = unpack(KEYS)")
        if self.args:
            parts.append(f"local {', '.join(self.args)} = unpack(ARGV)")
        self.source = "\n".join([*parts, text])
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        kind = "_RO" if self.is_read_only else ""
        self.by_sha = f"EVALSHA{kind}", self.sha
        self.by_source = f"EVAL{kind}", self.source

    def bind(self, keys: Mapping[str, str], args: Mapping[str, Value]) -> tuple[list[str], list[Value]]:
        """Keys and arguments in the order in which the script reads them."""
        if len(keys) == len(self.keys) and len(args) == len(self.args):
            with suppress(KeyError):
                return [keys[name] for name in self.keys], [args[name] for name in self.args]
        raise TypeError(
            f"script {self.name} takes keys {self.keys} and args {self.args}, "
            f"not {tuple(keys)} and {tuple(args)}"
        )


Result = Any
"""What a script returns, as the client decodes it: int, bytes, None or a list of these."""
