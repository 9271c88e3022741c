"""What works today and deserves a look: settings that will cost somebody a call, or money, one day."""

import difflib
from collections.abc import Mapping

from service.setting_types import BASIC_AUTH_ENDS
from service.settings import NAMES, SECRETS_DIR, Problem, Settings, process_environment

_NEAR = 0.85
"""How alike a name must be to ours to be taken for a slip of the hand."""


def warnings(settings: Settings, environ: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    """What works today and deserves a look; `environ` (default: the process's) is searched for odd names."""
    environ = process_environment() if environ is None else environ
    found = [
        Problem(name.upper(), f"is basic, which Bandwidth ends on {BASIC_AUTH_ENDS}", "oauth")
        for name in ("bw_voice_auth", "bw_webrtc_auth")
        if getattr(settings, name) == "basic"
    ]
    for name in ("base_callback_url", "fallback_callback_url"):
        if (getattr(settings, name) or "").startswith("http:"):
            wrong = "is plain http, and Bandwidth sends credentials over https only"
            found.append(Problem(name.upper(), wrong, "https outside of a trial on one machine"))
    for name in sorted(name for name in set(environ) - {*NAMES, SECRETS_DIR} if not name.startswith("XDG_")):
        near = difflib.get_close_matches(name.upper(), NAMES, n=1, cutoff=_NEAR)
        if near or name.startswith("BW_"):
            wants = f"the name {near[0]}, if that was meant" if near else "to be removed"
            found.append(Problem(name, "is not a setting of this service and has no effect", wants))
    return tuple(found)
