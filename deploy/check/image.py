"""The image without a container engine: its RUN lines in a temporary directory, and what they make."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from deploy.check.dockerfile import Copy, Stage, ignored, stages
from deploy.check.running import DEPLOY, ROOT, Failed, command
from deploy.check.tools import with_node

_STEPS: Final = "deploy/image/steps"
_READY: Final = 30.0
_ENVIRONMENT: Final = {
    "BW_ACCOUNT_ID": "5500000",
    "BW_CLIENT_ID": "client",
    "BW_CLIENT_SECRET": "client-secret",
    # Nobody listens there: whether the service starts and ends is asked here, not whether Bandwidth answers.
    "BW_TOKEN_URL": "http://127.0.0.1:9/token",
    "BASE_CALLBACK_URL": "https://bridge.example.com",
    "CALLBACK_USERNAME": "bandwidth",
    "CALLBACK_PASSWORD": "callback-password",
    "DRAIN_DELAY": "0",
}


def image() -> str:
    """The stages `page` and `build`, step by step, and the command of `service` on what they have made."""
    found = stages((DEPLOY / "Dockerfile").read_text())
    with tempfile.TemporaryDirectory(prefix="check-image-") as name:
        folder = Path(name)
        (folder / "bin").mkdir()
        environment = with_node(folder / "bin")
        # The base images have pip, Debian's interpreter has none by itself; that of .venv does.
        environment["PATH"] = f"{ROOT / '.venv/bin'}:{environment['PATH']}"
        sheet = {"page": folder / "page", "build": folder / "build"}
        opt = folder / "opt"
        for stage, root in sheet.items():
            for step in found[stage].steps:
                if isinstance(step, str):
                    _run(step, root, opt, environment)
                else:
                    _copy(step, root, sheet)
        venv = opt / "pstn-bridge"
        _serve(found["service"], venv, folder)
        size = sum(file.stat().st_size for file in venv.rglob("*") if file.is_file())
    return f"its steps run, its command serves, is healthy and ends; {size / 1e6:.0f} MB of packages"


def _run(line: str, root: Path, opt: Path, environment: dict[str, str]) -> None:
    if not line.startswith(f"{_STEPS} "):
        raise Failed(f"RUN {line}: only steps of {_STEPS} can be run without a container engine")
    words = [word.replace("/opt/", f"{opt}/") for word in line.split()[1:]]
    command(root / _STEPS, *words, cwd=root, env=environment)


def _copy(step: Copy, root: Path, sheet: dict[str, Path]) -> None:
    source, what, where = step
    patterns = (DEPLOY / "Dockerfile.dockerignore").read_text()
    for name in what:
        origin = ROOT / name if source is None else sheet[source] / name.removeprefix("/build/")
        if not origin.exists():
            raise Failed(f"COPY {name}: there is no such file")
        target = root / where / (Path(name).name if where.endswith("/") else "")
        target.parent.mkdir(parents=True, exist_ok=True)

        def left_out(folder: str, names: list[str], source: str | None = source) -> set[str]:
            inside = Path(folder)
            if source is not None:
                return set()
            return {one for one in names if ignored(patterns, (inside / one).relative_to(ROOT))}

        if origin.is_dir():
            shutil.copytree(origin, target, ignore=left_out, dirs_exist_ok=True)
        elif source is None and ignored(patterns, Path(name)):
            raise Failed(f"COPY {name}: deploy/Dockerfile.dockerignore keeps it out")
        else:
            shutil.copy2(origin, target)


def _serve(stage: Stage, venv: Path, folder: Path) -> None:
    """The exec form on a free port, asked as the HEALTHCHECK asks, and ended by STOPSIGNAL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    words = [word.replace("8080", port) for word in [*stage.words("ENTRYPOINT"), *stage.words("CMD")]]
    health = [word.replace("8080", port) for word in stage.words("HEALTHCHECK")]
    places = {"PATH": f"{venv}/bin:{os.defpath}", "XDG_STATE_HOME": str(folder / "state")}
    environment = {**_ENVIRONMENT, **places}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the words of the Dockerfile
            [str(venv / "bin" / words[0]), *words[1:]], env=environment, stdout=output, stderr=output, cwd="/"
        )
    try:
        _until_it_lives(process, port, log)
        command(venv / "bin" / health[0], *health[1:], env=environment)
        process.send_signal(signal.Signals[stage.others["STOPSIGNAL"]])
        code = process.wait(timeout=40)
    except subprocess.TimeoutExpired:
        raise Failed(f"the service does not end:\n{log.read_text()}") from None
    finally:
        process.kill()
        process.wait()
    if code != 0:
        raise Failed(f"the service ends with exit code {code}:\n{log.read_text()}")


def _until_it_lives(process: subprocess.Popen[bytes], port: str, log: Path) -> None:
    ends = time.monotonic() + _READY
    while time.monotonic() < ends and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=2):
                return
        except urllib.error.URLError:
            time.sleep(0.1)
    raise Failed(f"the service does not start:\n{log.read_text()}")
