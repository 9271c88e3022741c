"""What works today and deserves a look: settings that will cost somebody a call, or money, one day."""

import difflib
import re
from collections.abc import Iterator, Mapping

from service import outbound
from service.clock import SystemClock
from service.dial_plan import countries_under, may_meet
from service.setting_types import BASIC_AUTH_ENDS, basic_auth_is_over
from service.settings import NAMES, SECRETS_DIR, Problem, Settings, process_environment

_NEAR = 0.85
"""How alike a name must be to ours to be taken for a slip of the hand."""


def warnings(
    settings: Settings, environ: Mapping[str, str] | None = None, *, now: float | None = None
) -> tuple[Problem, ...]:
    """What works today and deserves a look.

    `environ` (default: the process's) is searched for odd names; `now`: seconds since the epoch.
    """
    environ = process_environment() if environ is None else environ
    over = basic_auth_is_over(SystemClock().now() if now is None else now)
    ends = f"{'ended' if over else 'ends'} on {BASIC_AUTH_ENDS}"
    found = [
        Problem(name.upper(), f"is basic, which Bandwidth {ends}", "oauth")
        for name in ("bw_voice_auth", "bw_webrtc_auth")
        if getattr(settings, name) == "basic"
    ]
    if not re.fullmatch(r"[0-9]{7}", settings.bw_account_id):
        wrong = "does not have the 7 digits of Bandwidth's accounts; webhooks of any other are refused"
        found.append(Problem("BW_ACCOUNT_ID", wrong, "the 7-digit id that the dashboard shows"))
    for name in ("base_callback_url", "fallback_callback_url"):
        if (getattr(settings, name) or "").startswith("http:"):
            wrong = "is plain http, and Bandwidth sends credentials over https only"
            found.append(Problem(name.upper(), wrong, "https outside of a trial on one machine"))
    found += _money(settings)
    for name in sorted(name for name in set(environ) - {*NAMES, SECRETS_DIR} if not name.startswith("XDG_")):
        near = difflib.get_close_matches(name.upper(), NAMES, n=1, cutoff=_NEAR)
        if near or name.startswith("BW_"):
            wants = f"the name {near[0]}, if that was meant" if near else "to be removed"
            found.append(Problem(name, "is not a setting of this service and has no effect", wants))
    return tuple(found)


def _money(settings: Settings) -> Iterator[Problem]:
    if refusal := outbound.fallback_refusal(settings):
        wants = "another number that may be called; until then callers hear an apology"
        yield Problem("FALLBACK_NUMBER", f"{refusal.detail}; it is not used", wants)
    opened = sum(
        count for prefix in settings.outbound_prefixes or () if (count := countries_under(prefix)) > 1
    )
    if opened and not settings.outbound_countries:
        wants = "OUTBOUND_COUNTRIES, such as US,CA, beside it or in its place"
        yield Problem("OUTBOUND_PREFIXES", f"opens {opened} countries, dear ones among them", wants)
    prefixes, countries = settings.outbound_prefixes, settings.outbound_countries
    if prefixes and countries and not may_meet(prefixes, countries):
        wrong = "has no prefix of a country in OUTBOUND_COUNTRIES: no number passes both, so none is called"
        wants = "a prefix of one of those countries, its country among them, or only one of the two set"
        yield Problem("OUTBOUND_PREFIXES", wrong, wants)
    if settings.bw_voice_application_id and not settings.outbound_from and _visitors_dial(settings):
        wants = "the numbers that calls may show as theirs"
        yield Problem("OUTBOUND_FROM", "is unset, and visitors may be granted to place calls", wants)


def _visitors_dial(settings: Settings) -> bool:
    """Whether some key may grant it: a visit needs the key's scope to control, and to dial."""
    return any({"control", "dial"} <= key.scopes for key in settings.api_keys)
