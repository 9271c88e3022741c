# ruff: noqa: ASYNC109 - each request has its deadline, and it belongs to whoever asks
"""Sessions and participants: Bandwidth's WebRTC sessions API, as far as a phone bridge needs it."""

import base64
import binascii
from collections.abc import Sequence
from typing import Final

import msgspec

from service.bandwidth.api_client import ApiCredentials, HttpClient, Response
from service.bandwidth.codec import checked_id, created_id, decode, encode, path_segment, unusable_response
from service.bandwidth.errors import BandwidthError, NotFound
from service.bandwidth.upstream import Circuits, Upstream, ignore_body, make_circuits
from service.calls.browser import Hears, ParticipantStreams, Permission, heard_id

TAG_LIMIT = 50  # WebRTC overview: at most 50 characters, and no personal data


class CreatedParticipant(msgspec.Struct, frozen=True):
    """A participant and the token that lets a device be it. The token is never handed out again."""

    id: str
    token: str

    @property
    def expires_at(self) -> float:
        """Seconds since the epoch: the token's claim `exp` (RFC 7519), not ours to verify; 0 without one."""
        try:
            part = self.token.split(".")[1]
            payload = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
            exp = msgspec.json.decode(payload, type=_Claims).exp
        except (IndexError, binascii.Error, ValueError):
            return 0
        return exp if 0 < exp < _YEAR_10000 else 0

    def __repr__(self) -> str:
        return f"CreatedParticipant(id={self.id!r}, token=***)"


_YEAR_10000: Final = 253_402_300_800


class _Claims(msgspec.Struct):
    exp: float = 0


class _Session(msgspec.Struct):
    id: str


class _Participant(msgspec.Struct):
    id: str


class _CreatedParticipantBody(msgspec.Struct):
    participant: _Participant
    token: str


class WebRtcApi:
    """Every method: `timeout` in seconds, `attempt` the how-manieth time it is tried; BandwidthError.

    Removing and deleting what is not there is done already: the media server also deletes participants by
    itself when it notices that the device has gone (comment in Bandwidth's webrtc-voicebridge-ts).
    """

    def __init__(
        self,
        http: HttpClient,
        base_url: str,
        account_id: str,
        credentials: ApiCredentials,
        *,
        circuits: Circuits | None = None,
    ) -> None:
        """`base_url`: with its version, as in `https://api.webrtc.bandwidth.com/v1`."""
        chosen = circuits or make_circuits("webrtc", http)
        self.circuits = tuple(chosen.values())
        self.credentials = credentials
        self._api = Upstream(http, base_url, account_id, credentials, chosen)

    async def create_session(self, *, tag: str, timeout: float, attempt: int = 1) -> str:
        """A new session by createSession, its id. It ends by itself after 9 hours (WebRTC call flow)."""
        body = encode({"tag": _tag(tag)})

        def read(response: Response) -> str:
            try:
                return checked_id("create-session", response, decode("create-session", response, _Session).id)
            except BandwidthError:
                if made := created_id(response, "id"):
                    return made
                raise

        return await self._api.send("create-session", "POST", "/sessions", body, timeout, attempt, read=read)

    async def has_session(self, session_id: str, *, timeout: float, attempt: int = 1) -> bool:
        """By getSession. What is not found when one is put into another may be either of the two."""
        path = f"/sessions/{path_segment('session_id', session_id)}"
        return await self._has("get-session", path, timeout, attempt)

    async def has_participant(self, participant_id: str, *, timeout: float, attempt: int = 1) -> bool:
        """By getParticipant."""
        path = f"/participants/{path_segment('participant_id', participant_id)}"
        return await self._has("get-participant", path, timeout, attempt)

    async def list_participants(
        self, session_id: str, *, timeout: float, attempt: int = 1
    ) -> tuple[str, ...]:
        """By listSessionParticipants, the ids. Raises NotFound when the session is gone.

        204 stands for none (WebRTC specification).
        """
        operation = "list-participants"
        path = f"/sessions/{path_segment('session_id', session_id)}/participants"

        def read(response: Response) -> tuple[str, ...]:
            members = decode(operation, response, list[_Participant]) if response.body else []
            return tuple(checked_id(operation, response, one.id) for one in members)

        return await self._api.send(operation, "GET", path, None, timeout, attempt, read=read)

    async def create_participant(
        self,
        *,
        tag: str,
        callback_url: str | None,
        permissions: Sequence[Permission] = (Permission.AUDIO,),
        timeout: float,
        attempt: int = 1,
    ) -> CreatedParticipant:
        """A new one by createParticipant that may publish this, and is in no session yet."""
        # The version is stated: older documents have V2 as its default, and the browser SDK wants V3.
        wanted: dict[str, object] = {
            "tag": _tag(tag),
            "publishPermissions": list(permissions),
            "deviceApiVersion": "V3",
        }
        if callback_url is not None:
            wanted["callbackUrl"] = callback_url
        operation = "create-participant"
        return await self._api.send(
            operation, "POST", "/participants", encode(wanted), timeout, attempt, read=_created_participant
        )

    async def add_participant(
        self,
        session_id: str,
        participant_id: str,
        *,
        hears: Hears = None,
        timeout: float,
        attempt: int = 1,
    ) -> None:
        """By addParticipantToSession. `hears`: participants; None for everybody in it, now and later.

        Raises NotFound when either is gone, and Conflict (another session, or a full one: not documented).
        """
        body = _subscriptions(session_id, hears)
        path = _member(session_id, participant_id)
        await self._put("add-participant", path, body, timeout, attempt, session_id)

    async def subscribe(
        self,
        session_id: str,
        participant_id: str,
        *,
        hears: Hears,
        timeout: float,
        attempt: int = 1,
    ) -> None:
        """By updateParticipantSubscriptions, in place of all it had. `hears`: as in `add_participant`.

        Raises NotFound when either is gone. It says nothing about who hears this participant.
        """
        path = f"{_member(session_id, participant_id)}/subscriptions"
        body = _subscriptions(session_id, hears)
        await self._put("update-subscriptions", path, body, timeout, attempt, session_id)

    async def remove_participant(
        self, session_id: str, participant_id: str, *, timeout: float, attempt: int = 1
    ) -> None:
        """Sends removeParticipantFromSession. The phone call stays up (WebRTC call flow)."""
        await self._delete("remove-participant", _member(session_id, participant_id), timeout, attempt)

    async def delete_participant(self, participant_id: str, *, timeout: float, attempt: int = 1) -> None:
        path = f"/participants/{path_segment('participant_id', participant_id)}"
        await self._delete("delete-participant", path, timeout, attempt)

    async def delete_session(self, session_id: str, *, timeout: float, attempt: int = 1) -> None:
        """Sends deleteSession. What becomes of members still inside is not documented: remove them first."""
        await self._delete(
            "delete-session", f"/sessions/{path_segment('session_id', session_id)}", timeout, attempt
        )

    async def _put(
        self, operation: str, path: str, body: bytes, timeout: float, attempt: int, session_id: str
    ) -> None:
        await self._api.send(
            operation,
            "PUT",
            path,
            body,
            timeout,
            attempt,
            failure_key=session_id,
            read=ignore_body(operation),
        )

    async def _delete(self, operation: str, path: str, timeout: float, attempt: int) -> None:
        try:
            await self._api.send(
                operation, "DELETE", path, None, timeout, attempt, read=ignore_body(operation)
            )
        except NotFound:
            return

    async def _has(self, operation: str, path: str, timeout: float, attempt: int) -> bool:
        try:
            await self._api.send(operation, "GET", path, None, timeout, attempt, read=ignore_body(operation))
        except NotFound:
            return False
        return True


def _created_participant(response: Response) -> CreatedParticipant:
    """One whose token cannot be read is of no use to anybody, and lives all the same."""
    operation = "create-participant"
    try:
        created = decode(operation, response, _CreatedParticipantBody)
        if not created.token:
            raise unusable_response(operation, response, "empty token")
        return CreatedParticipant(
            id=checked_id(operation, response, created.participant.id), token=created.token
        )
    except BandwidthError as error:
        error.created_id = created_id(response, "participant", "id")
        raise


def _member(session_id: str, participant_id: str) -> str:
    session, participant = (
        path_segment("session_id", session_id),
        path_segment("participant_id", participant_id),
    )
    return f"/sessions/{session}/participants/{participant}"


def _subscriptions(session_id: str, hears: Hears) -> bytes:
    """Who is heard: a list overrides the session, and neither of them is nobody (WebRTC specification)."""
    if hears is None:
        return encode({"sessionId": session_id})
    if not hears:
        # With a session in it, an empty list would stand for everybody.
        return encode({})
    for one in hears:
        path_segment("hears", heard_id(one))
    return encode({"sessionId": session_id, "participants": [_subscription(one) for one in hears]})


def _subscription(one: str | ParticipantStreams) -> dict[str, object]:
    """Without a list of aliases it is to all streams (WebRTC specification)."""
    if isinstance(one, str):
        return {"participantId": one}
    return {"participantId": one.participant_id, "streamAliases": one.aliases}


def _tag(tag: str) -> str:
    if len(tag) > TAG_LIMIT:
        raise ValueError(f"tag: over {TAG_LIMIT} characters")
    return tag
