"""The reference is complete: commands, params, environment variables."""

import re
from typing import Any

import pytest
import typer
from docs.generate import cli_page, params_page

import twinear.cli.commands  # noqa: F401  (adds every command to the app)
from tests.conftest import PARAMS, ROOT
from twinear.base.params import read_sections
from twinear.cli.app import app


def read_rows(page: str, section: str) -> dict[str, list[str]]:
    """Read the tables under a heading of a page: first cell -> the others."""
    text = page.split(f"\n## `{section}`\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    rows = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in lines]
    return {first: others for first, *others in rows}


def leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested params: dotted key -> value."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and key != "space":
            flat |= leaves(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def list_commands(group: Any, words: str) -> list[tuple[str, Any]]:
    """List every command below a group, with its words."""
    commands: list[tuple[str, Any]] = []
    for name, child in group.commands.items():
        nested = hasattr(child, "commands")
        commands += (
            list_commands(child, f"{words} {name}") if nested else [(f"{words} {name}", child)]
        )
    return commands


def test_every_command_has_its_help_and_every_option_its_meaning() -> None:
    page = cli_page()
    commands = list_commands(typer.main.get_command(app), "twinear")
    assert len(commands) > 15
    for words, command in commands:
        rows = read_rows(page, words)
        assert command.help
        assert len(rows) == len(command.params)
        for parameter in command.params:
            names = [*parameter.opts, *parameter.secondary_opts]
            if parameter.param_type_name == "argument":
                names = [parameter.name.upper()]
            cells = rows[", ".join(f"`{name}`" for name in names)]
            assert parameter.help, f"{words} {names}"
            assert cells[-1].startswith(" ".join(parameter.help.split())[:20])


@pytest.mark.parametrize("section", read_sections(PARAMS))
def test_every_param_has_its_type_and_meaning(section: str) -> None:
    rows = read_rows(params_page(), section)
    assert list(rows) == [f"`{key}`" for key in leaves(read_sections(PARAMS)[section])]
    for key, (_, _, values, meaning) in rows.items():
        assert values, f"{section}.{key}: no type"
        assert meaning, f"{section}.{key}: no comment in params.yaml says what it means"


def test_a_params_row_shows_default_original_and_range() -> None:
    training = read_sections(PARAMS)["training"]
    rows = read_rows(params_page(), "training")
    assert rows["`epochs`"][:3] == [f"`{training['epochs']}`", "25", "integer ≥ 0; epochs"]
    channels = training["model"]["channels"]
    assert rows["`model.channels`"][:3] == [f"`{channels}`", "128", "integer > 0"]
    assert rows["`objective`"][1:3] == ["mse", "`mse`, `listwise`, `approx_ndcg`"]


def test_every_environment_variable_of_the_code_is_explained() -> None:
    named = "|".join(["TWINEAR_[A-Z_]+[A-Z]", "DVC_REMOTE_URL", "GITHUB_STEP_SUMMARY"])
    sources = [*(ROOT / "src").rglob("*.py"), ROOT / "Makefile"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    used = set(re.findall(rf"\b({named})\b", text))
    page = (ROOT / "docs/reference/environment.md").read_text(encoding="utf-8")
    explained = set(re.findall(rf"`({named})`", page))
    assert len(used) > 10
    assert used == explained
