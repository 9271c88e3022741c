"""Warns of settings that work today and will cost a call, money or a secret one day."""

import difflib
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from service import outbound, weak_secrets
from service.clock import SystemClock
from service.dial_plan import can_overlap, countries_under
from service.setting_types import BASIC_AUTH_ENDS, basic_auth_is_over, is_loopback
from service.settings import NAMES, SECRETS_DIR, SettingProblem, Settings, process_environment
from service.store.redis import address

_NEAR = 0.85
"""How alike a name must be to ours to be taken for a slip of the hand."""
_RANDOM: Final = (
    f"a random one of {weak_secrets.MIN_PASSWORD_LENGTH} characters or more, "
    "such as openssl rand -hex 24 makes"
)
_OFF: Final = frozenset({"none", "0", "f", "false", "n", "no"})
"""What the client library takes for no, and for no checking of certificates."""


def warnings(
    settings: Settings, environ: Mapping[str, str] | None = None, *, now: float | None = None
) -> tuple[SettingProblem, ...]:
    """What works today and deserves a look.

    `environ` (default: the process's) is searched for odd names; `now`: seconds since the epoch.
    """
    environ = process_environment() if environ is None else environ
    over = basic_auth_is_over(SystemClock().now() if now is None else now)
    ends = f"{'ended' if over else 'ends'} on {BASIC_AUTH_ENDS}"
    found = [
        SettingProblem(name.upper(), f"is basic, which Bandwidth {ends}", "oauth")
        for name in ("bw_voice_auth", "bw_webrtc_auth")
        if getattr(settings, name) == "basic"
    ]
    if not re.fullmatch(r"[0-9]{7}", settings.bw_account_id):
        wrong = "does not have the 7 digits of Bandwidth's accounts; webhooks of any other are refused"
        found.append(SettingProblem("BW_ACCOUNT_ID", wrong, "the 7-digit id that the dashboard shows"))
    for name in ("base_callback_url", "fallback_callback_url"):
        if (getattr(settings, name) or "").startswith("http:"):
            wrong = "is plain http, and Bandwidth sends credentials over https only"
            found.append(SettingProblem(name.upper(), wrong, "https outside of a trial on one machine"))
    found += [*_money(settings), *_passwords(settings), *_keys(settings), *_store(settings)]
    for name in sorted(name for name in set(environ) - {*NAMES, SECRETS_DIR} if not name.startswith("XDG_")):
        near = difflib.get_close_matches(name.upper(), NAMES, n=1, cutoff=_NEAR)
        if near or name.startswith("BW_"):
            wants = f"the name {near[0]}, if that was meant" if near else "to be removed"
            found.append(SettingProblem(name, "is not a setting of this service and has no effect", wants))
    return tuple(found)


def _money(settings: Settings) -> Iterator[SettingProblem]:
    if refusal := outbound.fallback_refusal(settings):
        wants = "another number that may be called; until then callers hear an apology"
        yield SettingProblem("FALLBACK_NUMBER", f"{refusal.detail}; it is not used", wants)
    opened = sum(
        count for prefix in settings.outbound_prefixes or () if (count := countries_under(prefix)) > 1
    )
    if opened and not settings.outbound_countries:
        wants = "OUTBOUND_COUNTRIES, such as US,CA, beside it or in its place"
        yield SettingProblem("OUTBOUND_PREFIXES", f"opens {opened} countries, dear ones among them", wants)
    prefixes, countries = settings.outbound_prefixes, settings.outbound_countries
    if prefixes and countries and not can_overlap(prefixes, countries):
        wrong = "has no prefix of a country in OUTBOUND_COUNTRIES: no number passes both, so none is called"
        wants = "a prefix of one of those countries, its country among them, or only one of the two set"
        yield SettingProblem("OUTBOUND_PREFIXES", wrong, wants)
    if settings.bw_voice_application_id and not settings.outbound_from and _visitors_dial(settings):
        wants = "the numbers that calls may show as theirs"
        yield SettingProblem("OUTBOUND_FROM", "is unset, and visitors may be granted to place calls", wants)


def _visitors_dial(settings: Settings) -> bool:
    """Whether some key may grant it: a visit needs the key's scope to control, and to dial."""
    return any({"control", "dial"} <= key.scopes for key in settings.api_keys)


def _passwords(settings: Settings) -> Iterator[SettingProblem]:
    keys = {key.digest for key in settings.api_keys}
    others = [one.get_secret_value() for one in (settings.bw_client_secret, settings.bw_password) if one]
    for name in ("callback_password", "callback_password_previous"):
        secret = getattr(settings, name)
        if secret is None:
            continue
        text = secret.get_secret_value()
        if text == settings.callback_username:
            wrong = "is the same as CALLBACK_USERNAME"
        elif hashlib.sha256(text.encode()).digest() in keys:
            wrong = "is the same as a key in API_KEYS, so that either opens what the other guards"
        elif text in others:
            wrong = "is the same as a secret that Bandwidth has given out"
        else:
            wrong = weak_secrets.weakness(text, min_length=weak_secrets.MIN_PASSWORD_LENGTH)
        if wrong:
            yield SettingProblem(name.upper(), wrong, _RANDOM)


def _keys(settings: Settings) -> Iterator[SettingProblem]:
    for key in settings.api_keys:
        if key.weakness:
            yield SettingProblem(
                "API_KEYS", f"has a key, {key.name}, that {key.weakness}", "what pstn-bridge key makes"
            )


def _store(settings: Settings) -> Iterator[SettingProblem]:
    if settings.redis_url is None:
        return
    store = address.parse(settings.redis_url.get_secret_value())
    parts = urlsplit(store.url)
    hosts = [host for host, _ in store.hosts] or [parts.hostname or ""]
    if parts.scheme == "unix" or all(map(is_loopback, hosts)):
        return
    options = {name: values[0] for name, values in parse_qs(parts.query).items()}  # the first, as the client
    if parts.scheme == "redis":
        wrong = "is not encrypted on its way to another host, which its password and the numbers go"
        yield SettingProblem("REDIS_URL", wrong, "rediss:// or valkeys://, unless nobody else is on that way")
    elif any(options.get(name, "").lower() in _OFF for name in ("ssl_cert_reqs", "ssl_check_hostname")):
        wrong = "does not check the store's certificate, so that anybody on the way may be the store"
        yield SettingProblem(
            "REDIS_URL", wrong, "ssl_ca_certs with the path of the CA's certificate in place of that"
        )
    own = unquote(parts.password or "") or options.get("password", "")
    for whose, password in (("", own), (" of the Sentinels", options.get("sentinel_password", ""))):
        if password and (
            weak := weak_secrets.weakness(password, min_length=weak_secrets.MIN_PASSWORD_LENGTH)
        ):
            yield SettingProblem("REDIS_URL", f"has a password{whose} that {weak}", _RANDOM)
