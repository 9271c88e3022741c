"""Reports what an event made of a call: to the log, to the metrics, and as a line of its timeline."""

from typing import Final

import structlog

from service.calls.decision import Decision
from service.calls.events import Event, FoundEmpty, event_name
from service.calls.late import leg_result
from service.calls.model import Call, Intent
from service.calls.replies import reply_name
from service.logs import log_context
from service.metrics import Metrics

log = structlog.get_logger()

_DETAILS: Final = {
    "attempt": "attempt",
    "cause": "cause",
    "reason": "reason",
    "error_id": "error_id",
    "sip_call_id": "sip_call_id",
    "sip_response_code": "sip_response_code",
    "value": "value",
    "silence_ms": "silence_ms",
    "rounds": "outage_waits",
    "stocked": "from_pool",
}
"""Names in the timeline, and the fields of events that they show: no numbers, no digits, no words said."""


class CallReport:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def report_change(self, before: Call | None, decision: Decision, event: Event) -> None:
        """To the log and the metrics, once it is written down."""
        after = decision.call
        if decision.note:
            log.info("event.ignored", event_type=event_name(event), reason=decision.note)
        if after is None or after == before:
            return
        with log_context(
            call_id=after.call_id,
            room=after.room,
            session_id=after.session_id or None,
            participant_id=after.participant_id or None,
        ):
            log.info(
                "call.changed",
                event_type=event_name(event),
                before=before.status if before else "new",
                after=after.status,
                attempt=after.attempt,
                reply=reply_name(decision.recorded_reply),
            )
            self._leg(before, after, event)
            if is_end(before, after):
                self._end(after)

    def _leg(self, before: Call | None, after: Call, event: Event) -> None:
        match leg_result(before, after, event):
            case "answered" if after.leg_requested_at:
                self._metrics.transfer_answered(
                    "bridge" if after.uses_bridge else "transfer",
                    after.leg_answered_at - after.leg_requested_at,
                )
            case "unanswered":
                self._metrics.transfer_unanswered("bridge" if after.uses_bridge else "transfer")
                asked = after.leg_requested_at or event.at
                log.warning("transfer.unanswered", waited_s=round(event.at - asked, 3))

    def _end(self, call: Call) -> None:
        outcome = call.outcome
        blame, reason = (outcome.blame, outcome.reason) if outcome else ("", "")
        self._metrics.call_ended(blame, reason, call.direction)
        log.info(
            "call.ended",
            duration_s=round(call.ended_at - call.created_at, 3),
            bridged_s=round(call.ended_at - call.bridged_at, 3) if call.bridged_at else 0,
            silence_ms=call.silence_ms,
            rounds=call.outage_waits,
            blame=blame,
            reason=reason,
            cause=outcome.cause if outcome else "",
            error_id=outcome.error_id if outcome else "",
            requests=call.requests,
            retries=call.retries,
        )


def is_end(before: Call | None, after: Call) -> bool:
    """Whether it is this event that has ended the call."""
    return not after.live and (before is None or before.live)


def timeline_entry(
    before: Call | None, decision: Decision, event: Event, now: float
) -> dict[str, object] | None:
    """What came, what it made of the call, what was answered. None: it is no line of its own."""
    if before is not None and _is_round_of_waiting(before, decision, event):
        return None
    entry: dict[str, object] = {
        "at": round(now, 3),
        "event": event_name(event),
        "before": before.status if before else "new",
        "after": decision.call.status if decision.call else "new",
        "reply": reply_name(decision.recorded_reply),
    }
    for detail, field in _DETAILS.items():
        if value := getattr(event, field, None):
            entry[detail] = value
    if sent := getattr(event, "request_records", ()):
        entry["requests"] = sent
    if decision.effects:
        entry["owed"] = [owed.effect.id for owed in decision.effects]
    return entry


def _is_round_of_waiting(before: Call, decision: Decision, event: Event) -> bool:
    """One look into an empty room after another would push the beginning out of the timeline."""
    asks = before.intent is Intent.WAIT and decision.join
    return asks or (isinstance(event, FoundEmpty) and before.wait_until > 0)
