"""A tiny project to search in: artists on a line, whose clips hum at their artist's place."""

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
from twinear.tuning.tune import Request

SPLITS = ["train"] * 24 + ["validation"] * 12 + ["test"] * 6
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
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(PARAMS)
    found["training"]["model"] |= {"channels": 8, "dense_units": 8, "statistics_units": 16}
    found["training"] |= SMALL | training
    found["ranking"] |= {"n_bootstrap": 50}
    found["split"] |= {"n_folds": 3}
    found["tuning"] |= QUICK | tuning
    return found


def project(folder: Path, training: dict[str, Any] | None = None, **tuning: Any) -> Project:
    """A folder with params.yaml and what the stages before training would have written."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(sections(training or {}, tuning), file)
    write_artifacts(folder / "artifacts")
    return Project(folder=folder)


def write_artifacts(folder: Path) -> None:
    rng = np.random.default_rng(0)
    ids = [f"artist-{n:02d}" for n in range(len(SPLITS))]
    place = rng.uniform(0, 1, len(ids))
    artist_index = np.repeat(np.arange(len(ids)), 2)
    hum = np.exp(-(((place[artist_index][:, None] - np.linspace(0, 1, 12)) / 0.1) ** 2))
    values = hum[:, :, None] * rng.uniform(0.5, 1, (len(artist_index), 12, 24))
    clips = pd.DataFrame({"file": [f"clips/{n}.mp3" for n in range(len(artist_index))]})
    clips["artist"] = clips["name"] = [ids[each] for each in artist_index]
    covariance = np.repeat(np.eye(20, dtype=np.float32)[None], len(artist_index), axis=0)
    Spectrograms(
        clips=clips,
        values=values.astype(np.float16),
        mfcc_mean=np.zeros((len(artist_index), 20), np.float32),
        mfcc_cov=covariance,
        front=read_params("spectrograms", SpectrogramsParams, PARAMS).model_copy(
            update={"n_mels": 12, "n_frames": 24}
        ),
        joined=np.zeros((len(artist_index), 0), np.float32),
    ).write(folder / "spectrograms")
    artists = pd.DataFrame({"artist": ids, "name": ids, "mbid": "", "listeners": 9, "plays": 9})
    similarity = np.exp(-np.abs(place[:, None] - place) / 0.2).astype(np.float32)
    Similarity(artists=artists, matrix=similarity).write(folder / "similarity")
    split = pd.DataFrame({"artist": ids, "name": ids, "split": SPLITS})
    split.to_csv(folder / "split.csv", index=False)


def request(made: Project, **changes: Any) -> Request:
    """What the command line would ask for in that folder."""
    folder = made.folder
    asked: dict[str, Any] = {
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
    return Request(**asked | changes)
