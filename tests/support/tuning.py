"""A tiny project to search in: artists on a line, whose clips hum at their artist's place."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from tests.conftest import PARAMS, Project
from twinear.base.params import read_params
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.tuning.evaluation import Sources
from twinear.tuning.space import Choices, NumberRange, Space, TuningParams
from twinear.tuning.study import Study, Trial
from twinear.tuning.tune import TuningRequest

SPLITS = ["train"] * 24 + ["validation"] * 12 + ["test"] * 6
IDS = [f"artist-{n:02d}" for n in range(len(SPLITS))]
PLACES = np.random.default_rng(0).uniform(0, 1, len(IDS))  # of the artists on their line
SMALL = {
    "epochs": 3,
    "patience": 3,
    "batch_artists": 8,
    "device": "cpu",
    "threads": 1,
    "refit": False,
    "selection_window": 1,
}
QUICK = {
    "space": {"learning_rate": {"low": 1e-3, "high": 1e-1, "log": True}},
    "trials": 3,
    "startup_trials": 2,
    "warmup_epochs": 0,
    "confirm_seeds": [],
}
WIDE = {"space": {"model.conv_depth": [1, 2], **QUICK["space"]}}  # type: ignore[dict-item]


def sections(training: dict[str, Any], tuning: dict[str, Any]) -> dict[str, Any]:
    """All of the project's params.yaml, with a small net and a quick search."""
    params: dict[str, Any] = YAML(typ="safe", pure=True).load(PARAMS)
    params["training"]["model"] |= {"channels": 8, "dense_units": 8, "statistics_units": 16}
    params["training"] |= SMALL | training
    params["ranking"] |= {"n_bootstrap": 100}
    params["split"] |= {"n_folds": 3}
    params["tuning"] |= QUICK | tuning
    return params


def project(folder: Path, training: dict[str, Any] | None = None, **tuning: Any) -> Project:
    """A folder with params.yaml and what the stages before training would have written."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(sections(training or {}, tuning), file)
    write_artifacts(folder / "artifacts")
    return Project(folder=folder)


def write_artifacts(folder: Path, splits: Sequence[str] = SPLITS) -> None:
    """Write similarity, spectrograms of two clips an artist, and split."""
    rng = np.random.default_rng(0)
    artist_index = np.repeat(np.arange(len(IDS)), 2)
    hum = np.exp(-(((PLACES[artist_index][:, None] - np.linspace(0, 1, 12)) / 0.1) ** 2))
    values = hum[:, :, None] * rng.uniform(0.5, 1, (len(artist_index), 12, 24))
    clips = pd.DataFrame({"file": [f"clips/{n}.mp3" for n in range(len(artist_index))]})
    clips["artist"] = clips["name"] = [IDS[row] for row in artist_index]
    clips["title"], clips["source"], clips["seconds"] = "", "", 1.0
    covariance = np.repeat(np.eye(20, dtype=np.float32)[None], len(artist_index), axis=0)
    Spectrograms(
        clips=clips,
        values=values.astype(np.float16),
        mfcc_mean=np.zeros((len(artist_index), 20), np.float32),
        mfcc_cov=covariance,
        front=read_params("spectrograms", SpectrogramsParams, PARAMS).model_copy(
            update={"n_mels": 12, "n_frames": 24, "embeddings": "none"}
        ),
        joined=np.zeros((len(artist_index), 0), np.float32),
    ).write(folder / "spectrograms")
    artists = pd.DataFrame({"artist": IDS, "name": IDS, "mbid": "", "listeners": 9, "plays": 9})
    similarity = np.exp(-np.abs(PLACES[:, None] - PLACES) / 0.2).astype(np.float32)
    Similarity(artists=artists, matrix=similarity).write(folder / "similarity")
    split = pd.DataFrame({"artist": IDS, "name": IDS, "split": splits})
    split.to_csv(folder / "split.csv", index=False)


def request(project: Project, **changes: Any) -> TuningRequest:
    """What `twinear tune` asks for in that folder."""
    folder = project.folder
    options: dict[str, Any] = {
        "params": folder / "params.yaml",
        "sources": Sources(
            spectrograms=folder / "artifacts/spectrograms",
            similarity=folder / "artifacts/similarity",
            split=folder / "artifacts/split.csv",
        ),
        "study": "test",
        "storage": str(folder / "artifacts/tuning/journal.log"),
        "folder": folder / "artifacts/tuning",
        "reports": folder / "reports/tuning",
        "restart": False,
        "apply": False,
    }
    return TuningRequest(**options | changes)


SPACE: Space = {
    "training.learning_rate": NumberRange(low=1e-4, high=1e-1, log=True),
    "training.model.max_pool": Choices(values=([4, 2], [2], None)),
    "training.epochs": NumberRange(low=1, high=9, log=False),
}
DEFAULTS = {"training.learning_rate": 1e-3, "training.model.max_pool": [2], "training.epochs": 3}
BINDING = {"space": "a", "data": "b"}


def tuning_params(**changes: Any) -> TuningParams:
    params = read_params("tuning", TuningParams, PARAMS)
    return params.model_copy(update=QUICK | changes)


def open_study(folder: Path, *, restart: bool = False, **changes: Any) -> Study:
    study = Study(str(folder / "journal.log"), "test", SPACE, tuning_params(**changes), folder)
    study.open(BINDING, DEFAULTS, restart=restart)
    return study


def value_of(trial: Trial) -> float:
    return float(-abs(trial.values["training.learning_rate"] - 0.01))


def work(study: Study, n: int) -> list[dict[str, Any]]:
    """Run `n` trials; the values they tried."""
    tried = []
    for _ in range(n):
        trial = study.ask()
        study.end(trial.number, "complete", value=value_of(trial))
        tried.append(trial.values)
    return tried
