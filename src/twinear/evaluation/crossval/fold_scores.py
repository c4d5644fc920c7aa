"""One fold, one seed: train without the queries, score the queries, keep the scores.

The scores are kept in one file with a fingerprint of all that decides them: artefacts, params, the
artists of each part, and the code. A file with the same fingerprint is used instead of training, so
that a run that was stopped continues.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from twinear import catalogue, model, spectrograms, training
from twinear.base.arrays import NOT_ARRAYS
from twinear.base.files import code_digest, replacing
from twinear.catalogue.building import score_catalogue
from twinear.catalogue.collaborative import TrainingArtists
from twinear.catalogue.listener_factors import add_listener_factors
from twinear.catalogue.other_listens import ScoresBeforeListens, scores_before_listens
from twinear.catalogue.params import CatalogueParams
from twinear.evaluation.crossval.folds import Fold, select_part
from twinear.evaluation.dataset import ArtefactFolders, EvaluationData
from twinear.metrics.ranking_metrics import Floats
from twinear.ranking.ranking import CATALOGUE, SIAMESE
from twinear.split import Split
from twinear.training.checkpoint import Epoch
from twinear.training.keeping import KeepDecision
from twinear.training.scorer_training import train_scorer
from twinear.training.training import TrainingParams

TRAINED = (CATALOGUE, SIAMESE)
BEFORE = "before_listens_"  # before the names of its arrays
DECISION = TypeAdapter(KeepDecision)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A training to run: everything it depends on, small enough to send to another process."""

    fold: Fold
    folders: ArtefactFolders
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
        digest.update(code_digest(model, spectrograms, training, catalogue).encode())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class FoldScores:
    """The scores of the queries of one training."""

    queries: list[str]  # ids
    artists: list[str]  # ids
    scores: dict[str, Floats]  # `TRAINED` -> (queries, artists); NaN for artists that take no part
    history: list[Epoch]
    decision: KeepDecision  # which scorer was kept
    # of the catalogue, (queries, artists that take part); None if no listens enter
    before_listens: ScoresBeforeListens | None = None
    scorer: str = ""  # the SHA-256 of its file, had it been written

    def write(self, path: Path, fingerprint: str) -> None:
        """Write one .npz, whole or not at all."""
        arrays: dict[str, Any] = {
            "queries": np.array(self.queries),
            "artists": np.array(self.artists),
            "history": np.array(json.dumps([asdict(each) for each in self.history])),
            "fingerprint": np.array(fingerprint),
            "scorer": np.array(self.scorer),
            "decision": np.array(DECISION.dump_json(self.decision)),
        }
        if self.before_listens is not None:
            arrays |= {f"{BEFORE}{name}": each for name, each in vars(self.before_listens).items()}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **(arrays | self.scores))

    @staticmethod
    def read(path: Path, fingerprint: str) -> "FoldScores | None":
        """Read what `write` wrote; None if it is missing or has another fingerprint."""
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
                    before_listens=_read_before_listens(arrays),
                    scorer=str(arrays["scorer"]),
                    decision=DECISION.validate_json(bytes(arrays["decision"])),
                )
        except NOT_ARRAYS:
            return None  # a damaged file is ignored and written again


def _read_before_listens(arrays: Mapping[str, Any]) -> ScoresBeforeListens | None:
    if f"{BEFORE}known" not in arrays:
        return None
    return ScoresBeforeListens(
        known=[str(each) for each in arrays[f"{BEFORE}known"]],
        totals=arrays[f"{BEFORE}totals"],
        queries=arrays[f"{BEFORE}queries"],
        candidates=arrays[f"{BEFORE}candidates"],
        weight=float(arrays[f"{BEFORE}weight"]),
        n_neighbours=int(arrays[f"{BEFORE}n_neighbours"]),
    )


def score_fold(task: Task, on_epoch: Callable[[Epoch], None] = lambda epoch: None) -> FoldScores:
    """Train without the queries and the artists left out, then score the queries.

    A training that was stopped is resumed from its checkpoint, which is removed when the scores are
    written.
    """
    data, fold = EvaluationData.read(task.folders), task.fold
    present = select_part(data, fold)
    all_artists = data.similarity.artists
    checkpoint = task.path.with_suffix(".pt")
    trained = train_scorer(
        present.spectrograms,
        data.similarity,
        Split.from_ids(all_artists, train=fold.train, validation=fold.validation),
        task.training,
        checkpoint,
        on_epoch,
        data.listens if task.training.listener_factors else None,
        task.catalogue.pooling,
    )
    # The refit has seen the validation artists: where they are the queries, take the scorer before.
    scorer = trained.before_refit if fold.evaluates_validation else trained.scorer
    split = Split.from_ids(all_artists, train=fold.with_listens)
    with_listens = TrainingArtists.from_split(data.similarity, split)
    if task.catalogue.collaborative_denoised and data.listens is not None:
        with_listens = add_listener_factors(with_listens, data.listens, split)
    catalogue = score_catalogue(present.spectrograms, scorer, task.catalogue, with_listens)
    rows = catalogue.rows(fold.queries)
    artists = data.artists.ids
    inside = np.isin(artists, present.artists.ids)
    columns = catalogue.rows(present.artists.ids)
    tables = {}
    for name, score in ((CATALOGUE, catalogue.scores), (SIAMESE, catalogue.siamese)):
        tables[name] = np.full((len(rows), len(artists)), np.nan)
        tables[name][:, inside] = score(rows, columns)
    result = FoldScores(
        queries=list(fold.queries),
        artists=artists,
        scores=tables,
        history=trained.history,
        before_listens=scores_before_listens(
            catalogue, list(catalogue.table["artist"]), rows, columns
        ),
        scorer=scorer.digest,
        decision=trained.decision,
    )
    result.write(task.path, task.fingerprint)
    checkpoint.unlink(missing_ok=True)
    return result
