"""The held-out artists on which scorers are compared: queries, truth, clips.

Queries are the test artists of the present split. An artist that a scorer was trained or selected
on is not a fair query: such artists are excluded if enough queries remain, and counted if not.
With `split.method: folds` artists never change sides, so that none is lost.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from twinear.base.errors import DataError
from twinear.catalogue.scoring import score_artists
from twinear.clips.clips import Clips
from twinear.compute.pool import Workers
from twinear.encoders.sources import find_embeddings
from twinear.metrics.ranking_metrics import Floats, Truth, others, query_ndcg
from twinear.model.pooling import Pooling
from twinear.model.scorer import Scorer, frames_fit
from twinear.ranking.ranking import RankingParams, build_truth, find_rows
from twinear.similarity.similarity import Similarity, dense
from twinear.spectrograms.computation import compute_spectrograms
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split

NDCG_AT = 10


@dataclass(frozen=True, kw_only=True)
class PipelineFolders:
    """The folders of the pipeline that a promotion reads."""

    data: Path
    artifacts: Path

    @property
    def split(self) -> Path:
        """The present split."""
        return self.artifacts / "split.csv"

    @property
    def scorer(self) -> Path:
        """The scorer that training wrote last."""
        return self.artifacts / "training" / "scorer.safetensors"

    @property
    def catalogue(self) -> Path:
        """The catalogue of the scorer that it was built with."""
        return self.artifacts / "catalogue"


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Some artists, their similarity, and their clips."""

    artists: list[str]  # ids; each is a query and a candidate of the others
    truth: Floats  # (artists, artists), similarity
    clips: Clips
    spectrograms: Spectrograms  # of the same clips, by the front end of the present params
    pooling: Pooling = "pairs"  # of the clips of two artists

    @property
    def digest(self) -> str:
        """SHA-256 of queries, truth and clips: the same digest is the same test."""
        digest = hashlib.sha256("\n".join(self.artists).encode())
        digest.update(np.ascontiguousarray(self.truth).data)
        table = self.clips.table
        digest.update("\n".join(table["artist"] + " " + table["sha256"]).encode())
        return digest.hexdigest()

    @property
    def artist_index(self) -> np.ndarray:
        """The row of each clip's artist, (clips,)."""
        rows = {artist: row for row, artist in enumerate(self.artists)}
        return np.array([rows[artist] for artist in self.clips.table["artist"]], dtype=np.int64)

    def exclude(self, artists: Collection[str], min_queries: int) -> "HeldOut":
        """Leave some artists out, unless fewer than `min_queries` would remain."""
        rows = [row for row, artist in enumerate(self.artists) if artist not in artists]
        if len(rows) < max(min_queries, 2):
            return self
        remaining = [self.artists[row] for row in rows]
        clip_rows = np.flatnonzero(self.clips.table["artist"].isin(remaining))
        return HeldOut(
            artists=remaining,
            truth=self.truth[np.ix_(rows, rows)],
            clips=Clips(table=self.clips.table.iloc[clip_rows].reset_index(drop=True)),
            spectrograms=self.spectrograms.select(clip_rows),
            pooling=self.pooling,
        )

    def encode(self, scorer: Scorer, data: Path, workers: Workers) -> np.ndarray:
        """Embed every clip with the scorer's own front end, (clips, dense_units)."""
        front, extractor = scorer.spectrograms, scorer.inputs.extractor
        present = self.spectrograms.for_front_end(front)
        same = present.front == front and present.extractor == extractor
        if same and frames_fit(present, scorer.model):
            return scorer.encode_spectrograms(present)
        embeddings = find_embeddings(self.clips, data, front, extractor)
        computed = compute_spectrograms(self.clips, data, front, iter, workers, embeddings)
        return scorer.encode_spectrograms(computed)

    def score(self, scorer: Scorer, embeddings: np.ndarray) -> Floats:
        """Score every artist with every other, (artists, artists)."""
        scores = score_artists(scorer, embeddings, self.artist_index, self.pooling)
        return np.asarray(scores, dtype=np.float64)


def read_held_out(folders: PipelineFolders, pooling: Pooling = "pairs") -> HeldOut:
    """Read the test artists of the pipeline's present split, with their clips."""
    artists = Split.read(folders.split).members("test")
    similarity = Similarity.read(folders.artifacts / "similarity")
    spectrograms = Spectrograms.read(folders.artifacts / "spectrograms")
    rows = find_rows(similarity.artists, artists, "similarity")
    table = Clips.read(folders.artifacts / "clips.csv").table
    clip_rows = np.flatnonzero(table["artist"].isin(artists))
    if list(table["file"]) != list(spectrograms.clips["file"]):
        raise DataError(folders.artifacts, "is of several runs", remedy="run 'dvc repro'")
    return HeldOut(
        artists=artists,
        truth=dense(similarity.matrix[rows][:, rows]).astype(np.float64),
        clips=Clips(table=table.iloc[clip_rows].reset_index(drop=True)),
        spectrograms=spectrograms.select(clip_rows),
        pooling=pooling,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluator:
    """Evaluates scores of the held-out artists, all with the same truth and the same ties."""

    held_out: HeldOut
    params: RankingParams

    @cached_property
    def truth(self) -> Truth:
        """The similarity of the held-out artists, ranked once."""
        candidates = others(len(self.held_out.artists))
        return build_truth(self.held_out.truth, candidates, self.params)

    @cached_property
    def chance(self) -> Floats:
        """The mean NDCG@10 of each query over random rankings, (queries,)."""
        generator, shape = self.params.generator("chance"), self.truth.similarity.shape
        random_rankings = [
            query_ndcg(self.truth, generator.random(shape), NDCG_AT, generator)
            for _ in range(self.params.n_random(self.truth.similarity.size))
        ]
        return np.asarray(np.mean(random_rankings, axis=0))

    def ndcg(self, scores: Floats) -> Floats:
        """Compute NDCG@10 of each query, (queries,); NaN where it is not defined."""
        return query_ndcg(self.truth, scores, NDCG_AT, self.params.generator("scores"))

    def shuffled(self, scores: Floats, n_shuffles: int) -> Floats:
        """Permute the artists of scores (artists, artists) and evaluate, (n_shuffles,).

        Mean NDCG@10 over the queries. It varies more than independent queries would let it, because
        all of them rank the same few artists by the same scores.
        """
        generator = np.random.default_rng(self.params.seed)
        orders = (generator.permutation(len(scores)) for _ in range(n_shuffles))
        means = [np.nanmean(self.ndcg(scores[np.ix_(order, order)])) for order in orders]
        return np.array(means)
