"""Names the effect that takes down what was made at Bandwidth, for the log."""

from typing import assert_never

from service.calls.effects import DeleteParticipant, DeleteSession, HangUpLeg, HangUpPhone

CleanUp = DeleteParticipant | DeleteSession | HangUpLeg
"""What a room can owe for what nobody has taken over."""
CleanUpOrHangUp = CleanUp | HangUpPhone


def kind_of(effect: CleanUpOrHangUp) -> str:
    match effect:
        case DeleteParticipant():
            return "participant"
        case DeleteSession():
            return "session"
        case HangUpLeg():
            return "leg"
        case HangUpPhone():
            return "call"
        case _:
            assert_never(effect)


def ids_of(effect: CleanUpOrHangUp) -> dict[str, str]:
    """Under the keys that every line has for them."""
    match effect:
        case DeleteParticipant():
            return {"participant_id": effect.participant_id}
        case DeleteSession():
            return {"session_id": effect.session_id}
        case HangUpLeg():
            return {"leg_id": effect.call_id}
        case HangUpPhone():
            return {"call_id": effect.call_id}
        case _:
            assert_never(effect)
