"""Who is champion, by a real registry: decisions in order, two processes racing, going back."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from twinear.base.errors import DataError, TwinearError
from twinear.retraining.promotion import roll_back
from twinear.tracking.promotions import (
    Decision,
    Outcome,
    follow,
    read_decisions,
    read_succession,
    record,
    succeed,
)
from twinear.tracking.registry import CHAMPION, Version, get_version, scorer_file
from twinear.tracking.runs import MODEL, SCORER_TAG

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own
PROMOTE = """
import sys
from twinear.tracking.promotions import read_succession, record
from twinear.tracking.registry import get_version
version, last = get_version(int(sys.argv[1])), read_succession().last
print("ready", flush=True)
sys.stdin.readline()
print(record("promoted", version, last, "the race"))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry of three versions, each with a file of its own."""
    import mlflow

    folder = tmp_path_factory.mktemp("made")
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    client.create_registered_model(MODEL)
    experiment = client.create_experiment("twinear", artifact_location=(folder / "a").as_uri())
    for number in (1, 2, 3):
        source = folder / f"model-{number}"
        (source / "artifacts").mkdir(parents=True)
        (source / "artifacts/scorer.safetensors").write_text(f"scorer {number}")
        run = client.create_run(experiment).info.run_id
        tags = {SCORER_TAG: f"{number}" * 64}
        client.create_model_version(MODEL, source.as_uri(), run, tags=tags)
    return folder


@pytest.fixture
def registry(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that this test's processes use."""
    shutil.copy(made / "mlflow.db", tmp_path)
    monkeypatch.setenv("TWINEAR_TRACKING", "on")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    return tmp_path


def change(number: int, outcome: Outcome, follows: int, version: int) -> Decision:
    return Decision(
        number=number,
        outcome=outcome,
        follows=follows,
        version=version,
        scorer=f"{version}" * 64,
        held_out="",
        reason="",
    )


def test_of_two_changes_after_the_same_one_the_first_counts() -> None:
    found = succeed(
        [
            change(3, "promoted", 1, 7),
            change(1, "promoted", 0, 5),
            change(2, "promoted", 1, 6),
            change(4, "refused", 2, 8),
            change(5, "promoted", 2, 9),
        ]
    )
    assert [each.number for each in found.changes] == [1, 2, 5]
    assert found.champion is not None
    assert (found.champion.version, found.last) == (9, 5)


def test_rolling_back_goes_back_one_by_one() -> None:
    history = [change(n, "promoted", n - 1, n) for n in (1, 2, 3)]
    history += [change(4, "rolled back", 3, 2), change(5, "rolled back", 4, 1)]
    found = succeed(history)
    assert [each.version for each in found.champions] == [1]
    assert found.rolled_back == {"2" * 64, "3" * 64}


def promote(number: int) -> bool:
    return record("promoted", get_version(number), read_succession().last, "better")


def test_promotions_refusals_and_rollbacks_are_recorded_with_their_numbers(registry: Path) -> None:
    import mlflow

    assert promote(1)
    assert promote(2)
    numbers = {"difference": -0.2, "difference_low": -0.3}
    assert record("refused", get_version(3), read_succession().last, "worse", "ab", numbers)
    assert follow() == get_version(2)
    assert roll_back().champion == 1
    assert [each.outcome for each in read_decisions()] == [
        *("promoted", "promoted", "refused", "rolled back"),
    ]
    client = mlflow.MlflowClient()
    refusal = client.get_model_version("twinear-decisions", "3")
    assert refusal.tags["difference_low"] == "-0.3"
    assert refusal.description == "worse"
    run = client.get_run(get_version(3).run_id)
    assert run.data.tags["decision"] == "refused"
    assert run.data.metrics["promotion/difference"] == -0.2
    with scorer_file(CHAMPION) as path:
        assert path.read_text() == "scorer 1"
    with pytest.raises(DataError, match="no champion before this one"):
        roll_back()


def test_an_alias_that_was_left_behind_follows_the_decisions(registry: Path) -> None:
    import mlflow

    promote(1)
    promote(2)
    mlflow.MlflowClient().set_registered_model_alias(MODEL, "champion", "3")
    assert follow() == get_version(2)
    with scorer_file(CHAMPION) as path:
        assert path.read_text() == "scorer 2"


def test_two_promotions_at_once_do_not_both_win(registry: Path) -> None:
    promote(1)
    pipe = subprocess.PIPE
    racers = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PROMOTE, number],
            stdin=pipe,
            stdout=pipe,
            text=True,
            env=dict(os.environ),
        )
        for number in ("2", "3")
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = [racer.communicate()[0].strip() for racer in racers]
    assert sorted(won) == ["False", "True"]
    winner = 2 + won.index("True")
    assert follow() == get_version(winner)
    assert len(read_decisions()) == 3


def test_a_registry_without_champion_is_one_line(registry: Path) -> None:
    nobody = pytest.raises(DataError, match=r"there is no champion; run 'twinear promote'")
    with nobody, scorer_file(CHAMPION):
        pass
    with pytest.raises(DataError, match=r"twinear/9: .*version=9\) not found; run"):
        get_version(9)
    with pytest.raises(DataError, match=r"is empty; run 'twinear promote' first"):
        roll_back()


def test_champions_need_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINEAR_TRACKING", "off")
    with pytest.raises(TwinearError, match="is off; unset it"), scorer_file(CHAMPION):
        pass


def test_a_file_needs_no_registry(tmp_path: Path) -> None:
    with scorer_file(str(tmp_path / "a.safetensors")) as path:
        assert path == tmp_path / "a.safetensors"


def test_the_version_names_itself_as_the_command_line_takes_it() -> None:
    assert Version(number=3, scorer="", run_id="").uri == "models:/twinear/3"
