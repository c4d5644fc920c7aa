"""A study without any training: what is drawn, what survives, what is pruned; and its splits."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.tuning import BINDING, DEFAULTS, SPACE, open_study, project, value_of, work
from twinear.base.errors import DataError, TwinearError
from twinear.split import Split
from twinear.tuning.splits import held_out_queries, objective_splits, validation_queries
from twinear.tuning.study import Study


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
        study.end(again.number, "complete", value=value_of(again))
        rest = work(study, 3)
        assert [each.number for each in study.ended] == [0, 1, 2, 3, 5, 6, 7, 8]
    assert [*first, cut.values, *rest] == whole


def test_a_trial_of_a_living_search_is_left_alone(tmp_path: Path) -> None:
    with open_study(tmp_path) as study, open_study(tmp_path) as other:
        first, second = study.ask(), other.ask()
        assert first.number != second.number
        assert other.counted == 2
        with pytest.raises(TwinearError, match="is being searched by another process"):
            open_study(tmp_path, restart=True)


def test_a_study_of_another_space_or_data_is_refused_and_can_be_forgotten(tmp_path: Path) -> None:
    with open_study(tmp_path) as study:
        work(study, 2)
        with pytest.raises(TwinearError, match=r"another data; use --study NAME.*--restart"):
            study.open({**BINDING, "data": "c"}, DEFAULTS, restart=False)
    with open_study(tmp_path, restart=True) as study:
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


def test_no_split_holds_a_test_artist_and_folds_cover_all_others(tmp_path: Path) -> None:
    split = Split.read(project(tmp_path).folder / "artifacts/split.csv")
    test = set(split.members("test"))
    rest = set(split.members("train") + split.members("validation"))
    folds, (pipeline,) = (objective_splits(split, name, 3) for name in ("folds", "validation"))
    assert validation_queries(split) == replace(pipeline, queries=pipeline.validation)
    for made in (*folds, pipeline, *held_out_queries(split, 3)):
        artists = [*made.train, *made.validation, *made.queries]
        assert not test & set(artists)
        assert len(set(artists)) == len(artists)
    assert sorted(artist for fold in folds for artist in fold.validation) == sorted(rest)


def test_queries_that_chose_nothing_are_each_training_artist_once(tmp_path: Path) -> None:
    split = Split.read(project(tmp_path).folder / "artifacts/split.csv")
    queries = [artist for fold in held_out_queries(split, 3) for artist in fold.queries]
    assert sorted(queries) == sorted(split.members("train"))


def test_folds_of_too_few_artists_are_refused(tmp_path: Path) -> None:
    split = Split.read(project(tmp_path).folder / "artifacts/split.csv")
    with pytest.raises(DataError, match=r"expected 3 or more; lower split\.n_folds"):
        objective_splits(split, "folds", 20)
