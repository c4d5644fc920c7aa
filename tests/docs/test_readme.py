"""The README is short, its links lead somewhere, and its figures are the committed ones."""

import re
from pathlib import Path

from typer.testing import CliRunner

import twinear.cli.commands  # noqa: F401  (adds every command to the app)
from tests.conftest import PARAMS, ROOT
from tests.docs.blocks import README, read_blocks
from twinear.base.params import SECTIONS, read_sections
from twinear.cli.app import app

TEXT = README.read_text(encoding="utf-8")


def test_it_has_at_most_120_lines_and_five_lines_of_python() -> None:
    assert len(TEXT.splitlines()) <= 120
    (block,) = read_blocks("python", README)
    assert len([line for line in block.splitlines() if line]) == 5  # a formatter may space them


def test_its_ranking_is_the_committed_one() -> None:
    block = re.search(r"<!-- ranking -->\n```text\n(.*?)```\n<!-- /ranking -->", TEXT, re.DOTALL)
    assert block is not None
    shown = CliRunner().invoke(app, ["ranking", "--reports", str(ROOT / "reports")])
    assert block.group(1) == shown.stdout


def test_its_links_lead_somewhere() -> None:
    linked = re.findall(r"\]\(((?!http)[^)#]+)", TEXT)
    assert len(linked) > 15
    assert all((ROOT / each).exists() for each in linked)


def test_the_tree_names_every_stage_and_only_what_is_there() -> None:
    page = ROOT / "docs/reference/tree.md"
    (tree,) = read_blocks("text", page)
    stages = {path.name for path in (ROOT / "src/stages").glob("*.py")}
    words = {line.split()[0] for line in tree.splitlines()}
    assert stages <= words
    assert {"dvc.yaml", "LAB.md", "dvcstore/"} <= words
    made = {"data/", "artifacts/"}  # by the first command
    places = [ROOT, ROOT / "src/stages"]
    assert all(any((place / each).exists() for place in places) for each in words - made)
    packages = {path.parent.name for path in (ROOT / "src/twinear").glob("*/__init__.py")}
    packages |= {path.stem for path in (ROOT / "src/twinear").glob("[a-z]*.py")}
    assert packages <= set(re.findall(r"`(\w+)`", page.read_text(encoding="utf-8")))


def test_every_key_of_params_is_explained_where_it_stands() -> None:
    assert tuple(read_sections(PARAMS)) == SECTIONS
    lines = [line for line in PARAMS.read_text().splitlines() if re.match(r"  +\w+: .", line)]
    plain = {line.split(":")[0].strip() for line in lines if "#" not in line}
    assert plain == {"corpus_note", "training_note", "drop_names"}  # their comments stand above


def test_the_citation_names_the_poster_and_the_version_of_the_package() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert "Assessing Music Similarity Through Deep Learning" in citation
    version = re.search(r'^version = "(.*)"', Path(ROOT / "pyproject.toml").read_text(), re.M)
    assert version is not None
    assert f"version: {version[1]}" in citation
