"""One trial: train on each split of its job and measure the ranking of the held-out artists.

Runs in a worker process; it does not know the search space or the sampler.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twinear.base.files import sha256
from twinear.base.params import parse_params
from twinear.catalogue.scoring import score_artists
from twinear.metrics.ranking_metrics import query_ndcg, rank_truth
from twinear.model.pooling import Pooling
from twinear.model.scorer import Scorer
from twinear.similarity.similarity import Similarity, dense
from twinear.spectrograms.spectrograms import Spectrograms, array_files
from twinear.split import Split
from twinear.training.batches import collect_examples
from twinear.training.checkpoint import Epoch
from twinear.training.scorer_training import train_scorer
from twinear.training.training import TrainingParams
from twinear.training.validation import NDCG_AT


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The artefacts of earlier stages that a trial reads."""

    spectrograms: Path
    similarity: Path
    split: Path

    def fingerprint(self) -> str:
        """Hash the content of every file."""
        files = (
            self.spectrograms / "clips.csv",
            *array_files(self.spectrograms),
            self.similarity / "artists.csv",
            Similarity.file(self.similarity),
            self.split,
        )
        return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class TrialSplit:
    """Artists (ids) to train on, to choose the epoch by, and to evaluate on as queries."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    queries: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Job:
    """A trial for a worker: the params section, the splits, and the stem of the checkpoints."""

    training: dict[str, Any]
    pooling: Pooling  # of the clips of two artists, `catalogue.pooling`
    splits: tuple[TrialSplit, ...]
    checkpoint: Path


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """An epoch of a split; `value` is the mean, over the splits so far, of their best NDCG@10."""

    split: int
    epoch: Epoch
    value: float


@dataclass(frozen=True, kw_only=True)
class SplitResult:
    """The best NDCG@10 on the validation artists of a split, and that of each of its queries.

    The candidates of a query are all other artists that were not trained on: the queries and the
    validation artists. NaN where the NDCG is not defined.
    """

    best: float
    queries: dict[str, float]
    scorer: str = ""  # the SHA-256 of its file, had it been written


def evaluate(
    job: Job, clips: Spectrograms, similarity: Similarity, on_epoch: Callable[[EpochReport], None]
) -> list[SplitResult]:
    """Train and evaluate every split; the errors of params that cannot be trained pass through."""
    params = parse_params("training", TrainingParams, job.training)
    # the network is tuned; the refit would train on the validation artists, candidates here
    params = params.network_alone.model_copy(update={"refit": False})
    results: list[SplitResult] = []
    for number, split in enumerate(job.splits):
        values = [*(result.best for result in results), -np.inf]

        def report(epoch: Epoch, values: list[float] = values) -> None:
            values[-1] = max(values[-1], epoch.validation_ndcg)
            value = float(np.mean(values))
            on_epoch(EpochReport(split=len(values) - 1, epoch=epoch, value=value))

        trained = train_scorer(
            clips,
            similarity,
            Split.from_ids(similarity.artists, train=split.train, validation=split.validation),
            params,
            checkpoint_path(job.checkpoint, number),
            report,
            pooling=job.pooling,
        )
        assert trained.best is not None  # noqa: S101
        best = trained.best.validation_ndcg
        queries = query_scores(trained.scorer, split, clips, similarity, job.pooling)
        results.append(SplitResult(best=best, queries=queries, scorer=trained.scorer.digest))
    return results


def checkpoint_path(stem: Path, split: int) -> Path:
    """Name the checkpoint of a split.

    Examples
    --------
    >>> checkpoint_path(Path("trial-7"), 2).name
    'trial-7.2.pt'
    """
    return stem.with_name(f"{stem.name}.{split}.pt")


def query_scores(
    scorer: Scorer,
    split: TrialSplit,
    clips: Spectrograms,
    similarity: Similarity,
    pooling: Pooling = "pairs",
) -> dict[str, float]:
    """Compute the NDCG@10 of each query of a split among all artists not trained on."""
    if not split.queries:
        return {}
    artists = list(dict.fromkeys([*split.queries, *split.validation]))  # queries come first
    examples = collect_examples(scorer.for_front_end(clips), similarity, artists, [])
    inputs = examples.clip_inputs
    embeddings = scorer.encode_many(inputs.values, inputs.joined, statistics=inputs.statistics)
    scores = score_artists(scorer, embeddings, examples.artist_index, pooling)
    n_queries = len(split.queries)
    candidates = ~np.eye(len(artists), dtype=np.bool_)[:n_queries]
    generator = np.random.default_rng(0)  # ties are broken alike for every trial
    truth = rank_truth(dense(examples.similarity[:n_queries]), candidates, NDCG_AT, generator)
    ndcg = query_ndcg(truth, scores[:n_queries], NDCG_AT, generator)
    return dict(zip(split.queries, ndcg.tolist(), strict=True))
