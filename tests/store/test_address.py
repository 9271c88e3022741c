"""REDIS_URL as operators write it, right and wrong."""

import re

import pytest

from service.store.redis.address import RedisMode, parse


@pytest.mark.parametrize(
    ("text", "kind", "url", "hosts", "service"),
    [
        ("redis://h", RedisMode.SERVER, "redis://h/0", (), ""),
        ("redis://h:7000/3", RedisMode.SERVER, "redis://h:7000/3", (), ""),
        ("valkey://u:p%2F@h:7000/3", RedisMode.SERVER, "redis://u:p%2F@h:7000/3", (), ""),
        ("valkeys://:p@h/", RedisMode.SERVER, "rediss://:p@h/0", (), ""),
        ("rediss://h?ssl_ca_certs=/ca.pem", RedisMode.SERVER, "rediss://h/0?ssl_ca_certs=/ca.pem", (), ""),
        ("unix:///run/v.sock", RedisMode.SERVER, "unix:///run/v.sock", (), ""),
        ("unix:///run/v.sock?db=2", RedisMode.SERVER, "unix:///run/v.sock?db=2", (), ""),
        ("redis+sentinel://a/s", RedisMode.SENTINEL, "redis://a/0", (("a", 26379),), "s"),
        (
            "rediss+sentinel://u:p@a:1,b:2/s-1/4?sentinel_password=q",
            RedisMode.SENTINEL,
            "rediss://u:p@a:1/4?sentinel_password=q",
            (("a", 1), ("b", 2)),
            "s-1",
        ),
        (
            "valkey+cluster://:p@a:1,[::1]:2",
            RedisMode.CLUSTER,
            "redis://:p@a:1/0",
            (("a", 1), ("::1", 2)),
            "",
        ),
        ("redis+cluster://a/0", RedisMode.CLUSTER, "redis://a/0", (("a", 6379),), ""),
    ],
)
def test_what_it_says(
    text: str, kind: RedisMode, url: str, hosts: tuple[tuple[str, int], ...], service: str
) -> None:
    assert parse(text) == (kind, url, hosts, service)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("store:6379", "is not the URL of a Redis or Valkey"),
        ("http://h", "is not the URL of a Redis or Valkey"),
        ("redis+tls://h", "is not the URL of a Redis or Valkey"),
        ("redis://h x", "is not the URL of a Redis or Valkey"),
        ("redis://", "is not the URL of a Redis or Valkey"),
        ("redis:///0", "has no host"),
        ("redis://:hunter2@/0", "has no host"),
        ("redis://h:port", "has a host or a port that is none"),
        ("redis://h:99999", "has a host or a port that is none"),
        ("redis://h/first", "has no number of a database where one belongs"),
        ("redis://h/0/1", "has no number of a database where one belongs"),
        ("redis://a,b/0", "names several servers, and neither +sentinel nor +cluster says what they are"),
        ("redis+sentinel://a:1,b:2", "does not say after a slash what the Sentinels call the master"),
        ("redis+sentinel://a:1,,b:2/s", "has no host"),
        ("redis+sentinel://a/s/x", "has no number of a database where one belongs"),
        ("redis+cluster://a:1/2", "names a database, which a cluster does not have"),
        ("unix+cluster:///run/v.sock", "is not the path of a socket"),
        ("unix://v.sock", "is not the path of a socket"),
    ],
)
def test_what_is_wrong_with_it(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(wrong)}$"):
        parse(text)
