"""The search: what may be tried, what is drawn, what survives a kill, what is reported."""

import csv
import json
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from tqdm import tqdm

from tests.conftest import PARAMS, Project
from tests.support.tuning import QUICK, WIDE, project, request
from twinear.base.errors import DataError, ParamsError, TrainingError, TwinearError
from twinear.base.params import read_params, read_sections
from twinear.metrics.bootstrap import Interval
from twinear.split import Split
from twinear.training.training import TrainingParams
from twinear.tuning.confirmation import Comparison
from twinear.tuning.evaluation import Job, Part, Step
from twinear.tuning.params_patch import difference, with_values
from twinear.tuning.space import Choices, Range, Space, TuningParams, changed, read_space
from twinear.tuning.splits import parts_of, unheard_queries
from twinear.tuning.study import Study, Trial
from twinear.tuning.summary import Summary, format_summary
from twinear.tuning.tune import read_tuning, tune
from twinear.tuning.worker_pool import Crew, Ended, Failed, Stopped

TRAINING = read_sections(PARAMS)["training"]
SILENT = partial(tqdm, disable=True)


def read(space: dict[str, Any]) -> Space:
    return read_space(space, TRAINING, TrainingParams, Path("params.yaml"))


def run(made: Project, **changes: Any) -> Summary:
    asked = request(made, **changes)
    return tune(asked, read_tuning(asked.params), SILENT)


def trials(made: Project) -> list[dict[str, str]]:
    with (made.folder / "reports/tuning/trials.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


# The space


def test_names_are_whole_or_relative_and_numbers_are_as_the_param_is() -> None:
    found = read(
        {
            "training.model.conv_depth": [2, 3, 4],
            "model.max_pool": [[4, 2], [2, 2]],
            "epochs": {"low": 5, "high": 50, "log": False},
            "learning_rate": {"low": 1, "high": 2, "log": True},
        }
    )
    assert found == {
        "training.model.conv_depth": Choices(values=(2, 3, 4)),
        "training.model.max_pool": Choices(values=([4, 2], [2, 2])),
        "training.epochs": Range(low=5, high=50, log=False),
        "training.learning_rate": Range(low=1.0, high=2.0, log=True),
    }
    whole = {name: values.whole for name, values in found.items() if isinstance(values, Range)}
    assert whole == {"training.epochs": True, "training.learning_rate": False}


BOUNDS = {"low": 1, "high": 2, "log": False}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, r"tuning\.space: is empty, expected names of params"),
        ({"model.conv_dept": [2]}, r"conv_dept: unknown key; did you mean 'conv_depth'"),
        ({"training.epoch": [2]}, r"tuning\.space\.training\.epoch: unknown key; did you mean"),
        ({"spectrograms.n_mels": [64]}, r"n_mels: is not of training, which alone is run anew; na"),
        ({"seed": [1, 2]}, r"tuning\.space\.seed: is luck, not a choice; take it out"),
        ({"epochs": [2], "training.epochs": [3]}, r"training\.epochs: is there twice"),
        ({"epochs": []}, r"tuning\.space\.epochs: has no choices, expected one or more"),
        ({"epochs": [3, 3]}, r"found \[3, 3\], expected each choice once"),
        ({"epochs": 3}, r"found 3, expected a list of choices or {low"),
        ({"model": [{"conv_depth": 3}]}, "expected names of single params"),
        ({"epochs": {**BOUNDS, "low": 9}}, r"epochs: .*expected low up to high, not 9 down to 2"),
        ({"epochs": {**BOUNDS, "low": 0, "log": True}}, "a low above 0 where log is true, not 0"),
        ({"epochs": {"low": 1, "high": 2}}, r"tuning\.space\.epochs\.log: is missing"),
        ({"epochs": {**BOUNDS, "hihg": 3}}, r"hihg: unknown key; did you mean 'high'"),
        ({"learning_rate": [1e-3, -1]}, r"learning_rate: found -1, expected greater than 0"),
        ({"epochs": {**BOUNDS, "low": 0}}, r"training\.epochs: found 0, expected greater than 0"),
        ({"epochs": [2.5]}, r"training\.epochs: found 2\.5, expected a valid integer"),
        ({"precision": ["float16"]}, r"precision: found 'float16', expected 'float32'"),
        ({"model.max_pool": [4, 2]}, r"training\.model\.pool: found 4, expected a valid array"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(space: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        read(space)


def test_the_projects_own_space_can_be_searched() -> None:
    tuning = read_params("tuning", TuningParams, PARAMS)
    assert "training.learning_rate" in read(tuning.space)
    assert TRAINING["seed"] not in tuning.confirm_seeds


def test_a_changed_section_leaves_the_old_one_alone() -> None:
    new = changed(TRAINING, {"training.model.conv_depth": 9, "training.epochs": 1})
    assert (new["model"]["conv_depth"], new["epochs"]) == (9, 1)
    assert TRAINING["model"]["conv_depth"] != 9


# The change of params.yaml


def test_only_values_change_and_comments_stay() -> None:
    old = PARAMS.read_text(encoding="utf-8")
    values = {
        "training.model.conv_depth": 7,
        "training.model.max_pool": [2, 2, 2],
        "training.learning_rate": 0.01234,
        "training.precision": "bfloat16",
        "training.epochs": TRAINING["epochs"],
    }
    new = with_values(old, values, PARAMS)
    before, after = old.splitlines(), new.splitlines()
    assert len(before) == len(after)
    differ = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(differ) == 4
    assert all(a.split("#")[1:] == b.split("#")[1:] for a, b in differ)
    assert [b.split("#")[0].strip() for _, b in differ] == [
        "conv_depth: 7", "max_pool: [2, 2, 2]", "learning_rate: 0.01234", "precision: bfloat16",
    ]  # fmt: skip
    assert difference(old, new, PARAMS).count("\n+") == 4 + 1


def test_equal_values_change_not_a_byte() -> None:
    old = PARAMS.read_text(encoding="utf-8")
    assert with_values(old, {"training.learning_rate": TRAINING["learning_rate"]}, PARAMS) == old
    assert difference(old, old, PARAMS) == ""


# Who is in which part


def test_no_part_holds_a_test_artist_and_folds_cover_all_others(tmp_path: Path) -> None:
    split = Split.read(project(tmp_path).folder / "artifacts/split.csv")
    test, rest = (
        set(split.members("test")),
        set(split.members("train") + split.members("validation")),
    )
    folds = parts_of(split, "folds", 3)
    for part in (*folds, *parts_of(split, "validation", 3), *unheard_queries(split, 3)):
        artists = [*part.train, *part.validation, *part.queries]
        assert not test & set(artists)
        assert len(set(artists)) == len(artists)
    assert sorted(each for part in folds for each in part.validation) == sorted(rest)


def test_queries_that_chose_nothing_are_each_training_artist_once(tmp_path: Path) -> None:
    split = Split.read(project(tmp_path).folder / "artifacts/split.csv")
    queries = [each for part in unheard_queries(split, 3) for each in part.queries]
    assert sorted(queries) == sorted(split.members("train"))


def test_folds_of_too_few_artists_are_refused(tmp_path: Path) -> None:
    split = Split.read(project(tmp_path).folder / "artifacts/split.csv")
    with pytest.raises(DataError, match=r"expected 3 or more; lower pairs\.n_folds"):
        parts_of(split, "folds", 20)


# The study, without training anything

SPACE: Space = {
    "training.learning_rate": Range(low=1e-4, high=1e-1, log=True),
    "training.model.max_pool": Choices(values=([4, 2], [2], None)),
    "training.epochs": Range(low=1, high=9, log=False),
}
DEFAULTS = {"training.learning_rate": 1e-3, "training.model.max_pool": [2], "training.epochs": 3}
BINDING = {"space": "a", "data": "b"}


def tuning_params(**changes: Any) -> TuningParams:
    params = read_params("tuning", TuningParams, PARAMS)
    return params.model_copy(update=QUICK | changes)


def open_study(folder: Path, *, anew: bool = False, **changes: Any) -> Study:
    study = Study(str(folder / "journal.log"), "test", SPACE, tuning_params(**changes), folder)
    study.open(BINDING, DEFAULTS, anew=anew)
    return study


def worth(trial: Trial) -> float:
    return float(-abs(trial.values["training.learning_rate"] - 0.01))


def work(study: Study, n: int) -> list[dict[str, Any]]:
    """Run `n` trials; what they tried."""
    tried = []
    for _ in range(n):
        trial = study.ask()
        study.end(trial.number, "complete", value=worth(trial))
        tried.append(trial.values)
    return tried


def test_the_defaults_are_tried_first_and_draws_stay_in_the_space(tmp_path: Path) -> None:
    with open_study(tmp_path) as study:
        tried = work(study, 12)
    assert tried[0] == DEFAULTS
    assert all(SPACE[name].holds(value) for each in tried for name, value in each.items())
    assert len({json.dumps(each) for each in tried}) > 6


def test_the_same_seed_draws_the_same_trials_and_another_seed_others(tmp_path: Path) -> None:
    def tried(name: str, **changes: Any) -> list[dict[str, Any]]:
        with open_study(tmp_path / name, **changes) as study:
            return work(study, 8)

    assert tried("a") == tried("b")
    assert tried("a2", seed=2) != tried("b2")


def test_a_search_left_in_the_middle_draws_what_it_would_have_drawn(tmp_path: Path) -> None:
    with open_study(tmp_path / "whole") as study:
        whole = work(study, 8)
    with open_study(tmp_path / "cut") as study:
        first = work(study, 4)
        cut = study.ask()
    with open_study(tmp_path / "cut") as study:
        assert study.counted == 4
        again = study.ask()
        assert again.values == cut.values
        assert (again.number, again.origin) == (5, 4)
        study.end(again.number, "complete", value=worth(again))
        rest = work(study, 3)
        assert [each.number for each in study.ended] == [0, 1, 2, 3, 5, 6, 7, 8]
    assert [*first, cut.values, *rest] == whole


def test_a_trial_of_a_living_search_is_left_alone(tmp_path: Path) -> None:
    with open_study(tmp_path) as study, open_study(tmp_path) as other:
        first, second = study.ask(), other.ask()
        assert first.number != second.number
        assert other.counted == 2
        with pytest.raises(TwinearError, match="is being searched by another process; stop"):
            open_study(tmp_path, anew=True)


def test_a_study_of_another_space_or_data_is_refused_and_can_be_forgotten(tmp_path: Path) -> None:
    with open_study(tmp_path) as study:
        work(study, 2)
        with pytest.raises(TwinearError, match=r"another data; use --study NAME.*--restart"):
            study.open({**BINDING, "data": "c"}, DEFAULTS, anew=False)
    with open_study(tmp_path, anew=True) as study:
        assert study.ended == []


def test_a_failed_trial_is_recorded_counted_and_not_the_end(tmp_path: Path) -> None:
    with open_study(tmp_path) as study:
        study.end(study.ask().number, "failed", reason="the loss is nan")
        work(study, 1)
        assert study.counted == 2
        failed, complete = study.ended
    assert (failed.state, failed.reason, failed.value) == ("failed", "the loss is nan", None)
    assert complete.state == "complete"


def test_a_trial_below_the_median_of_those_before_is_pruned(tmp_path: Path) -> None:
    def go_on(study: Study, value: float) -> list[bool]:
        number = study.ask().number
        asked = [study.report(number, {"epoch": each}, value) for each in (1, 2, 3)]
        study.end(
            number, "complete" if all(asked) else "pruned", value=value if all(asked) else None
        )
        return asked

    with open_study(tmp_path, startup_trials=2, warmup_epochs=2) as study:
        assert go_on(study, 0.5) == go_on(study, 0.1) == [True, True, True]
        assert go_on(study, 0.2) == [True, True, False]
        assert go_on(study, 0.6) == [True, True, True]
        assert [each.state for each in study.ended] == [
            "complete",
            "complete",
            "pruned",
            "complete",
        ]
        assert study.ended[2].curve == [{"epoch": 1}, {"epoch": 2}, {"epoch": 3}]
    with open_study(tmp_path / "none", pruner="none") as study:
        assert go_on(study, 0.5) == go_on(study, 0.6) == go_on(study, 0.1) == [True, True, True]


# The workers


def job(made: Project, **training: Any) -> Job:
    params = read_sections(made.folder / "params.yaml")
    (part,) = parts_of(Split.read(made.folder / "artifacts/split.csv"), "validation", 3)
    return Job(
        training=params["training"] | training,
        parts=(part, Part(train=part.train, validation=part.validation, queries=part.train[:3])),
        checkpoint=made.folder / "checkpoints/a",
    )


def news(crew: Crew, answer: bool = True) -> Any:
    """Let a trial go on, or not, until it ended."""
    steps: list[Step] = []
    while True:
        for key, each in crew.news(60):
            if not isinstance(each, Step):
                return each, steps
            steps.append(each)
            crew.answer(key, go_on=answer)


def workers_of(process: psutil.Process) -> set[psutil.Process]:
    """The workers, which are children of a server that is its child."""
    return set(process.children(recursive=True)) - set(process.children())


def test_workers_tell_epochs_results_failures_and_survive_a_killed_process(tmp_path: Path) -> None:
    made = project(tmp_path)
    with Crew(1, request(made).sources) as crew:
        crew.give("a", job(made, epochs=2))
        ended, steps = news(crew)
        assert isinstance(ended, Ended)
        assert [(each.part, each.record.epoch) for each in steps] == [
            (0, 1),
            (0, 2),
            (1, 1),
            (1, 2),
        ]
        assert steps[-1].value == pytest.approx(sum(each.best for each in ended.judged) / 2)
        assert [len(each.queries) for each in ended.judged] == [0, 3]
        crew.give("b", job(made, learning_rate=1e30))
        failed, _ = news(crew)
        assert failed == Failed(reason=failed.reason)
        assert "the loss is nan" in failed.reason
        crew.give("c", job(made))
        stopped, steps = news(crew, answer=False)
        assert (stopped, len(steps)) == (Stopped(), 1)
        crew.give("d", job(made, epochs=500, patience=500))
        (worker,) = workers_of(psutil.Process())
        worker.kill()
        killed, _ = news(crew)
        assert isinstance(killed, Failed)
        assert "its process was killed" in killed.reason
        assert crew.running == []


# The whole


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Summary]:
    """A search with a failure, compared with the defaults by two fresh seeds, applied."""
    made = project(
        tmp_path_factory.mktemp("searched"),
        space={"learning_rate": [1e-3, 3e-2, 1e-1, 1e30], "model.conv_depth": [1, 2, 3]},
        trials=9,
        workers=2,
        confirm_seeds=[101, 102],
        pruner="none",
    )
    return made, run(made, apply=True)


def test_the_best_is_reported_with_every_trial_and_its_reason(
    searched: tuple[Project, Summary],
) -> None:
    made, summary = searched
    rows = trials(made)
    assert len(rows) == 9
    assert {each["state"] for each in rows} == {"complete", "failed"}
    assert all("the loss is nan" in each["reason"] for each in rows if each["state"] == "failed")
    best = max(float(each["ndcg@10"]) for each in rows if each["state"] == "complete")
    assert summary.best.value == best
    written = json.loads((made.folder / "reports/tuning/summary.json").read_text())
    assert written == json.loads(json.dumps(summary.as_json()))
    assert written["best"]["ndcg@10"] == best
    assert sum(written["importances"].values()) == pytest.approx(1)


def test_the_winner_is_compared_with_the_defaults_on_both_kinds_of_queries(
    searched: tuple[Project, Summary],
) -> None:
    _, summary = searched
    assert summary.confirmation is not None
    same, unheard = summary.confirmation.comparisons
    assert (same.queries, same.n_queries) == ("validation", 12)
    assert unheard.queries == "unheard"
    for each in (same, unheard):
        apart = each.winner.value - each.defaults.value
        assert each.difference.value == pytest.approx(apart)
        assert each.difference.low <= each.difference.value <= each.difference.high
        assert list(each.by_seed) == [101, 102]
    text = format_summary(summary)
    assert "validation artists of the split, which also chose the winner" in text
    assert "training artists left out of this training, which chose nothing" in text


def test_apply_writes_the_best_values_and_nothing_else(searched: tuple[Project, Summary]) -> None:
    made, summary = searched
    training = read_sections(made.folder / "params.yaml")["training"]
    assert changed(training, summary.best.values) == training
    assert summary.applied
    assert summary.diff.count("\n+") <= 1 + len(summary.best.values)


def test_pictures_and_a_page_without_network_are_written(searched: tuple[Project, Summary]) -> None:
    reports = searched[0].folder / "reports/tuning"
    shown = (reports / "summary.md").read_text(encoding="utf-8")
    for name in ("history.png", "importances.png", "parallel.png"):
        assert (reports / name).read_bytes().startswith(b"\x89PNG")
        assert f"]({name})" in shown
    page = (reports / "study.html").read_text(encoding="utf-8")
    assert page.count("plotly-graph-div") == 3
    assert not re.search(r"<(script|link)[^>]+(src|href)=", page)


def test_no_checkpoint_is_left_behind(searched: tuple[Project, Summary]) -> None:
    assert list((searched[0].folder / "artifacts/tuning/checkpoints").rglob("*.*")) == []


def test_where_no_trial_can_be_trained_the_reason_is_said(tmp_path: Path) -> None:
    made = project(tmp_path, {"learning_rate": 1e30}, space={"learning_rate": [1e30]}, trials=1)
    with pytest.raises(TrainingError, match=r"no trial was completed \(training: epoch 1: the lo"):
        run(made)


def test_the_mean_over_folds_is_searched_and_the_time_limit_puts_trials_back(
    tmp_path: Path,
) -> None:
    made = project(tmp_path, objective="folds", trials=2)
    asked = request(made)
    with pytest.raises(TrainingError, match=r"the time was over\); run it again, with more --min"):
        tune(asked, read_tuning(asked.params, minutes=0.005), SILENT)
    summary = run(made)
    assert summary.complete
    assert [each.number for each in summary.trials] == [1, 2]  # the first was put back
    one = summary.trials[0]
    assert {each["part"] for each in one.curve} == {0, 1, 2}
    best = [max(e["validation_ndcg"] for e in one.curve if e["part"] == n) for n in range(3)]
    assert one.value == pytest.approx(sum(best) / 3)


# The command


def start(made: Project, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from twinear.cli.main import main; main()", "tune", *options],
        cwd=made.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_trial(made: Project, number: int) -> None:
    """Wait until a trial has told an epoch."""
    journal = made.folder / "artifacts/tuning/journal.log"
    end = time.monotonic() + 180  # a busy machine
    while time.monotonic() < end:
        lines = journal.read_text().splitlines() if journal.exists() else []
        reports = [json.loads(each) for each in lines if '"intermediate_value"' in each]
        if any(each["trial_id"] == number and each["step"] == 2 for each in reports):
            return
        time.sleep(0.02)
    raise AssertionError(journal.read_text())


LONG = {"epochs": 12, "patience": 12}


def test_a_search_killed_or_interrupted_goes_on_to_the_same_trials(tmp_path: Path) -> None:
    whole = project(tmp_path / "whole", LONG, **WIDE)
    first = run(whole)
    cut = project(tmp_path / "cut", LONG, **WIDE)
    process = start(cut)
    wait_for_trial(cut, 1)
    workers = workers_of(psutil.Process(process.pid))
    assert len(workers) == 1
    process.send_signal(signal.SIGKILL)
    process.communicate()
    _, alive = psutil.wait_procs(list(workers), timeout=20)
    assert alive == []
    process = start(cut)
    wait_for_trial(cut, 3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted; the same command goes on"
    process = start(cut, "--json")
    out, said = process.communicate()
    assert process.returncode == 0, said
    assert json.loads(out)["trials"] == first.counts
    tried = {name for row in trials(cut) for name in row if name.startswith("training.")}
    found = [{each: row[each] for each in [*tried, "ndcg@10"]} for row in trials(cut)]
    assert found == [{each: row[each] for each in [*tried, "ndcg@10"]} for row in trials(whole)]
    assert "trials: 100%" in said


def test_a_bad_space_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    made = project(tmp_path, space={"model.conv_dept": [1, 2]})
    with pytest.raises(ParamsError, match="did you mean 'conv_depth'"):
        run(made)
    assert not (made.folder / "artifacts/tuning").exists()


def test_seeds_of_the_search_are_not_fresh(tmp_path: Path) -> None:
    made = project(tmp_path, confirm_seeds=[5, 1])
    with pytest.raises(ParamsError, match=r"confirm_seeds: holds 1, the seed of the search"):
        run(made)


def test_a_difference_is_told_only_where_its_interval_excludes_zero() -> None:
    def verdict(low: float, high: float) -> str:
        some = Interval(value=0.5, low=0.4, high=0.6)
        apart = Interval(value=(low + high) / 2, low=low, high=high)
        return Comparison(
            queries="validation",
            n_queries=9,
            winner=some,
            defaults=some,
            difference=apart,
            by_seed={},
        ).verdict

    assert verdict(0.01, 0.2) == "better"
    assert verdict(-0.01, 0.2) == "not told apart"
    assert verdict(-0.2, -0.01) == "worse"
