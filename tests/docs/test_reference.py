"""The reference is complete: commands, params, variables, files, Python."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer

import twinear
import twinear.cli.main
from tests.conftest import PARAMS, ROOT, Project
from twinear.base.params import read_sections
from twinear.cli.app import app

REFERENCE = ROOT / "docs/reference"
FILES = (REFERENCE / "files.md").read_text(encoding="utf-8")


def read_page(path: Path) -> str:
    """Read the text of a built page, without its tags."""
    return unescape(re.sub(r"<[^>]*>", "", path.read_text(encoding="utf-8")))


def read_rows(site: Path, page: str, section: str) -> dict[str, list[str]]:
    """Read the table under a heading of a built page: first cell -> the others."""
    html = (site / page).read_text(encoding="utf-8").split(f'<h2 id="{section}"')[1].split("<h2")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", html, flags=re.DOTALL)
    cells = [re.findall(r"<td>(.*?)</td>", row, flags=re.DOTALL) for row in rows]
    plain = [[unescape(re.sub(r"<[^>]*>", "", cell)) for cell in row] for row in cells if row]
    return {first: others for first, *others in plain}


def leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested params: dotted key -> value."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and key != "space":
            flat |= leaves(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def test_every_command_has_its_help_and_every_option_its_meaning(site: Path) -> None:
    def commands(group: Any, words: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
        found: list[tuple[tuple[str, ...], Any]] = []
        for name, child in group.commands.items():
            nested = hasattr(child, "commands")
            found += commands(child, (*words, name)) if nested else [((*words, name), child)]
        return found

    every = commands(typer.main.get_command(app), ("twinear",))
    assert len(every) > 15
    for words, command in every:
        rows = read_rows(site, "reference/cli.html", "-".join(words))
        for parameter in command.params:
            if parameter.param_type_name == "option":
                (row,) = [cells for names, cells in rows.items() if parameter.opts[0] in names]
                assert all(name in " ".join(rows) for name in parameter.secondary_opts)
            assert parameter.help, f"{' '.join(words)} {parameter.opts}"
            if parameter.param_type_name == "option":
                assert row[-1].startswith(" ".join(parameter.help.split())[:20])


@pytest.mark.parametrize("section", read_sections(PARAMS))
def test_every_param_has_its_type_and_meaning(site: Path, section: str) -> None:
    rows = read_rows(site, "reference/params.html", section)
    assert list(rows) == list(leaves(read_sections(PARAMS)[section]))
    for key, (_, _, values, meaning) in rows.items():
        assert values, f"{section}.{key}: no type"
        assert meaning, f"{section}.{key}: no comment in params.yaml says what it means"


def test_a_params_row_shows_default_original_and_range(site: Path) -> None:
    training = read_sections(PARAMS)["training"]
    rows = read_rows(site, "reference/params.html", "training")
    assert rows["epochs"][:3] == [str(training["epochs"]), "25", "integer > 0; epochs"]
    assert rows["model.channels"][:3] == [str(training["model"]["channels"]), "128", "integer > 0"]
    assert rows["objective"][1:3] == ["mse", "mse, listwise, approx_ndcg"]


def test_every_environment_variable_of_the_code_is_explained() -> None:
    named = "|".join(["TWINEAR_[A-Z_]+[A-Z]", "DVC_REMOTE_URL", "GITHUB_STEP_SUMMARY"])
    sources = [*(ROOT / "src").rglob("*.py"), ROOT / "Makefile"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    used = set(re.findall(rf"\b({named})\b", text))
    page = (REFERENCE / "environment.md").read_text(encoding="utf-8")
    explained = set(re.findall(rf"`({named})`", page))
    assert len(used) > 10
    assert used == explained


def test_every_output_of_the_pipeline_is_explained_with_its_columns(finished: Project) -> None:
    rows = dict(re.findall(r"^\| `([\w./]+)` \|(.*)\|$", FILES, re.MULTILINE))
    for path in sorted((finished.folder / "artifacts").rglob("*")):
        if path.is_dir():
            continue
        name = path.relative_to(finished.folder).as_posix()
        assert name in rows, f"{name} is not in docs/reference/files.md"
        for word in contents(path):
            assert re.search(rf"\b{word}\b", rows[name]), f"{name}: {word}"
    reports = {path.name for path in (ROOT / "reports").iterdir()}
    assert all(f"`reports/{name}" in FILES for name in reports)
    made = [path for path in rows if path.startswith("artifacts/") and not path.endswith("/")]
    assert all((finished.folder / path).exists() for path in made)


def contents(path: Path) -> list[str]:
    """Name the columns, arrays or types that the page must tell of a file."""
    if path.suffix == ".csv":
        return list(pd.read_csv(path, nrows=1).columns)
    if path.suffix == ".parquet":
        return list(pd.read_parquet(path).columns)
    if path.suffix == ".npy":
        return [str(np.load(path, mmap_mode="r", allow_pickle=False).dtype)]
    if path.name == "mfcc.npz":
        return ["mean", "cov"]
    if path.name == "protocol.json":
        return list(json.loads(path.read_text(encoding="utf-8")))
    return []


def test_every_exported_name_is_in_the_python_reference(site: Path) -> None:
    pages = [path.read_text(encoding="utf-8") for path in (site / "reference/api").glob("*.html")]
    guide = (ROOT / "docs/how-to/python.md").read_text(encoding="utf-8")
    for name in sorted(set(twinear.__all__) - {"__version__"}):
        assert f"twinear.{name}(" in guide or f"`twinear.{name}`" in guide, name
        described = re.compile(rf'id="twinear\.[\w.]+\.{name}"')
        assert any(described.search(page) for page in pages), name
