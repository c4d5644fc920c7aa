"""A challenger and a champion in a real registry, on a small pipeline."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.retraining import RULES, WORKERS, read_json, train
from tests.support.tracking import register
from tests.support.tuning import PLACES
from twinear.base.errors import DataError
from twinear.base.files import sha256
from twinear.model.scorer import Scorer
from twinear.retraining.held_out import PipelineFolders
from twinear.retraining.promotion import Promotion, promote, roll_back
from twinear.split import Split
from twinear.tracking.connection import connect
from twinear.tracking.promotions import read_decisions, read_succession, record
from twinear.tracking.registry import get_champion, get_version
from twinear.tracking.runs import MODEL

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own


@pytest.fixture(scope="module")
def weak(trained: PipelineFolders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scorer that has learned next to nothing."""
    path = tmp_path_factory.mktemp("weak") / "scorer.safetensors"
    return train(trained, path, epochs=1, learning_rate=1e-6)


@pytest.fixture
def make_champion(mlflow: Any, tmp_path: Path) -> Any:
    """Make a file champion as if it had been promoted, whatever it is."""

    def make(scorer: Path) -> int:
        path = tmp_path / scorer.name
        path.write_bytes(scorer.read_bytes())
        uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
        mlflow.set_tracking_uri(uri)
        number = register(mlflow.MlflowClient(uri), path, sha256(path))
        assert record("promoted", get_version(number), read_succession().last, "for the test")
        return number

    return make


def described(number: int) -> str:
    """What the registry says of a version."""
    client = connect().MlflowClient()
    return str(client.get_model_version(MODEL, str(number)).description)


def challenge(
    folders: PipelineFolders, scorer: Path | None = None, *, again: bool = False
) -> Promotion:
    return promote(str(scorer or folders.scorer), folders, RULES, WORKERS, again=again)


def test_a_better_challenger_is_registered_promoted_and_then_kept(
    mlflow: Any, make_champion: Any, trained: PipelineFolders, weak: Path, tmp_path: Path
) -> None:
    make_champion(weak)
    promotion = challenge(trained)
    assert promotion.outcome == "promoted"
    assert promotion.numbers["challenger"] > promotion.numbers["champion"]
    assert promotion.numbers["trained_on"] == 0
    assert {check.name for check in promotion.checks} == {
        *("symmetry", "chance on shuffled labels", "planted truth"),
    }
    champion = get_champion()
    assert champion is not None
    assert champion.scorer == sha256(trained.scorer)
    assert promotion.champion == champion.number
    run = mlflow.get_run(champion.run_id)
    assert run.data.tags["decision"] == "promoted"
    assert run.data.metrics["promotion/difference_lower"] > 0
    assert [file.path for file in mlflow.MlflowClient().list_artifacts(champion.run_id)] == [
        "split.csv"
    ]
    promotion.write(tmp_path / "champion.json")
    assert read_json(tmp_path / "champion.json")["outcome"] == "promoted"
    assert challenge(trained).outcome == "kept"
    assert len(read_decisions()) == 2


def test_a_worse_challenger_is_refused_and_one_rolled_back_needs_to_be_forgiven(
    make_champion: Any, trained: PipelineFolders, weak: Path
) -> None:
    challenge(trained)
    refused = challenge(trained, weak)
    assert refused.outcome == "refused"
    assert "on the same queries" in refused.reason
    assert not refused.stands
    assert f"**refused**, {refused.reason}" in described(refused.version or 0)
    make_champion(weak)
    assert roll_back().reason == "version 3 was rolled back"
    returning = challenge(trained, weak)
    assert returning.outcome == "refused"
    assert "--again" in returning.reason
    assert "--again" not in challenge(trained, weak, again=True).reason


def test_a_scorer_that_gives_no_numbers_is_refused_and_not_registered(
    mlflow: Any, trained: PipelineFolders, weak: Path, tmp_path: Path
) -> None:
    path, scorer = tmp_path / "nan.safetensors", Scorer.read(weak)
    bias = np.full_like(scorer.weights["head.bias"], np.nan)
    replace(scorer, weights={**scorer.weights, "head.bias": bias}).write(path)
    refused = challenge(trained, path)
    assert (refused.outcome, refused.version, refused.champion) == ("refused", None, None)
    assert "head.bias are not all finite" in refused.reason
    assert not mlflow.MlflowClient().search_model_versions(f"name = '{MODEL}'")
    refused.write(tmp_path / "champion.json")
    assert read_json(tmp_path / "champion.json")["outcome"] == "refused"


def test_nothing_is_registered_before_the_checks_have_run(
    mlflow: Any, trained: PipelineFolders, weak: Path, tmp_path: Path
) -> None:
    without = replace(trained, artifacts=tmp_path / "nothing")
    with pytest.raises(DataError, match="nothing"):
        challenge(without, weak)
    assert not mlflow.MlflowClient().search_model_versions(f"name = '{MODEL}'")
    assert not mlflow.search_runs(experiment_names=["twinear"], output_format="list")


def test_a_file_of_elsewhere_is_recorded_with_what_it_says_of_itself(
    mlflow: Any, trained: PipelineFolders, weak: Path, tmp_path: Path
) -> None:
    path = tmp_path / "theirs.safetensors"
    theirs = replace(Scorer.read(weak), training={"seed": 7, "epochs": 1})
    theirs.write(path)
    run = mlflow.get_run(get_version(challenge(trained, path).version or 0).run_id)
    assert run.data.params["training.seed"] == "7"  # today's is 1, as RULES say
    assert run.data.params["spectrograms.n_mels"] == str(theirs.spectrograms.n_mels)
    assert run.data.params["training.model.channels"] == "8"
    assert (run.data.tags["kind"], run.data.tags["commit"]) == ("imported", "unknown")
    assert run.data.tags["data"] == "unknown"


def test_the_catalogue_of_a_champion_is_kept_with_it(
    mlflow: Any, trained: PipelineFolders, tmp_path: Path
) -> None:
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir()
    for path in trained.artifacts.iterdir():
        (artifacts / path.name).symlink_to(path)
    folders = replace(trained, artifacts=artifacts)
    promoted = challenge(folders)
    folders.catalogue.mkdir()
    (folders.catalogue / "scorer.safetensors").write_text("another scorer")
    assert challenge(folders).outcome == "kept"
    client = mlflow.MlflowClient()
    run = get_version(promoted.version or 0).run_id
    assert client.list_artifacts(run, "catalogue") == []
    shutil.copy(folders.scorer, folders.catalogue)
    assert challenge(folders).outcome == "kept"
    (kept,) = client.list_artifacts(run, "catalogue")
    assert kept.path == "catalogue/scorer.safetensors"


def test_queries_that_a_training_has_seen_are_excluded_or_counted(
    mlflow: Any, trained: PipelineFolders, tmp_path: Path
) -> None:
    challenge(trained)
    moved = Split.read(trained.split).artists
    tested = moved.index[moved["split"] == "test"]
    moved.loc[tested[:7], "split"], moved.loc[moved.index[:7], "split"] = "train", "test"
    present = replace(trained, artifacts=tmp_path / "artifacts")
    present.artifacts.mkdir()
    for path in trained.artifacts.iterdir():
        (present.artifacts / path.name).symlink_to(path)
    present.split.unlink()
    Split(artists=moved).write(present.split)
    other = train(trained, tmp_path / "other.safetensors", learning_rate=0.03)

    def refused(min_queries: int) -> Promotion:
        # nothing passes the check of the planted truth, so that the champion stays
        strict = {"min_queries": min_queries, "min_planted": 1.0}
        rules = replace(RULES, promotion=RULES.promotion.model_copy(update=strict))
        return promote(str(other), present, rules, WORKERS)

    # 7 of the present 14 queries were in the champion's training
    counted, excluded = refused(min_queries=8), refused(min_queries=7)
    assert (counted.numbers["trained_on"], counted.numbers["queries"]) == (7, 14)
    assert "7 queries were in a training" in counted.reason
    assert (excluded.numbers["trained_on"], excluded.numbers["queries"]) == (0, 7)


def test_a_scorer_that_fails_a_check_is_refused_whatever_it_ranks(
    mlflow: Any, trained: PipelineFolders, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    styles = pd.read_csv(trained.data / "truth.csv")
    styles.assign(place=PLACES[::-1]).to_csv(data / "truth.csv", index=False)
    promotion = challenge(replace(trained, data=data))
    assert promotion.outcome == "refused"
    assert promotion.reason.startswith("planted truth: correlation")
    assert "(failed); no champion to compare with, better than chance" in promotion.reason
    assert get_champion() is None


def test_a_champion_of_an_older_version_is_replaced_by_one_that_beats_chance_and_named(
    make_champion: Any, trained: PipelineFolders, tmp_path: Path
) -> None:
    old = tmp_path / "old.safetensors"
    old.write_bytes(b"a format of before")
    number = make_champion(old)
    promotion = challenge(trained)
    assert promotion.outcome == "promoted"
    assert f"the champion models:/twinear/{number} cannot be read" in promotion.reason
    assert "no champion to compare with, better than chance" in promotion.reason
    assert "\n" not in promotion.reason
    assert "champion" not in promotion.numbers
    with pytest.raises(DataError, match=rf"^models:/twinear/{number}: .*'dvc repro training'"):
        roll_back()


def test_a_challenger_that_is_not_a_scorer_is_one_line(
    mlflow: Any, trained: PipelineFolders, tmp_path: Path
) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"a format of before")
    refused = challenge(trained, path)
    assert (refused.outcome, refused.version) == ("refused", None)
    assert "other.safetensors: is not a scorer" in refused.reason
    assert "\n" not in refused.reason
    assert read_decisions() == []
