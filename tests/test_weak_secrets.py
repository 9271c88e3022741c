"""Secrets that somebody may guess or overhear: each is a warning that names its own setting and no secret."""

import hashlib
from base64 import urlsafe_b64encode

import pytest

from service import weak_secrets
from service.api_keys import generate_key
from service.setting_warnings import warnings
from service.settings import SettingProblem, load
from tests.test_cli import command
from tests.test_settings import GOOD

STRONG = "q7d0-1kzv-93mf-x8ha-24ty"


def warned(**environ: str) -> list[SettingProblem]:
    return list(warnings(load({**GOOD, **environ}), {}))


@pytest.mark.parametrize("name", ["CALLBACK_PASSWORD", "CALLBACK_PASSWORD_PREVIOUS"])
@pytest.mark.parametrize(
    ("password", "wrong"),
    [
        ("x", "has under 16 characters"),
        ("q7d0-1kzv-93mf-", "has under 16 characters"),
        ("abababababababababab", "has under 6 different characters"),
        ("callback-password", "has a word in it that is tried first"),
        ("My-Password-2027-of-ours", "has a word in it that is tried first"),
        ("change-me-change-me-now", "has a word in it that is tried first"),
        ("bandwidth", "is the same as CALLBACK_USERNAME"),
        ("client-secret", "is the same as a secret that Bandwidth has given out"),
        (STRONG, "is the same as a key in API_KEYS"),
    ],
)
def test_a_password_that_may_be_guessed(name: str, password: str, wrong: str) -> None:
    [found] = warned(**{name: password, "API_KEYS": STRONG})
    assert found.variable == name
    assert found.wrong.startswith(wrong)
    assert "16 characters or more" in found.wants
    assert len(password) == 1 or password not in str(found)


def test_a_password_that_is_a_key_of_which_the_digest_alone_is_known() -> None:
    digest = hashlib.sha256(STRONG.encode()).hexdigest()
    [found] = warned(CALLBACK_PASSWORD=STRONG, API_KEYS=f"crm:read:sha256${digest}")
    assert (found.variable, "key in API_KEYS" in found.wrong) == ("CALLBACK_PASSWORD", True)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("a" * 16, "has under 24 characters"),
        (STRONG[:23], "has under 24 characters"),
        ("a1" * 20, "has under 6 different characters"),
        ("api-key-for-example-4711-x", "has a word in it that is tried first"),
        ("simulated-key-of-our-tests", "has a word in it that is tried first"),
    ],
)
def test_an_api_key_that_may_be_guessed(key: str, wrong: str) -> None:
    [found] = warned(API_KEYS=f"{STRONG},crm:read:{key}")
    assert str(found) == f"API_KEYS has a key, crm, that {wrong}; wants what pstn-bridge key makes"


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
@pytest.mark.parametrize(
    "rest",
    [
        f"://:{STRONG}@store.example.com/0",
        "://10.0.0.7:6379",
        f"+sentinel://:{STRONG}@127.0.0.1:26379,store.example.com:26379/main/0",
        "+cluster://store.example.com,localhost",
    ],
)
def test_a_way_to_the_store_that_is_not_encrypted(scheme: str, rest: str) -> None:
    [found] = warned(REDIS_URL=scheme + rest)
    assert found.variable == "REDIS_URL"
    assert found.wrong.startswith("is not encrypted on its way to another host")
    assert "rediss://" in found.wants
    assert STRONG not in str(found)


@pytest.mark.parametrize("kind", ["", "+cluster"])
@pytest.mark.parametrize(
    "option",
    [
        "ssl_cert_reqs=none",
        "ssl_cert_reqs=NONE",
        "ssl_check_hostname=false",
        "ssl_check_hostname=0",
        "ssl_cert_reqs=none&ssl_cert_reqs=required",
    ],
)
def test_a_store_whose_certificate_is_not_checked(kind: str, option: str) -> None:
    [found] = warned(REDIS_URL=f"rediss{kind}://:{STRONG}@store.example.com?ssl_ca_certs=/ca&{option}")
    assert found.variable == "REDIS_URL"
    assert found.wrong.startswith("does not check the store's certificate")


@pytest.mark.parametrize(
    "url",
    [
        "rediss://:{}@store.example.com",
        "rediss://me:{}@store.example.com",
        "rediss://store.example.com?password={}",
        f"rediss://store.example.com?password={{}}&password={STRONG}",
        f"rediss+cluster://:{{}}@store.example.com?password={STRONG}",
        f"rediss+sentinel://store.example.com/main?password={{}}&sentinel_password={STRONG}",
    ],
)
def test_a_password_of_the_store_that_may_be_guessed(url: str) -> None:
    [found] = warned(REDIS_URL=url.format("hunter2"))
    assert str(found).startswith("REDIS_URL has a password that has under 16 characters; wants ")
    assert "hunter2" not in str(found)


def test_a_password_of_the_sentinels_that_may_be_guessed() -> None:
    url = f"rediss+sentinel://:{STRONG}@store.example.com/main?sentinel_password=hunter2"
    [found] = warned(REDIS_URL=url)
    assert str(found).startswith("REDIS_URL has a password of the Sentinels that has under 16 characters; ")
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    "environ",
    [
        {"CALLBACK_PASSWORD_PREVIOUS": STRONG},
        {"API_KEYS": STRONG},
        {"API_KEYS": f"crm:read:sha256${'0' * 64}"},
        {"REDIS_URL": "redis://:pw@localhost/0"},
        {"REDIS_URL": "redis://127.0.0.2:6379"},
        {"REDIS_URL": "redis://[::1]:6379"},
        {"REDIS_URL": "redis+sentinel://127.0.0.1,localhost/main"},
        {"REDIS_URL": "unix:///run/valkey.sock"},
        {"REDIS_URL": f"rediss://:{STRONG}@store.example.com/0?ssl_ca_certs=/etc/ca.pem"},
        {"REDIS_URL": f"rediss://:{STRONG}@store.example.com/0?password=hunter2"},  # not taken by the client
        {"REDIS_URL": "valkeys+cluster://store.example.com?ssl_cert_reqs=required&ssl_check_hostname=true"},
    ],
)
def test_what_is_not_warned_of(environ: dict[str, str]) -> None:
    assert warned(**environ) == []


def test_random_ones_are_not_warned_of() -> None:
    """The same ones each time: one in a million may look like a word."""
    for n in range(5000):
        digest = hashlib.sha256(f"{n}".encode()).digest()
        for text in (digest.hex()[:24], digest.hex(), urlsafe_b64encode(digest[:18]).decode()):
            assert weak_secrets.weakness(text, min_length=weak_secrets.MIN_KEY_LENGTH) == "", text
    assert warned(API_KEYS=f"crm:read:{generate_key()}") == []


WEAK = {
    "CALLBACK_PASSWORD": "x",
    "CALLBACK_PASSWORD_PREVIOUS": "bandwidth",
    "API_KEYS": "a" * 16,
    "REDIS_URL": "redis://store.example.com",
}


def test_each_is_an_error_where_warnings_are() -> None:
    done = command("serve", "--check-config", "--strict", **{**GOOD, **WEAK})
    assert (done.returncode, done.stdout) == (3, "")
    *said, last = done.stderr.splitlines()
    assert [line.split()[:3] for line in said] == [["pstn-bridge:", "error:", name] for name in WEAK]
    assert last == "pstn-bridge: 4 warnings, which --strict takes for errors"
