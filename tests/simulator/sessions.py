"""WebRTC sessions and participants: the objects behind the sessions API, and its rules on membership."""

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

import msgspec

from tests.simulator.background import Changes

# "participants per session" on the overview page; audio-only, video and dialled-in count alike.
SESSION_CAPACITY = 20


class Subscription(
    msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """One participant that is received, all its streams or those named."""

    participant_id: str
    stream_aliases: list[str] = []


class Subscriptions(
    msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """What one participant receives. A non-empty list of participants overrides the session."""

    session_id: str = ""
    participants: list[Subscription] | None = None

    @property
    def empty(self) -> bool:
        return not self.session_id and not self.participants


@dataclass(eq=False)
class Participant:
    id: str
    token: str
    tag: str | None
    callback_url: str | None
    publish_permissions: list[str]
    device_api_version: str
    session_id: str | None = None
    subscriptions: Subscriptions = field(default_factory=Subscriptions)


@dataclass(eq=False)
class Session:
    id: str
    tag: str | None
    members: dict[str, Participant] = field(default_factory=dict)


class MembershipConflict(Exception):
    """409: the participant cannot be added as things stand."""


class NotAMember(Exception):
    """404: a subscription names a participant that is not in the session. Undocumented, so assumed."""


def device_token(participant_id: str, length: int) -> str:
    """Three base64url parts; browsers read the claim `v` and connect only when it says v3."""

    def part(value: dict[str, str]) -> str:
        return (
            base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")
        )

    signed = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'v': 'v3', 'p': participant_id})}."
    if length < len(signed) + 16:
        raise ValueError(f"a device token needs {len(signed) + 16} characters or more, not {length}")
    return signed + secrets.token_urlsafe(length)[: length - len(signed)]


class Sessions:
    """`left` is called with a participant that left its session, and whether it was deleted.

    `moved` is called with each whose session or subscriptions have changed.
    """

    def __init__(self, changes: Changes, token_length: int) -> None:
        self.sessions: dict[str, Session] = {}
        self.participants: dict[str, Participant] = {}
        self.token_length = token_length
        self._by_token: dict[str, Participant] = {}
        self.left: Callable[[Participant, bool], None] = lambda _participant, _deleted: None
        self.moved: Callable[[Participant], None] = lambda _participant: None
        self._changes = changes

    def create_session(self, tag: str | None) -> Session:
        session = Session(id=str(uuid4()), tag=tag)
        self.sessions[session.id] = session
        self._changes.notify()
        return session

    def create_participant(
        self, tag: str | None, callback_url: str | None, permissions: list[str], version: str
    ) -> Participant:
        participant_id = str(uuid4())
        participant = Participant(
            id=participant_id,
            token=device_token(participant_id, self.token_length),
            tag=tag,
            callback_url=callback_url,
            publish_permissions=permissions,
            device_api_version=version,
        )
        self.participants[participant_id] = participant
        self._by_token[participant.token] = participant
        self._changes.notify()
        return participant

    def add(self, session: Session, participant: Participant, subscriptions: Subscriptions) -> None:
        """Adding a member again replaces its subscriptions: undocumented, assumed because it is a PUT."""
        if participant.session_id not in {None, session.id}:
            raise MembershipConflict(f"participant is in session {participant.session_id}")
        if participant.id not in session.members and len(session.members) >= SESSION_CAPACITY:
            raise MembershipConflict(f"session has {SESSION_CAPACITY} participants")
        _check_members(session, subscriptions)
        session.members[participant.id] = participant
        participant.session_id = session.id
        participant.subscriptions = subscriptions
        self.moved(participant)
        self._changes.notify()

    def subscribe(self, session: Session, participant: Participant, subscriptions: Subscriptions) -> None:
        _check_members(session, subscriptions)
        participant.subscriptions = subscriptions
        self.moved(participant)
        self._changes.notify()

    def remove(self, participant: Participant) -> None:
        self._leave(participant)
        self.left(participant, False)
        self._changes.notify()

    def delete_participant(self, participant: Participant) -> None:
        self._leave(participant)
        del self.participants[participant.id]
        del self._by_token[participant.token]
        self.left(participant, True)
        self._changes.notify()

    def delete_session(self, session: Session) -> None:
        """Also what the 9 hours do (call flow page): memberships and subscriptions go, participants stay."""
        for participant in list(session.members.values()):
            self.remove(participant)
        del self.sessions[session.id]
        self._changes.notify()

    def by_token(self, token: str) -> Participant | None:
        return self._by_token.get(token)

    def heard_by(self, participant: Participant) -> set[str]:
        """Ids of the members whose audio this participant receives: signalling level, no media here."""
        return set(self.streams_heard_by(participant))

    def streams_heard_by(self, participant: Participant) -> dict[str, set[str]]:
        """The same, each with the aliases of its streams that are received; an empty set stands for all."""
        session = self.sessions.get(participant.session_id or "")
        if session is None or participant.subscriptions.empty:
            return {}
        named = {
            one.participant_id: set(one.stream_aliases)
            for one in participant.subscriptions.participants or []
        }
        return {
            one.id: named.get(one.id, set())
            for one in session.members.values()
            if one is not participant
            and "AUDIO" in one.publish_permissions
            and (not named or one.id in named)
        }

    def _leave(self, participant: Participant) -> None:
        session = self.sessions.get(participant.session_id or "")
        if session is not None:
            session.members.pop(participant.id, None)
        participant.session_id = None
        participant.subscriptions = Subscriptions()
        if session is not None:
            self.moved(participant)


def _check_members(session: Session, subscriptions: Subscriptions) -> None:
    for one in subscriptions.participants or []:
        if one.participant_id not in session.members:
            raise NotAMember(f"participant {one.participant_id} not found in session")
