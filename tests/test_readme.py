"""The README says what is so."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import SecretStr

from service.setting_warnings import warnings
from service.settings import NAMES, Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SETTINGS = README + (ROOT / "docs" / "settings.md").read_text()


def rows() -> dict[str, str]:
    """Variable and default of each row of the tables of settings; no variable has two rows."""
    found = re.findall(r"^\| `([A-Z_]+)` \| (.*?) ?\|", SETTINGS, re.MULTILINE)
    assert len(found) == len(dict(found))
    return dict(found)


def sections(text: str) -> set[str]:
    """As links name them: lower case, hyphens for blanks, without what is neither letter nor digit."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}


def test_every_setting_has_a_row_and_every_row_a_setting() -> None:
    assert set(rows()) == set(NAMES)


def test_the_defaults_are_those_of_the_code() -> None:
    for name, told in rows().items():
        field = Settings.model_fields[name.lower()]
        if field.is_required() or "with" in told:
            assert told.startswith("**required**"), name
        elif field.default is None:
            assert told == "", name
        else:
            default = field.get_default(call_default_factory=True)
            assert told.strip("`") == str(default), name


def test_every_dependency_has_a_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["embedded"]]
    names = {re.match(r"[a-z-]+", one)[0] for one in wanted}  # type: ignore[index] # each begins with a name
    table = README.split("## Dependencies")[1]
    assert set(re.findall(r"^\| ([a-z-]+) \|", table, re.MULTILINE)) - {"package"} == names


def test_every_target_and_file_it_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake ([a-z-]+)\b", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for link in re.findall(r"\]\(((?!https?:)[^)]+)\)", README):
        path, _, section = link.partition("#")
        assert (ROOT / path).exists(), link
        assert not section or section in sections((ROOT / path).read_text()), link


@pytest.mark.parametrize("page", ["README.md", "docs/operators.md"])
def test_the_shell_of_its_examples_has_what_they_use_and_nothing_that_is_warned_of(page: str) -> None:
    """Whoever has followed them looks at the configuration in that same shell, with --strict perhaps."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    known: dict[str, str] = {}
    for line in "".join(blocks).splitlines():
        for name in re.findall(r"\$([A-Za-z_]+)", line):
            assert name in known, f"{line}: ${name} is used before it is set"
        exported = line.startswith("export ")
        known |= dict.fromkeys(re.findall(r" ([A-Za-z_]+)=" if exported else r"^([A-Za-z_]+)=", line), "1")
    settings = Settings.model_construct(
        bw_account_id="5500000",
        base_callback_url="https://bridge.example.com",
        api_keys=(),
        callback_username="bandwidth",
        callback_password=SecretStr("9f2c-d07b-61ae-48f3"),
        redis_url=next(map(SecretStr, re.findall(r"\bREDIS_URL=(\S+)", "".join(blocks))), None),
    )
    assert warnings(settings, known) == ()


def test_it_is_short() -> None:
    assert len(README.splitlines()) < 200
