"""The champion of a real registry: decisions in order, two promotions at once, going back."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tests.support.scorers import small_scorer
from tests.support.tracking import copy_database, register, write_database
from twinear.base.errors import DataError, TwinearError
from twinear.retraining.promotion import roll_back
from twinear.tracking.promotions import (
    Decision,
    Outcome,
    follow,
    read_decisions,
    read_succession,
    record,
    replay,
)
from twinear.tracking.registry import CHAMPION, get_version, scorer_file
from twinear.tracking.runs import MODEL

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own
DIGESTS = {number: f"{number}" * 64 for number in (1, 2, 3)}


@pytest.fixture(scope="module")
def scorers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database of three registered scorers, the second of an unknown format."""
    import mlflow

    folder = tmp_path_factory.mktemp("scorers")
    client = mlflow.MlflowClient(write_database(folder))
    for number, digest in DIGESTS.items():
        path = folder / "scorer.safetensors"
        path.write_bytes(b"of another time")
        if number != 2:
            small_scorer(seed=number).write(path)
        register(client, path, digest)
    return folder


@pytest.fixture
def registry(scorers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that this test uses."""
    copy_database(scorers / "mlflow.db", tmp_path / "mlflow.db")
    monkeypatch.setenv("TWINEAR_TRACKING", "on")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    return tmp_path


def scorer_of(scorers: Path, number: int) -> bytes:
    folder = scorers / f"registered-{DIGESTS[number][:8]}/artifacts"
    return (folder / "scorer.safetensors").read_bytes()


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
    found = replay(
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
    found = replay(history)
    assert [each.version for each in found.champions] == [1]
    assert found.rolled_back == {"2" * 64, "3" * 64}


def promote(number: int) -> bool:
    return record("promoted", get_version(number), read_succession().last, "better")


def test_promotions_refusals_and_rollbacks_are_recorded_with_their_numbers(
    scorers: Path, registry: Path
) -> None:
    import mlflow

    assert promote(1)
    assert promote(3)
    numbers = {"difference": -0.2, "difference_low": -0.3}
    assert record("refused", get_version(2), read_succession().last, "worse", "ab", numbers)
    assert follow() == get_version(3)
    assert roll_back().champion == 1
    assert [each.outcome for each in read_decisions()] == [
        *("promoted", "promoted", "refused", "rolled back"),
    ]
    client = mlflow.MlflowClient()
    refusal = client.get_model_version("twinear-decisions", "3")
    assert refusal.tags["difference_low"] == "-0.3"
    assert refusal.description == "worse"
    run = client.get_run(get_version(2).run_id)
    assert run.data.tags["decision"] == "refused"
    assert run.data.metrics["promotion/difference"] == -0.2
    with scorer_file(CHAMPION) as path:
        assert path.read_bytes() == scorer_of(scorers, 1)
    with pytest.raises(DataError, match="no champion before this one"):
        roll_back()


def test_an_alias_that_was_left_behind_follows_the_decisions(scorers: Path, registry: Path) -> None:
    import mlflow

    promote(1)
    promote(2)
    mlflow.MlflowClient().set_registered_model_alias(MODEL, "champion", "3")
    assert follow() == get_version(2)
    with scorer_file(CHAMPION) as path:
        assert path.read_bytes() == scorer_of(scorers, 2)


def test_two_promotions_at_once_do_not_both_win(registry: Path) -> None:
    promote(1)
    both_have_read = Barrier(2)

    def race(number: int) -> bool:
        version, last = get_version(number), read_succession().last
        both_have_read.wait()
        return record("promoted", version, last, "the race")

    with ThreadPoolExecutor(2) as racers:
        won = dict(zip((2, 3), racers.map(race, (2, 3)), strict=True))
    assert sorted(won.values()) == [False, True]
    (champion,) = [number for number, counts in won.items() if counts]
    assert follow() == get_version(champion)
    assert len(read_decisions()) == 3


def test_a_champion_that_cannot_be_read_is_named_and_not_returned_to(registry: Path) -> None:
    promote(2)
    promote(3)
    with pytest.raises(DataError, match=r"^models:/twinear/2: .*scorer.*'dvc repro training'"):
        roll_back()
    assert follow() == get_version(3)
    assert len(read_decisions()) == 2


def test_a_registry_without_champion_is_one_line(registry: Path) -> None:
    absent = pytest.raises(DataError, match=r"there is no champion; run 'twinear promote'")
    with absent, scorer_file(CHAMPION):
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
