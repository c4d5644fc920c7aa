"""A small pipeline's results, a stand-in for DVC, and scorers to promote."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.conftest import PARAMS, ROOT
from tests.support.tuning import PLACES, sections, write_artifacts
from twinear.base.params import parse_params, read_params
from twinear.clips.clips import Clips
from twinear.compute.pool import Workers, choose_workers
from twinear.ranking.ranking import RankingParams
from twinear.retraining.acceptance import AcceptanceParams
from twinear.retraining.held_out import PipelineFolders
from twinear.retraining.promotion import Rules
from twinear.retraining.promotion_rule import PromotionParams
from twinear.retraining.retraining import RetrainingRequest
from twinear.retraining.subprocesses import ProgramResult
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split
from twinear.training.scorer_training import train_scorer
from twinear.training.training import TrainingParams

SPLITS = ["train"] * 20 + ["validation"] * 8 + ["test"] * 14
RULES = Rules(
    pooling="pairs",
    promotion=read_params("promotion", PromotionParams, PARAMS),
    ranking=read_params("ranking", RankingParams, PARAMS).model_copy(
        update={"n_bootstrap": 200, "n_chance": 50}
    ),
    sections={"training": {"seed": 1}},
)
WORKERS: Workers = choose_workers({})


def plant_pipeline(folder: Path) -> PipelineFolders:
    """What the stages leave of artists on a line; `data/truth.csv` has their places."""
    folders = PipelineFolders(data=folder / "data", artifacts=folder / "artifacts")
    write_artifacts(folders.artifacts, SPLITS)
    artists = Similarity.read(folders.artifacts / "similarity").artists
    listens = folders.artifacts / "listens"
    listens.mkdir()
    artists.to_csv(listens / "artists.csv", index=False)
    clips = Spectrograms.read(folders.artifacts / "spectrograms").clips
    names = [Path(file).stem for file in clips["file"]]
    table = clips.assign(title=names, seconds=30.0, sr=22050, channels=1, sha256=names)
    Clips(table=table).write(folders.artifacts / "clips.csv")
    folders.data.mkdir()
    (folders.data / "clips.csv").write_text("file,artist,mbid\n", encoding="utf-8")
    places = pd.DataFrame({"mbid": artists["artist"], "place": PLACES})
    places.to_csv(folders.data / "truth.csv", index=False)
    (folder / "reports").mkdir()
    for name in ("listens", "clips"):  # the real ones have the real keys
        shutil.copy(ROOT / "reports" / f"{name}.json", folder / "reports")
    return folders


def train(folders: PipelineFolders, into: Path | None = None, **changes: Any) -> Path:
    """Train a scorer on what was planted; where it was written."""
    path = into or folders.scorer
    path.parent.mkdir(parents=True, exist_ok=True)
    changes = {"epochs": 3, "learning_rate": 0.02} | changes
    scorer = train_scorer(
        Spectrograms.read(folders.artifacts / "spectrograms"),
        Similarity.read(folders.artifacts / "similarity"),
        Split.read(folders.split),
        parse_params("training", TrainingParams, sections(changes, {})["training"]).network_alone,
        path.with_suffix(".pt"),
    ).scorer
    scorer.write(path)
    return path


def shuffle_similarity(folders: PipelineFolders) -> None:
    """Give the similarity of each artist to another."""
    similarity = Similarity.read(folders.artifacts / "similarity")
    order = np.random.default_rng(2).permutation(len(similarity.artists))
    matrix = similarity.matrix[np.ix_(order, order)]
    Similarity(artists=similarity.artists, matrix=matrix).write(folders.artifacts / "similarity")


def request(folders: PipelineFolders, **changes: Any) -> RetrainingRequest:
    """What `twinear retrain` asks for."""
    options: dict[str, Any] = {
        "folders": folders,
        "reports": folders.data.parent / "reports",
        "rules": RULES,
        "acceptance": read_params("acceptance", AcceptanceParams, PARAMS),
        "workers": WORKERS,
        "accept_drift": False,
        "push": False,
    }
    return RetrainingRequest(**options | changes)


DIFF = """
| Path | Metric | HEAD | workspace | Change |
|------|--------|------|-----------|--------|
| reports/metrics.json | ndcg | 0.5 | 0.6 | 0.1 |
"""


@dataclass(kw_only=True)
class FakeDvc:
    """Runs a function where DVC would run the stages after `clips`; remembers the commands."""

    stages: Callable[[], Any] = lambda: None
    fails: dict[str, str] = field(default_factory=dict)  # command line -> error
    commands: list[str] = field(default_factory=list)

    def __call__(self, *words: str) -> ProgramResult:
        command = " ".join(words)
        self.commands.append(command)
        if command in self.fails:
            error = self.fails[command]
            return ProgramResult(status=1, output=f"error: {error}", errors=(error,))
        if command == "dvc repro --pull":
            self.stages()
        outputs = {"dvc metrics diff --md": DIFF, "dvc remote list": "here\tdvcstore"}
        return ProgramResult(status=0, output=outputs.get(command, ""), errors=())


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
