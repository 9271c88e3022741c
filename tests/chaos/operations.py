"""Names of the operations at Bandwidth, by what is left when an answer is lost."""

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
