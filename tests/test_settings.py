"""The environment as an operator writes it, right and wrong."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from service.outbound import fallback_number
from service.setting_warnings import warnings
from service.settings import NAMES, ConfigurationError, Settings, load

GOOD: Mapping[str, str] = {
    "BW_ACCOUNT_ID": "5500000",
    "BW_CLIENT_ID": "client",
    "BW_CLIENT_SECRET": "client-secret",
    "BASE_CALLBACK_URL": "https://bridge.example.com",
    "CALLBACK_USERNAME": "bandwidth",
    "CALLBACK_PASSWORD": "9f2c-d07b-61ae-48f3",
}
BASIC = {"BW_USERNAME": "api-user", "BW_PASSWORD": "api-secret"}


def problems(environ: Mapping[str, str]) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as raised:
        load(environ)
    return {problem.variable: str(problem) for problem in raised.value.problems}


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in GOOD.items() if name not in names}


def test_the_least_that_is_needed_and_the_defaults() -> None:
    settings = load(GOOD)
    assert settings.model_dump(exclude={name.lower() for name in GOOD}) == {
        "bw_voice_auth": "oauth",
        "bw_webrtc_auth": "oauth",
        "bw_username": None,
        "bw_password": None,
        "bw_voice_application_id": None,
        "bw_number": None,
        "outbound_prefixes": None,
        "outbound_countries": None,
        "outbound_from": (),
        "calls_per_hour": 60,
        "call_limit": 0,
        "hold_limit": 0,
        "visitor_call_limit": 7200,
        "visitor_alone": 60,
        "api_rate_limit": 600,
        "api_keys": (),
        "fallback_callback_url": None,
        "callback_password_previous": None,
        "bw_voice_url": "https://voice.bandwidth.com/api/v2",
        "bw_webrtc_url": "https://api.webrtc.bandwidth.com/v1",
        "bw_token_url": "https://api.bandwidth.com/api/v1/oauth2/token",
        "bw_device_url": "wss://device.webrtc.bandwidth.com",
        "bw_sipx_uri": "sip:sipx.webrtc.bandwidth.com:5060",
        "redis_url": None,
        "store_format": 1,
        "store_replicas": 0,
        "xdg_state_home": None,
        "room_policy": "per-call",
        "room_map": {},
        "webhook_budget": 8.0,
        "uui_limit": 256,
        "fallback_number": None,
        "interconnect": "transfer",
        "announcement": None,
        "hold_message": None,
        "hold_music_url": None,
        "pin_numbers": (),
        "pin_prompt": "Please enter your conference code, followed by the pound key.",
        "pin_wrong": "That code is not known. Please try again.",
        "pin_goodbye": "Your conference could not be found. Goodbye.",
        "pin_tries": 3,
        "pin_first_digit_timeout": 10,
        "pin_digit_timeout": 5,
        "ended_call_days": 7,
        "owed_hours": 9,
        "prepared_participants": 1,
        "warm_connections": 2,
        "max_webhooks": 500,
        "drain_delay": 5,
        "shutdown_grace": 20,
        "log_format": "json",
        "log_level": "info",
    }
    assert settings.callback_password == SecretStr("9f2c-d07b-61ae-48f3")


def test_everything_missing_is_told_at_once() -> None:
    assert list(problems({})) == [
        "BW_ACCOUNT_ID",
        "BW_CLIENT_ID",
        "BW_CLIENT_SECRET",
        "BASE_CALLBACK_URL",
        "CALLBACK_USERNAME",
        "CALLBACK_PASSWORD",
    ]


def test_missing_malformed_and_crossed_are_told_together() -> None:
    found = problems({"BW_VOICE_AUTH": "basic", "BW_NUMBER": "555-0100", "UUI_LIMIT": "12"})
    expected = {"BW_ACCOUNT_ID", "BW_USERNAME", "BW_CLIENT_SECRET", "BW_NUMBER", "UUI_LIMIT"}
    assert expected <= set(found)
    assert found["BW_USERNAME"].startswith("BW_USERNAME is missing, and BW_VOICE_AUTH is basic; wants ")
    assert found["UUI_LIMIT"] == "UUI_LIMIT is '12'; wants characters from 64 to 350"


def test_an_empty_variable_is_an_unset_one() -> None:
    assert load({**GOOD, "UUI_LIMIT": "", "REDIS_URL": " ", "ROOM_MAP": ""}) == load(GOOD)
    assert problems({**GOOD, "BW_ACCOUNT_ID": ""}) == problems(without("BW_ACCOUNT_ID"))


@pytest.mark.parametrize(
    ("voice", "webrtc", "missing"),
    [
        ("oauth", "oauth", {"BW_CLIENT_ID", "BW_CLIENT_SECRET"}),
        ("basic", "basic", {"BW_USERNAME", "BW_PASSWORD"}),
        ("oauth", "basic", {"BW_CLIENT_ID", "BW_CLIENT_SECRET", "BW_USERNAME", "BW_PASSWORD"}),
        ("digest", "basic", {"BW_VOICE_AUTH", "BW_USERNAME", "BW_PASSWORD"}),
    ],
)
def test_credentials_are_needed_for_the_schemes_in_use(voice: str, webrtc: str, missing: set[str]) -> None:
    bare = without("BW_CLIENT_ID", "BW_CLIENT_SECRET")
    assert set(problems({**bare, "BW_VOICE_AUTH": voice, "BW_WEBRTC_AUTH": webrtc})) == missing


def test_credentials_of_a_scheme_not_in_use_are_not_needed() -> None:
    both = {"BW_VOICE_AUTH": "Basic", "BW_WEBRTC_AUTH": "BASIC"}
    settings = load({**without("BW_CLIENT_ID", "BW_CLIENT_SECRET"), **BASIC, **both})
    assert (settings.bw_voice_auth, settings.bw_client_id) == ("basic", None)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://bridge.example.com/", "https://bridge.example.com"),
        ("https://bridge.example.com:8443/pstn/", "https://bridge.example.com:8443/pstn"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.8.0.1:8080", "http://127.8.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_urls_that_are_bases(url: str, kept: str) -> None:
    settings = load({**GOOD, "BASE_CALLBACK_URL": url, "BW_VOICE_URL": url})
    assert settings.base_callback_url == settings.bw_voice_url == kept


@pytest.mark.parametrize(
    "url",
    [
        "http://bridge.example.com",
        "http://localhost.example.com",
        "ftp://bridge.example.com",
        "bridge.example.com",
        "https://",
        "https://bridge.example.com?a=1",
        "https://bridge.example.com?",
        "https://bridge.example.com#top",
        "https://user:secret@bridge.example.com",
        "https://bridge.example.com:port",
        "https://bridge.exam ple.com",
        "https://[::1",
    ],
)
@pytest.mark.parametrize(
    "name", ["BASE_CALLBACK_URL", "FALLBACK_CALLBACK_URL", "BW_WEBRTC_URL", "BW_TOKEN_URL"]
)
def test_urls_that_are_no_bases(name: str, url: str) -> None:
    found = problems({**GOOD, name: url})
    assert list(found) == [name]
    assert "secret" not in found[name]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("BW_ACCOUNT_ID", "acct-5500000", "../5500000"),
        ("BW_VOICE_APPLICATION_ID", "04e88489-df02-4e34-a0ee-27a91849555f", "my application"),
        ("BW_NUMBER", "+15550100100", "15550100100"),
        ("OUTBOUND_PREFIXES", "+1,+44207", "1"),
        ("OUTBOUND_PREFIXES", "+123456789012345", "+1234567890123456"),
        ("OUTBOUND_PREFIXES", " +1 , +44 ", "+1,,+44"),
        ("CALLS_PER_HOUR", "0", "-1"),
        ("API_RATE_LIMIT", "0", "-1"),
        ("API_RATE_LIMIT", "1000000", "1000001"),
        ("CALLS_PER_HOUR", "100000", "100001"),
        ("API_KEYS", "q7d0-1kzv-93mf-x8ha-24ty", "a-key-of-fifteen"[:-1]),
        ("API_KEYS", "crm:read+dial:q7d0-1kzv-93mf-x8ha-24ty", "crm:everything:q7d0-1kzv-93mf-x8ha-24ty"),
        ("INTERCONNECT", "Bridge", "conference"),
        ("HOLD_MESSAGE", "x" * 1000, "x" * 1001),
        ("PIN_NUMBERS", "+15550100100, +15550100101", "+15550100100,5550100"),
        ("PIN_PROMPT", "x" * 1000, "x" * 1001),
        ("PIN_WRONG", "Again, please.", "x" * 1001),
        ("PIN_GOODBYE", "Goodbye.", "x" * 1001),
        ("PIN_TRIES", "1", "0"),
        ("PIN_TRIES", "10", "11"),
        ("PIN_FIRST_DIGIT_TIMEOUT", "60", "61"),
        ("PIN_DIGIT_TIMEOUT", "1", "0"),
        ("FALLBACK_NUMBER", "+442071838750", "+0123456789"),
        ("OUTBOUND_COUNTRIES", "us, CA", "US,Canada"),
        ("OUTBOUND_COUNTRIES", "GB", "UK"),
        ("OUTBOUND_FROM", "+15550100100,+15550100101", "5550100"),
        ("BW_DEVICE_URL", "ws://127.0.0.1:9000", "ws://device.example.com"),
        ("BW_SIPX_URI", "sips:sipx.example.com", "sipx.example.com"),
        ("REDIS_URL", "rediss://:pw@store.example.com:6380/0", "store.example.com:6379"),
        ("REDIS_URL", "redis+sentinel://a:26379,b:26379/bridge/0", "redis+sentinel://a:26379,b:26379"),
        ("REDIS_URL", "redis+cluster://a:7000,b:7000", "redis+cluster://a:7000/1"),
        ("STORE_REPLICAS", "2", "-1"),
        ("ROOM_POLICY", "sales-1", "Sales Room"),
        ("WEBHOOK_BUDGET", "2.5", "15"),
        ("UUI_LIMIT", "350", "many"),
        ("ANNOUNCEMENT", "x" * 1000, "x" * 1001),
        ("CALLBACK_USERNAME", "bandwidth", "band:width"),
        ("CALLBACK_PASSWORD", "x" * 1024, "x" * 1025),
        ("ENDED_CALL_DAYS", "1", "0"),
        ("PREPARED_PARTICIPANTS", "0", "6"),
        ("WARM_CONNECTIONS", "0", "9"),
        ("MAX_WEBHOOKS", "1", "0"),
        ("DRAIN_DELAY", "0", "-1"),
        ("SHUTDOWN_GRACE", "30", "2.5"),
        ("CALL_LIMIT", "0", "-1"),
        ("HOLD_LIMIT", "86400", "86401"),
        ("VISITOR_CALL_LIMIT", "600", "2.5"),
        ("VISITOR_ALONE", "3600", "3601"),
        ("LOG_FORMAT", "Console", "xml"),
        ("LOG_LEVEL", "DEBUG", "loud"),
    ],
)
def test_values(name: str, good: str, bad: str) -> None:
    load({**GOOD, name: good})
    assert list(problems({**GOOD, name: bad})) == [name]


def test_an_application_that_was_not_filled_in_is_told_that_a_uuid_is_wanted() -> None:
    found = problems({**GOOD, "BW_VOICE_APPLICATION_ID": "..."})
    assert "wants the id of your Voice application, a UUID such as " in found["BW_VOICE_APPLICATION_ID"]


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("http://media.example.com/hold.mp3?signature=abc", None),
        ("https://media.example.com/hold.mp3", None),
        ("ftp://media.example.com/hold.mp3", "is not a full http(s) URL"),
        ("/hold.mp3", "is not a full http(s) URL"),
        ("https://user:secret@media.example.com/hold.mp3", "holds credentials"),
        ("https://media.example.com/on hold.mp3", "holds a character that is no part of a URL"),
        ("https://media.example.com:port/hold.mp3", "is not a URL"),
    ],
)
def test_audio_for_those_on_hold(url: str, wrong: str | None) -> None:
    environ = {**GOOD, "HOLD_MUSIC_URL": url}
    if wrong is None:
        assert load(environ).hold_music_url == url
    else:
        assert problems(environ)["HOLD_MUSIC_URL"].startswith(f"HOLD_MUSIC_URL {wrong}")


def test_lists_are_tuples() -> None:
    settings = load({**GOOD, "OUTBOUND_PREFIXES": "+1, +44207", "PIN_NUMBERS": "+15550100100"})
    assert settings.outbound_prefixes == ("+1", "+44207")
    assert settings.pin_numbers == ("+15550100100",)
    found = problems({**GOOD, "OUTBOUND_PREFIXES": "+1,,", "PIN_NUMBERS": "+15550100100,+1"})
    assert found["OUTBOUND_PREFIXES"].startswith("OUTBOUND_PREFIXES has no E.164 prefix as entry 2; wants ")
    assert found["PIN_NUMBERS"].startswith("PIN_NUMBERS has no E.164 number as entry 2; wants ")


def test_api_keys_are_parsed_and_seen_nowhere(tmp_path: Path) -> None:
    (tmp_path / "API_KEYS").write_text("crm:read:hunter2-hunter2-hunter2\n")
    settings = load({**GOOD, "SECRETS_DIR": str(tmp_path)})
    assert [(key.name, set(key.scopes)) for key in settings.api_keys] == [("crm", {"read"})]
    assert settings == load({**GOOD, "API_KEYS": "crm:read:hunter2-hunter2-hunter2"})
    digest = settings.api_keys[0].digest
    for seen in (repr(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert "hunter2" not in seen
        assert repr(digest) not in seen
        assert digest.hex() not in seen
    assert settings.model_dump()["api_keys"] == ("crm",)


def test_the_room_map() -> None:
    settings = load({**GOOD, "ROOM_MAP": '{"+15550100100": "sales", "+15550100101": "support"}'})
    assert settings.room_map == {"+15550100100": "sales", "+15550100101": "support"}
    with pytest.raises(TypeError):
        settings.room_map["+15550100102"] = "late"  # type: ignore[index]  # what is tested


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{", "is not JSON"),
        ("[]", "is malformed"),
        ('{"+15550100100": 5}', "is malformed"),
        ('{"5550100": "sales"}', "has no E.164 number as the key of entry 1"),
        ('{"+15550100100": "sales", "+15550100101": "Nobody"}', "has no room name as the value of entry 2"),
        ('{"+15550100100": "per-call"}', "has no room name as the value of entry 1"),
    ],
)
def test_room_maps_that_are_none(text: str, wrong: str) -> None:
    assert problems({**GOOD, "ROOM_MAP": text})["ROOM_MAP"].startswith(f"ROOM_MAP {wrong}")


def test_secrets_come_from_files_and_variables_win(tmp_path: Path) -> None:
    (tmp_path / "BW_CLIENT_SECRET").write_text("from-file\n")
    (tmp_path / "callback_password").write_text("from-file-too\n")
    (tmp_path / "BW_CLIENT_ID").write_text("not-this")
    (tmp_path / "FALLBACK_NUMBER").write_text("\n")
    bare = without("BW_CLIENT_SECRET", "CALLBACK_PASSWORD")
    settings = load({**bare, "SECRETS_DIR": str(tmp_path)})
    assert settings.bw_client_secret == SecretStr("from-file")
    assert settings.callback_password == SecretStr("from-file-too")
    assert (settings.bw_client_id, settings.fallback_number) == ("client", None)


def test_a_secrets_directory_that_is_none(tmp_path: Path) -> None:
    found = problems({**without("BW_ACCOUNT_ID"), "SECRETS_DIR": str(tmp_path / "absent")})
    assert set(found) == {"SECRETS_DIR", "BW_ACCOUNT_ID"}
    (tmp_path / "CALLBACK_PASSWORD").write_bytes(b"\xff\xfe")
    assert set(problems({**without("CALLBACK_PASSWORD"), "SECRETS_DIR": str(tmp_path)})) == {"SECRETS_DIR"}


def test_secrets_are_in_no_message_and_no_repr() -> None:
    secret = "hunter2 "
    names = ("BW_CLIENT_SECRET", "BW_PASSWORD", "CALLBACK_PASSWORD", "CALLBACK_PASSWORD_PREVIOUS")
    wrong = dict.fromkeys(names, secret * 200)
    for environ in (
        {**GOOD, **wrong},
        {**GOOD, "REDIS_URL": secret, "BW_ACCOUNT_ID": secret + "/"},
        {**GOOD, "API_KEYS": secret * 3},
        {**GOOD, "API_KEYS": f"{secret}:{secret}:{secret}"},
    ):
        assert "hunter2" not in "".join(problems(environ).values())
    settings = load({**GOOD, "REDIS_URL": "redis://:hunter2@localhost"})
    assert "hunter2" not in repr(settings)
    assert "9f2c-d07b-61ae-48f3" not in repr(settings)


def test_settings_are_frozen_and_read_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    settings = load()
    assert settings == load(GOOD)
    with pytest.raises(ValidationError):
        settings.uui_limit = 300
    with pytest.raises(ValidationError):
        Settings()  # type: ignore[call-arg]  # what is tested


def test_nothing_to_warn_of() -> None:
    desktop = {"PATH": "/bin", "LOGNAME": "me", "XDG_DATA_HOME": "/d", "SECRETS_DIR": "", "HOSTNAME": "h"}
    assert warnings(load(GOOD), {**GOOD, **desktop}) == ()


@pytest.mark.parametrize("account", ["abc", "550000", "55000000", "u-abc123", "555-0100"])
def test_an_account_that_does_not_have_seven_digits(account: str) -> None:
    [found] = warnings(load({**GOOD, "BW_ACCOUNT_ID": account}), {})
    assert (found.variable, "7 digits" in found.wrong) == ("BW_ACCOUNT_ID", True)


@pytest.mark.parametrize(
    ("now", "words"),
    [("2026-12-01T23:59:59+00:00", "which Bandwidth ends on"), ("2026-12-02", "which Bandwidth ended on")],
)
def test_the_end_of_basic_is_told_before_it_and_after(now: str, words: str) -> None:
    settings = load({**GOOD, **BASIC, "BW_VOICE_AUTH": "basic"})
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()
    [found] = warnings(settings, {}, now=moment)
    assert (found.variable, found.wants) == ("BW_VOICE_AUTH", "oauth")
    assert f"{words} 2 December 2026" in found.wrong


def test_warnings() -> None:
    environ = {
        **GOOD,
        **BASIC,
        "BW_WEBRTC_AUTH": "basic",
        "BASE_CALLBACK_URL": "http://localhost:8080",
        "FALLBACK_CALLBACK_URL": "http://localhost:8081",
        "BW_SOMETHING": "1",
        "CALLBACK_PASWORD": "slip-of-the-hand-7x",
    }
    found = {notice.variable: str(notice) for notice in warnings(load(environ), environ)}
    urls = {"BASE_CALLBACK_URL", "FALLBACK_CALLBACK_URL"}
    assert set(found) == {"BW_WEBRTC_AUTH", *urls, "BW_SOMETHING", "CALLBACK_PASWORD"}
    assert "2 December 2026" in found["BW_WEBRTC_AUTH"]
    assert "https only" in found["BASE_CALLBACK_URL"]
    assert "the name CALLBACK_PASSWORD" in found["CALLBACK_PASWORD"]
    assert "slip-of-the-hand-7x" not in str(found)


@pytest.mark.parametrize(
    ("environ", "wrong"),
    [
        ({"FALLBACK_NUMBER": "+19195550100", "BW_NUMBER": "+19195550100"}, "is a number of ours"),
        ({"FALLBACK_NUMBER": "+19195550100", "ROOM_MAP": '{"+19195550100": "sales"}'}, "is a number of ours"),
        ({"FALLBACK_NUMBER": "+19195550100", "PIN_NUMBERS": "+19195550100"}, "is a number of ours"),
        ({"FALLBACK_NUMBER": "+1911555000"}, "reaches an emergency service"),
        ({"FALLBACK_NUMBER": "+19005551234"}, "is a premium-rate number"),
        ({"FALLBACK_NUMBER": "+119195550100"}, "is a number that cannot exist"),
        (
            {"FALLBACK_NUMBER": "+442071838750", "BW_NUMBER": "+19195550100"},
            "is outside of what may be called",
        ),
        (
            {"FALLBACK_NUMBER": "+442071838750", "OUTBOUND_COUNTRIES": "US,CA"},
            "is outside of what may be called",
        ),
        (
            {"FALLBACK_NUMBER": "+88163150001", "OUTBOUND_PREFIXES": "+1919"},
            "is outside of what may be called",
        ),
        ({"FALLBACK_NUMBER": "+442071838750"}, None),
        ({"FALLBACK_NUMBER": "+442071838750", "OUTBOUND_COUNTRIES": "US,GB"}, None),
        ({"FALLBACK_NUMBER": "+19195550100", "BW_NUMBER": "+19195550101"}, None),
    ],
)
def test_a_fallback_number_that_may_not_be_called_is_not_used(
    environ: dict[str, str], wrong: str | None
) -> None:
    settings = load({**GOOD, **environ})
    found = {notice.variable: str(notice) for notice in warnings(settings, {})}
    assert fallback_number(settings) == ("" if wrong else environ["FALLBACK_NUMBER"])
    if wrong is None:
        assert found == {}
    else:
        assert wrong in found["FALLBACK_NUMBER"]
        assert "it is not used" in found["FALLBACK_NUMBER"]
        assert environ["FALLBACK_NUMBER"] not in found["FALLBACK_NUMBER"]


@pytest.mark.parametrize(
    ("prefixes", "countries", "opened"),
    [
        ("+1", "", 25),
        ("+7", "", 2),
        ("+44,+1", "", 29),
        ("+1", "US,CA", None),
        ("+1919,+44207", "", None),
        ("+34,+33", "", None),
    ],
)
def test_prefixes_that_open_more_than_one_country(prefixes: str, countries: str, opened: int | None) -> None:
    environ = {**GOOD, "OUTBOUND_PREFIXES": prefixes, "OUTBOUND_COUNTRIES": countries}
    found = {notice.variable: str(notice) for notice in warnings(load(environ), {})}
    assert set(found) == ({"OUTBOUND_PREFIXES"} if opened else set())
    assert opened is None or f"opens {opened} countries" in found["OUTBOUND_PREFIXES"]


@pytest.mark.parametrize(
    ("prefixes", "countries", "none"),
    [
        ("+44", "US", True),
        ("+44,+33", "US,CA,DE", True),
        ("+44,+1", "US", False),
        ("+44207", "US,GB", False),
        ("+4", "GB", False),
        ("+1", "JM", False),
        ("+44", "", False),
    ],
)
def test_prefixes_and_countries_that_no_number_can_pass_both(
    prefixes: str, countries: str, *, none: bool
) -> None:
    environ = {**GOOD, "OUTBOUND_PREFIXES": prefixes, "OUTBOUND_COUNTRIES": countries}
    found = [str(notice) for notice in warnings(load(environ), {}) if "no number passes" in notice.wrong]
    assert len(found) == none
    if found:
        assert found[0].startswith("OUTBOUND_PREFIXES has no prefix of a country in OUTBOUND_COUNTRIES")
        assert "wants a prefix of one of those countries" in found[0]


@pytest.mark.parametrize(
    ("keys", "shown", "warned"),
    [
        ("crm:read+dial+control:q7d0-1kzv-93mf-x8ha-24ty", "", True),
        ("crm:read+dial+control:q7d0-1kzv-93mf-x8ha-24ty", "+15550100100", False),
        ("crm:read+control:q7d0-1kzv-93mf-x8ha-24ty", "", False),
        ("crm:dial:q7d0-1kzv-93mf-x8ha-24ty", "", False),
    ],
)
def test_what_calls_show_where_visitors_may_place_them(keys: str, shown: str, *, warned: bool) -> None:
    environ = {**GOOD, "BW_VOICE_APPLICATION_ID": "app", "API_KEYS": keys, "OUTBOUND_FROM": shown}
    found = [notice.variable for notice in warnings(load(environ), {})]
    assert found == (["OUTBOUND_FROM"] if warned else [])


def test_every_setting_says_what_it_wants() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
