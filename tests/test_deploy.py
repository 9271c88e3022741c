"""deploy/ says what the code says: settings, paths, ports, times. `make check-deploy` does the rest."""

import asyncio
import json
import math
import os
import re
import subprocess
import sys
import typing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pydantic import SecretStr

from deploy import callers
from deploy.check.dockerfile import Copy, Stage, ignored, stages
from deploy.check.release import main, refusals
from handlers.app.asgi import create_app
from handlers.http.request_guard import BODY_LIMIT
from service import __version__
from service.engine.timeouts import DEFAULT_TIMEOUTS
from service.settings import NAMES, SECRETS_DIR, Settings, load
from tests.processes import free_port
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
VALUES: dict[str, Any] = yaml.safe_load((DEPLOY / "chart/values.yaml").read_text())
SCHEMA: dict[str, Any] = json.loads((DEPLOY / "chart/values.schema.json").read_text())
NGINX = (DEPLOY / "nginx.conf").read_text()
UNIT = (DEPLOY / "systemd/pstn-bridge.service").read_text()
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
STAGES = stages(DOCKERFILE)
PUBLIC = {"/callbacks/", "/join/", "/assets/"}
REAL = ("bridge-a", "bridge-b")
SIMULATED = ("bridge-simulated-a", "bridge-simulated-b")
REQUIRED = {
    "BW_ACCOUNT_ID": "5500000",
    "BW_CLIENT_ID": "client",
    "BW_CLIENT_SECRET": "client-secret",
    "BASE_CALLBACK_URL": "https://bridge.example.com",
    "CALLBACK_USERNAME": "bandwidth",
    "CALLBACK_PASSWORD": "callback-password",
}


def is_secret(name: str) -> bool:
    return name == "API_KEYS" or SecretStr.__name__ in str(Settings.model_fields[name.lower()].annotation)


def default(name: str) -> Any:
    return Settings.model_fields[name].default


def longest_end() -> int:
    """Seconds from SIGTERM to the exit code, at most: docs/edge.md, and a second after the budget."""
    return int(default("drain_delay") + math.ceil(default("webhook_budget")) + 1 + default("shutdown_grace"))


def example() -> dict[str, str]:
    lines = (DEPLOY / "compose/bridge.env.example").read_text().splitlines()
    return dict(line.removeprefix("# ").split("=", 1) for line in lines if re.match(r"(# )?[A-Z_]+=", line))


def environment(service: str) -> dict[str, str]:
    return {name: str(value) for name, value in COMPOSE["services"][service]["environment"].items()}


# Settings


def test_every_variable_in_compose_is_a_setting() -> None:
    for service in (*REAL, *SIMULATED):
        assert set(environment(service)) <= {*NAMES, SECRETS_DIR}, service
    assert set(example()) <= set(NAMES)
    assert set(COMPOSE["secrets"]) <= set(NAMES)


def test_what_compose_gives_a_replica_is_all_that_it_needs(tmp_path: Path) -> None:
    for name, secret in COMPOSE["secrets"].items():
        assert secret["file"] == f"./secrets/{name}"
        (tmp_path / name).write_text("a-secret-of-some-length\n")
    for service in REAL:
        assert COMPOSE["services"][service]["secrets"] == list(COMPOSE["secrets"])
        given = {name: value for name, value in example().items() if value}
        settings = load({**given, **environment(service), SECRETS_DIR: str(tmp_path)})
        assert settings.redis_url is not None
        assert settings.api_keys


def test_the_unit_knows_settings_only_and_what_it_lists_is_enough(tmp_path: Path) -> None:
    credentials = dict(re.findall(r"^LoadCredential=(\w+):(.+)$", UNIT, re.MULTILINE))
    variables = dict(re.findall(r"^Environment=(\w+)=(.+)$", UNIT, re.MULTILINE))
    assert set(credentials) <= set(NAMES)
    assert all(path == f"/etc/pstn-bridge/secrets/{name}" for name, path in credentials.items())
    assert variables == {"XDG_STATE_HOME": "%S", SECRETS_DIR: "%d"}
    assert {"DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes"} <= set(UNIT.splitlines())
    for name in credentials:
        (tmp_path / name).write_text("a-secret-of-some-length\n")
    assert load({**example(), SECRETS_DIR: str(tmp_path)}).api_keys


def test_the_chart_takes_every_setting_that_is_no_secret() -> None:
    properties = SCHEMA["properties"]["settings"]["properties"]
    # The store of a pod would be lost with the pod.
    assert set(properties) == {name for name in NAMES if not is_secret(name)} - {"XDG_STATE_HOME"}
    for name, shape in properties.items():
        annotation = Settings.model_fields[name.lower()].annotation
        kinds = {annotation, *typing.get_args(annotation)}
        # YAML makes a number of +15550100100, and the plus sign is gone: what is text has to be text.
        assert shape == {"type": "integer" if int in kinds else "number" if float in kinds else "string"}, (
            name
        )


def test_the_chart_s_values_and_schema_have_the_same_names() -> None:
    def compare(values: dict[str, Any], schema: dict[str, Any], where: str) -> None:
        assert schema["additionalProperties"] is False, where
        assert set(values) == set(schema["properties"]) - {"global"}, where
        for name, inner in schema["properties"].items():
            if inner.get("properties") and f"{where}{name}" != "settings":
                compare(values[name], inner, f"{where}{name}.")

    compare(VALUES, SCHEMA, "")


def test_secrets_are_read_as_kubernetes_projects_them(tmp_path: Path) -> None:
    """Links to files in a directory that is itself a link, so that all change at once."""
    version = tmp_path / "..2026_11_22"
    version.mkdir()
    (tmp_path / "..data").symlink_to(version.name)
    for name, value in REQUIRED.items():
        (version / name).write_text(value)
        (tmp_path / name).symlink_to(f"..data/{name}")
    assert load({SECRETS_DIR: str(tmp_path)}).bw_account_id == REQUIRED["BW_ACCOUNT_ID"]


# Times


def test_nobody_is_killed_before_the_service_has_ended() -> None:
    services = COMPOSE["services"]
    for service in (*REAL, *SIMULATED):
        assert int(services[service]["stop_grace_period"].removesuffix("s")) >= longest_end()
    # With the embedded store, which the unit may have and which has 15 s of its own.
    found = re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert found
    assert int(found[1]) >= longest_end() + 15
    assert "KillMode=mixed" in UNIT


def test_the_chart_reckons_with_the_service_s_own_times() -> None:
    assert VALUES["settings"] == {
        name.upper(): default(name) for name in ("drain_delay", "webhook_budget", "shutdown_grace")
    }
    helpers = (DEPLOY / "chart/templates/_helpers.tpl").read_text()
    told = dict(re.findall(r'dig "([A-Z_]+)" ([\d.]+) \.Values\.settings', helpers))
    assert {name: float(value) for name, value in told.items()} == VALUES["settings"]


def directive(name: str) -> str:
    found = re.search(rf"^\s*{name} (.+);$", NGINX, re.MULTILINE)
    assert found, name
    return found[1]


def location(path: str) -> str:
    return NGINX.split(f"location {path} {{")[1].split("}")[0]


def test_the_proxy_waits_for_a_webhook_and_not_for_who_dawdles() -> None:
    told = re.search(r"proxy_read_timeout (\d+)s", location("/callbacks/"))
    assert told
    assert default("webhook_budget") < int(told[1]) < 15
    assert directive("client_max_body_size") == f"{BODY_LIMIT // 1024}k"
    assert directive("client_header_timeout") == directive("client_body_timeout") == "5s"


def test_an_event_stream_passes_the_proxy() -> None:
    told = re.search(r"proxy_read_timeout (\d+)s", location("/join/"))
    assert told
    assert int(told[1]) > 2 * DEFAULT_TIMEOUTS.feed_heartbeat
    assert "proxy_buffering off;" in location("/join/")
    template = (DEPLOY / "chart/templates/ingress.yaml").read_text()
    reads = dict(re.findall(r'"suffix" "(\w+)" "path" .+? "read" (\d+)', template))
    assert reads.pop("callbacks") == re.findall(r"read_timeout (\d+)s", location("/callbacks/"))[0]
    assert set(reads) == {"page", "assets", "api"}
    assert min(map(int, reads.values())) > 2 * DEFAULT_TIMEOUTS.feed_heartbeat
    helpers = (DEPLOY / "chart/templates/_helpers.tpl").read_text()
    assert 'nginx.org/proxy-buffering: "false"' in helpers
    assert 'nginx.ingress.kubernetes.io/proxy-buffering: "off"' in helpers


# Paths and ports


def routes() -> set[str]:
    """The application's paths; which of them are public asks test_public_paths.py."""
    return {getattr(route, "path", "") for route in create_app(load(REQUIRED)).routes}


def test_only_webhooks_are_tried_at_another_replica_once_they_were_sent() -> None:
    for path in PUBLIC:
        assert ("non_idempotent" in location(path)) == (path == "/callbacks/"), path
        assert ("http_503" in location(path)) == (path == "/callbacks/"), path


def test_probes_and_the_scrape_ask_for_what_there_is() -> None:
    asked = re.findall(
        r"^\s*path: (/\w+)$", (DEPLOY / "chart/templates/deployment.yaml").read_text(), re.MULTILINE
    )
    asked += re.findall(
        r"^\s*path: (/\w+)$", (DEPLOY / "chart/templates/monitoring.yaml").read_text(), re.MULTILINE
    )
    tests = [COMPOSE["services"][name]["healthcheck"]["test"][-1] for name in (*REAL, *SIMULATED)]
    asked += re.findall(r":\d+(/\w+)", " ".join([*tests, *STAGES["service"].words("HEALTHCHECK")]))
    assert set(asked) <= routes()
    assert set(asked) == {"/livez", "/readyz", "/metrics"}


def port_of(words: list[str]) -> int:
    return int(words[words.index("--port") + 1])


def test_ports_are_the_same_wherever_they_are_named() -> None:
    ports = {name: port_of(COMPOSE["services"][name]["command"]) for name in (*REAL, *SIMULATED)}
    for name, port in ports.items():
        assert f":{port}/" in COMPOSE["services"][name]["healthcheck"]["test"][-1]
    upstream = re.findall(r"server (bridge-[ab]):(\d+)", NGINX)
    assert {name: int(port) for name, port in upstream} == {name: ports[name] for name in REAL}
    [scrape] = yaml.safe_load((DEPLOY / "compose/prometheus.yaml").read_text())["scrape_configs"]
    assert scrape["static_configs"][0]["targets"] == [f"{name}:{ports[name]}" for name in REAL]
    # In the other profile the same names lead to the simulator's network, where the other two listen.
    assert COMPOSE["services"]["simulator"]["networks"]["default"]["aliases"] == list(REAL)
    assert [ports[name] for name in SIMULATED] == [ports[name] for name in REAL]

    image = STAGES["service"]
    port = port_of(image.words("CMD"))
    assert image.others["EXPOSE"] == str(port)
    assert f":{port}/" in image.words("HEALTHCHECK")[-1]
    assert f"containerPort: {port}" in (DEPLOY / "chart/templates/deployment.yaml").read_text()


# The image


def commands() -> dict[str, list[str]]:
    unit = re.search(r"^ExecStart=(.+)$", UNIT, re.MULTILINE)
    assert unit
    chart = re.search(
        r"^\s*args: (\[.+\])$", (DEPLOY / "chart/templates/deployment.yaml").read_text(), re.MULTILINE
    )
    assert chart
    return {
        "image": STAGES["service"].words("CMD"),
        "unit": unit[1].split()[1:],
        "chart": yaml.safe_load(chart[1]),
        **{name: COMPOSE["services"][name]["command"] for name in (*REAL, *SIMULATED)},
    }


@pytest.mark.parametrize("name", commands())
def test_the_command_knows_its_arguments(name: str) -> None:
    assert STAGES["service"].words("ENTRYPOINT") == ["pstn-bridge"]
    command = Path(sys.executable).with_name("pstn-bridge")
    done = subprocess.run(  # noqa: S603 - the words of our own files
        [str(command), *commands()[name], "--check-config"],
        env={**REQUIRED, "PATH": os.defpath},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_what_is_copied_exists_and_reaches_the_context() -> None:
    patterns = (DEPLOY / "Dockerfile.dockerignore").read_text()
    copies = [step for stage in STAGES.values() for step in stage.steps if isinstance(step, Copy)]
    for name in {name for step in copies if step.source is None for name in step.what}:
        assert (ROOT / name).exists(), name
        assert not ignored(patterns, Path(name)), name
    assert {step.source for step in copies} - {None} <= set(STAGES)
    for secret in (
        "deploy/secrets/API_KEYS",
        "deploy/bridge.env",
        "deploy/tls/tls.key",
        ".git/config",
        "tests/.env",
    ):
        assert ignored(patterns, Path(secret)), secret


def test_every_run_line_is_a_step_of_the_script() -> None:
    script = (DEPLOY / "image/steps").read_text()
    lines = [step for stage in STAGES.values() for step in stage.steps if isinstance(step, str)]
    assert lines
    for line in lines:
        program, step, *arguments = line.split()
        assert program == "deploy/image/steps"
        assert f'"{step} {len(arguments) + 1}")' in script


def test_the_last_stage_is_the_service_without_root_and_without_secrets() -> None:
    stage = list(STAGES.values())[-1]
    assert stage.name == "service"
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", stage.others["USER"])
    assert stage.others["STOPSIGNAL"] == "SIGTERM"
    assert (
        f"runAsUser: {stage.others['USER'].split(':')[0]}"
        in (DEPLOY / "chart/templates/_helpers.tpl").read_text()
    )
    assert not any(
        name in step for one in STAGES.values() for name in NAMES if is_secret(name) for step in said(one)
    )


def said(stage: Stage) -> list[str]:
    return [*stage.others.values(), *(step for step in stage.steps if isinstance(step, str))]


def test_versions_are_that_of_the_code() -> None:
    chart = yaml.safe_load((DEPLOY / "chart/Chart.yaml").read_text())
    assert str(chart["appVersion"]) == __version__
    assert f"ARG VERSION={__version__}\n" in (DEPLOY / "Dockerfile").read_text()


@pytest.mark.parametrize("path", ["deploy/image/requirements-build.txt", "deploy/check/requirements.txt"])
def test_what_is_installed_is_pinned_by_hash_and_names_no_registry(path: str) -> None:
    text = (ROOT / path).read_text()
    pins = re.findall(r"^[a-z][\w.-]*==", text, re.MULTILINE)
    assert pins
    assert len(pins) == len(re.findall(r"^[a-z].*\\\n +--hash=sha256:", text, re.MULTILINE))
    assert "://" not in text
    assert "index" not in re.sub(r"^#.*", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_container_is_locked_up(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    for published in service.get("ports", []):
        assert published.startswith("127.0.0.1:") or name == "proxy"


def test_nothing_of_the_memory_is_written_down() -> None:
    """Keys, tokens and numbers are in there."""
    assert re.findall(r"^LimitCORE=(.+)$", UNIT, re.MULTILINE) == ["0"]
    ours = [one for one in COMPOSE["services"].values() if one.get("image") == "pstn-bridge"]
    assert ours
    assert all(one["ulimits"] == {"core": 0} for one in ours)


PINNED = {
    "NODE_IMAGE": f"node@sha256:{64 * 'a'}",
    "PYTHON_IMAGE": f"mirror:5000/a/python:3@sha256:{64 * '0'}",
}


def test_a_release_is_built_from_images_that_are_named_by_their_digest() -> None:
    assert list(refusals(DOCKERFILE, PINNED)) == []
    assert main([f"{name}={image}" for name, image in PINNED.items()]) == 0


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"NODE_IMAGE": PINNED["NODE_IMAGE"]},
        PINNED | {"PYTHON_IMAGE": ""},
        PINNED | {"PYTHON_IMAGE": "python:3.11-slim-bookworm"},
        PINNED | {"PYTHON_IMAGE": f"python@sha256:{63 * 'a'}"},
        PINNED | {"PYTHON_IMAGE": f"@sha256:{64 * 'a'}"},
        PINNED | {"PYTHON_IMAGE": f"python@sha256:{64 * 'a'} --no-cache"},
        PINNED | {"PYHTON_IMAGE": PINNED["PYTHON_IMAGE"]},
    ],
)
def test_a_release_is_not_built_from_others(given: dict[str, str]) -> None:
    assert len(list(refusals(DOCKERFILE, given))) in {1, 2}
    assert main([f"{name}={image}" for name, image in given.items()]) == 1


def test_no_base_image_goes_round_the_check() -> None:
    """By its own name in a FROM, or by a part of it."""
    for written in ("python:3.11", f"python@sha256:{64 * 'a'}", "${PYTHON_IMAGE}-slim", "$PYTHON_IMAGE"):
        [refused] = refusals(
            DOCKERFILE.replace("FROM ${PYTHON_IMAGE} AS build", f"FROM {written} AS build"), PINNED
        )
        assert "no build argument" in refused
    bases = {stage.image for stage in STAGES.values()}
    assert bases == {"${NODE_IMAGE}", "${PYTHON_IMAGE}"}
    assert all(f"ARG {base[2:-1]}=" in DOCKERFILE.partition("FROM")[0] for base in bases)


def test_the_guide_names_every_value_of_the_chart() -> None:
    guide = (ROOT / "docs/deploy.md").read_text()
    for name in VALUES:
        assert f"`{name}" in guide, name


# The profile `simulator`


@asynccontextmanager
async def running(words: list[str], settings: dict[str, str], log: Path) -> AsyncIterator[None]:
    """A process of this interpreter, its output in `log`; ended by SIGTERM, as a container is."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *words,
            env={"PATH": os.defpath, **settings},
            stdout=output,
            stderr=output,
            cwd=ROOT,
        )
    try:
        yield
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0, log
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_profile_simulator_takes_calls(store_url: str, tmp_path: Path) -> None:
    """The replica and the simulator as they are in compose.yaml, on free ports."""
    port, bridge = str(free_port()), str(free_port())
    ports = {"9000": port, "8081": bridge}

    def moved(text: str) -> str:
        return re.sub("9000(?!0)|8081", lambda found: ports[found[0]], text)

    told = [word for word in COMPOSE["services"]["simulator"]["command"] if ":8082" not in word]
    settings = {name: moved(value) for name, value in environment(SIMULATED[0]).items()}
    settings |= {"REDIS_URL": store_url, "DRAIN_DELAY": "0"}
    serve = ["-m", "handlers.cli", "serve", "--port", bridge]
    log = tmp_path / "simulator"
    async with (
        running(["-m", "tests.simulator", *map(moved, told)], {}, log),
        running(serve, settings, tmp_path / "bridge"),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{bridge}") as client,
    ):
        await wait_until(lambda: ready(client))
        call = await asyncio.to_thread(callers.call, f"http://127.0.0.1:{port}", 3.0)
        assert f"call {call}" in log.read_text()
        assert "transferAnswer 200" in log.read_text()


async def ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False
