"""Each error of visitors' access is answered with a problem of its own words."""

import msgspec
import pytest

from handlers.http.visitor_problems import visitor_problem
from service.engine import visitors
from service.engine.visitors import VisitorError

EXPECTED = {
    visitors.InvitationForged: (403, "invitation-forged", "look whether the whole link was opened"),
    visitors.InvitationForOtherRoom: (403, "invitation-forged", "the invitation is for another room"),
    visitors.InvitationExpired: (403, "invitation-expired", "ask whoever invited you for a new one"),
    visitors.InvitationUsed: (403, "invitation-used", "an invitation opens the room once; ask for a new one"),
    visitors.TooManyInvitations: (
        409,
        "too-many-invitations",
        "wait until some have run out, or end them",
    ),
    visitors.TooManyJoins: (429, "rate-limited", "this visit is joining already"),
}


def test_each_error_is_expected() -> None:
    assert set(VisitorError.__subclasses__()) == set(EXPECTED)


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
def test_the_problem_of_an_error(kind: type[VisitorError]) -> None:
    response = visitor_problem(kind()).response()
    body = msgspec.json.decode(bytes(response.body))
    name = body["type"].removeprefix("urn:pstn-bridge:problem:")
    assert (response.status_code, name, body["detail"]) == EXPECTED[kind]
    assert set(body) == {"type", "title", "status", "detail"}
    assert response.headers.get("Retry-After") == ("1" if kind is visitors.TooManyJoins else None)
