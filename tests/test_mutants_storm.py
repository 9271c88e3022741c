"""The mutants of the storm fit this tree, and what became of them is told as it is (tests/chaos/mutants)."""

import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest
from msgspec.structs import replace

from tests.chaos.allowances import ALLOWANCES
from tests.chaos.checks import CHECKS
from tests.chaos.faults import FAULT_PROFILES
from tests.chaos.mutants.__main__ import SURVIVED, TROUBLE, main
from tests.chaos.mutants.layers import LAYERS, Layer, order
from tests.chaos.mutants.mutant import AREAS, PATCHES, BadPatch, Mutant, apply, mutants, named, read
from tests.chaos.mutants.runs import ROOT, RunFailed, Runs
from tests.chaos.mutants.table import CONTROL, Run, survivors, table

HEADER = "Breaks: it\n  goes on\nArea: join\nLayer: storm\nEye: leaks\nAllowance: one,\n  other\n\n"
NEEDS_GIT = pytest.mark.skipif(which("git") is None, reason="git, which applies the patches, is not here")
DIFF = "--- a/service/one.py\n+++ b/service/one.py\n@@ -1,2 +1,2 @@\n first\n-second\n+other\n"


@pytest.fixture
def patch(tmp_path: Path) -> Path:
    file = tmp_path / "some-fault.patch"
    file.write_text(HEADER + DIFF)
    return file


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Below a repository that has nothing to do with it."""
    subprocess.run([str(which("git")), "init", "--quiet", str(tmp_path / "outer")], check=True)  # noqa: S603 - our own words
    tree = tmp_path / "outer" / "tree"
    (tree / "service").mkdir(parents=True)
    (tree / "service" / "one.py").write_text("first\nsecond\n")
    return tree


@NEEDS_GIT
def test_all_patches_apply_to_this_tree() -> None:
    for one in mutants():
        apply(one, ROOT, check=True)


def test_headers_name_what_there_is() -> None:
    found = mutants()
    assert {one.area for one in found} == {*AREAS}
    assert {one.layer for one in found} <= {layer.name for layer in LAYERS}
    assert {one.fault_profile for one in found} <= {*FAULT_PROFILES}
    eyes = {eye for one in found if one.layer == "storm" for eye in one.check.split(", ")}
    assert eyes - {"none"} <= {*CHECKS}
    for one in found:
        assert order(one)[0].name == one.layer, f"{one.name}: {one.layer} runs nothing that it changes"


def test_each_allowance_has_a_mutant_that_is_seen_in_spite_of_it() -> None:
    found = mutants()
    assert {name for one in found for name in one.allowances} == {*ALLOWANCES}
    # Allowances are of the storm.
    assert {one.layer for one in found if one.allowances} == {"storm"}


def test_a_header_is_read(patch: Path) -> None:
    assert read(patch) == Mutant(
        name="some-fault",
        file=patch,
        breaks="it goes on",
        area="join",
        layer="storm",
        check="leaks",
        allowances=("one", "other"),
        files=frozenset({"service/one.py"}),
    )


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("Breaks: it\n\n", "some-fault: its header lacks Area, Eye, Layer"),
        (
            HEADER.replace("Eye", "Eyes"),
            "some-fault: its header has a line .*'Eyes: leaks'",
        ),
        (HEADER.replace("Eye:", "Calls: many\nEye:"), "some-fault: invalid literal"),
    ],
)
def test_a_header_that_cannot_be_read_is_told(patch: Path, header: str, said: str) -> None:
    patch.write_text(header + DIFF)
    with pytest.raises(BadPatch, match=said):
        read(patch)


@NEEDS_GIT
def test_a_patch_changes_the_tree(patch: Path, tree: Path) -> None:
    apply(read(patch), tree, check=True)
    assert (tree / "service" / "one.py").read_text() == "first\nsecond\n"
    apply(read(patch), tree)
    assert (tree / "service" / "one.py").read_text() == "first\nother\n"


@NEEDS_GIT
@pytest.mark.parametrize("text", ["first\nthird\n", "zeroth\nsecond\n"])
def test_a_patch_that_does_not_fit_is_told(patch: Path, tree: Path, text: str) -> None:
    (tree / "service" / "one.py").write_text(text)
    with pytest.raises(BadPatch, match="some-fault does not apply"):
        apply(read(patch), tree)
    assert (tree / "service" / "one.py").read_text() == text


@NEEDS_GIT
def test_a_patch_that_does_not_fit_ends_the_run(patch: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([], patches=patch.parent) == TROUBLE
    assert "some-fault does not apply" in capfd.readouterr().err


def test_an_unknown_name_is_answered_with_all(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONLY", "no-such")
    assert main([]) == TROUBLE
    said = capfd.readouterr().err
    assert "there is no mutant no-such" in said
    assert all(file.stem in said for file in PATCHES.glob("*.patch"))


@NEEDS_GIT
def test_nowhere_to_write(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TMPDIR", "/proc/missing")
    assert main([]) == TROUBLE
    assert "/proc/missing" in capsys.readouterr().err


def test_the_list_is_no_trouble(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONLY", "list")
    assert main([]) == 0
    said = capfd.readouterr()
    assert said.err == ""
    assert [line.split()[0] for line in said.out.splitlines()] == [one.name for one in mutants()]


def test_names_choose(patch: Path) -> None:
    one, other = read(patch), replace(read(patch), name="other")
    assert named([], [one, other]) == [one, other]
    assert named(["other"], [one, other]) == [other]


def test_help_names_the_layers(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capfd.readouterr().out
    assert all(layer.what in said for layer in LAYERS)


def _layer(code: str) -> Layer:
    """Found is what ends with 10."""
    return Layer(
        name="fake",
        what="",
        command=lambda _mutant, seed: [sys.executable, "-c", code, str(seed)],
        under=("service/",),
        found=10,
        longest=1,
    )


@pytest.mark.parametrize(
    ("code", "found"), [("", False), ("raise SystemExit(10)", True), ("import time; time.sleep(60)", True)]
)
async def test_a_layer_says_by_its_exit_code_what_it_has_found(
    patch: Path, tree: Path, code: str, *, found: bool
) -> None:
    playing = Runs(tree, seeds=[7], jobs=1, say=print)
    [run] = await playing.play_one(tree, _layer(code), read(patch), 7)
    assert (run.mutant, run.layer, run.seed, run.found) == ("some-fault", "fake", 7, found)


async def test_a_layer_that_fails_itself_has_seen_nothing(patch: Path, tree: Path) -> None:
    playing = Runs(tree, seeds=[7], jobs=1, say=print)
    with pytest.raises(RunFailed, match=r"some-fault: layer fake with seed 7 ended with 1: .*no mutant"):
        await playing.play_one(tree, _layer("raise RuntimeError('no mutant')"), read(patch), 7)


def _run(mutant: str, seed: int, *, found: bool, layer: str = "storm") -> Run:
    return Run(mutant=mutant, layer=layer, seed=seed, found=found, seconds=1)


def test_a_survivor_is_one_that_is_missed_for_a_seed(patch: Path) -> None:
    seen, missed, same = (replace(read(patch), name=name) for name in ("seen", "missed", "same"))
    same = replace(same, equivalent="nobody can tell")
    runs = [
        _run(CONTROL, 1, found=False),
        _run("seen", 1, found=False),
        _run("seen", 1, found=True, layer="stateful"),
        _run("seen", 2, found=True),
        _run("missed", 1, found=True),
        _run("missed", 2, found=False),
        _run("missed", 2, found=False, layer="stateful"),
        _run("same", 1, found=False),
    ]
    assert survivors([seen, missed, same], runs, [1, 2]) == [missed]
    lines = table([seen, missed, same], runs, ["storm", "stateful"], [1, 2]).splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["mutant", "area", "storm", "stateful"],
        [CONTROL, "0", "of", "1", "-", "the", "tree", "as", "it", "is"],
        ["seen", "join", "1", "of", "2", "1", "of", "1", "seen"],
    ]
    assert lines[3].endswith("survived 1 of 2; expected eye: leaks")
    assert lines[4].endswith("equivalent: nobody can tell")
    assert SURVIVED == 1
