"""`twinear import`: it tells before it writes, and it is whole or nothing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

import twinear.cli.commands  # noqa: F401  (adds every command to the app)
from tests.conftest import PARAMS
from tests.support.exports import EXAMPLES, Example
from twinear.cli.app import app
from twinear.listens.readers.registry import FORMATS

BANDS = [f"Band {letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params for listens of one person and without MusicBrainz ids."""
    sections = YAML(typ="safe", pure=True).load(PARAMS)
    sections["listens"] |= {"require_mbid": False, "min_listeners": 1}
    with (tmp_path / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(sections, file)
    for number, band in enumerate(BANDS):
        clip = tmp_path / "music" / band / "song.mp3"
        clip.parent.mkdir(parents=True)
        clip.write_text(f"sound {number}")  # an import does not decode
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["import", *words, "--clips", "music"], catch_exceptions=False)


def told(*words: str) -> dict[str, Any]:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def plays(path: Path, first: int) -> str:
    """Listens of one person, who is named by the file: every third band from `first` on."""
    rows = [f"{band},{3 + number % 5}" for number, band in enumerate(BANDS[first::3])]
    path.write_text("\n".join(["Artist;Plays", *(row.replace(",", ";") for row in rows)]))
    return str(path)


def shared(path: Path) -> str:
    """Listens of some people, neighbours in the list of bands sharing listeners."""
    rows = [f"u{u},{BANDS[(u + k) % 26]},{1 + k}" for u in range(26) for k in range(5)]
    path.write_text("\n".join(["listener,artist,plays", *rows]))
    return str(path)


def test_a_dry_run_tells_everything_and_writes_nothing(project: Path) -> None:
    before = sorted(project.rglob("*"))
    result = run("--listens", shared(project / "plays.csv"), "--dry-run")
    assert result.exit_code == 0
    for part in (
        "plays.csv: table of text",
        "assumed: separator comma",
        "26 clips",
        "26 listeners, 26 artists",
        "of 130 rows",
        "dropped: nothing",
        "26 of 26 artists with clips have listens",
        "nothing stops it",
    ):
        assert part in result.stdout
    assert sorted(project.rglob("*")) == sorted([*before, project / "plays.csv"])


def test_several_files_are_several_listeners(project: Path) -> None:
    words = [plays(project / f"{name}.csv", first) for first, name in enumerate(("ann", "ben"))]
    found = told("--listens", words[0], "--listens", words[1])
    assert [each["name"] for each in found["found"]["listens"]] == ["ann.csv", "ben.csv"]
    assert found["forecast"]["listens"]["listeners"] == 2
    assert found["imported"]["listens"] == ["ann.csv", "ben.csv"]
    assert (project / "data/listens/ben.csv").read_bytes() == Path(words[1]).read_bytes()


def test_what_the_pipeline_will_say_is_told_and_the_import_is_done(project: Path) -> None:
    found = told("--listens", plays(project / "ann.csv", 0))
    (problem,) = found["forecast"]["problems"]
    assert problem["stage"] == "similarity"
    assert "equally similar" in problem["message"]
    assert found["imported"]["clips"] == 26


def test_rows_that_are_dropped_are_counted_with_the_param_that_keeps_them(project: Path) -> None:
    shutil.copy(PARAMS, project / "params.yaml")  # asks for MusicBrainz ids
    result = run("--listens", shared(project / "plays.csv"), "--dry-run")
    assert "dropped: 130 without mbid" in result.stdout
    assert "listens will stop" in result.stdout
    assert "set listens.require_mbid to false" in result.stdout


def test_files_that_are_no_listens_and_no_clips_are_counted(project: Path) -> None:
    (project / "in").mkdir()
    shared(project / "in" / "plays.csv")
    (project / "in/README.txt").write_text("mine")
    (project / "in/._plays.csv").write_bytes(b"\0\5\x16\7")
    (project / "music/Band A/cover.jpg").write_bytes(b"\xff\xd8\xff")
    found = told("--listens", "in", "--dry-run")
    assert list(found["found"]["left_out"]) == ["README.txt"]
    assert found["found"]["clips_left_out"]["counts"] == {"not audio": 1}
    assert found["imported"] is None


def test_without_params_only_what_was_found_is_told(project: Path) -> None:
    (project / "params.yaml").unlink()
    result = run("--listens", shared(project / "plays.csv"), "--dry-run")
    assert result.exit_code == 0
    assert "no params.yaml here" in result.stderr
    assert "after cleaning" not in result.stdout


def test_an_import_that_fails_leaves_what_was_there(project: Path) -> None:
    told("--listens", shared(project / "plays.csv"))
    before = {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()}
    (project / "broken.csv.gz").write_bytes(b"\x1f\x8b\x08\0broken")
    with pytest.raises(Exception, match=r"broken\.csv\.gz"):
        run("--listens", "broken.csv.gz", "--replace")
    assert {p: p.read_bytes() for p in Path("data").rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=list(EXAMPLES))
def test_every_export_is_recognised_by_the_command(project: Path, example: Example) -> None:
    (project / "in").mkdir()
    (project / "in" / "export").write_text(example.content, encoding="utf-8")
    titles = {each.name: each.title for each in FORMATS}
    found = told("--listens", "in", "--dry-run")["found"]["listens"]
    assert [(each["format"], each["title"]) for each in found] == [
        (example.format, titles[example.format])
    ]
