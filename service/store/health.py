"""Checks the store server: version, persistence, memory, clock, evictions."""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from redis.exceptions import NoPermissionError

from service.store.errors import StoreUnavailable
from service.store.redis.client import Client

_COMMANDS: Final = (("INFO", "everything"), ("TIME",), ("CLIENT", "INFO"))


class ServerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One master."""

    address: str = ""
    """Its own, as our connection has it: host and port, or a path."""
    product: str
    """`Valkey` or `Redis`."""
    version: str
    append_only: bool
    write_error: str
    """Why it could not write its data to its disk; empty where it can."""
    used_memory: int
    """Bytes of memory."""
    max_memory: int
    """Bytes; 0 for no limit."""
    evicted_keys: int
    """Keys, since it began."""
    eviction_policy: str
    """What it does when its memory is full: `maxmemory_policy`."""
    time: float
    """Its clock, seconds since the epoch."""


class EvictedKeys(NamedTuple):
    """Keys that the masters have evicted."""

    total: int
    """Since each began."""
    new: int
    """Since the last look; of a master that was not there then nothing is known to be new."""


class EvictionCounter:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._last_counts: dict[str, int] = {}
        """By the id that a server has from its start to its end."""
        self._may_ask = True

    async def read(self) -> EvictedKeys | None:
        """None where the user that the store knows us as may not ask. Raises StoreUnavailable."""
        if not self._may_ask:
            return None
        try:
            answers = await self._client.send_to_masters([("INFO", "server", "stats")])
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, NoPermissionError):
                raise
            self._may_ask = False
            return None
        each = [parse_info(info) for [info] in answers]
        now = {one.get("run_id", ""): int(one.get("evicted_keys", 0)) for one in each}
        new = sum(max(count - self._last_counts.get(id_, count), 0) for id_, count in now.items())
        self._last_counts = now
        return EvictedKeys(sum(now.values()), new)


async def read_health(client: Client) -> list[ServerHealth]:
    """Every master. Raises StoreUnavailable."""
    return [_server_health(*answers) for answers in await client.send_to_masters(_COMMANDS)]


def _server_health(info: Any, time: Any, connection: Any) -> ServerHealth:
    words = parse_info(info)
    failed = [
        name for name in ("aof_last_write_status", "rdb_last_bgsave_status") if words.get(name, "ok") != "ok"
    ]
    return ServerHealth(
        address=_address(connection),
        product="Valkey" if "valkey_version" in words else "Redis",
        version=words.get("valkey_version") or words.get("redis_version", ""),
        append_only=words.get("aof_enabled") == "1",
        write_error=", ".join(failed),
        used_memory=int(words.get("used_memory", 0)),
        max_memory=int(words.get("maxmemory", 0)),
        evicted_keys=int(words.get("evicted_keys", 0)),
        eviction_policy=words.get("maxmemory_policy", ""),
        time=_seconds(time),
    )


def parse_info(info: Any) -> Mapping[str, str]:
    """What INFO answers. The client library takes it apart on some ways to the store, and not on others."""
    if isinstance(info, Mapping):
        return {_text(name): _text(value) for name, value in info.items()}
    return dict(re.findall(r"^([^#:\r\n]+):([^\r\n]*)", _text(info), re.MULTILINE))


def _address(connection: Any) -> str:
    """`laddr` of CLIENT INFO, which the client library takes apart as well."""
    if isinstance(connection, Mapping):
        return parse_info(connection).get("laddr", "")
    found = re.search(r"\bladdr=(\S*)", _text(connection))
    return found[1] if found else ""


def _seconds(time: Any) -> float:
    seconds, microseconds = (float(_text(part)) for part in time)
    return seconds + microseconds / 1e6


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
