"""What each webhook is answered, row by row: the phone is always told something that keeps it or ends it."""

import pytest
from msgspec.structs import replace

from service.calls.events import TransferAnswer
from service.calls.model import Intent, Media, Phone, Status
from service.calls.replies import (
    AcceptLeg,
    ErrorAndHangUp,
    HangUp,
    Hold,
    NoReply,
    Reply,
    TransferToNumber,
    TransferToWebRtc,
    Wait,
)
from tests.calls.control_event_builders import leg_answer, leg_bridge_complete
from tests.calls.event_builders import (
    CALL_ID,
    CALLER,
    FALLBACK,
    LEASE,
    OUR_NUMBER,
    REF,
    ROOM,
    TOKEN_LIFE,
    TRANSFER_NUMBER,
    EventBuilder,
    answer,
    disconnect,
    initiate,
    join_failed,
    joined,
    redirected,
    sample_call,
    transfer_answer,
    transfer_complete,
    transfer_disconnect,
    unknown_webhook,
)
from tests.calls.expected_effects import ExpectedEffect, hang_up_phone, leave_room
from tests.calls.playbook import Playbook, play

ARRIVALS = [
    pytest.param(initiate(), id="initiate"),
    pytest.param(answer(), id="answer"),
    pytest.param(redirected(), id="redirect"),
]
HAS_A_B_LEG = [Media.TRANSFERRING, Media.BRIDGED, Media.LEAVING]


def given_up(media: Media) -> list[ExpectedEffect]:
    """What the end of a transfer owes: the seat, unless leaving owes it already."""
    return [] if media in {Media.NONE, Media.LEAVING} else [leave_room(1)]


def transferring(announcement: str = "") -> Playbook:
    """An inbound call whose phone is known to be up, so that it makes no difference who says so again."""
    return play().on(redirected(announcement=announcement)).on(joined())


def bridged() -> Playbook:
    return transferring().on(transfer_answer())


# initiate, answer -------------------------------------------------------------------------------------------


def test_a_fresh_inbound_call_joins_then_is_transferred() -> None:
    story = play().on(initiate(announcement="Welcome.")).joins(1).expects()
    story.cancels("hang-up", "redirect-phone").becomes(
        Status.JOINING, Phone.RINGING, Media.JOINING, Intent.BRIDGE
    ).drops_token()
    story.knows(ref=REF, call_id=CALL_ID, room=ROOM, from_number=CALLER, to_number=OUR_NUMBER, attempt=1)
    story.on(joined()).replies(TransferToWebRtc(1, "Welcome.")).expects().cancels().keeps_token()
    story.becomes(Status.TRANSFERRING, Phone.RINGING)
    story.knows(session_id="session-1", participant_id="participant-1", silence_ms=700.0, requests=3)


def test_a_fresh_outbound_call_is_up_when_it_joins() -> None:
    play().on(answer()).joins(1).becomes(Status.JOINING, Phone.UP).on(joined()).replies(TransferToWebRtc(1))


@pytest.mark.parametrize("again", ARRIVALS)
def test_already_decided_the_same_reply(again: EventBuilder) -> None:
    transferring("Welcome.").on(again).replies(
        TransferToWebRtc(1, "Welcome.")
    ).expects().cancels().unchanged()


@pytest.mark.parametrize("again", ARRIVALS)
def test_already_decided_but_the_token_has_expired(again: EventBuilder) -> None:
    story = transferring().on(again, after=TOKEN_LIFE - 0.1).replies(TransferToWebRtc(1))
    story.on(again, after=0.1).joins(2).expects(leave_room(1)).drops_token().becomes(Media.JOINING)


@pytest.mark.parametrize("again", ARRIVALS)
def test_being_worked_on_waits_for_the_lease(again: EventBuilder) -> None:
    play().on(redirected()).on(again, after=LEASE - 0.1).replies(Wait()).expects().cancels().unchanged()


@pytest.mark.parametrize("again", ARRIVALS)
def test_past_the_lease_the_work_is_taken_over_and_the_old_seat_is_left(again: EventBuilder) -> None:
    story = play().on(redirected()).on(again, after=LEASE).joins(2).expects(leave_room(1))
    story.becomes(Status.JOINING).knows(attempt=2)
    story.on(joined(1)).replies(Wait()).expects(leave_room(1)).unchanged()
    story.on(joined(2)).replies(TransferToWebRtc(2))


@pytest.mark.parametrize("again", ARRIVALS[:2])
@pytest.mark.parametrize("media", [Media.BRIDGED, Media.LEAVING])
def test_late_first_events_of_a_call_that_is_in_keep_the_caller(again: EventBuilder, media: Media) -> None:
    play(sample_call(media)).on(again).replies(Wait()).expects().cancels().unchanged()


@pytest.mark.parametrize("again", ARRIVALS)
def test_ended_is_hung_up(again: EventBuilder) -> None:
    bridged().on(disconnect()).on(again).replies(HangUp()).expects().cancels().unchanged()


@pytest.mark.parametrize("again", ARRIVALS)
def test_hanging_up_is_hung_up(again: EventBuilder) -> None:
    story = bridged().on(transfer_complete()).replies(HangUp()).becomes(Intent.HANGUP)
    story.on(again).replies(HangUp()).expects().cancels().unchanged()


@pytest.mark.parametrize("again", ARRIVALS)
def test_hanging_up_after_a_failure_is_told_why_again(again: EventBuilder) -> None:
    story = play().on(redirected()).on(join_failed(reason="room-full")).replies(ErrorAndHangUp("room-full"))
    story.on(again).replies(ErrorAndHangUp("room-full")).expects().cancels().unchanged()


@pytest.mark.parametrize("again", ARRIVALS)
def test_hanging_up_comes_before_a_join(again: EventBuilder) -> None:
    play(sample_call(Media.JOINING, Intent.HANGUP)).on(again).replies(
        HangUp()
    ).expects().cancels().unchanged()


@pytest.mark.parametrize("again", ARRIVALS)
def test_hanging_up_comes_before_a_transfer(again: EventBuilder) -> None:
    story = play(sample_call(Media.TRANSFERRING, Intent.HANGUP)).on(again).replies(HangUp())
    story.expects(leave_room(1)).cancels().becomes(Media.NONE)


@pytest.mark.parametrize("again", ARRIVALS[:2])
@pytest.mark.parametrize("media", [Media.BRIDGED, Media.LEAVING])
def test_hanging_up_comes_before_what_the_media_have_done(again: EventBuilder, media: Media) -> None:
    play(sample_call(media, Intent.HANGUP)).on(again).replies(HangUp()).expects().cancels().unchanged()


# transferAnswer ---------------------------------------------------------------------------------------------


def test_the_b_leg_repeats_its_tag() -> None:
    story = (
        transferring().on(transfer_answer(tag="any tag")).replies(AcceptLeg("any tag")).expects().cancels()
    )
    story.becomes(Status.BRIDGED, Phone.UP).drops_token().knows(leg_id="c-b1", answered_attempt=1)
    story.on(transfer_answer(tag="any tag")).replies(AcceptLeg("any tag")).expects().unchanged()


def test_the_b_legs_tag_is_never_empty() -> None:
    transferring().on(transfer_answer(tag="")).replies(AcceptLeg(f"{REF}.1"))


@pytest.mark.parametrize("intent", [Intent.HOLD, Intent.TRANSFER, Intent.HANGUP])
@pytest.mark.parametrize("media", [Media.TRANSFERRING, Media.BRIDGED])
def test_a_b_leg_that_is_not_wanted_is_hung_up(intent: Intent, media: Media) -> None:
    story = play(sample_call(media, intent)).on(transfer_answer()).replies(HangUp()).unchanged().expects()
    story.notes("the call is meant for something else")


@pytest.mark.parametrize("media", [Media.NONE, Media.JOINING, Media.LEAVING])
def test_a_b_leg_that_does_not_fit_is_hung_up(media: Media) -> None:
    story = play(sample_call(media)).on(transfer_answer()).replies(HangUp()).unchanged().expects()
    story.notes(f"transferAnswer does not fit media {media}")


def test_a_b_leg_of_an_older_attempt_is_hung_up() -> None:
    story = transferring().on(redirected(), after=TOKEN_LIFE).joins(2).on(joined(2))
    story.on(transfer_answer(1)).replies(HangUp()).unchanged().notes("stale attempt")
    story.on(transfer_answer(2)).replies(AcceptLeg(f"{REF}.2")).becomes(Status.BRIDGED)


def test_a_b_leg_of_a_call_that_is_over_is_hung_up() -> None:
    transferring().on(disconnect()).on(transfer_answer()).replies(HangUp()).expects().unchanged()


def test_a_b_leg_of_a_call_that_is_not_known_is_the_way_in_all_the_same() -> None:
    story = play().on(transfer_answer()).replies(AcceptLeg(f"{REF}.1")).expects().unchanged()
    story.notes("call is not known")
    play().on(lambda at: TransferAnswer(at, 0, "leg", "")).replies(HangUp()).expects().unchanged().notes(
        "call is not known"
    )


# transferComplete -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media", HAS_A_B_LEG)
def test_over_on_hold_is_the_hold_loop(media: Media) -> None:
    story = play(sample_call(media, Intent.HOLD)).on(transfer_complete()).replies(Hold())
    story.expects(*given_up(media)).cancels("hang-up")
    story.becomes(Status.DETACHED, Media.NONE, Intent.HOLD).drops_token()
    story.on(redirected()).replies(Hold()).expects().unchanged()


@pytest.mark.parametrize("media", HAS_A_B_LEG)
def test_over_on_the_way_elsewhere_goes_there(media: Media) -> None:
    story = (
        play(sample_call(media, Intent.TRANSFER))
        .on(transfer_complete())
        .replies(TransferToNumber(1, TRANSFER_NUMBER))
    )
    story.expects(*given_up(media)).becomes(Media.NONE, Intent.TRANSFER).drops_token()


@pytest.mark.parametrize("cause", ["timeout", "busy", "error", "unheard-of"])
def test_transfer_failed_is_apologised_for(cause: str) -> None:
    story = transferring().on(transfer_complete(cause=cause)).replies(ErrorAndHangUp("transfer-failed"))
    story.expects(leave_room(1), hang_up_phone(after=30)).becomes(Media.NONE, Intent.HANGUP).drops_token()
    story.knows(failure="transfer-failed")
    story.on(transfer_complete(cause=cause)).replies(ErrorAndHangUp("transfer-failed")).expects().unchanged()


def test_transfer_failed_goes_to_the_fallback_number() -> None:
    story = play().on(initiate(fallback_number=FALLBACK)).on(joined()).on(transfer_complete(cause="timeout"))
    story.replies(TransferToNumber(2, FALLBACK, diverted=True)).expects(leave_room(1)).cancels(
        "hang-up"
    ).drops_token()
    story.becomes(Intent.TRANSFER, Media.NONE).knows(fallback_number="", failure="transfer-failed")


def test_a_transfer_that_was_answered_and_is_over_ends_the_call() -> None:
    story = (
        bridged().on(transfer_complete()).replies(HangUp()).expects(leave_room(1), hang_up_phone(after=30))
    )
    story.becomes(Status.DETACHED, Media.NONE, Intent.HANGUP).drops_token().knows(failure="")


@pytest.mark.parametrize("media", [Media.NONE, *HAS_A_B_LEG])
def test_over_while_hanging_up_is_hung_up(media: Media) -> None:
    story = (
        play(sample_call(media, Intent.HANGUP)).on(transfer_complete()).replies(HangUp()).becomes(Media.NONE)
    )
    story.expects(*given_up(media))


def test_over_before_it_can_have_begun_waits() -> None:
    play().on(initiate()).on(transfer_complete()).replies(Wait()).expects().unchanged()


@pytest.mark.parametrize(
    ("intent", "reply"),
    [
        (Intent.BRIDGE, Wait()),
        (Intent.HOLD, Wait()),
        (Intent.TRANSFER, Wait()),
        (Intent.HANGUP, HangUp()),
    ],
)
def test_over_of_an_older_attempt_goes_on_with_the_intent(intent: Intent, reply: Reply) -> None:
    call = replace(sample_call(Media.JOINING, intent), attempt=2)
    play(call).on(transfer_complete(1)).replies(reply).expects().unchanged().notes("stale attempt")


def test_over_for_a_call_that_is_over_is_hung_up() -> None:
    bridged().on(disconnect()).on(transfer_complete()).replies(HangUp()).expects().unchanged()


@pytest.mark.parametrize("cue", [transfer_complete(), leg_answer(), leg_bridge_complete()])
def test_who_asks_of_a_call_that_is_not_known_is_to_come_back(cue: EventBuilder) -> None:
    play().on(cue).replies(Wait()).expects().unchanged().notes("call is not known")


# redirect ---------------------------------------------------------------------------------------------------


def test_redirect_is_the_first_that_is_heard_of_a_call() -> None:
    play().on(redirected(answered=False)).joins(1).becomes(Phone.RINGING)
    play().on(redirected(answered=True)).joins(1).becomes(Phone.UP)


def test_a_bridged_phone_that_asks_has_left_its_transfer_and_joins_anew() -> None:
    story = play(sample_call(Media.BRIDGED)).on(redirected()).joins(2).expects(leave_room(1))
    story.cancels("hang-up", "redirect-phone").becomes(Media.JOINING, Intent.BRIDGE).knows(
        session_id="", participant_id="", leg_id=""
    )


@pytest.mark.parametrize("media", [Media.BRIDGED, Media.LEAVING])
@pytest.mark.parametrize(
    ("intent", "reply"), [(Intent.HOLD, Hold()), (Intent.TRANSFER, TransferToNumber(1, TRANSFER_NUMBER))]
)
def test_a_phone_that_asks_goes_where_it_is_wanted_and_gives_its_seat_up(
    media: Media, intent: Intent, reply: Reply
) -> None:
    story = play(sample_call(media, intent)).on(redirected()).replies(reply).expects(*given_up(media))
    story.cancels("hang-up").becomes(Media.NONE, intent).drops_token()


def test_a_phone_that_asks_instead_of_transfer_complete_is_answered_like_it() -> None:
    """Its transferComplete met a store that was down, and it was told to come back."""
    story = bridged().on(transfer_disconnect(), after=60).on(redirected())
    story.replies(HangUp()).expects(hang_up_phone(after=30))
    story.becomes(Media.NONE, Intent.HANGUP).knows(failure="")
    story = transferring().on(transfer_disconnect(cause="timeout")).on(redirected())
    story.replies(ErrorAndHangUp("transfer-failed")).expects(hang_up_phone(after=30)).becomes(Intent.HANGUP)


def test_a_call_without_media_that_is_to_be_bridged_joins_without_leaving_anything() -> None:
    play(sample_call(Media.NONE)).on(redirected()).joins(2).expects()


@pytest.mark.parametrize("media", list(Media))
@pytest.mark.parametrize(
    ("intent", "reply"),
    [
        (Intent.HOLD, Hold()),
        (Intent.TRANSFER, TransferToNumber(1, TRANSFER_NUMBER)),
        (Intent.HANGUP, HangUp()),
    ],
)
def test_redirect_goes_on_with_the_intent(media: Media, intent: Intent, reply: Reply) -> None:
    play(sample_call(media, intent)).on(redirected()).replies(reply).becomes(intent)


# unknown ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media", list(Media))
@pytest.mark.parametrize("intent", list(Intent))
def test_unknown_on_a_live_call_waits(media: Media, intent: Intent) -> None:
    play(sample_call(media, intent)).on(unknown_webhook()).replies(Wait()).expects().cancels().unchanged()


def test_unknown_on_no_call_is_nothing() -> None:
    bridged().on(disconnect()).on(unknown_webhook()).replies(NoReply()).expects().unchanged()
    play().on(unknown_webhook()).replies(NoReply()).expects().unchanged().notes("call is not known")
