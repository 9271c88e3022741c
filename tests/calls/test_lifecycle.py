"""Whole stories of calls, from the first webhook to the last, in every order that they can come in."""

import pytest
from msgspec.structs import replace

from service.calls.decide import decide
from service.calls.decision import HANG_UP_DELAY
from service.calls.events import event_name
from service.calls.model import Blame, Direction, Intent, Leg, Media, Outcome, Phone, Status
from service.calls.outcomes import NOT_FOUND
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
from service.store.call_index import is_tombstone
from tests.calls.event_builders import (
    FALLBACK,
    LEASE,
    NOW,
    OTHER_ROOM,
    REF,
    TRANSFER_NUMBER,
    EventBuilder,
    answer,
    asked_to_retry,
    disconnect,
    found_ended,
    initiate,
    join_failed,
    joined,
    leg_noted,
    participant_vanished,
    redirected,
    sample_call,
    transfer_answer,
    transfer_complete,
    transfer_disconnect,
    unknown_webhook,
)
from tests.calls.expected_effects import CANCELLED_AT_END, hang_up_phone, leave_room, redirect_phone
from tests.calls.playbook import Playbook, play


def transferring(fallback: str = "") -> Playbook:
    return play().on(initiate(fallback_number=fallback)).on(joined())


def bridged(fallback: str = "") -> Playbook:
    return transferring(fallback).on(transfer_answer())


# To the end ------------------------------------------------------------------------------------------------


def test_a_normal_call() -> None:
    story = play().on(initiate()).joins(1).becomes(Status.JOINING, Phone.RINGING)
    story.knows(answered_at=0, machine="")
    story.on(joined()).replies(TransferToWebRtc(1)).becomes(Status.TRANSFERRING)
    story.on(transfer_answer()).replies(AcceptLeg(f"{REF}.1")).becomes(Status.BRIDGED, Phone.UP)
    story.on(transfer_disconnect()).replies(NoReply()).expects(
        leave_room(1), hang_up_phone(after=30)
    ).drops_token()
    story.becomes(Status.DETACHED, Media.LEAVING)
    story.on(transfer_complete()).replies(HangUp()).expects(hang_up_phone(after=30))
    story.becomes(Status.DETACHED, Media.NONE, Intent.HANGUP)
    story.on(disconnect()).replies(NoReply()).expects().cancels(*CANCELLED_AT_END)
    story.becomes(Status.ENDED, Phone.GONE).knows(
        outcome=Outcome(Blame.NOBODY, "completed", cause="hangup"),
        created_at=NOW + 1,
        bridged_at=NOW + 3,
        ended_at=NOW + 6,
        requests=3,
        silence_ms=700.0,
    )


def test_an_outbound_call_is_joined_when_it_is_answered() -> None:
    story = play().on(answer()).joins(1).knows(direction=Direction.OUTBOUND, answered_at=NOW + 1)
    story.on(joined()).on(transfer_answer()).becomes(Status.BRIDGED)
    story.on(transfer_complete()).replies(HangUp()).on(disconnect()).becomes(Status.ENDED)


def test_only_an_outbound_call_is_known_to_have_been_answered() -> None:
    play().on(redirected()).becomes(Phone.UP).knows(answered_at=0)


# The caller hangs up ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", [joined(), join_failed()])
def test_during_the_join_what_was_made_is_taken_down(result: EventBuilder) -> None:
    story = play().on(initiate()).on(disconnect("cancel")).replies(NoReply())
    # Due at the end of the lease, for the case that the replica is killed; a result comes sooner.
    story.expects(leave_room(1, after=LEASE - 1)).becomes(Status.ENDED, Media.JOINING, Intent.HANGUP)
    story.on(result).replies(HangUp()).expects(leave_room(1)).drops_token().becomes(Media.NONE, Phone.GONE)
    # As it had to be.
    story.notes("")


def test_during_a_join_that_is_past_its_lease_its_seat_is_given_up_at_once() -> None:
    play().on(initiate()).on(disconnect(), after=LEASE + 5).expects(leave_room(1))


def test_during_the_join_that_took_over_both_are_taken_down() -> None:
    story = play().on(initiate()).on(redirected(), after=LEASE).joins(2).expects(leave_room(1))
    story.on(disconnect()).expects(leave_room(2, after=LEASE - 1))
    story.on(joined(1)).replies(HangUp()).expects(leave_room(1)).becomes(Media.JOINING)
    story.on(joined(2)).replies(HangUp()).expects(leave_room(2)).becomes(Media.NONE)


def test_before_transfer_answer() -> None:
    story = transferring().on(disconnect()).replies(NoReply()).expects(leave_room(1)).drops_token()
    story.becomes(Media.NONE).knows(outcome=Outcome(Blame.CALLER, "abandoned", cause="hangup"))
    story.on(transfer_answer()).replies(HangUp()).expects().unchanged()


def test_when_bridged() -> None:
    story = bridged().on(disconnect()).replies(NoReply()).expects(leave_room(1)).drops_token()
    story.becomes(Status.ENDED, Media.NONE).knows(leg=Leg.NONE)
    late_ones: list[tuple[EventBuilder, Reply]] = [
        (transfer_disconnect(), NoReply()),
        (transfer_complete(), HangUp()),
        (participant_vanished(), NoReply()),
        (unknown_webhook(), NoReply()),
        (disconnect(), NoReply()),
    ]
    for late, reply in late_ones:
        story.on(late).replies(reply).expects().cancels().unchanged().notes("call has ended")


@pytest.mark.parametrize("media", Media)
def test_a_phone_that_is_found_to_be_gone_is_gone(media: Media) -> None:
    story = (
        play(sample_call(media)).on(found_ended(NOT_FOUND, error_id="e-1")).replies(NoReply()).drops_token()
    )
    story.becomes(Status.ENDED).cancels(*CANCELLED_AT_END).notes("").knows(ended_at=NOW + 1)
    story.knows(outcome=Outcome(Blame.BANDWIDTH, "vanished", cause=NOT_FOUND, error_id="e-1"))


def test_a_call_that_nobody_knows_is_found_to_be_gone() -> None:
    play().on(found_ended()).replies(NoReply()).becomes(Status.ENDED)


@pytest.mark.parametrize("media", Media)
def test_whoever_tells_something_new_is_kept_on_the_line(media: Media) -> None:
    play(sample_call(media)).on(unknown_webhook()).replies(Wait()).expects().unchanged().notes("")


# A join that ends while the call is meant for something else -----------------------------------------------


MEANT_OTHERWISE = pytest.mark.parametrize(
    ("intent", "reply"),
    [
        (Intent.HOLD, Hold()),
        (Intent.TRANSFER, TransferToNumber(1, TRANSFER_NUMBER)),
        (Intent.HANGUP, HangUp()),
    ],
)


@MEANT_OTHERWISE
def test_a_join_that_is_not_wanted_any_more_is_left(intent: Intent, reply: Reply) -> None:
    story = play(sample_call(Media.JOINING, intent)).on(joined()).replies(reply).expects(leave_room(1))
    story.becomes(Media.NONE, intent).knows(session_id="", participant_id="")


@MEANT_OTHERWISE
def test_a_failed_join_that_was_not_wanted_any_more_goes_on_with_the_intent(
    intent: Intent, reply: Reply
) -> None:
    story = play(sample_call(Media.JOINING, intent)).on(join_failed()).replies(reply).expects(leave_room(1))
    story.becomes(Media.NONE, intent).knows(failure="")


# Order does not matter -------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [initiate(), answer(), redirected()])
def test_disconnect_first_leaves_a_tombstone(late: EventBuilder) -> None:
    story = play().on(disconnect("cancel", error_id="e-1", sip=487)).replies(NoReply()).expects()
    story.becomes(Status.ENDED, Phone.GONE, Media.NONE, Intent.HANGUP)
    story.knows(
        attempt=0,
        created_at=NOW + 1,
        ended_at=NOW + 1,
        outage_waits=0,
        outcome=Outcome(Blame.CALLER, "abandoned", cause="cancel", error_id="e-1", sip_response_code=487),
    )
    story.on(late).replies(HangUp()).expects().unchanged()


@pytest.mark.parametrize("later", [0.0, -0.5])
def test_one_that_ends_as_it_begins_is_no_tombstone(later: float) -> None:
    """It has been told and listed as live, so its end is to be told as well; clocks may differ."""
    story = play().on(asked_to_retry()).on(disconnect("cancel"), after=later)
    assert story.call.ended_at > story.call.created_at
    assert not is_tombstone(story.call)


@pytest.mark.parametrize("first", [transfer_disconnect(), participant_vanished(), joined(), join_failed()])
def test_what_begins_no_call_leaves_nothing(first: EventBuilder) -> None:
    play().on(first).replies(NoReply()).expects().unchanged().notes("call is not known")


def test_transfer_disconnect_after_transfer_complete_changes_nothing() -> None:
    story = bridged().on(transfer_complete()).on(transfer_disconnect()).replies(NoReply()).expects()
    story.unchanged().notes("transferDisconnect does not fit media none")


def test_transfer_disconnect_after_disconnect_changes_nothing() -> None:
    bridged().on(disconnect()).on(transfer_disconnect()).replies(NoReply()).expects().unchanged()


def test_disconnect_between_transfer_disconnect_and_transfer_complete() -> None:
    story = bridged().on(transfer_disconnect()).on(disconnect()).cancels(*CANCELLED_AT_END).expects()
    story.on(transfer_complete()).replies(HangUp()).expects().unchanged()


def test_a_rejected_transfer_with_a_participant_out_of_stock_earns_a_join_of_its_own() -> None:
    story = play().on(initiate()).on(joined(from_pool=True)).knows(from_pool=True, skips_pool=False)
    story.on(transfer_disconnect()).on(transfer_complete(cause="rejected"))
    story.replies(Wait()).expects().cancels("hang-up").drops_token()
    story.knows(from_pool=False, skips_pool=True, failure="")
    story.on(redirected()).joins(2).on(joined(2)).replies(TransferToWebRtc(2)).knows(skips_pool=True)
    story.on(transfer_complete(2, "rejected")).replies(ErrorAndHangUp("transfer-failed"))


def test_a_rejected_transfer_earns_one_join_more() -> None:
    """Its participant may just have been on its way into the session that replaces its room's."""
    story = play().on(initiate()).on(joined()).on(transfer_complete(cause="rejected"))
    story.replies(Wait()).expects(leave_room(after=0)).becomes(Media.NONE, Intent.BRIDGE).knows(failure="")
    story.on(redirected()).joins(2).on(joined(2)).replies(TransferToWebRtc(2))
    story.on(transfer_complete(2, "rejected")).replies(ErrorAndHangUp("transfer-failed"))


def test_its_seat_is_given_up_where_nothing_was_heard_of_its_end() -> None:
    story = play().on(initiate()).on(joined(from_pool=True)).on(transfer_complete(cause="rejected"))
    story.replies(Wait()).expects(leave_room(after=0)).becomes(Media.NONE, Intent.BRIDGE)


def test_one_out_of_stock_that_had_gone_earns_a_participant_of_its_own() -> None:
    """Its caller talked to nobody, and has heard nothing of it yet."""
    story = play().on(initiate()).on(joined(from_pool=True)).on(transfer_answer()).on(participant_vanished())
    story.replies(NoReply()).expects(leave_room(1), redirect_phone(2)).cancels("hang-up").drops_token()
    story.becomes(Media.NONE, Intent.BRIDGE)
    story.knows(from_pool=False, skips_pool=True, failure="", attempt=2)
    story.on(redirected()).joins(3).on(joined(3)).replies(TransferToWebRtc(3)).on(transfer_answer(3))
    story.on(participant_vanished(3)).expects(leave_room(3), redirect_phone(4), hang_up_phone(after=30))
    story.becomes(Intent.HANGUP).knows(failure="participant-vanished")


def test_one_out_of_stock_that_had_gone_while_it_was_moved_goes_where_it_was_to_go() -> None:
    call = replace(sample_call(Media.BRIDGED), from_pool=True, last_seat_no=1, next_room=OTHER_ROOM)
    story = (
        play(call)
        .on(participant_vanished())
        .expects(leave_room(1), leave_room(1, room=OTHER_ROOM, seat_no=1), redirect_phone(2))
    )
    story.becomes(Media.NONE, Intent.BRIDGE).knows(room=OTHER_ROOM, next_room="", skips_pool=True)


def test_one_out_of_stock_whose_phone_is_meant_for_something_else_is_not_replaced() -> None:
    story = play(replace(sample_call(Media.BRIDGED, Intent.HOLD), from_pool=True)).on(participant_vanished())
    story.becomes(Intent.HANGUP).knows(failure="participant-vanished", skips_pool=False)


def test_one_that_was_answered_is_over_as_ever() -> None:
    story = play().on(initiate()).on(joined(from_pool=True)).on(transfer_answer())
    story.on(transfer_complete()).replies(HangUp())


# A way in that breaks off -----------------------------------------------------------------------------------

SHORT = 5.0


def broken(story: Playbook, attempt: int = 1, *, cause: str = "hangup") -> Playbook:
    """Answered, and over at once; the phone is still there."""
    story = story.on(transfer_answer(attempt)).on(transfer_disconnect(attempt, cause))
    return story.on(transfer_complete(attempt, cause, short_leg=SHORT))


@pytest.mark.parametrize("cause", ["hangup", "error", "callback-error", "node-capacity-exceeded"])
def test_a_leg_that_breaks_at_once_is_replaced(cause: str) -> None:
    story = broken(transferring(FALLBACK), cause=cause).replies(Wait()).cancels("hang-up")
    story.becomes(Media.NONE, Intent.BRIDGE).knows(short_legs=1, failure="")
    story.on(transfer_complete(1, cause, short_leg=SHORT), after=SHORT).replies(Wait()).expects().unchanged()
    story.on(redirected()).joins(2).on(joined(2)).replies(TransferToWebRtc(2))
    story.on(transfer_answer(2)).becomes(Status.BRIDGED).knows(leg_lost_at=0)
    story.on(disconnect()).knows(outcome=Outcome(Blame.NOBODY, "completed", cause="hangup"))


@pytest.mark.parametrize(("lasts", "reply"), [(SHORT - 0.1, Wait()), (SHORT, HangUp())])
def test_five_seconds_were_a_talk(lasts: float, reply: Reply) -> None:
    bridged().on(transfer_complete(short_leg=SHORT), after=lasts).replies(reply)


def test_a_talk_on_the_new_leg_is_one_also_where_nobody_was_told_that_it_had_answered() -> None:
    story = broken(transferring()).on(redirected()).on(joined(2))
    story.on(transfer_complete(2), after=600).replies(HangUp()).knows(leg_lost_at=0)
    story.on(disconnect(), after=4)
    story.knows(outcome=Outcome(Blame.NOBODY, "completed", cause="hangup"))


def test_who_is_without_a_leg_still_is_so_when_the_next_participant_has_gone() -> None:
    story = broken(transferring())
    at = story.call.leg_lost_at
    story.on(redirected()).on(joined(2, from_pool=True)).replies(TransferToWebRtc(2)).on(
        participant_vanished(2)
    )
    story.becomes(Media.NONE, Intent.BRIDGE).knows(leg_lost_at=at, skips_pool=True)
    story.on(disconnect()).knows(outcome=Outcome(Blame.BANDWIDTH, "transfer-failed", cause="hangup"))


def test_who_is_sent_to_the_fallback_number_is_not_to_be_joined_anew() -> None:
    story = broken(transferring(FALLBACK)).on(redirected()).on(join_failed(2))
    story.replies(TransferToNumber(3, FALLBACK, diverted=True)).knows(leg_lost_at=0)
    story.on(disconnect(), after=60)
    story.knows(outcome=Outcome(Blame.BANDWIDTH, "bandwidth-error", cause="hangup"))


def test_a_long_talk_that_is_lost_is_joined_again_and_not_counted() -> None:
    story = bridged().on(transfer_complete(cause="error", short_leg=SHORT), after=600).replies(Wait())
    story.knows(short_legs=0).on(redirected()).joins(2)


def test_the_third_that_breaks_is_the_last() -> None:
    story = broken(transferring())
    for attempt in (2, 3):
        story = broken(story.on(redirected()).on(joined(attempt)), attempt)
    story.replies(ErrorAndHangUp("transfer-failed")).expects(hang_up_phone(after=30)).becomes(Intent.HANGUP)
    story.on(disconnect(), after=4)
    story.knows(outcome=Outcome(Blame.BANDWIDTH, "transfer-failed", cause="hangup"))


def test_the_last_that_breaks_says_whose_fault_it_is() -> None:
    story = broken(transferring(), cause="callback-error")
    for attempt in (2, 3):
        story = broken(story.on(redirected()).on(joined(attempt)), attempt, cause="callback-error")
    story.replies(ErrorAndHangUp("webhook-unanswered")).knows(failure="webhook-unanswered")


def test_after_the_third_the_fallback_number_is_tried() -> None:
    story = broken(transferring(FALLBACK))
    for attempt in (2, 3):
        story = broken(story.on(redirected()).on(joined(attempt)), attempt)
    story.replies(TransferToNumber(4, FALLBACK, diverted=True)).knows(
        failure="transfer-failed", fallback_number=""
    )


def test_a_join_that_fails_after_a_break_tells_the_caller() -> None:
    story = (
        broken(transferring()).on(redirected()).on(join_failed(2)).replies(ErrorAndHangUp("bandwidth-error"))
    )
    story.on(disconnect(), after=4)
    story.knows(outcome=Outcome(Blame.BANDWIDTH, "bandwidth-error", cause="hangup"))


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (2.0, Outcome(Blame.NOBODY, "completed", cause="hangup")),
        (2.1, Outcome(Blame.BANDWIDTH, "transfer-failed", cause="hangup")),
    ],
)
def test_whoever_hangs_up_with_the_leg_has_talked(after: float, outcome: Outcome) -> None:
    broken(transferring()).on(disconnect(), after=after).knows(outcome=outcome)


def test_a_phone_whose_transfer_complete_was_not_heard_is_joined_again_too() -> None:
    """The store was down; the phone asks when it is back."""
    bridged().on(transfer_disconnect()).on(redirected()).joins(2).knows(short_legs=1)
    bridged().on(transfer_disconnect(), after=60).on(redirected()).replies(HangUp())


def test_nor_is_that_done_for_ever() -> None:
    story = bridged()
    for attempt in (1, 2):
        story.on(transfer_disconnect(attempt)).on(redirected()).joins(attempt + 1)
        story.knows(short_legs=attempt).on(joined(attempt + 1)).on(transfer_answer(attempt + 1))
    story.on(transfer_disconnect(3)).on(redirected()).replies(ErrorAndHangUp("transfer-failed"))
    story.knows(short_legs=3)


@pytest.mark.parametrize(
    ("cause", "reason", "blame"),
    [
        ("callback-error", "webhook-unanswered", Blame.SERVICE),
        ("invalid-bxml", "invalid-bxml", Blame.SERVICE),
        ("account-limit", "account-limit", Blame.LIMIT),
        ("timeout", "transfer-failed", Blame.BANDWIDTH),
    ],
)
def test_a_leg_that_we_did_not_answer_is_our_fault(cause: str, reason: str, blame: Blame) -> None:
    """Bandwidth ends a leg whose transferAnswer gets no valid answer, and says so."""
    story = transferring().on(transfer_complete(cause=cause)).replies(ErrorAndHangUp(reason))
    story.on(disconnect(), after=4).knows(outcome=Outcome(blame, reason, cause="hangup"))
    story = transferring().on(transfer_complete(cause="timeout")).on(disconnect(cause), after=4)
    story.knows(outcome=Outcome(blame, reason, cause=cause))


def test_transfer_disconnect_before_a_failed_transfer_complete() -> None:
    story = (
        transferring()
        .on(transfer_disconnect(cause="timeout"))
        .expects(leave_room(1), hang_up_phone(after=30))
    )
    story.on(transfer_complete(cause="timeout")).replies(ErrorAndHangUp("transfer-failed"))
    story.expects(hang_up_phone(after=30))


def test_a_fallback_calls_off_the_hang_up_of_transfer_disconnect() -> None:
    story = (
        transferring(FALLBACK)
        .on(transfer_disconnect(cause="timeout"))
        .expects(leave_room(1), hang_up_phone(after=30))
    )
    story.on(transfer_complete(cause="timeout")).replies(
        TransferToNumber(2, FALLBACK, diverted=True)
    ).cancels("hang-up")


def test_who_has_heard_the_announcement_does_not_hear_it_again() -> None:
    story = play().on(initiate(announcement="Welcome.")).on(joined()).replies(TransferToWebRtc(1, "Welcome."))
    story.on(initiate()).replies(TransferToWebRtc(1, "Welcome.")).on(transfer_answer()).on(redirected())
    story.on(joined(2)).replies(TransferToWebRtc(2)).on(redirected()).replies(TransferToWebRtc(2)).unchanged()


# Duplicates and stale attempts -----------------------------------------------------------------------------


def test_duplicates_of_every_webhook_change_nothing() -> None:
    story = play().on(initiate()).on(initiate()).replies(Wait()).unchanged()
    story.on(joined()).on(joined()).replies(Wait()).expects().unchanged()
    story.on(initiate()).replies(TransferToWebRtc(1)).unchanged()
    story.on(transfer_answer()).on(transfer_answer()).replies(AcceptLeg(f"{REF}.1")).unchanged()
    story.on(transfer_disconnect()).on(transfer_disconnect()).replies(NoReply()).expects().unchanged()
    story.on(transfer_complete()).on(transfer_complete()).replies(HangUp()).expects().unchanged()
    story.on(disconnect()).on(disconnect("cancel")).replies(NoReply()).expects().unchanged()


def test_what_changes_nothing_hands_back_the_call_that_came_in() -> None:
    """Not a copy of it: that would be made for each round of a caller who waits."""
    story = transferring()
    assert decide(story.call, initiate()(story.at)).call is story.call


def test_a_failed_join_that_is_told_twice() -> None:
    story = (
        play().on(initiate()).on(join_failed()).on(join_failed()).replies(ErrorAndHangUp("bandwidth-error"))
    )
    story.expects(leave_room(1)).unchanged()


@pytest.mark.parametrize(
    "late",
    [
        transfer_disconnect(1),
        participant_vanished(1),
        transfer_answer(1),
        transfer_complete(1),
        join_failed(1),
    ],
)
def test_an_older_attempt_does_not_touch_the_present_one(late: EventBuilder) -> None:
    story = bridged().on(redirected()).on(joined(2)).on(transfer_answer(2)).becomes(Status.BRIDGED)
    story.on(late).unchanged().notes("stale attempt").keeps_token()
    event = event_name(late(NOW))
    story.expects(*([leave_room(1)] if event == "joinFailed" else []))


# Failures --------------------------------------------------------------------------------------------------


def test_a_failed_join_is_apologised_for_and_hung_up_30_seconds_after() -> None:
    story = play().on(answer()).on(join_failed(reason="rate-limited")).replies(ErrorAndHangUp("rate-limited"))
    story.expects(leave_room(1), hang_up_phone(after=HANG_UP_DELAY)).drops_token()
    story.becomes(Status.DETACHED, Intent.HANGUP).knows(failure="rate-limited", requests=2, retries=1)
    story.on(disconnect()).cancels(*CANCELLED_AT_END).expects()
    story.knows(outcome=Outcome(Blame.LIMIT, "rate-limited", cause="hangup"))


def test_an_inbound_call_whose_join_has_failed_is_detached() -> None:
    play().on(initiate()).on(join_failed()).becomes(Media.NONE, Status.DETACHED)


def test_a_transfer_whose_answer_was_not_heard_of_has_not_failed_when_somebody_hangs_up() -> None:
    transferring(FALLBACK).on(transfer_complete(cause="hangup")).replies(HangUp()).knows(failure="")


def test_the_fallback_number_is_used_once() -> None:
    story = (
        play()
        .on(redirected(fallback_number=FALLBACK))
        .on(join_failed())
        .replies(TransferToNumber(2, FALLBACK, diverted=True))
    )
    story.expects(leave_room(1)).cancels("hang-up").drops_token().becomes(Intent.TRANSFER, Media.NONE)
    story.knows(fallback_number="", transfer_to=FALLBACK, attempt=2)
    story.on(initiate(fallback_number=FALLBACK)).replies(
        TransferToNumber(2, FALLBACK, diverted=True)
    ).expects().unchanged()
    story.on(transfer_complete(2, "timeout")).replies(ErrorAndHangUp("transfer-failed"))
    story.expects(hang_up_phone(after=30)).becomes(Intent.HANGUP)
    story.on(redirected(fallback_number=FALLBACK)).becomes(Intent.HANGUP).expects().unchanged()


def test_the_fallback_number_is_not_offered_again_by_a_later_join() -> None:
    story = play().on(initiate()).on(redirected(fallback_number=FALLBACK), after=LEASE).joins(2)
    story.on(join_failed(2)).replies(ErrorAndHangUp("bandwidth-error"))


def test_a_talk_with_the_fallback_number_ends_the_call() -> None:
    story = play().on(initiate(fallback_number=FALLBACK)).on(join_failed())
    story.on(transfer_complete(2)).replies(HangUp()).expects(hang_up_phone(after=30)).becomes(Intent.HANGUP)


@pytest.mark.parametrize("media", [Media.TRANSFERRING, Media.BRIDGED])
def test_a_vanished_participant_is_told_and_hung_up(media: Media) -> None:
    story = (
        (transferring() if media is Media.TRANSFERRING else bridged())
        .on(participant_vanished())
        .replies(NoReply())
    )
    story.expects(leave_room(1), redirect_phone(2), hang_up_phone(after=30)).cancels().drops_token()
    story.becomes(Status.DETACHED, Media.NONE, Intent.HANGUP).knows(failure="participant-vanished", attempt=2)
    story.on(participant_vanished()).replies(NoReply()).expects().unchanged().notes("stale attempt")
    story.on(transfer_answer()).replies(HangUp()).unchanged()
    story.on(transfer_disconnect()).replies(NoReply()).expects().unchanged()
    story.on(transfer_complete()).replies(Wait()).expects().cancels().unchanged()
    story.on(redirected()).replies(ErrorAndHangUp("participant-vanished")).expects().cancels()
    story.on(disconnect()).cancels(*CANCELLED_AT_END)
    story.knows(outcome=Outcome(Blame.BANDWIDTH, "participant-vanished", cause="hangup"))


@pytest.mark.parametrize("media", [Media.NONE, Media.JOINING, Media.LEAVING])
def test_a_participant_that_vanishes_where_there_is_none_is_nothing(media: Media) -> None:
    stories = {
        Media.NONE: play().on(initiate()).on(join_failed()),
        Media.JOINING: play().on(initiate()),
        Media.LEAVING: bridged().on(transfer_disconnect()),
    }
    stories[media].on(participant_vanished()).replies(NoReply()).expects().unchanged().becomes(media)


def test_what_a_call_cost_is_added_up_over_its_joins() -> None:
    story = play().on(initiate()).on(joined(requests=5, retries=2, silence_ms=900)).on(transfer_answer())
    story.on(redirected()).on(joined(2, requests=3, retries=1, silence_ms=100))
    story.knows(requests=8, retries=3, silence_ms=900)


def test_a_talk_that_the_store_missed_the_beginning_of_was_a_talk() -> None:
    story = transferring().on(transfer_complete(cause="hangup")).on(disconnect())
    story.knows(outcome=Outcome(Blame.NOBODY, "completed", cause="hangup"))


def test_whom_the_fallback_number_has_served_hears_no_apology_afterwards() -> None:
    story = (
        play()
        .on(redirected(fallback_number=FALLBACK))
        .on(join_failed())
        .on(transfer_complete(2))
        .replies(HangUp())
    )
    story.on(redirected()).replies(HangUp()).unchanged()
    story.on(disconnect()).knows(outcome=Outcome(Blame.BANDWIDTH, "bandwidth-error", cause="hangup"))


def test_a_fallback_number_that_fails_is_remembered() -> None:
    story = play().on(redirected(fallback_number=FALLBACK)).on(join_failed()).on(transfer_complete(2, "busy"))
    story.replies(ErrorAndHangUp("transfer-failed")).knows(failure="transfer-failed")
    story.on(redirected()).replies(ErrorAndHangUp("transfer-failed")).unchanged()


# The end of a leg is not the phone's ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["disconnect", "machineDetectionComplete"])
@pytest.mark.parametrize("media", Media)
def test_what_is_told_of_the_leg_does_not_end_the_phone(name: str, media: Media) -> None:
    story = play(sample_call(media)).on(leg_noted(name)).replies(NoReply()).expects().cancels().unchanged()
    story.notes(f"{name} is about the leg c-b1")


@pytest.mark.parametrize("name", ["initiate", "answer", "gather"])
@pytest.mark.parametrize("intent", Intent)
@pytest.mark.parametrize("media", Media)
def test_a_leg_that_asks_is_told_something_harmless(media: Media, intent: Intent, name: str) -> None:
    """It is no answer of the leg, and none that ends it, whatever the call is meant for."""
    story = play(sample_call(media, intent)).on(leg_noted(name, tag="t")).replies(AcceptLeg("t"))
    story.expects().cancels().unchanged()


def test_a_leg_that_asks_for_a_call_that_is_over_or_not_known() -> None:
    story = bridged().on(disconnect()).on(leg_noted("answer", tag="t")).replies(HangUp()).unchanged()
    story.notes("call has ended")
    play().on(leg_noted("answer", tag="t")).replies(AcceptLeg("t")).notes("call is not known")


def test_the_leg_to_another_number_is_not_hung_up() -> None:
    story = (
        play(sample_call(Media.NONE, Intent.TRANSFER)).on(transfer_answer(0)).replies(AcceptLeg(f"{REF}.0"))
    )
    story.unchanged().notes("the leg leads elsewhere")
    play(sample_call(Media.NONE, Intent.HOLD)).on(transfer_answer(0)).replies(HangUp()).unchanged()


def test_a_leg_that_asks_at_an_address_without_an_attempt_is_not_hung_up() -> None:
    bridged().on(transfer_answer(0)).replies(AcceptLeg(f"{REF}.0")).becomes(Status.BRIDGED)
    bridged().on(transfer_answer(2)).replies(HangUp())
