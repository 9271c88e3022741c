"""Gives what several settings say together as one value."""

from pydantic import SecretStr

from service import outbound
from service.bandwidth.prompts import PLEASE_HOLD, Prompts
from service.calls.policy import CallLimits, Policy
from service.engine.timeouts import Timeouts
from service.settings import Settings


def create_policy(settings: Settings, timeouts: Timeouts) -> Policy:
    return Policy(
        room_policy=settings.room_policy,
        room_map=settings.room_map,
        announcement=settings.announcement or "",
        fallback_number=outbound.fallback_number(settings),
        our_numbers=outbound.own_numbers(settings),
        pin_numbers=frozenset(settings.pin_numbers),
        max_pin_attempts=settings.pin_tries,
        webhook_budget=settings.webhook_budget,
        short_leg=timeouts.min_leg_duration,
        limits=CallLimits(
            call=settings.call_limit,
            hold=settings.hold_limit,
            visitor_call=settings.visitor_call_limit,
            visitor_alone=settings.visitor_alone,
        ),
    )


def create_prompts(settings: Settings) -> Prompts:
    return Prompts(
        hold_message=settings.hold_message or PLEASE_HOLD,
        hold_music=settings.hold_music_url or "",
        pin_prompt=settings.pin_prompt,
        pin_wrong=settings.pin_wrong,
        pin_goodbye=settings.pin_goodbye,
        pin_first_digit_timeout=settings.pin_first_digit_timeout,
        pin_digit_timeout=settings.pin_digit_timeout,
    )


def callback_credentials(settings: Settings) -> tuple[str, str, str | None]:
    return (
        settings.callback_username,
        settings.callback_password.get_secret_value(),
        _reveal(settings.callback_password_previous),
    )


def signing_passwords(settings: Settings) -> tuple[str, ...]:
    """What is signed with: the present one first, and the other one while they are being changed."""
    _, *passwords = callback_credentials(settings)
    return tuple(one for one in passwords if one)


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
