"""Reads the settings from the environment, once at start, and checks them as a whole.

`load` tells every problem at once, in words that name the variable and what it wants; the value of a secret
is in no message. Nothing else reads the environment but `service.setting_warnings`, which uses this module.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from service.setting_types import (
    BASE_URL,
    BASIC_OF,
    ID,
    KEY_FORM,
    OAUTH_OF,
    ROOM_NAME,
    UNSET,
    Countries,
    Keys,
    Level,
    Limit,
    Lower,
    Number,
    Numbers,
    PinTimeout,
    Prefixes,
    RoomMap,
    Scheme,
    Secret,
    Sentence,
    Url,
    User,
    WhenUsed,
    socket_url,
    store_url,
    web_url,
)
from service.store.redis import address

SECRETS_DIR = "SECRETS_DIR"


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """One thing that is wrong with one variable, in plain words and without the value of a secret."""

    variable: str
    wrong: str
    wants: str

    def __str__(self) -> str:
        return f"{self.variable} {self.wrong}; wants {self.wants}"


class ConfigurationError(Exception):
    """The environment does not make a configuration; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: tuple[SettingProblem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class Settings(BaseSettings):
    """One field for each variable, named like it in lower case; a description says what the variable wants.

    The environment is not read here but in `load`: `Settings(...)` takes what it is given and no more.
    """

    model_config = SettingsConfigDict(frozen=True, validate_default=True, str_strip_whitespace=True)

    bw_account_id: str = Field(pattern=ID, description="the id of your Bandwidth account, such as 5500000")
    # The schemes stand before the credentials: pydantic checks in this order, and `_needed` looks back.
    bw_voice_auth: Scheme = "oauth"
    bw_webrtc_auth: Scheme = "oauth"
    bw_client_id: Annotated[User | None, WhenUsed, Field(description=f"the client id {OAUTH_OF}")] = None
    bw_client_secret: Annotated[Secret | None, WhenUsed, Field(description=f"the secret {OAUTH_OF}")] = None
    bw_username: Annotated[User | None, WhenUsed, Field(description=f"the name {BASIC_OF}")] = None
    bw_password: Annotated[Secret | None, WhenUsed, Field(description=f"the password {BASIC_OF}")] = None
    bw_voice_application_id: str | None = Field(
        default=None,
        pattern=ID,
        description="the id of your Voice application, a UUID such as 04e88489-df02-4e34-a0ee-27a91849555f",
    )
    bw_number: Number = None
    outbound_prefixes: Prefixes = Field(
        default=None, description="E.164 prefixes with commas between them, such as +1,+44207"
    )
    outbound_countries: Countries = Field(
        default=None, description="ISO 3166 codes of countries with commas between them, such as US,CA"
    )
    outbound_from: Annotated[
        Numbers, Field(description="numbers in E.164 form with commas between them, such as +15550100100")
    ] = UNSET
    calls_per_hour: int = Field(
        default=60, ge=0, le=100_000, description="calls that one API key may place, from 0 to 100000"
    )
    call_limit: Limit = 0
    hold_limit: Limit = 0
    visitor_call_limit: Limit = 7200
    visitor_alone: int = Field(default=60, ge=0, le=3600, description="whole seconds from 0 to 3600")
    api_rate_limit: int = Field(
        default=600, ge=0, le=1_000_000, description="requests a minute of one API key, from 0 to 1000000"
    )
    api_keys: Annotated[Keys, Field(description=KEY_FORM)] = UNSET
    base_callback_url: Url = Field(description=f"where Bandwidth reaches this service: {BASE_URL}")
    fallback_callback_url: Url | None = Field(
        default=None, description=f"a second address of this service: {BASE_URL}"
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
        str, AfterValidator(socket_url), Field(description="a wss URL (ws for loopback hosts only)")
    ] = "wss://device.webrtc.bandwidth.com"
    redis_url: Annotated[SecretStr, AfterValidator(store_url)] | None = Field(
        default=None, description=f"a URL such as {address.FORMS}; unset starts the embedded server"
    )
    store_replicas: int = Field(
        default=0, ge=0, le=5, description="replicas that have to confirm each write, from 0 to 5"
    )
    store_format: int = Field(default=1, ge=1, le=2, description="1, or 2 once no replica runs 0.1.0")
    xdg_state_home: str | None = Field(
        default=None, description="an absolute path, for the embedded server's data in pstn-bridge below it"
    )
    room_policy: Annotated[
        str,
        Field(
            pattern=f"^{ROOM_NAME}$", description="per-call, per-number, or a room name (1-64 of a-z 0-9 -)"
        ),
    ] = "per-call"
    room_map: RoomMap = Field(
        default_factory=dict, description='JSON from number to room name, such as {"+15550100100": "sales"}'
    )
    webhook_budget: float = Field(
        default=8.0, ge=1, le=14, description="seconds from 1 to 14 (Bandwidth waits 15)"
    )
    uui_limit: int = Field(default=256, ge=64, le=350, description="characters from 64 to 350")
    fallback_number: Number = None
    interconnect: Annotated[Literal["transfer", "bridge"], Lower, Field(description="transfer or bridge")] = (
        "transfer"
    )
    announcement: Sentence | None = Field(default=None, description="a sentence of up to 1000 characters")
    hold_message: Sentence | None = Field(default=None, description="a sentence of up to 1000 characters")
    hold_music_url: Annotated[str, AfterValidator(web_url)] | None = Field(
        default=None, description="an http(s) URL without credentials, of audio that Bandwidth can fetch"
    )
    pin_numbers: Annotated[
        Numbers, Field(description="numbers in E.164 form with commas between them, such as +15550100100")
    ] = UNSET
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
    log_format: Annotated[Literal["json", "console"], Lower, Field(description="json or console")] = "json"
    log_level: Annotated[Level, Lower, Field(description="debug, info, warning or error")] = "info"

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
    environ = process_environment() if environ is None else environ
    directory = environ.get(SECRETS_DIR, "").strip() or None
    values: dict[str, Any] = {name.lower(): environ[name] for name in NAMES if environ.get(name, "").strip()}
    problems: list[SettingProblem] = []
    build: Callable[..., Settings] = Settings  # its declared signature has the fields only
    if directory and not Path(directory).is_dir():
        problems.append(
            SettingProblem(SECRETS_DIR, "is no directory", "a directory of files named like variables")
        )
        directory = None
    try:
        settings = build(_secrets_dir=directory, **values)
    except ValidationError as error:
        problems += [_problem(detail) for detail in error.errors(include_url=False)]
    except (OSError, ValueError) as error:
        problems.append(
            SettingProblem(SECRETS_DIR, f"has an unreadable file ({error})", "readable UTF-8 text")
        )
    if problems:
        raise ConfigurationError(tuple(problems))
    return settings


def process_environment() -> Mapping[str, str]:
    return os.environ  # noqa: TID251 - this is the one place


_SHOWN = ("literal_error", "int_", "float_", "finite_number", "greater_than", "less_than")


def _problem(detail: Any) -> SettingProblem:
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
    return SettingProblem(field.upper(), wrong, Settings.model_fields[field].description or "")
