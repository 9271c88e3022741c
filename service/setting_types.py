"""Defines the types of settings: how each is parsed, and the words for what it wants."""

import ipaddress
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, PlainSerializer, SecretStr
from pydantic import ValidationInfo as Info
from pydantic_settings import NoDecode

from service import api_keys, dial_plan
from service.store.redis import address

BASIC_AUTH_ENDS = "2 December 2026"
_BASIC_AUTH_ENDS = datetime(2026, 12, 2, tzinfo=UTC).timestamp()
_E164 = r"\+[1-9][0-9]{6,14}"
_PREFIX = r"\+[1-9][0-9]{0,14}"
ROOM_NAME = r"[a-z0-9-]{1,64}"
ID = r"^[A-Za-z0-9-]{1,64}$"
_POLICIES = ("per-call", "per-number")


def basic_auth_is_over(now: float) -> bool:
    """Whether Bandwidth takes Basic credentials no more, `now` seconds after the epoch."""
    return now >= _BASIC_AUTH_ENDS


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def web_url(value: str) -> str:
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
    parts = urlsplit(web_url(value))
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("is plain http to another machine")
    if "?" in value or "#" in value:
        raise ValueError("has a query or a fragment")
    return value.rstrip("/")


def socket_url(value: str) -> str:
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
        if not re.fullmatch(ROOM_NAME, room) or room in _POLICIES:
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


def _upper(value: Any) -> Any:
    return tuple(one.upper() for one in value) if isinstance(value, tuple) else value


def _countries(values: tuple[str, ...] | None) -> tuple[str, ...] | None:
    for entry, value in enumerate(values or (), start=1):
        if not dial_plan.is_country(value):
            raise ValueError(f"has no country as entry {entry}")
    return values


def _keys(value: Any) -> Any:
    return api_keys.parse(value) if isinstance(value, str) else value


def store_url(value: SecretStr) -> SecretStr:
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


OAUTH_OF = "of your Bandwidth API credentials"
BASIC_OF = f"of a legacy Bandwidth API user (until {BASIC_AUTH_ENDS})"
BASE_URL = "an https URL (http for loopback hosts only) without query, fragment and credentials"
KEY_FORM = (
    f"key or name:scopes:key with commas between them; scopes are {', '.join(api_keys.SCOPES)} joined by +"
)
Lower = BeforeValidator(lambda value: value.strip().lower() if isinstance(value, str) else value)
_or_empty = BeforeValidator(_none_is_empty)
UNSET: Any = None  # the default of what `_or_empty` makes a tuple
WhenUsed = AfterValidator(_needed)
Url = Annotated[str, AfterValidator(_url), Field(description=BASE_URL)]
Number = Annotated[
    str | None,
    Field(pattern=rf"^{_E164}$", description="a phone number in E.164 form, such as +15550100100"),
]
User = Annotated[str, AfterValidator(_user), Field(max_length=1024)]
Secret = Annotated[SecretStr, Field(max_length=1024)]  # Bandwidth's limit for callback credentials
RoomMap = Annotated[
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
Countries = Annotated[
    tuple[str, ...] | None,
    NoDecode,
    BeforeValidator(_upper),
    BeforeValidator(_split),
    AfterValidator(_countries),
]
Sentence = Annotated[str, Field(max_length=1000, description="a sentence of up to 1000 characters")]
Limit = Annotated[int, Field(ge=0, le=86_400, description="whole seconds from 0 to 86400")]
PinTimeout = Annotated[int, Field(ge=1, le=60, description="whole seconds from 1 to 60")]
Scheme = Annotated[Literal["oauth", "basic"], Lower, Field(description="oauth or basic")]
Level = Literal["debug", "info", "warning", "error"]
