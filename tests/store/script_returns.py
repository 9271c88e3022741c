"""What a Lua script returns, as its header says it (service/store/redis/scripts.py has the grammar)."""

import re
from functools import lru_cache
from importlib import resources
from typing import Any, Final, NamedTuple

LUA: Final = resources.files("service.store") / "lua"
SCRIPTS: Final = sorted(
    file.name.removesuffix(".lua") for file in LUA.iterdir() if file.name.endswith(".lua")
)

_LINE: Final = re.compile(r"^-- returns: (.*)$", re.MULTILINE)
_FLAG: Final = re.compile(r"1 if .+, else 0")
_ONE: Final = re.compile(r"(number|text)( or nil)?: .+")
_NAMES: Final = r": ([a-z_]+(?:, [a-z_]+)*)"
_FIXED: Final = re.compile(rf"(\d+)(?: or (\d+))?{_NAMES}")
_LIST: Final = re.compile(rf"(?:(\d+), then )?list of (\d+){_NAMES}")
_TYPES: Final = {"number": int, "text": bytes}


class Returns(NamedTuple):
    """The form of a reply: one value or a list."""

    is_library: bool = False
    values: tuple[object, ...] = ()
    """The only replies that there are, if these can be listed."""
    types: tuple[type, ...] = ()
    """Of a single value."""
    sizes: tuple[int, ...] = ()
    """How many values a list has, or begins with if `group` is set."""
    group: int = 0
    """How many values come again and again after these; 0 for none."""

    def fits(self, reply: Any) -> bool:
        if self.values:
            return reply in self.values
        if self.types:
            return isinstance(reply, self.types)
        if not isinstance(reply, list):
            return False
        if self.group:
            return len(reply) >= self.sizes[0] and (len(reply) - self.sizes[0]) % self.group == 0
        return len(reply) in self.sizes


def parse_returns(text: str) -> Returns:
    """Raises ValueError unless there is one line in a form that is known, with a name for each value."""
    found = _LINE.findall(text)
    if len(found) != 1:
        raise ValueError(f"{len(found)} lines with `-- returns:`, where there has to be one")
    [form] = found
    if form == "library":
        return Returns(is_library=True)
    if form == "nothing":
        return Returns(values=(1,))
    if _FLAG.fullmatch(form):
        return Returns(values=(0, 1))
    if one := _ONE.fullmatch(form):
        return Returns(types=(_TYPES[one[1]], *([type(None)] if one[2] else [])))
    if fixed := _FIXED.fullmatch(form):
        sizes = tuple(int(size) for size in fixed.groups()[:2] if size)
        return _named(Returns(sizes=sizes), fixed[3], max(sizes))
    if some := _LIST.fullmatch(form):
        size, group = int(some[1] or 0), int(some[2])
        return _named(Returns(sizes=(size,), group=group), some[3], size + group)
    raise ValueError(f"`{form}` is no form that is known")


def _named(returns: Returns, names: str, number: int) -> Returns:
    named = names.split(", ")
    if len(set(named)) != number:
        raise ValueError(f"{number} values, and the names {named}")
    return returns


@lru_cache
def returns_of(name: str) -> Returns:
    return parse_returns((LUA / f"{name}.lua").read_text())
