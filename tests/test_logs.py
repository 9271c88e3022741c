"""Log lines as somebody reads them: what they look like, and what is not in them."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from service import logs
from tests.clocks import SetClock

JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJkZXZpY2UifQ.c2lnbmF0dXJl"


NOON = SetClock(1_795_694_400.1234)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    logs.configure(format="json", level="info", stream=stream, clock=NOON)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def line(stream: io.StringIO) -> dict[str, Any]:
    (only,) = lines(stream)
    return only


def test_a_line(stream: io.StringIO) -> None:
    structlog.get_logger().info("call.bridged", seconds=1.5, retried=False, cause=None, rooms=["a", "b"])
    assert list(line(stream).items()) == [
        ("timestamp", "2026-11-26T12:00:00.123Z"),
        ("level", "info"),
        ("event", "call.bridged"),
        ("seconds", 1.5),
        ("retried", False),
        ("cause", None),
        ("rooms", ["a", "b"]),
    ]


def test_the_level_decides(stream: io.StringIO) -> None:
    structlog.get_logger().debug("call.traced")
    assert stream.getvalue() == ""
    logs.configure(format="json", level="debug", stream=stream)
    structlog.get_logger().debug("call.traced")
    assert line(stream)["level"] == "debug"
    with pytest.raises(KeyError):
        logs.configure(format="json", level="loud", stream=stream)


def test_bound_keys_are_on_every_line_inside(stream: io.StringIO) -> None:
    log = structlog.get_logger()
    with logs.log_context(ref="r-1", call_id=None):
        log.info("call.answered")
        with logs.log_context(room="sales"):
            log.info("call.joined")
    log.info("call.over")
    keys = [
        {key: found[key] for key in found if key not in {"timestamp", "level"}} for found in lines(stream)
    ]
    assert keys == [
        {"event": "call.answered", "ref": "r-1"},
        {"event": "call.joined", "ref": "r-1", "room": "sales"},
        {"event": "call.over"},
    ]


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "deviceToken",
        "Authorization",
        "callback_password",
        "client_secret",
        "uui",
        "sip_uui",
        "api_key",
    ],
)
def test_values_of_secret_keys_are_not_logged(stream: io.StringIO, key: str) -> None:
    structlog.get_logger().info("x.y", **{key: "hunter2"}, nested={key: ["hunter2", {"deep": "x"}]})
    assert "hunter2" not in stream.getvalue()
    assert line(stream)[key] == "***"


def test_harmless_keys_are_logged(stream: io.StringIO) -> None:
    structlog.get_logger().info("x.y", uuid="6ba7b810-9dad-11d1", key="room", has_token=True, token=None)
    found = line(stream)
    assert (found["uuid"], found["key"], found["has_token"], found["token"]) == (
        "6ba7b810-9dad-11d1",
        "room",
        True,
        None,
    )


class Carrier:
    """An object that would carry secrets into a log by its repr."""

    def __repr__(self) -> str:
        return f"Carrier(+15550100112, {JWT})"


def test_numbers_and_jwts_are_masked_everywhere(stream: io.StringIO) -> None:
    structlog.get_logger().info(
        "dialing +15550100112",
        to="+15550100112",
        url="https://x.example/?from=%2B15550100112",
        nested={"+15550100112": ["+442071838750"]},
        header=f"Bearer {JWT}",
        thing=Carrier(),
        pii_from="+15550100112",
        short="+1234567",
    )
    found = line(stream)
    assert found["event"] == "dialing +*********12"
    assert found["to"] == "+*********12"
    assert found["url"] == "https://x.example/?from=%2B*********12"
    assert found["nested"] == {"+*********12": ["+**********50"]}
    assert found["header"] == "Bearer ***"
    assert found["thing"] == "Carrier(+*********12, ***)"
    assert found["pii_from"] == "+15550100112"
    assert found["short"] == "+1234567"


def test_an_exception_is_one_line_and_masked(stream: io.StringIO) -> None:
    log = structlog.get_logger()
    try:
        int("+15550100112 is no int")
    except ValueError:
        log.exception("task.failed")
    log.info("task.failed", exc_info=ValueError("given"), error="kept")
    first, second = lines(stream)
    assert first["error"].endswith("'+*********12 is no int'\")")
    assert first["exception"].startswith("Traceback (most recent call last):\n")
    assert first["exception"].endswith("'+*********12 is no int'")
    assert (second["error"], second["exception"]) == ("kept", "ValueError: given")


def test_libraries_speak_in_the_same_shape(stream: io.StringIO) -> None:
    logging.getLogger("asyncio").error("lost %s", "+15550100112", exc_info=ValueError("why"))
    logging.getLogger("uvicorn.error").info("not interesting")
    logging.getLogger("uvicorn.access").error("not wanted")
    found = line(stream)
    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "level": "error",
        "event": "lost +*********12",
        "logger": "asyncio",
        "error": "ValueError('why')",
        "exception": "ValueError: why",
    }


@pytest.mark.parametrize("value", ["\udc80", 1 << 80, {1: 2}, b"\xff", float("inf")])
def test_no_value_breaks_a_line(stream: io.StringIO, value: Any) -> None:
    structlog.get_logger().info("x.y", value=value)
    assert line(stream)["event"] == "x.y"


def test_a_reader_that_has_gone_breaks_nothing(stream: io.StringIO) -> None:
    log = structlog.get_logger()
    stream.close()
    log.info("x.y")
    logging.getLogger("redis").error("x")


def test_console() -> None:
    stream = io.StringIO()
    logs.configure(format="console", level="info", stream=stream, clock=NOON)
    structlog.get_logger().info("call.bridged", to="+15550100112", room="sales")
    logging.getLogger("redis").error("boom", exc_info=ValueError("why"))
    first, *rest = stream.getvalue().splitlines()
    assert first.split() == [
        "2026-11-26T12:00:00.123Z",
        "[info",
        "]",
        "call.bridged",
        "room=sales",
        "to=+*********12",
    ]
    assert rest[-1] == "ValueError: why"


def test_standard_output_by_default_in_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out"
    with path.open("w", encoding="ascii") as narrow:
        monkeypatch.setattr("sys.stdout", narrow)
        logs.configure(format="console", level="info")
        structlog.get_logger().info("Zoë \udc80")
    assert "Zoë \\udc80" in path.read_text(encoding="utf-8")
