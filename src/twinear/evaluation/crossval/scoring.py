"""One fold, one seed: train on the others' clips and listens, score the queries, keep the scores.

What is kept stands in one file beside a fingerprint of all that decides it: artefacts, params, who
is in which part, and the code. A file of the same fingerprint is taken as it is, so that a run that
was stopped goes on where it was.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from twinear import catalogue, model, training
from twinear.base.files import code_digest, replacing
from twinear.catalogue.catalogue import CatalogueParams, build_catalogue
from twinear.catalogue.collaborative import TrainingArtists
from twinear.evaluation.crossval.folds import Fold
from twinear.evaluation.dataset import Folders, Material
from twinear.metrics.ranking_metrics import Floats
from twinear.ranking.systems import form_lineup
from twinear.split import Split
from twinear.training.checkpoint import Epoch
from twinear.training.scorer_training import train_scorer
from twinear.training.training import TrainingParams

TRAINED = ("catalogue", "siamese")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A training to be done: everything it depends on, small enough to hand to a process."""

    fold: Fold
    folders: Folders
    digest: str  # of the folders
    training: TrainingParams
    catalogue: CatalogueParams
    path: Path  # of the scores

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides the scores."""
        digest = hashlib.sha256(self.digest.encode())
        for params in (self.training, self.catalogue):
            digest.update(params.model_dump_json().encode())
        digest.update(json.dumps(asdict(self.fold)).encode())
        digest.update(code_digest(model, training, catalogue).encode())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class FoldScores:
    """What one training says of its queries.

    Attributes
    ----------
    queries, artists
        Ids.
    scores
        `TRAINED` -> (queries, artists), float64; NaN for artists that take no part.
    history
        The epochs of the training.
    """

    queries: list[str]
    artists: list[str]
    scores: dict[str, Floats]
    history: list[Epoch]

    def write(self, path: Path, fingerprint: str) -> None:
        """Write one .npz, whole or not at all."""
        arrays: dict[str, Any] = {
            "queries": np.array(self.queries),
            "artists": np.array(self.artists),
            "history": np.array(json.dumps([asdict(each) for each in self.history])),
            "fingerprint": np.array(fingerprint),
        }
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **(arrays | self.scores))

    @staticmethod
    def read(path: Path, fingerprint: str) -> "FoldScores | None":
        """Read what `write` wrote with that fingerprint; None if it is not there or another's."""
        if not path.exists():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                if str(arrays["fingerprint"]) != fingerprint:
                    return None
                return FoldScores(
                    queries=[str(each) for each in arrays["queries"]],
                    artists=[str(each) for each in arrays["artists"]],
                    scores={name: arrays[name] for name in TRAINED},
                    history=[Epoch(**each) for each in json.loads(str(arrays["history"]))],
                )
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile):
            return None  # a damaged file is no file: it is made again


def score_fold(task: Task, on_epoch: Callable[[Epoch], None] = lambda epoch: None) -> FoldScores:
    """Train without the queries and those left out, then score the queries against the others.

    A training that was stopped is resumed from its checkpoint, which stands beside the scores until
    they are written.
    """
    material, fold = Material.read(task.folders), task.fold
    everyone = material.similarity.artists
    checkpoint = task.path.with_suffix(".pt")
    trained = train_scorer(
        material.spectrograms,
        material.similarity,
        Split.from_ids(everyone, train=fold.train, validation=fold.validation),
        task.training,
        checkpoint,
        on_epoch,
    )
    scorer = trained.before_refit if fold.judges_validation else trained.scorer
    listened = TrainingArtists.from_split(
        material.similarity, Split.from_ids(everyone, train=fold.listened)
    )
    present = material.without(fold.left_out)
    catalogue = build_catalogue(present.spectrograms, scorer, task.catalogue, listened)
    artists = list(form_lineup(material.spectrograms, material.similarity).artists["artist"])
    found = FoldScores(
        queries=list(fold.queries),
        artists=artists,
        scores={
            "catalogue": _table(catalogue.artists, catalogue.scores, fold, artists),
            "siamese": _table(catalogue.artists, catalogue.siamese, fold, artists),
        },
        history=trained.fit.history,
    )
    found.write(task.path, task.fingerprint)
    checkpoint.unlink(missing_ok=True)
    return found


def _table(known: pd.DataFrame, scores: Floats, fold: Fold, artists: list[str]) -> Floats:
    """The scores of the queries against `artists`, NaN for those not among the `known`."""
    row = {artist: at for at, artist in enumerate(known["artist"])}
    inside = [at for at, artist in enumerate(artists) if artist in row]
    columns = [row[artists[at]] for at in inside]
    table = np.full((len(fold.queries), len(artists)), np.nan)
    table[:, inside] = scores[np.ix_([row[each] for each in fold.queries], columns)]
    return table
