"""Defines the bodies that the API takes.

`null` is the same as leaving a field out; unknown fields are refused. Times are in seconds. The digest
of a body is kept with its Idempotency-Key: new fields get defaults, which are left out of it.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from service.calls.browser import ParticipantStreams, Permission
from service.calls.display import clean_display_text
from service.calls.model import OnMachine
from service.calls.room_settings import (
    MAX_MEMBERS,
    ROOM_NAME,
    AloneAction,
    AloneSettings,
    InterconnectMode,
    RoomSettings,
    WaitingSettings,
    WaitingSound,
)
from service.invitations import INVITATION_LIFETIME, Scope

# Parts of patterns, and patterns.
_CONTROL: Final = r"\u0000-\u001f\u007f-\u009f\ufffe\uffff"
_NAME: Final = rf"^(?!(per-call|per-number)\Z){ROOM_NAME}\Z"
_NUMBER: Final = r"^\+[1-9][0-9]{6,14}\Z"
_CALLEE: Final = r"^\+[1-9][0-9]{1,14}\Z"
# Blanks, something that is none, whatever else: classes that have nothing in common are tried once.
_SENTENCE: Final = rf"^[^\S{_CONTROL}]*[^\s{_CONTROL}][^{_CONTROL}]*\Z"
_URL: Final = r"^https?://[A-Za-z0-9\[][!-~]*\Z"
_PIN: Final = r"^[0-9]{4,20}\Z"
_ID: Final = r"^[!-~]{1,200}\Z"

PATTERN_HINTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        _NAME: "wants a room's name: 1 to 64 of a-z 0-9 -, and not a word of ROOM_POLICY",
        _NUMBER: "wants a phone number in E.164 form, such as +15550100100",
        _CALLEE: "wants a phone number in E.164 form, such as +15550100100",
        _SENTENCE: "wants one line of text with something to say in it",
        _URL: "wants the http or https URL of something to play",
        _PIN: "wants 4 to 20 digits",
        _ID: "wants the id of a call or of a participant",
    }
)
"""What to say instead of a pattern."""
_NAMED: Final = 64
"""Characters of a participant's name."""
_LONG: Final = 256
"""Characters to which a pattern is applied. No text that fits is longer, and no longer one is searched."""

RoomName = Annotated[str, Meta(pattern=_NAME, max_length=_LONG)]
"""The words of ROOM_POLICY are no names: they say how a room is found."""
Number = Annotated[str, Meta(pattern=_NUMBER, max_length=_LONG)]
Callee = Annotated[str, Meta(pattern=_CALLEE, max_length=_LONG)]
"""It may be shorter than a number: the dial plan refuses +1911 with a reason."""
Sentence = Annotated[str, Meta(pattern=_SENTENCE, max_length=1000)]
"""Something to say, as XML can carry it."""
Url = Annotated[str, Meta(pattern=_URL, max_length=2048)]
Pin = Annotated[str, Meta(pattern=_PIN, max_length=_LONG)]
Id = Annotated[str, Meta(pattern=_ID, max_length=_LONG)]
PersonName = Annotated[str, Meta(pattern=_SENTENCE, max_length=_NAMED)]
"""A participant's name, in one line."""


class RequestBody(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    forbid_unknown_fields=True,
    omit_defaults=True,
): ...


class NamedBody(RequestBody, frozen=True, kw_only=True):
    """A name as it is shown to others; None where nothing of it can be seen."""

    name: PersonName | None = None

    def __post_init__(self) -> None:
        if self.name is not None:
            msgspec.structs.force_setattr(
                self, "name", clean_display_text(self.name)[:_NAMED].strip() or None
            )


class MachineDetectionBody(RequestBody, frozen=True, kw_only=True):
    mode: Literal["async", "sync"] | None = None
    then: OnMachine
    message: Sentence | None = None

    def __post_init__(self) -> None:
        if self.then is OnMachine.MESSAGE and self.message is None:
            raise _missing_field("message")


class DialBody(RequestBody, frozen=True, kw_only=True):
    to: Callee
    room: RoomName
    from_: Number | None = msgspec.field(name="from", default=None)
    announcement: Sentence | None = None
    call_timeout: Annotated[float, Meta(ge=1, le=300)] | None = None
    max_duration: Annotated[float, Meta(ge=1, le=86_400)] | None = None
    tag: Annotated[str, Meta(max_length=256)] | None = None
    prepare: Literal["answer", "dial"] | None = None
    machine_detection: MachineDetectionBody | None = None
    interconnect: InterconnectMode | None = None


class JoinBody(RequestBody, frozen=True, kw_only=True):
    room: RoomName
    interconnect: InterconnectMode | None = None


class TransferBody(RequestBody, frozen=True, kw_only=True):
    to: Callee


class EmptyBody(RequestBody, frozen=True, kw_only=True):
    """For requests without a body: an empty body is as good as an empty object."""


class SubscriptionsBody(RequestBody, frozen=True, kw_only=True):
    hears: Literal["everyone", "nobody"] | Annotated[list[Id], Meta(min_length=1, max_length=20)]


class ParticipantBody(NamedBody, frozen=True, kw_only=True):
    permissions: Annotated[list[Permission], Meta(max_length=2)] | None = None


class InvitationBody(NamedBody, frozen=True, kw_only=True):
    scopes: Annotated[list[Scope], Meta(max_length=3)] | None = None
    expires_in: Annotated[float, Meta(ge=60, le=INVITATION_LIFETIME)] | None = None


class StreamsBody(RequestBody, frozen=True, kw_only=True):
    participant_id: Id
    stream_aliases: Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=10)]

    def to_streams(self) -> str | ParticipantStreams:
        """Without aliases it is all streams, as Bandwidth has it. Raises nothing."""
        if not self.stream_aliases:
            return self.participant_id
        return ParticipantStreams(self.participant_id, tuple(dict.fromkeys(self.stream_aliases)))


class ParticipantSubscriptionsBody(RequestBody, frozen=True, kw_only=True):
    hears: (
        Literal["everyone", "nobody"] | Annotated[list[Id | StreamsBody], Meta(min_length=1, max_length=20)]
    )


class WaitingBody(RequestBody, frozen=True, kw_only=True):
    sound: WaitingSound
    music: Url | None = None
    message: Sentence | None = None
    limit: Annotated[float, Meta(ge=5, le=3600)] | None = None

    def __post_init__(self) -> None:
        if self.sound is WaitingSound.MUSIC and self.music is None:
            raise _missing_field("music")
        if self.sound is WaitingSound.MESSAGE and self.message is None:
            raise _missing_field("message")

    def to_waiting(self) -> WaitingSettings:
        """Raises nothing."""
        limit = {} if self.limit is None else {"limit": self.limit}
        return WaitingSettings(sound=self.sound, music=self.music or "", message=self.message or "", **limit)


class AloneBody(RequestBody, frozen=True, kw_only=True):
    after: Annotated[float, Meta(ge=1, le=3600)]
    then: AloneAction


class RoomBody(RequestBody, frozen=True, kw_only=True):
    """All settings of a room: a field that is left out is as in a room without settings."""

    announcement: Sentence | None = None
    waiting: WaitingBody | None = None
    alone: AloneBody | None = None
    # JSON has one kind of number: 5.0 is as whole as 5.
    limit: Annotated[float, Meta(ge=1, le=MAX_MEMBERS, multiple_of=1)] | None = None
    pin: Pin | None = None
    interconnect: InterconnectMode | None = None

    def __post_init__(self) -> None:
        if self.alone is not None and self.alone.then is AloneAction.WAIT and self.waiting is None:
            raise _missing_field("waiting")

    def to_settings(self) -> RoomSettings:
        """Raises nothing."""
        return RoomSettings(
            announcement=self.announcement or "",
            waiting=None if self.waiting is None else self.waiting.to_waiting(),
            alone=None if self.alone is None else AloneSettings(after=self.alone.after, then=self.alone.then),
            limit=MAX_MEMBERS if self.limit is None else int(self.limit),
            pin=self.pin or "",
            interconnect=self.interconnect,
        )


def is_room_name(text: str) -> bool:
    """Whether a room may have this name. Raises nothing."""
    return len(text) <= _LONG and re.match(_NAME, text) is not None


def _missing_field(field: str) -> ValueError:
    """In msgspec's words, from which the reader of bodies takes the field."""
    return ValueError(f"Object missing required field `{field}`")
