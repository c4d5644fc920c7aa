"""params.yaml is read strictly: what is wrong names itself and the likely meaning."""

from pathlib import Path

import pytest

from tests.conftest import PARAMS
from twinear.base.errors import ParamsError, TwinearError
from twinear.base.params import SECTIONS, read_params, read_sections
from twinear.ranking.ranking import RankingParams
from twinear.training.training import TrainingParams


def edited(folder: Path, old: str, new: str) -> Path:
    text = PARAMS.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path = folder / "params.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_the_projects_params_hold_every_section() -> None:
    assert tuple(read_sections(PARAMS)) == SECTIONS


def test_a_number_in_scientific_notation_is_a_number() -> None:
    assert read_params("training", TrainingParams, PARAMS).learning_rate == 3e-3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    conv_depth: 3", "    conv_dept: 3", r"model\.conv_dept.*did you mean 'conv_depth'"),
        ("  patience:", "  patienc:", r"training\.patienc: unknown key; did you mean 'patience'"),
        ("\ntraining:", "\ntrainin:", "trainin: unknown section; did you mean 'training'"),
        ("  learning_rate: 3e-3", "  learning_rate: fast", "found 'fast', expected a valid number"),
        ("  learning_rate: 3e-3", "  learning_rate: -1", "found -1, expected greater than 0"),
        ("    kernel_size: 3", "    kernel_size: 3.5", "found 3.5, expected a valid integer"),
        ("    kernel_size: 3", "    kernel_size: true", "found True, expected a valid integer"),
        ("  precision: float32", "  precision: float16", "found 'float16'"),
        (
            "    max_pool: [4, 2]",
            "    max_pool: [4, 0]",
            r"max_pool\.1: found 0, expected greater than 0",
        ),
        ("training:\n  model:", "training:\n  model: [", "is not YAML"),
    ],
)
def test_what_is_wrong_names_itself(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = edited(tmp_path, old, new)
    with pytest.raises(ParamsError, match=message):
        read_params("training", TrainingParams, path)


BOMB = "training:\n  a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"  {key}: &{key} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, key in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [BOMB, "training: " + "[" * 30 + "]" * 30, "training: &a [*a]"],
    ids=["wide", "deep", "loop"],
)
def test_yaml_made_to_take_all_memory_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError, match=r"nested too deeply or too large, expected at most 20"):
        read_sections(path)


def test_a_few_aliases_are_values_like_others(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("training: {seed: &seed 1}\nranking: {seed: *seed}\n")
    assert read_sections(path)["ranking"] == {"seed": 1}


def test_too_few_resamples_for_an_interval_are_refused(tmp_path: Path) -> None:
    path = edited(tmp_path, "n_bootstrap: 2000", "n_bootstrap: 99")
    with pytest.raises(ParamsError, match=r"n_bootstrap: found 99, expected .* 100"):
        read_params("ranking", RankingParams, path)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("training:\n  epochs: 3\n")
    with pytest.raises(ParamsError, match=r"training\.model: .*missing"):
        read_params("training", TrainingParams, path)


def test_a_missing_section_is_named(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("listens: {}\n")
    with pytest.raises(ParamsError, match=r"params\.yaml: .*'training'"):
        read_params("training", TrainingParams, path)


@pytest.mark.parametrize("text", ["", "[1, 2]"])
def test_a_file_without_sections_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(TwinearError, match=r"params\.yaml: .*(empty|list)"):
        read_sections(path)
