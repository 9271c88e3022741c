"""API_KEYS as an operator writes it, and whose key has been presented."""

import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.api_keys import SCOPES, UNNAMED_KEY_SCOPES, ApiKey, find_key, parse

ONE = "a-key-of-sixteen"
TWO = "another-key-$~!+/_long-enough"


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def test_bare_keys_are_named_by_position_and_order_no_numbers() -> None:
    assert parse(f"{ONE}, crm:read:{'x' * 16} ,{TWO}\n") == (
        ApiKey("key-1", UNNAMED_KEY_SCOPES, digest(ONE)),
        ApiKey("crm", frozenset({"read"}), digest("x" * 16)),
        ApiKey("key-3", UNNAMED_KEY_SCOPES, digest(TWO)),
    )
    assert set(SCOPES) - UNNAMED_KEY_SCOPES == {"numbers"}


def test_named_keys_have_the_scopes_they_name() -> None:
    (key,) = parse(f"back-office-2:numbers+read:{ONE}")
    assert key.name == "back-office-2"
    assert key.scopes == {"numbers", "read"}
    (key,) = parse(f"root:{'+'.join(SCOPES)}:{ONE}")
    assert key.scopes == set(SCOPES)


def test_while_a_key_is_renewed_two_have_its_name() -> None:
    old, new = parse(f"crm:read+dial:{ONE},crm:dial+read:{TWO}")
    assert (old.name, old.scopes) == (new.name, new.scopes)
    assert (old.entry, new.entry) == (1, 2)
    assert find_key((old, new), ONE) is old
    assert find_key((old, new), TWO) is new


@pytest.mark.parametrize("shown", [digest(ONE).hex(), digest(ONE).hex().upper()])
@pytest.mark.parametrize("entry", ["sha256${}", "crm:dial:sha256${}"])
def test_a_key_given_by_its_digest(entry: str, shown: str) -> None:
    keys = parse(entry.format(shown))
    assert find_key(keys, ONE) is keys[0]
    assert find_key(keys, f"sha256${shown}") is None  # who has read the setting has no key


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "has no key of 16 to 512 characters of visible ASCII in entry 1"),
        (f"{ONE},", "has no key of 16 to 512 characters of visible ASCII in entry 2"),
        ("hunter2", "has no key of 16 to 512 characters of visible ASCII in entry 1"),
        ("hunter2-hunter2 hunter2", "has no key of 16 to 512 characters of visible ASCII in entry 1"),
        ("hunter2-hunter2-hünter2", "has no key of 16 to 512 characters of visible ASCII in entry 1"),
        ("hunter2" * 100, "has no key of 16 to 512 characters of visible ASCII in entry 1"),
        ("crm:read:hunter2", "has no key of 16 to 512 characters of visible ASCII in entry 1"),
        ("hunter2-hunter2:hunter2", "has neither a key nor name:scopes:key as entry 1"),
        ("crm:read:hunter2-hunter2:hunter2", "has neither a key nor name:scopes:key as entry 1"),
        ("sha256$hunter2", "has not 64 hex digits after sha256$ in entry 1"),
        (f"{ONE},a:read:sha256${'g' * 64}", "has not 64 hex digits after sha256$ in entry 2"),
        (f"hunter2!:read:{ONE}", "has no name of 1 to 32 characters out of a-z 0-9 - in entry 1"),
        (f":read:{ONE}", "has no name of 1 to 32 characters out of a-z 0-9 - in entry 1"),
        (f"{'x' * 33}:read:{ONE}", "has no name of 1 to 32 characters out of a-z 0-9 - in entry 1"),
        (f"crm::{ONE}", "has no scopes out of read, dial, control, numbers, joined by +, in entry 1"),
        (
            f"crm:read+hunter2:{ONE}",
            "has no scopes out of read, dial, control, numbers, joined by +, in entry 1",
        ),
        (f"crm:read:{ONE},crm:dial:{TWO}", "has the name of entry 1 with other scopes in entry 2"),
        (
            f"crm:read:{ONE},crm:read:{TWO},crm:read:{'x' * 16}",
            "has the name of entry 1 for the third time in entry 3",
        ),
        (f"key-2:read:{ONE},{TWO}", "has the name of entry 1 again in entry 2"),
        (
            f"key-2:{'+'.join(sorted(UNNAMED_KEY_SCOPES))}:{ONE},{TWO}",
            "has the name of entry 1 again in entry 2",
        ),
        (
            f"{ONE},key-1:{'+'.join(sorted(UNNAMED_KEY_SCOPES))}:{TWO}",
            "has the name of entry 1 again in entry 2",
        ),
        (f"{ONE},{TWO},crm:read:{ONE}", "has the key of entry 1 again in entry 3"),
        (f"{ONE},sha256${digest(ONE).hex()}", "has the key of entry 1 again in entry 2"),
        ("," * 256, "has more than 256 entries"),
    ],
)
def test_keys_that_are_none(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=r"^has ") as raised:
        parse(text)
    assert str(raised.value) == wrong


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_keys_or_a_problem_without_it(text: str) -> None:
    keys: tuple[ApiKey, ...] = ()
    problem = "has keys"
    try:
        keys = parse(text)
    except ValueError as error:
        problem = str(error)
    assert problem.startswith("has ")
    assert len({key.name for key in keys}) == len(keys)


def test_a_key_is_not_seen() -> None:
    keys = parse(f"crm:read:{ONE}")
    assert repr(keys) == "(ApiKey(name='crm', scopes=frozenset({'read'})),)"


def test_whose_key_it_is() -> None:
    keys = parse(f"{ONE},crm:read:{TWO}")
    assert find_key(keys, ONE) is keys[0]
    assert find_key(keys, TWO) is keys[1]
    for other in ("", ONE[:-1], ONE + " ", ONE.upper(), f"{ONE},crm", "é" * 16, "\udcff" * 16):
        assert find_key(keys, other) is None
    assert find_key((), ONE) is None


def test_the_longest_key() -> None:
    longest = "x" * 512
    keys = (
        *parse(longest),
        ApiKey("by-digest", UNNAMED_KEY_SCOPES, digest(longest + "x")),
        ApiKey("none", UNNAMED_KEY_SCOPES, digest("")),
    )
    assert find_key(keys, longest) is keys[0]
    assert find_key(keys, longest + "x") is None
    assert find_key(keys, "") is None


def test_every_key_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def counting(ours: bytes, theirs: bytes) -> bool:
        compared.append(ours)
        return ours == theirs

    keys = parse(f"{ONE},{TWO},{'x' * 16}")
    monkeypatch.setattr(hmac, "compare_digest", counting)
    assert find_key(keys, ONE) is keys[0]
    assert compared == [key.digest for key in keys]
