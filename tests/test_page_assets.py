"""The page's files: served for ever and nothing besides them, missed only by those who want the page."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from handlers.page import assets
from handlers.page.assets import read_build, serve
from service.calls.outcomes import CAUSES, FAILURES
from tests.harness import serving
from tests.simulator.simulator import Simulator

PAGE = Path(assets.__file__).parent
ROOT = PAGE.parent.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A build, with a file beside it that nobody asked to be served."""
    built = tmp_path / "built"
    built.mkdir()
    manifest = {"page": "index.html", "assets": {"page-1.js": "text/javascript; charset=utf-8"}}
    (built / "manifest.json").write_text(json.dumps(manifest))
    (built / "index.html").write_text("<!doctype html>")
    (built / "page-1.js").write_text("hello()")
    (tmp_path / "secret.txt").write_text("secret")
    return built


def test_what_is_built_may_be_kept_for_ever(folder: Path) -> None:
    built = read_build(folder)
    assert built
    assert built.page == b"<!doctype html>"
    response = serve(built, "page-1.js")
    assert (response.status_code, response.body) == (200, b"hello()")
    assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "name",
    ["index.html", "manifest.json", "../secret.txt", "..%2fsecret.txt", "/etc/passwd", "", "page-1.js "],
)
def test_nothing_else_is_served(folder: Path, name: str) -> None:
    assert serve(read_build(folder), name).status_code == 404


def test_there_is_no_page_until_the_build_is_whole(folder: Path) -> None:
    (folder / "page-1.js").unlink()
    assert read_build(folder) is None
    assert read_build(folder / "nowhere") is None
    assert serve(None, "page-1.js").status_code == 404


async def test_the_service_serves_them_or_says_that_they_are_missing(
    simulator: Simulator, store_url: str, redis: Redis, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "_built", lambda: read_build(folder))
    async with serving(simulator, store_url) as service, httpx.AsyncClient(base_url=service.url) as client:
        assert (await client.get("/assets/page-1.js")).text == "hello()"
        assert (await client.head("/assets/page-1.js")).status_code == 200
        for name in ("nothing.js", "..%2fsecret.txt", "%2e%2e/secret.txt", ""):
            assert (await client.get(f"/assets/{name}")).status_code == 404, name
        assert (await client.post("/assets/page-1.js")).status_code == 405
        assert not service.log("page.missing")
    monkeypatch.setattr(assets, "_built", lambda: None)
    async with serving(simulator, store_url) as service, httpx.AsyncClient(base_url=service.url) as client:
        assert (await client.get("/assets/page-1.js")).status_code == 404
        assert (await client.get("/readyz")).status_code in {200, 503}
        assert len(service.log("page.missing", level="warning")) == 1


@pytest.mark.skipif(read_build(PAGE / "built") is None, reason="the page is not built: make page")
def test_the_built_page_is_whole_and_keeps_a_strict_policy() -> None:
    built = read_build(PAGE / "built")
    assert built
    html = built.page.decode()
    assert set(re.findall(r'"/assets/([^"]+)"', html)) <= set(built.assets)
    assert re.search(r'<script type="module" src="/assets/page-\w+\.js"></script>', html)
    assert len(re.findall(r"<script", html)) == 1, "a script in the page itself"
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", html), "a style or a handler in the page itself"
    assert not re.search(r"https?://", html), "something from elsewhere"
    script = next(one.content.decode() for name, one in built.assets.items() if name.endswith(".js"))
    assert not re.search(r"\beval\(|new Function\(", script), "what the policy forbids"
    licences = next(one.content.decode() for name, one in built.assets.items() if name.endswith(".txt"))
    assert "@bandwidth/webrtc-browser" in licences
    assert "no text comes with it" not in licences


def test_the_page_has_words_for_each_end_of_a_call() -> None:
    words = (PAGE / "src" / "messages.js").read_text()
    outcomes = words.split("OUTCOMES = {")[1].split("};")[0]
    told = set(re.findall(r'^  "?([a-z-]+)"?: "', outcomes, re.MULTILINE))
    slugs = {reason for _blame, reason in CAUSES.values()} | set(FAILURES)
    # These are our own faults: whoever reads the page cannot do anything about them, and is told so as one.
    ours = {
        "webhook-unanswered",
        "invalid-bxml",
        "application-error",
        "credentials-refused",
        "request-refused",
        "internal-error",
        "token-unusable",
    }
    assert slugs - told == ours


def test_the_lock_names_no_host_and_pins_the_sdk() -> None:
    lock = json.loads((PAGE / "package-lock.json").read_text())
    named = [name for name, one in lock["packages"].items() if "resolved" in one]
    assert named == []
    assert [name for name, one in lock["packages"].items() if name and "integrity" not in one] == []
    wanted = json.loads((PAGE / "package.json").read_text())
    versions = [*wanted["dependencies"].values(), *wanted["devDependencies"].values()]
    assert [one for one in versions if not one[0].isdigit()] == []


def test_the_wheel_has_the_built_page_and_not_what_it_is_built_from(tmp_path: Path, folder: Path) -> None:
    source = tmp_path / "source"
    kept = shutil.ignore_patterns("node_modules", "built", "__pycache__")
    shutil.copytree(ROOT / "handlers", source / "handlers", ignore=kept)
    shutil.copytree(ROOT / "service", source / "service", ignore=kept)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(folder, source / "handlers" / "page" / "built")
    (source / "handlers" / "page" / "node_modules").mkdir()
    (source / "handlers" / "page" / "node_modules" / "big.js").write_text("")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)  # noqa: S603 # our own words
    (wheel,) = tmp_path.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("handlers/page/")}
    assert names == {
        "handlers/page/__init__.py",
        "handlers/page/assets.py",
        "handlers/page/built/index.html",
        "handlers/page/built/manifest.json",
        "handlers/page/built/page-1.js",
    }
