"""The WebRTC sessions API under /v1: every operation of its specification, with its statuses and errors."""

from typing import Annotated, Any, Literal
from uuid import uuid4

import msgspec
from starlette.routing import Route

from tests.simulator.gateway import ApiAnswer, Gateway, IncomingRequest, RefusedRequest, read
from tests.simulator.sessions import (
    MembershipConflict,
    NotAMember,
    Participant,
    Session,
    Sessions,
    Subscriptions,
)
from tests.simulator.settings import Auth
from tests.simulator.verbs import is_full_url

BASE = "/v1/accounts/{accountId}"
# "tags <= 50 characters" (WebRTC overview page).
Tag = Annotated[str, msgspec.Meta(max_length=50)]


class CreateParticipant(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    callback_url: str | None = None
    publish_permissions: list[Literal["AUDIO", "VIDEO"]] = []
    tag: Tag | msgspec.UnsetType = msgspec.UNSET
    device_api_version: Literal["V3"] = "V3"


class CreateSession(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The specification reuses the session object here; an id of one's own is refused (an assumption)."""

    tag: Tag | msgspec.UnsetType = msgspec.UNSET


class SessionsApi:
    def __init__(self, sessions: Sessions, auth: Auth) -> None:
        self.auth: Auth | None = auth
        self._sessions = sessions

    def routes(self, gateway: Gateway) -> list[Route]:
        session = f"{BASE}/sessions/{{sessionId}}"
        member = f"{session}/participants/{{participantId}}"
        participant = f"{BASE}/participants/{{participantId}}"
        table = [
            ("POST", f"{BASE}/participants", "createParticipant", self._create_participant),
            ("GET", participant, "getParticipant", self._get_participant),
            ("DELETE", participant, "deleteParticipant", self._delete_participant),
            ("POST", f"{BASE}/sessions", "createSession", self._create_session),
            ("GET", session, "getSession", self._get_session),
            ("DELETE", session, "deleteSession", self._delete_session),
            ("GET", f"{session}/participants", "listSessionParticipants", self._list_participants),
            ("PUT", member, "addParticipantToSession", self._add),
            ("DELETE", member, "removeParticipantFromSession", self._remove),
            ("GET", f"{member}/subscriptions", "getParticipantSubscriptions", self._get_subscriptions),
            ("PUT", f"{member}/subscriptions", "updateParticipantSubscriptions", self._update_subscriptions),
        ]
        routes = [gateway.route(self, *row) for row in table]
        return [*routes, gateway.unknown(self, "/v1/{path:path}")]

    def error(self, status: int, message: str) -> ApiAnswer:
        """401 and 403 have a form of their own."""
        if status in {401, 403}:
            return ApiAnswer(status, {"message": message})
        return ApiAnswer(status, {"error": message, "requestId": str(uuid4())})

    def _create_participant(self, inquiry: IncomingRequest) -> ApiAnswer:
        body: CreateParticipant = read(inquiry, CreateParticipant)
        if len(set(body.publish_permissions)) != len(body.publish_permissions):
            raise RefusedRequest(400, "publishPermissions are not unique", complaint=True)
        if body.callback_url is not None and not is_full_url(body.callback_url):
            raise RefusedRequest(400, "callbackUrl is no full URL", complaint=True)
        participant = self._sessions.create_participant(
            body.tag or None, body.callback_url, list(body.publish_permissions), body.device_api_version
        )
        content = {"participant": _participant(participant), "token": participant.token}
        return ApiAnswer(200, content, created=participant.id)

    def _get_participant(self, inquiry: IncomingRequest) -> ApiAnswer:
        return ApiAnswer(200, _participant(self._participant(inquiry)))

    def _delete_participant(self, inquiry: IncomingRequest) -> ApiAnswer:
        self._sessions.delete_participant(self._participant(inquiry))
        return ApiAnswer(204)

    def _create_session(self, inquiry: IncomingRequest) -> ApiAnswer:
        body: CreateSession = read(inquiry, CreateSession)
        session = self._sessions.create_session(body.tag or None)
        return ApiAnswer(200, _session(session), created=session.id)

    def _get_session(self, inquiry: IncomingRequest) -> ApiAnswer:
        return ApiAnswer(200, _session(self._session(inquiry)))

    def _delete_session(self, inquiry: IncomingRequest) -> ApiAnswer:
        self._sessions.delete_session(self._session(inquiry))
        return ApiAnswer(204)

    def _list_participants(self, inquiry: IncomingRequest) -> ApiAnswer:
        """When 204 is used instead of 200 is undocumented; assumed: for an empty list."""
        members = [_participant(one) for one in self._session(inquiry).members.values()]
        return ApiAnswer(200, members) if members else ApiAnswer(204)

    def _add(self, inquiry: IncomingRequest) -> ApiAnswer:
        """409 is documented without a reason; assumed: in another session already, or session full."""
        session, participant = self._session(inquiry), self._participant(inquiry)
        try:
            self._sessions.add(session, participant, self._subscriptions(inquiry))
        except MembershipConflict as conflict:
            raise RefusedRequest(409, str(conflict)) from None
        except NotAMember as stranger:
            raise RefusedRequest(404, str(stranger)) from None
        return ApiAnswer(204)

    def _remove(self, inquiry: IncomingRequest) -> ApiAnswer:
        self._sessions.remove(self._member(inquiry))
        return ApiAnswer(204)

    def _get_subscriptions(self, inquiry: IncomingRequest) -> ApiAnswer:
        subscriptions = self._member(inquiry).subscriptions
        return ApiAnswer(204) if subscriptions.empty else ApiAnswer(200, msgspec.to_builtins(subscriptions))

    def _update_subscriptions(self, inquiry: IncomingRequest) -> ApiAnswer:
        session, participant = self._session(inquiry), self._member(inquiry)
        try:
            self._sessions.subscribe(session, participant, self._subscriptions(inquiry))
        except NotAMember as stranger:
            raise RefusedRequest(404, str(stranger)) from None
        return ApiAnswer(204)

    def _subscriptions(self, inquiry: IncomingRequest) -> Subscriptions:
        subscriptions: Subscriptions = read(inquiry, Subscriptions)
        if subscriptions.session_id not in {"", inquiry.ids["sessionId"]}:
            raise RefusedRequest(400, "sessionId is not that of the path", complaint=True)
        for one in subscriptions.participants or []:
            if len(set(one.stream_aliases)) != len(one.stream_aliases):
                raise RefusedRequest(400, "streamAliases are not unique", complaint=True)
        return subscriptions

    def _session(self, inquiry: IncomingRequest) -> Session:
        session = self._sessions.sessions.get(inquiry.ids["sessionId"])
        if session is None:
            raise RefusedRequest(404, "session not found")
        return session

    def _participant(self, inquiry: IncomingRequest) -> Participant:
        participant = self._sessions.participants.get(inquiry.ids["participantId"])
        if participant is None:
            raise RefusedRequest(404, "participant not found")
        return participant

    def _member(self, inquiry: IncomingRequest) -> Participant:
        participant = self._session(inquiry).members.get(inquiry.ids["participantId"])
        if participant is None:
            raise RefusedRequest(404, "participant not found in session")
        return participant


def _session(session: Session) -> dict[str, Any]:
    return {"id": session.id} | ({"tag": session.tag} if session.tag is not None else {})


def _participant(participant: Participant) -> dict[str, Any]:
    content: dict[str, Any] = {
        "id": participant.id,
        "callbackUrl": participant.callback_url,
        "publishPermissions": participant.publish_permissions,
        "sessions": [participant.session_id] if participant.session_id is not None else [],
        "subscriptions": msgspec.to_builtins(participant.subscriptions),
        "deviceApiVersion": participant.device_api_version,
    }
    return content | ({"tag": participant.tag} if participant.tag is not None else {})
