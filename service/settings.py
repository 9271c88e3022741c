"""What the environment says, read once at start, checked as a whole and frozen.

`load` is the only reader of the environment in the project. It tells every problem at once, in words that
name the variable and what it wants; the value of a secret is in no message.
"""

import difflib
import ipaddress
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    InstanceOf,
    PlainSerializer,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic import ValidationInfo as Info
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from service import api_keys
from service.store import address

SECRETS_DIR = "SECRETS_DIR"
BASIC_AUTH_ENDS = "2 December 2026"
_E164 = r"\+[1-9][0-9]{6,14}"
_PREFIX = r"\+[1-9][0-9]{0,14}"
_ROOM = r"[a-z0-9-]{1,64}"
_ID = r"^[A-Za-z0-9-]{1,64}$"
_POLICIES = ("per-call", "per-number")
_NEAR = 0.85  # how alike a name must be to ours to be taken for a slip of the hand


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one variable, in plain words and without the value of a secret."""

    variable: str
    wrong: str
    wants: str

    def __str__(self) -> str:
        return f"{self.variable} {self.wrong}; wants {self.wants}"


class ConfigurationError(Exception):
    """The environment does not make a configuration; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _web(value: str) -> str:
    """A URL that somebody else may fetch: credentials in it would end in logs."""
    if not re.fullmatch(r"[!-~]{1,1024}", value):
        raise ValueError("holds a character that is no part of a URL, or more than 1024 of them")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port  # .port raises where it is no port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("is not a full http(s) URL")
    if "@" in parts.netloc:
        raise ValueError("holds credentials")
    return value


def _url(value: str) -> str:
    """A base to append paths to, which a query would swallow."""
    parts = urlsplit(_web(value))
    if parts.scheme == "http" and not _loopback(parts.hostname or ""):
        raise ValueError("is plain http to another machine")
    if "?" in value or "#" in value:
        raise ValueError("has a query or a fragment")
    return value.rstrip("/")


def _socket(value: str) -> str:
    """A base for WebSockets; a URL but for its scheme."""
    scheme, colon, rest = value.partition(":")
    if scheme not in {"ws", "wss"}:
        raise ValueError("is not a full ws(s) URL")
    return scheme + _url(f"http{scheme[2:]}{colon}{rest}").removeprefix(f"http{scheme[2:]}")


def _rooms(value: Any) -> Any:
    """The JSON text as it stands in the environment; a mapping is taken as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError(f"is not JSON ({error})") from None


def _room_map(value: Mapping[str, str]) -> Mapping[str, str]:
    for entry, (number, room) in enumerate(value.items(), start=1):
        if not re.fullmatch(_E164, number):
            raise ValueError(f"has no E.164 number as the key of entry {entry}")
        if not re.fullmatch(_ROOM, room) or room in _POLICIES:
            raise ValueError(f"has no room name as the value of entry {entry}")
    return MappingProxyType(dict(value))


def _split(value: Any) -> Any:
    """Text with commas as it stands in the environment; a tuple is taken as it is."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _none_is_empty(value: Any) -> Any:
    return () if value is None else value


def _each(pattern: str, what: str) -> AfterValidator:
    def check(values: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for entry, value in enumerate(values or (), start=1):
            if not re.fullmatch(pattern, value):
                raise ValueError(f"has no {what} as entry {entry}")
        return values

    return AfterValidator(check)


def _keys(value: Any) -> Any:
    return api_keys.parse(value) if isinstance(value, str) else value


def _store(value: SecretStr) -> SecretStr:
    address.parse(value.get_secret_value())
    return value


def _user(value: str) -> str:
    if ":" in value:
        raise ValueError("holds a colon, which ends the name in HTTP Basic credentials (RFC 7617)")
    return value


def _needed(value: Any, info: Info) -> Any:
    """Credentials are needed where a scheme asks for them; a scheme that is itself wrong asks for nothing."""
    scheme = "oauth" if str(info.field_name).startswith("bw_client") else "basic"
    users = [name.upper() for name in ("bw_voice_auth", "bw_webrtc_auth") if info.data.get(name) == scheme]
    if value is None and users:
        raise ValueError(
            f"is missing, and {' and '.join(users)} {'is' if len(users) == 1 else 'are'} {scheme}"
        )
    return value


_OAUTH = "of your Bandwidth API credentials"
_BASIC = f"of a legacy Bandwidth API user (until {BASIC_AUTH_ENDS})"
_BASE = "an https URL (http for loopback hosts only) without query, fragment and credentials"
_KEYS = (
    f"key or name:scopes:key with commas between them; scopes are {', '.join(api_keys.SCOPES)} joined by +"
)
_lower = BeforeValidator(lambda value: value.strip().lower() if isinstance(value, str) else value)
_or_empty = BeforeValidator(_none_is_empty)
_UNSET: Any = None  # the default of what `_or_empty` makes a tuple
_when_used = AfterValidator(_needed)
Url = Annotated[str, AfterValidator(_url), Field(description=_BASE)]
Number = Annotated[
    str | None,
    Field(pattern=rf"^{_E164}$", description="a phone number in E.164 form, such as +15550100100"),
]
User = Annotated[str, AfterValidator(_user), Field(max_length=1024)]
Secret = Annotated[SecretStr, Field(max_length=1024)]  # Bandwidth's limit for callback credentials
Rooms = Annotated[
    Mapping[str, str], NoDecode, BeforeValidator(_rooms), AfterValidator(_room_map), PlainSerializer(dict)
]
Keys = Annotated[
    tuple[InstanceOf[api_keys.ApiKey], ...],
    NoDecode,
    _or_empty,
    BeforeValidator(_keys),
    PlainSerializer(lambda keys: tuple(key.name for key in keys)),  # no digest leaves by a dump
]
Numbers = Annotated[
    tuple[str, ...], NoDecode, _or_empty, BeforeValidator(_split), _each(_E164, "E.164 number")
]
Prefixes = Annotated[
    tuple[str, ...] | None, NoDecode, BeforeValidator(_split), _each(_PREFIX, "E.164 prefix")
]
Sentence = Annotated[str, Field(max_length=1000, description="a sentence of up to 1000 characters")]
PinTimeout = Annotated[int, Field(ge=1, le=60, description="whole seconds from 1 to 60")]
Scheme = Annotated[Literal["oauth", "basic"], _lower, Field(description="oauth or basic")]
Level = Literal["debug", "info", "warning", "error"]


class Settings(BaseSettings):
    """One field for each variable, named like it in lower case; a description says what the variable wants.

    The environment is not read here but in `load`: `Settings(...)` takes what it is given and no more.
    """

    model_config = SettingsConfigDict(frozen=True, validate_default=True, str_strip_whitespace=True)

    bw_account_id: str = Field(pattern=_ID, description="the id of your Bandwidth account, such as 5500000")
    # The schemes stand before the credentials: pydantic checks in this order, and `_needed` looks back.
    bw_voice_auth: Scheme = "oauth"
    bw_webrtc_auth: Scheme = "oauth"
    bw_client_id: Annotated[User | None, _when_used, Field(description=f"the client id {_OAUTH}")] = None
    bw_client_secret: Annotated[Secret | None, _when_used, Field(description=f"the secret {_OAUTH}")] = None
    bw_username: Annotated[User | None, _when_used, Field(description=f"the name {_BASIC}")] = None
    bw_password: Annotated[Secret | None, _when_used, Field(description=f"the password {_BASIC}")] = None
    bw_voice_application_id: str | None = Field(
        default=None, pattern=_ID, description="the id of your Voice application, needed for outbound calls"
    )
    bw_number: Number = None
    outbound_prefixes: Prefixes = Field(
        default=None, description="E.164 prefixes with commas between them, such as +1,+44207"
    )
    calls_per_hour: int = Field(
        default=60, ge=0, le=100_000, description="calls that one API key may place, from 0 to 100000"
    )
    api_rate_limit: int = Field(
        default=600, ge=0, le=1_000_000, description="requests a minute of one API key, from 0 to 1000000"
    )
    api_keys: Annotated[Keys, Field(description=_KEYS)] = _UNSET
    base_callback_url: Url = Field(description=f"where Bandwidth reaches this service: {_BASE}")
    fallback_callback_url: Url | None = Field(
        default=None, description=f"a second address of this service: {_BASE}"
    )
    callback_username: User = Field(description="the name Bandwidth shows to us; you choose it")
    callback_password: Secret = Field(description="the password Bandwidth shows to us; you choose it")
    callback_password_previous: Secret | None = Field(
        default=None, description="the password still accepted while CALLBACK_PASSWORD is being changed"
    )
    bw_voice_url: Url = "https://voice.bandwidth.com/api/v2"
    bw_webrtc_url: Url = "https://api.webrtc.bandwidth.com/v1"
    bw_token_url: Url = "https://api.bandwidth.com/api/v1/oauth2/token"  # noqa: S105 - an address, no secret
    bw_sipx_uri: Annotated[
        str, Field(pattern="^sips?:[!-~]{1,1000}$", description="a URI that begins with sip: or sips:")
    ] = "sip:sipx.webrtc.bandwidth.com:5060"
    bw_device_url: Annotated[
        str, AfterValidator(_socket), Field(description="a wss URL (ws for loopback hosts only)")
    ] = "wss://device.webrtc.bandwidth.com"
    redis_url: Annotated[SecretStr, AfterValidator(_store)] | None = Field(
        default=None, description=f"a URL such as {address.FORMS}; unset starts the embedded server"
    )
    store_replicas: int = Field(
        default=0, ge=0, le=5, description="replicas that have to confirm each write, from 0 to 5"
    )
    xdg_state_home: str | None = Field(
        default=None, description="an absolute path, for the embedded server's data in pstn-bridge below it"
    )
    room_policy: Annotated[
        str,
        Field(pattern=f"^{_ROOM}$", description="per-call, per-number, or a room name (1-64 of a-z 0-9 -)"),
    ] = "per-call"
    room_map: Rooms = Field(
        default_factory=dict, description='JSON from number to room name, such as {"+15550100100": "sales"}'
    )
    webhook_budget: float = Field(
        default=8.0, ge=1, le=14, description="seconds from 1 to 14 (Bandwidth waits 15)"
    )
    uui_limit: int = Field(default=256, ge=64, le=350, description="characters from 64 to 350")
    fallback_number: Number = None
    interconnect: Annotated[
        Literal["transfer", "bridge"], _lower, Field(description="transfer or bridge")
    ] = "transfer"
    announcement: Sentence | None = Field(default=None, description="a sentence of up to 1000 characters")
    hold_message: Sentence | None = Field(default=None, description="a sentence of up to 1000 characters")
    hold_music_url: Annotated[str, AfterValidator(_web)] | None = Field(
        default=None, description="an http(s) URL without credentials, of audio that Bandwidth can fetch"
    )
    pin_numbers: Annotated[
        Numbers, Field(description="numbers in E.164 form with commas between them, such as +15550100100")
    ] = _UNSET
    pin_prompt: Sentence = "Please enter your conference code, followed by the pound key."
    pin_wrong: Sentence = "That code is not known. Please try again."
    pin_goodbye: Sentence = "Your conference could not be found. Goodbye."
    pin_tries: int = Field(default=3, ge=1, le=10, description="a number from 1 to 10")
    pin_first_digit_timeout: PinTimeout = 10
    pin_digit_timeout: PinTimeout = 5
    ended_call_days: int = Field(default=7, ge=1, le=365, description="days from 1 to 365")
    prepared_participants: int = Field(default=1, ge=0, le=5, description="a number from 0 to 5")
    warm_connections: int = Field(default=2, ge=0, le=8, description="a number from 0 to 8")
    max_webhooks: int = Field(default=500, ge=1, le=100_000, description="a number from 1 to 100000")
    drain_delay: int = Field(default=5, ge=0, le=600, description="whole seconds from 0 to 600")
    owed_hours: float = Field(default=9, gt=0, le=168, description="hours, up to 168")
    shutdown_grace: int = Field(default=20, ge=1, le=600, description="whole seconds from 1 to 600")
    log_format: Annotated[Literal["json", "console"], _lower, Field(description="json or console")] = "json"
    log_level: Annotated[Level, _lower, Field(description="debug, info, warning or error")] = "info"

    @model_validator(mode="before")
    @classmethod
    def _empty_means_unset(cls, data: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in data.items() if not isinstance(value, str) or value.strip()}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings calls it by these names
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above; `load` reads the environment
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, file_secret_settings


NAMES = tuple(field.upper() for field in Settings.model_fields)


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in `environ` (default: the process's), then in files of the directory `SECRETS_DIR` names.

    A variable that is set wins over a file. Raises ConfigurationError with every problem there is.
    """
    environ = _process_environment() if environ is None else environ
    directory = environ.get(SECRETS_DIR, "").strip() or None
    values: dict[str, Any] = {name.lower(): environ[name] for name in NAMES if environ.get(name, "").strip()}
    problems: list[Problem] = []
    build: Callable[..., Settings] = Settings  # its declared signature has the fields only
    if directory and not Path(directory).is_dir():
        problems.append(Problem(SECRETS_DIR, "is no directory", "a directory of files named like variables"))
        directory = None
    try:
        settings = build(_secrets_dir=directory, **values)
    except ValidationError as error:
        problems += [_problem(detail) for detail in error.errors(include_url=False)]
    except (OSError, ValueError) as error:
        problems.append(Problem(SECRETS_DIR, f"has an unreadable file ({error})", "readable UTF-8 text"))
    if problems:
        raise ConfigurationError(tuple(problems))
    return settings


def _process_environment() -> Mapping[str, str]:
    return os.environ  # noqa: TID251 - this is the one place


_SHOWN = ("literal_error", "int_", "float_", "finite_number", "greater_than", "less_than")


def _problem(detail: Any) -> Problem:
    """Pydantic's error as one of ours. Only values of closed kinds are shown: free text may be a secret."""
    field = str(detail["loc"][0])
    kind, value = detail["type"], detail["input"]
    if kind == "missing":
        wrong = "is missing"
    elif kind == "value_error":
        wrong = str(detail["ctx"]["error"])
    elif kind.startswith(_SHOWN):
        wrong = f"is {str(value)[:40]!r}"
    elif kind.endswith("too_long"):
        wrong = "is too long"
    else:
        wrong = "is malformed"
    return Problem(field.upper(), wrong, Settings.model_fields[field].description or "")


def warnings(settings: Settings, environ: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    """What works today and deserves a look; `environ` (default: the process's) is searched for odd names."""
    environ = _process_environment() if environ is None else environ
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
