"""Registered scorers by any name, and what is kept with a champion."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.tracking import register
from twinear.base.errors import DataError
from twinear.tracking.connection import connect
from twinear.tracking.registry import (
    CHAMPION,
    Version,
    attach,
    catalogue_folder,
    check_out,
    get_version,
    resolve,
    scorer_file,
    set_champion,
)
from twinear.tracking.runs import MODEL

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own
DIGEST = "ab" * 32


@pytest.fixture
def champion(mlflow: Any, tmp_path: Path) -> Version:
    """A champion whose file is the text "scorer"; nothing else is kept with it."""
    path = tmp_path / "made" / "scorer.safetensors"
    path.parent.mkdir()
    path.write_text("scorer")
    number = register(connect().MlflowClient(), path, DIGEST)
    set_champion(number)
    return get_version(number)


def write_files(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_any_alias_and_any_model_can_be_named(
    mlflow: Any, champion: Version, tmp_path: Path
) -> None:
    client = mlflow.MlflowClient()
    client.set_registered_model_alias(MODEL, "of-the-radio", "1")
    client.create_registered_model("theirs of 2026")
    source = client.get_model_version(MODEL, "1").source
    client.create_model_version("theirs of 2026", source)
    client.set_registered_model_alias("theirs of 2026", "good", "1")
    assert resolve(f"models:/{MODEL}@of-the-radio") == champion
    assert resolve("models:/theirs of 2026/1").model == "theirs of 2026"
    for name in (CHAMPION, f"models:/{MODEL}@of-the-radio", "models:/theirs of 2026@good"):
        with scorer_file(name) as path:
            assert path.read_text() == "scorer"


@pytest.mark.parametrize("name", ["models:/twinear@other", "models:/nothing/1", "models:/twinear"])
def test_a_name_that_the_registry_lacks_is_one_line(champion: Version, name: str) -> None:
    with pytest.raises(DataError, match=f"^{name}: .*; run 'twinear promote'") as error:
        resolve(name)
    assert "\n" not in str(error.value)


def test_the_scorer_the_catalogue_and_the_reports_of_the_champion_are_brought(
    champion: Version, tmp_path: Path
) -> None:
    kept, here = tmp_path / "kept", tmp_path / "here"
    attach(champion, write_files(kept / "catalogue", facts="theirs"))
    attach(champion, write_files(kept / "reports", ranking="theirs"))
    attach(champion, write_files(kept / "catalogue", facts="another one, later"))
    scorer = write_files(here / "training", scorer="mine") / "scorer"
    catalogue = write_files(here / "catalogue", facts="mine", left="mine")
    reports = write_files(here / "reports", ranking="mine", decision="mine")
    check_out(champion, scorer, catalogue, reports)
    assert scorer.read_text() == "scorer"
    assert {each.name: each.read_text() for each in catalogue.iterdir()} == {"facts": "theirs"}
    assert {each.name: each.read_text() for each in reports.iterdir()} == {
        "ranking": "theirs",
        "decision": "mine",
    }
    with catalogue_folder(CHAMPION) as folder:
        assert (folder / "facts").read_text() == "theirs"
    assert not folder.exists()


def test_a_champion_without_its_catalogue_changes_nothing_here(
    champion: Version, tmp_path: Path
) -> None:
    attach(champion, write_files(tmp_path / "reports", ranking="theirs"))
    scorer = write_files(tmp_path / "training", scorer="mine") / "scorer"
    absent = pytest.raises(DataError, match="without its catalogue; run 'twinear promote'")
    with absent:
        check_out(champion, scorer, tmp_path / "catalogue", tmp_path / "mine")
    assert scorer.read_text() == "mine"
    assert not (tmp_path / "catalogue").exists()
    assert not (tmp_path / "mine").exists()
    with absent, catalogue_folder(CHAMPION):
        pass


def test_reports_that_another_run_of_the_same_scorer_logged_are_found(
    mlflow: Any, champion: Version, tmp_path: Path
) -> None:
    """Other params of the report make another run of the same scorer."""
    attach(champion, write_files(tmp_path / "catalogue", facts="theirs"))
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("twinear").experiment_id
    run = client.create_run(experiment, tags={"scorer": DIGEST}).info.run_id
    client.log_text(run, "theirs", "reports/ranking.json")
    check_out(champion, tmp_path / "scorer", tmp_path / "here", tmp_path / "reports")
    assert (tmp_path / "reports/ranking.json").read_text() == "theirs"
