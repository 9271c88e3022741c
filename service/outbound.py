"""Reads from the settings which numbers may be called, and which one is the fallback."""

from service.dial_plan import DialPlan, DialRefusal
from service.settings import Settings


def own_numbers(settings: Settings) -> frozenset[str]:
    ours = {settings.bw_number, *settings.room_map, *settings.pin_numbers}
    return frozenset(number for number in ours if number)


def dial_plan(settings: Settings) -> DialPlan:
    return DialPlan.from_settings(
        settings.outbound_prefixes,
        settings.bw_number,
        countries=settings.outbound_countries,
        own_numbers=own_numbers(settings),
    )


def fallback_refusal(settings: Settings) -> DialRefusal | None:
    """Why FALLBACK_NUMBER is not used; it goes through the plan of what may be called.

    Where no setting says what may be called, its own country may be.
    """
    number = settings.fallback_number
    if number is None:
        return None
    plan = dial_plan(settings)
    if not plan.prefixes:
        plan = DialPlan.from_settings(None, number, own_numbers=plan.own_numbers)
    return plan.refusal_for(number)


def fallback_number(settings: Settings) -> str:
    """Where callers are sent when the way into WebRTC fails; empty for nowhere."""
    return "" if fallback_refusal(settings) else settings.fallback_number or ""
