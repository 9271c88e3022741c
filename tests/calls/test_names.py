"""Names that are out in the world or in the store: they may not change from release to release."""

import pytest

from service.calls import effects, replies
from service.calls.effects import CallEffect
from service.calls.model import Media, call_of, seat_of
from tests.calls.cues import REF, a_call, hang_up, leave, redirect_phone


@pytest.mark.parametrize(
    ("effect", "name", "id_", "lane"),
    [
        (hang_up().effect, "hang-up", "hang-up", "hang-up"),
        (redirect_phone().effect, "redirect-phone", "redirect-phone", "redirect-phone"),
        (leave(2).effect, "leave-room", f"leave-room:{REF}.2", f"{REF}.2"),
    ],
)
def test_an_effect_is_replaced_by_id_and_waits_in_a_lane(
    effect: CallEffect, name: str, id_: str, lane: str
) -> None:
    assert (effects.name_of(effect), effect.id, effect.lane) == (name, id_, lane)


def test_a_reply_has_a_name() -> None:
    assert replies.name_of(replies.KeepTag("a")) == "keep-tag"


def test_a_seat_names_its_call_and_attempt() -> None:
    assert call_of(seat_of(REF, 12)) == (REF, 12)
    assert a_call(Media.BRIDGED).seat == f"{REF}.1"
