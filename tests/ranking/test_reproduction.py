"""Another machine's ranking beside the committed one, in a real git repository."""

import json
import subprocess
from pathlib import Path

import pytest

from twinear.base.errors import DataError
from twinear.cli.similar import reproduction
from twinear.ranking.reproduction import format_reproduction, read_reproduction


def numbers(value: float) -> dict[str, dict[str, float]]:
    return {"ndcg@10": {"value": value, "low": value - 0.05, "high": value + 0.05}}


def write(folder: Path, **values: float) -> None:
    ranking = {system: numbers(value) for system, value in values.items()}
    (folder / "reports").mkdir(exist_ok=True)
    (folder / "reports/ranking.json").write_text(json.dumps(ranking), encoding="utf-8")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    write(tmp_path, catalogue=0.893, l2=0.555)
    (tmp_path / "params.yaml").write_text("training: {seed: 1}\n")
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "committed"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


def told(folder: Path) -> str:
    compared = read_reproduction(folder)
    assert compared is not None
    return format_reproduction(compared)


def test_the_same_figures_are_said_to_be_reproduced(repository: Path) -> None:
    assert "reproduced to the last digit" in told(repository)


def test_other_figures_stand_beside_the_committed_ones_with_the_reason(repository: Path) -> None:
    write(repository, catalogue=0.9, l2=0.555)
    text = told(repository)
    assert text.startswith("1 tracked files changed; nothing was edited: another processor")
    (line,) = (line for line in text.splitlines() if line.startswith("catalogue"))
    assert ".893 [.843, .943]" in line
    assert ".900 [.850, .950]" in line
    assert line.endswith("inside each other's interval")
    assert any(line.startswith("l2") and line.endswith("the same") for line in text.splitlines())


def test_a_figure_outside_the_interval_is_named_so(repository: Path) -> None:
    write(repository, catalogue=0.7, l2=0.555)
    assert "outside each other's interval" in told(repository)


def test_an_edit_is_named_as_the_reason(repository: Path) -> None:
    write(repository, catalogue=0.9, l2=0.555)
    (repository / "params.yaml").write_text("training: {seed: 2}\n")
    text = told(repository)
    assert "because of edits: params.yaml" in text
    assert "another processor" not in text


def test_a_new_system_is_marked(repository: Path) -> None:
    write(repository, catalogue=0.893, siamese=0.8, l2=0.555)
    assert any(
        line.startswith("siamese") and line.endswith("new")
        for line in told(repository).splitlines()
    )


def test_without_a_commit_the_command_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, catalogue=0.9)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(DataError, match=r"reports/ranking\.json: .*git checkout"):
        reproduction()
