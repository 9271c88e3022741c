"""Names that are out in the world or in the store: they may not change from release to release."""

import re
from enum import StrEnum
from types import ModuleType, UnionType
from typing import get_args

import pytest
from msgspec import StructMeta

from service.calls import decision, effects, events, model, policy, replies, room_settings
from service.calls.effects import CallEffect, CheckCall
from service.calls.model import Media, parse_seat, seat_of
from tests.calls.event_builders import REF, ROOM, sample_call
from tests.calls.expected_effects import (
    check_page,
    end_dialing,
    hang_up_leg,
    hang_up_phone,
    leave_room,
    move_participant,
    record_call_id,
    redirect_phone,
    subscribe,
    tell_hold_time_up,
    tell_time_nearly_up,
    tell_time_up,
)

SEAT = f"{REF}.2"


@pytest.mark.parametrize(
    ("effect", "name", "id_", "lane"),
    [
        (hang_up_phone().effect, "hang-up", "hang-up", "hang-up"),
        (hang_up_leg().effect, "hang-up-leg", "hang-up-leg:c-leg1", "hang-up-leg:c-leg1"),
        (redirect_phone().effect, "redirect-phone", "redirect-phone", "redirect-phone"),
        (leave_room(2).effect, "leave-room", f"leave-room:{ROOM}:{SEAT}", SEAT),
        (leave_room(2, keeps_participant=True).effect, "leave-room", f"leave-room:{ROOM}:{SEAT}", SEAT),
        (move_participant().effect, "move-participant", "move-participant", "move-participant"),
        (subscribe().effect, "subscribe", "subscribe", "subscribe"),
        (record_call_id().effect, "name-call", "name-call", "name-call"),
        (end_dialing(after=0).effect, "end-dialing", "end-dialing", "end-dialing"),
        (tell_time_up(after=0).effect, "tell-time-up", "tell-time-up", "tell-time-up"),
        (tell_time_nearly_up(after=0).effect, "tell-time-short", "tell-time-short", "tell-time-short"),
        (tell_hold_time_up(after=0).effect, "tell-hold-up", "tell-hold-up", "tell-hold-up"),
        (check_page(after=0).effect, "check-page", "check-page", "check-page"),
        (CheckCall(REF), "ask-after", "ask-after", "ask-after"),
    ],
)
def test_an_effect_is_replaced_by_id_and_waits_in_a_lane(
    effect: CallEffect, name: str, id_: str, lane: str
) -> None:
    assert (effects.effect_name(effect), effect.id, effect.lane) == (name, id_, lane)


@pytest.mark.parametrize("module", [decision, effects, events, model, policy, replies, room_settings])
def test_nothing_can_be_changed_that_others_hold_too(module: ModuleType) -> None:
    structs = [one for one in vars(module).values() if isinstance(one, StructMeta)]
    assert structs
    assert [one for one in structs if not one.__struct_config__.frozen] == []


_STORED_WORDS = {
    ("Intent", "PIN"): "ask",
    ("Intent", "TRANSFER"): "elsewhere",
    ("Media", "JOINING"): "making",
}
"""Where the store has another word than the code."""
_STORED_TAGS = {
    "HangUpPhone": "hang-up",
    "RecordCallId": "name-call",
    "TellTimeNearlyUp": "tell-time-short",
    "TellHoldTimeUp": "tell-hold-up",
    "CheckCall": "ask-after",
    "CheckTakenFromPool": "check-taken",
    "PrepareParticipant": "stock-room",
    "ReplacePrepared": "replace-stock",
    "TellRoomClosed": "evict",
    "TransferToWebRtc": "transfer",
    "AcceptLeg": "keep-tag",
    "TransferToNumber": "elsewhere",
    "GatherPin": "ask-digits",
    "WaitForOthers": "await-others",
    "RingWhileDialing": "park",
    "HoldLeg": "park-leg",
    "ErrorAndHangUp": "apologise",
    "SayAndHangUp": "farewell",
    "HangUp": "hangup",
    "NoReply": "nothing",
}
"""Effects and replies that are stored by another name than that of their class."""


@pytest.mark.parametrize("module", [model, room_settings])
def test_words_are_stored_as_they_are_named(module: ModuleType) -> None:
    kinds = [kind for kind in StrEnum.__subclasses__() if kind.__module__ == module.__name__]
    words = [word for kind in kinds for word in kind]
    assert words
    stored = [_STORED_WORDS.get((type(word).__name__, word.name), word.name.lower()) for word in words]
    assert [word.value for word in words] == stored


@pytest.mark.parametrize("union", [effects.Effect, replies.Reply])
def test_so_are_effects_and_replies(union: UnionType) -> None:
    kinds = get_args(union)
    names = [
        _STORED_TAGS.get(kind.__name__) or re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower()
        for kind in kinds
    ]
    assert [kind.__struct_config__.tag for kind in kinds] == names


@pytest.mark.parametrize(
    ("effect", "tag", "name"),
    [
        (effects.PrepareParticipant("a"), "stock-room", "prepare-participant"),
        (effects.ReplacePrepared("a", "p"), "replace-stock", "replace-prepared"),
        (CheckCall(REF), "ask-after", "ask-after"),
    ],
)
def test_an_effect_is_stored_by_its_tag_and_shown_by_its_name(
    effect: effects.Effect, tag: str, name: str
) -> None:
    assert (effects.effect_tag(effect), effects.effect_name(effect)) == (tag, name)
    assert (effects.shown_id(tag), effects.shown_id(f"{tag}:b:c")) == (name, f"{name}:b:c")


def test_a_shown_name_is_that_of_one_effect() -> None:
    assert effects.SHOWN_NAMES.keys() <= effects.EFFECT_TAGS
    assert len({effects.shown_name(tag) for tag in effects.EFFECT_TAGS}) == len(effects.EFFECT_TAGS)
    assert effects.shown_name("of-a-newer-release") == "of-a-newer-release"


def test_a_reply_has_a_name() -> None:
    assert replies.reply_name(replies.AcceptLeg("a")) == "keep-tag"


def test_a_seat_names_its_call_and_attempt() -> None:
    assert parse_seat(seat_of(REF, 12)) == (REF, 12)
    assert sample_call(Media.BRIDGED).seat == f"{REF}.1"


@pytest.mark.parametrize(
    "seat",
    [
        "",
        REF,
        ".1",
        f"{REF}.",
        f"{REF}.x",
        f"{REF}.-1",
        f"{REF}.\N{SUPERSCRIPT TWO}",
        f"{REF}.\N{ARABIC-INDIC DIGIT TWO}",
        f"{REF}.1234567890",
        "web-abcdefghijkl2345.1",
    ],
)
def test_a_seat_of_something_else_names_no_call(seat: str) -> None:
    assert parse_seat(seat) == ("", 0)


def test_an_attempt_has_nine_digits_at_most() -> None:
    assert parse_seat(f"{REF}.123456789") == (REF, 123456789)


def test_a_seat_that_the_participant_was_moved_to_names_them_too() -> None:
    assert seat_of(REF, 12, 3) == f"{REF}.12-3"
    assert parse_seat(seat_of(REF, 12, 3)) == (REF, 12)
