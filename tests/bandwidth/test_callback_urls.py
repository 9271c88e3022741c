import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any

import pytest

from service import invitations
from service.bandwidth.callback_urls import CallbackUrls

SEAT = "p00-aaaaaaaaaaaaaaaaaaaa.1"


def mac(callbacks: CallbackUrls) -> str:
    return callbacks.participant_url(SEAT).rsplit("/", 1)[1]


def test_an_address_proves_itself_for_its_seat_alone() -> None:
    ours = CallbackUrls("https://bridge.test", "u", "password")
    assert ours.verifies(SEAT, mac(ours))
    assert not ours.verifies("p00-aaaaaaaaaaaaaaaaaaaa.2", mac(ours))
    assert not ours.verifies(SEAT, mac(CallbackUrls("https://bridge.test", "u", "other")))
    assert not ours.verifies(SEAT, "é")
    assert "password" not in repr(ours)


def test_the_previous_password_counts_while_it_is_rotated() -> None:
    old = CallbackUrls("https://bridge.test", "u", "old")
    assert CallbackUrls("https://bridge.test", "u", "new", "old").verifies(SEAT, mac(old))
    assert not CallbackUrls("https://bridge.test", "u", "new").verifies(SEAT, mac(old))


def test_voice_addresses() -> None:
    ours = CallbackUrls("https://bridge.test/base", "u", "p")
    assert ours.call_url("p00-x") == "https://bridge.test/base/callbacks/voice/p00-x"
    assert (
        ours.call_url("p00-x", 2, round_number=1)
        == "https://bridge.test/base/callbacks/voice/p00-x/2?again=1&since=0"
    )


def fast(password: str) -> str:
    """The address as 0.1.0 makes it: two plain hashes."""
    key = hashlib.sha256(b"participant callbacks\0" + password.encode()).digest()
    return hmac.digest(key, SEAT.encode(), "sha256").hex()[:32]


def test_passwords_cannot_be_tried_fast_on_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = []
    derive = hashlib.scrypt

    def scrypt(password: bytes, **given: Any) -> bytes:
        costs.append(given["n"] * given["r"] * given["p"])
        return derive(password, **given)

    monkeypatch.setattr(hashlib, "scrypt", scrypt)
    invitations.derive_key.cache_clear()
    ours = CallbackUrls("https://bridge.test", "u", "password", "old")
    assert len(costs) == 2
    assert min(costs) >= 2**17  # 128 bytes of memory for each, so 16 MiB for each password that is tried
    assert mac(ours) != fast("password")


def test_no_request_waits_for_the_slow_derivation(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = CallbackUrls("https://bridge.test", "u", "password", "old")
    monkeypatch.delattr(hashlib, "scrypt")
    again = CallbackUrls("https://bridge.test", "u", "password", "old")
    assert again.verifies(SEAT, mac(ours))
    assert not again.verifies(SEAT, "0" * 32)
    assert again.browser_url("sales", SEAT) == ours.browser_url("sales", SEAT)


def test_the_key_is_slow_to_derive_beside_a_plain_hash() -> None:
    def seconds(work: Callable[[], object]) -> float:
        """Of the processor, so that a busy machine does not count; the best of three."""
        taken = []
        for _ in range(3):
            began = time.process_time()
            work()
            taken.append(time.process_time() - began)
        return min(taken)

    def plain() -> None:
        for _ in range(1000):
            fast("password")

    # 50 ms against 4 microseconds, where this was written.
    assert seconds(lambda: invitations.derive_key.__wrapped__("purpose", "password")) > seconds(plain)


def test_addresses_of_the_previous_release_are_accepted_and_not_given_out() -> None:
    ours = CallbackUrls("https://bridge.test", "u", "new", "old")
    assert ours.verifies(SEAT, fast("new"))
    assert ours.verifies(SEAT, fast("old"))
    assert not ours.verifies(SEAT, fast("other"))
    assert mac(ours) not in (fast("new"), fast("old"))
