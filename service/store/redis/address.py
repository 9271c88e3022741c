"""Parses REDIS_URL: one server, Sentinels that name the server, or a cluster.

Pure text, so that a wrong URL is found with all other wrong settings, before anything is connected to.
"""

import re
from enum import Enum
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

FORMS: Final = (
    "redis://host:6379/0, redis+sentinel://host:26379,host:26379/service/0, "
    "redis+cluster://host:6379,host:6379, or unix:///path"
)
"""What may be written; with rediss or valkeys in place of redis the way there is encrypted."""

_URL: Final = re.compile(r"(redis|rediss|valkey|valkeys|unix)(?:\+(sentinel|cluster))?://(\S+)")
_SENTINEL_PORT: Final = 26379
"""TCP port of a Sentinel whose address names none."""
_PORT: Final = 6379
"""TCP port of a server whose address names none."""


class RedisMode(Enum):
    SERVER = "server"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class StoreAddress(NamedTuple):
    """Where the store is. It may hold a password: never for the log."""

    mode: RedisMode
    url: str
    """For the client library: scheme, credentials, first host, database and options."""
    hosts: tuple[tuple[str, int], ...]
    """The Sentinels, or nodes of the cluster to begin with; empty for one server."""
    master_name: str
    """What the Sentinels call the master."""


def parse(text: str) -> StoreAddress:
    """Raises ValueError that says what is wrong, and nothing of a password."""
    found = _URL.fullmatch(text)
    if not found:
        raise ValueError("is not the URL of a Redis or Valkey")
    scheme, kind, rest = found[1].replace("valkey", "redis"), RedisMode(found[2] or "server"), found[3]
    if scheme == "unix":
        if kind is not RedisMode.SERVER or not rest.startswith("/"):
            raise ValueError("is not the path of a socket")
        return StoreAddress(kind, f"unix://{rest}", (), "")
    parts = urlsplit(f"//{rest}")
    user, at, hosts = parts.netloc.rpartition("@")
    places = tuple(_host_and_port(host, kind) for host in hosts.split(","))
    service, database = _master_and_database(parts.path, kind)
    if kind is RedisMode.SERVER and len(places) > 1:
        raise ValueError("names several servers, and neither +sentinel nor +cluster says what they are")
    first = hosts.partition(",")[0]
    query = f"?{parts.query}" if parts.query else ""
    url = f"{scheme}://{user}{at}{first}/{database}{query}"
    return StoreAddress(kind, url, () if kind is RedisMode.SERVER else places, service)


def without_credentials(text: str) -> str:
    """The URL without credentials and options, for messages."""
    scheme, _, rest = text.partition("://")
    if scheme == "unix":
        return text.partition("?")[0]
    hosts, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{hosts.rpartition('@')[2]}{slash}{path}"


def _host_and_port(text: str, mode: RedisMode) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port  # .port raises where it is no port
    except ValueError:
        raise ValueError("has a host or a port that is none") from None
    if not host:
        raise ValueError("has no host")
    return host, port or (_SENTINEL_PORT if mode is RedisMode.SENTINEL else _PORT)


def _master_and_database(path: str, mode: RedisMode) -> tuple[str, str]:
    """The Sentinels' name for the master, and the number of the database."""
    words = [unquote(word) for word in path.removeprefix("/").split("/") if word]
    service = ""
    if mode is RedisMode.SENTINEL:
        if not words:
            raise ValueError("does not say after a slash what the Sentinels call the master")
        service = words.pop(0)
    database = words.pop(0) if words else "0"
    if words or not database.isdecimal():
        raise ValueError("has no number of a database where one belongs")
    if mode is RedisMode.CLUSTER and int(database):
        raise ValueError("names a database, which a cluster does not have")
    return service, database
