"""One trial: train on each part of the data, and say how well it ranks who was left out.

Runs in a worker process; it knows neither what is searched nor why.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twinear.base.files import sha256
from twinear.base.params import parse_params
from twinear.catalogue.catalogue import score_artists
from twinear.metrics.ranking_metrics import Bools, Floats, query_ndcg, rank_truth
from twinear.model.scorer import Scorer
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split
from twinear.training.batches import collect_examples
from twinear.training.checkpoint import Epoch
from twinear.training.scorer_training import train_scorer
from twinear.training.training import TrainingParams
from twinear.training.validation import NDCG_AT


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where the stages left what a trial reads."""

    spectrograms: Path
    similarity: Path
    split: Path

    def fingerprint(self) -> str:
        """A hash of all of it."""
        files = (
            self.spectrograms / "clips.csv",
            self.spectrograms / "spectrograms.npy",
            self.similarity / "artists.csv",
            self.similarity / "similarity.npy",
            self.split,
        )
        return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """What the trials of a process share."""

    spectrograms: Spectrograms
    similarity: Similarity

    @classmethod
    def read(cls, sources: Sources) -> "Data":
        """Read it, the spectrograms as they are used."""
        return cls(
            spectrograms=Spectrograms.read(sources.spectrograms),
            similarity=Similarity.read(sources.similarity),
        )


@dataclass(frozen=True, kw_only=True)
class Part:
    """Artists (ids) to learn from, to choose the epoch by, and to be judged on as queries."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    queries: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Job:
    """A trial for a worker: the section it needs, its parts, and the stem of its checkpoints."""

    training: dict[str, Any]
    parts: tuple[Part, ...]
    checkpoint: Path


@dataclass(frozen=True, kw_only=True)
class Step:
    """An epoch of a part; `value` is the mean over the parts so far of their best NDCG."""

    part: int
    record: Epoch
    value: float


@dataclass(frozen=True, kw_only=True)
class Judged:
    """How a part ended: its best NDCG on validation, and that of each of its queries.

    The candidates of a query are all others that the training did not hear: the queries and the
    validation artists. NaN where it is not defined.
    """

    best: float
    queries: dict[str, float]


def evaluate(job: Job, data: Data, on_step: Callable[[Step], None]) -> list[Judged]:
    """Train and judge every part.

    Raises
    ------
    ParamsError, TrainingError, MemoryError
        These params cannot be trained.
    """
    params = parse_params("training", TrainingParams, job.training)
    judged: list[Judged] = []
    for number, part in enumerate(job.parts):
        before = [each.best for each in judged]
        judged.append(_evaluate_part(job, part, number, params, data, _steps(before, on_step)))
    return judged


def _steps(before: list[float], on_step: Callable[[Step], None]) -> Callable[[Epoch], None]:
    best = -np.inf

    def report(record: Epoch) -> None:
        nonlocal best
        best = max(best, record.validation_ndcg)
        value = float(np.mean([*before, best]))
        on_step(Step(part=len(before), record=record, value=value))

    return report


def _evaluate_part(
    job: Job,
    part: Part,
    number: int,
    params: TrainingParams,
    data: Data,
    on_epoch: Callable[[Epoch], None],
) -> Judged:
    # what is judged must not have been trained on the validation artists
    params = params.model_copy(update={"refit": False})
    everyone = data.similarity.artists
    trained = train_scorer(
        data.spectrograms,
        data.similarity,
        Split.from_ids(everyone, train=part.train, validation=part.validation),
        params,
        checkpoint_of(job.checkpoint, number),
        on_epoch,
    )
    queries = judge_queries(trained.scorer, part, data)
    return Judged(best=trained.fit.best.validation_ndcg, queries=queries)


def checkpoint_of(stem: Path, part: int) -> Path:
    """The checkpoint of a part."""
    return stem.with_name(f"{stem.name}.{part}.pt")


def judge_queries(scorer: Scorer, part: Part, data: Data) -> dict[str, float]:
    """The NDCG@10 of each query of a part among all that the training did not hear."""
    if not part.queries:
        return {}
    artists = list(dict.fromkeys([*part.queries, *part.validation]))
    examples = collect_examples(data.spectrograms, data.similarity, artists, [])
    embeddings = scorer.encode(examples.clip_inputs.values, examples.clip_inputs.joined)
    scores = score_artists(scorer, embeddings, examples.artist_index)
    found = _ndcg(examples.similarity, scores, len(part.queries))
    return dict(zip(part.queries, found.tolist(), strict=True))


def _ndcg(similarity: np.ndarray, scores: np.ndarray, n_queries: int) -> Floats:
    """Of the first rows of two tables (artists, artists): (queries,); ties the same each time."""
    candidates: Bools = ~np.eye(len(similarity), dtype=np.bool_)[:n_queries]
    generator = np.random.default_rng(0)
    truth = rank_truth(similarity[:n_queries], candidates, NDCG_AT, generator)
    return query_ndcg(truth, scores[:n_queries], NDCG_AT, generator)
