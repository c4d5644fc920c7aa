"""A committed decision beside a registry that has, or lacks, the champion that it names."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import run_twinear
from tests.support.tracking import register
from twinear.base.errors import DataError
from twinear.retraining.decision_file import find_missing_champion
from twinear.tracking.connection import connect

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own


def write_decision(path: Path, champion: int | None, scorer: str) -> Path:
    content = {"outcome": "promoted", "version": 1, "champion": champion, "scorer": scorer}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def scorer(mlflow: Any, tmp_path: Path) -> Path:
    path = tmp_path / "scorer.safetensors"
    path.write_text("scorer")
    return path


def test_a_fresh_clone_says_that_its_registry_lacks_the_committed_champion(
    mlflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_decision(Path("reports/champion.json"), 1, "ab" * 32)
    for command in (["champion"], ["champion", "--checkout"], ["rollback"]):
        ended = run_twinear(capsys, *command)
        assert ended.status == 1
        (line,) = ended.stderr.splitlines()
        assert "champion.json: names the champion models:/twinear/1, scorer ababababab" in line
        assert f"sqlite:///{tmp_path / 'mlflow.db'} does not have; set MLFLOW_TRACKING_URI" in line


def test_another_scorer_of_the_same_number_is_not_the_champion(
    scorer: Path, tmp_path: Path
) -> None:
    register(connect().MlflowClient(), scorer, "cd" * 32)
    path = write_decision(tmp_path / "reports/champion.json", 1, "ab" * 32)
    assert "that is scorer cdcdcdcdcd" in str(find_missing_champion(path))
    assert find_missing_champion(write_decision(path, 1, "cd" * 32)) is None


def test_without_a_champion_or_a_decision_nothing_is_missing(mlflow: Any, tmp_path: Path) -> None:
    path = tmp_path / "reports/champion.json"
    assert find_missing_champion(path) is None
    assert find_missing_champion(write_decision(path, None, "ab" * 32)) is None


def test_a_damaged_decision_is_one_line(mlflow: Any, tmp_path: Path) -> None:
    path = tmp_path / "champion.json"
    path.write_text('{"champion": 1}', encoding="utf-8")
    with pytest.raises(DataError, match=r"is no decision .*restore it from git"):
        find_missing_champion(path)
