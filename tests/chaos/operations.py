"""Names of the operations at Bandwidth: what is left when an answer is lost, and who waits for one."""

from typing import Final

from tests.simulator.journal import Request

CREATES = ("createSession", "createParticipant")
"""What makes something that has no name of ours: if its answer is lost, nobody can find it."""
OTHERS = (
    "addParticipantToSession",
    "removeParticipantFromSession",
    "deleteParticipant",
    "deleteSession",
    "updateParticipantSubscriptions",
    "listSessionParticipants",
    "updateCall",
    "getCall",
    "listCalls",
    "token",
)
"""Operations that make nothing."""
CREATE_CALL = "createCall"
"""It makes what its own webhooks tell of."""
WAITED_FOR: Final = {
    "token": "token",
    "createCall": "voice",
    "updateCall": "voice",
    "createSession": "webrtc",
    "createParticipant": "webrtc",
    "addParticipantToSession": "webrtc",
    "updateParticipantSubscriptions": "webrtc",
}
"""Those that somebody waits for, each with its API. They have breakers of their own: one for each API."""


def is_waited_for(request: Request) -> bool:
    """A hang-up is clean-up: that it has an answer says nothing about the breaker for what callers need."""
    body = request.body if isinstance(request.body, dict) else {}
    return request.operation in WAITED_FOR and body.get("state") != "completed"
