"""The callback password is changed in the steps of docs/SECURITY.md, and on the way nothing is refused."""

import base64
from itertools import pairwise

from starlette.requests import Request

from handlers.http.request_guard import CallbackCredentials, HttpError
from service.bandwidth.callback_urls import CallbackUrls
from service.invitations import InvalidPass, Pass, PassSigner

OLD, NEW = "old-password", "new-password"
STEPS = ((OLD, None), (OLD, NEW), (NEW, OLD), (NEW, None))
"""CALLBACK_PASSWORD and CALLBACK_PASSWORD_PREVIOUS."""
SEAT = "p01-aaaa.1"
PASS = Pass("1", "sales", 2_000_000_000.0, "crm")


class Replica:
    def __init__(self, password: str, previous: str | None) -> None:
        self.credentials = CallbackCredentials("bandwidth", password, previous)
        self.callbacks = CallbackUrls("https://bridge.test", "bandwidth", password, previous)
        self.visits = PassSigner("visits", *(one for one in (password, previous) if one))

    def takes_what_is_handed_out_by(self, other: "Replica") -> bool:
        shown = other.callbacks.credentials
        header = basic(shown["username"], shown["password"])
        address = other.callbacks.participant_url(SEAT).rpartition("/")[2]
        try:
            self.credentials.check(Request({"type": "http", "headers": [(b"authorization", header)]}))
            self.visits.verify(other.visits.sign(PASS), now=0.0)
        except (HttpError, InvalidPass):
            return False
        return self.callbacks.verifies(SEAT, address)


def basic(username: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{username}:{password}".encode())


def test_two_steps_beside_each_other_take_what_the_other_hands_out() -> None:
    replicas = [Replica(*step) for step in STEPS]
    for before, after in pairwise(replicas):
        assert before.takes_what_is_handed_out_by(after)
        assert after.takes_what_is_handed_out_by(before)


def test_bandwidth_is_known_before_and_after_it_is_told() -> None:
    """The voice application keeps the old password until somebody sets the new one there."""
    for password in (OLD, NEW):
        shown = Request({"type": "http", "headers": [(b"authorization", basic("bandwidth", password))]})
        for step in STEPS[1:3]:
            Replica(*step).credentials.check(shown)


def test_in_the_end_the_old_one_is_refused() -> None:
    assert not Replica(*STEPS[-1]).takes_what_is_handed_out_by(Replica(*STEPS[0]))


def test_without_the_first_step_a_replica_meets_a_password_that_it_does_not_know() -> None:
    assert not Replica(*STEPS[0]).takes_what_is_handed_out_by(Replica(*STEPS[2]))
