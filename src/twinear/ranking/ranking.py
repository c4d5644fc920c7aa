"""Systems side by side: their scores for some artists, and what each metric says of each query.

`Systems` holds the scores of several systems for the same artists, `Ranking` adds the judgement.
Random choices (ties, random rankings, resamples) have a stream of numbers each, all from one seed:
a system is judged the same whatever others stand beside it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from twinear.base.errors import DataError
from twinear.base.files import replacing, require, write_text
from twinear.base.params import Params
from twinear.metrics.ranking_metrics import (
    METRICS,
    Bools,
    Floats,
    Truth,
    others,
    query_metrics,
    rank_truth,
)

Candidates = Literal["all", "fold"]
CANDIDATES: tuple[Candidates, ...] = ("all", "fold")
CHANCE = "chance"
CORRECTED_NDCG = "corrected_ndcg@10"  # against the similarity corrected for popularity
NDCG_AT = "ndcg@10"
PLAIN = {metric: metric for metric in METRICS}
AGAIN = "run 'dvc repro ranking'"
Stream = Literal["truth", "scores", "chance", "bootstrap", "hubness"]
STREAMS: tuple[Stream, ...] = ("truth", "scores", "chance", "bootstrap", "hubness")


class RankingParams(Params):
    """How a ranking is judged."""

    n_relevant: int = Field(ge=1)
    n_bootstrap: int = Field(ge=1)
    confidence: float = Field(gt=0, lt=1)
    n_chance: int = Field(ge=1)
    seed: int = Field(ge=0)

    def generator(self, stream: Stream) -> np.random.Generator:
        """A fresh generator at the start of one of the `STREAMS`."""
        return np.random.default_rng([self.seed, STREAMS.index(stream)])


@dataclass(frozen=True, kw_only=True, eq=False)
class Systems:
    """The scores of several systems for the same artists, and the truth they are held against."""

    artists: pd.DataFrame  # columns artist (id, unique), name
    truth: Floats  # (artists, artists), a row for each query
    corrected: Floats  # the same, corrected for popularity among all artists of the catalogue
    scores: dict[str, Floats]  # system -> (artists, artists), a row for each query

    def of(self, ids: Sequence[str]) -> "Systems":
        """Keep the artists of these ids, in this order."""
        at = rows_of(self.artists, ids, "artists with similarity and clips")
        return Systems(
            artists=self.artists.iloc[at].reset_index(drop=True),
            truth=self.truth[np.ix_(at, at)],
            corrected=self.corrected[np.ix_(at, at)],
            scores={system: scores[np.ix_(at, at)] for system, scores in self.scores.items()},
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """How some systems rank the test artists for each other, and how well."""

    artists: pd.DataFrame  # columns artist (id), name
    truth: Floats  # (artists, artists), a row for each query
    scores: dict[str, Floats]  # system -> (artists, artists); not chance
    queries: pd.DataFrame  # columns query (id), system, metric, value (NaN: not defined)
    candidates: Candidates  # whom a query ranks: "fold", those held out with it, or "all" others

    def write(self, folder: Path) -> None:
        """Write a folder, whole or not at all."""
        with replacing(folder) as temporary:
            temporary.mkdir()
            self.artists.to_csv(temporary / "artists.csv", index=False)
            arrays: dict[str, Any] = {"truth": self.truth, **self.scores}
            np.savez(temporary / "scores.npz", **arrays)
            self.queries.to_parquet(temporary / "queries.parquet", index=False)
            write_text(temporary / "protocol.json", json.dumps({"candidates": self.candidates}))

    @classmethod
    def read(cls, folder: Path) -> "Ranking":
        """Read and check what `write` wrote."""
        require(folder, AGAIN)
        text = {"artist": str, "name": str}
        path = require(folder / "artists.csv", AGAIN)
        artists = pd.read_csv(path, dtype=text, keep_default_na=False)
        with np.load(require(folder / "scores.npz", AGAIN), allow_pickle=False) as arrays:
            scores = {name: arrays[name] for name in arrays.files}
        shapes = {each.shape for each in scores.values()}
        if "truth" not in scores or shapes != {(len(artists), len(artists))}:
            found = f"holds {', '.join(scores)} of shapes {sorted(shapes)}"
            expected = f"truth and scores of {len(artists)} artists"
            raise DataError(folder / "scores.npz", found, expected=expected, remedy=AGAIN)
        queries = pd.read_parquet(require(folder / "queries.parquet", AGAIN))
        return cls(
            artists=artists,
            truth=scores.pop("truth"),
            scores=scores,
            queries=queries,
            candidates=_read_candidates(folder / "protocol.json"),
        )


def _read_candidates(path: Path) -> Candidates:
    text = require(path, AGAIN).read_text(encoding="utf-8")
    for known in CANDIDATES:
        if text.strip() == json.dumps({"candidates": known}):
            return known
    expected = f'{{"candidates": …}} with {" or ".join(CANDIDATES)}'
    raise DataError(path, f"holds {text.strip()!r}", expected=expected, remedy=AGAIN)


def rows_of(artists: pd.DataFrame, ids: Sequence[str], place: str) -> list[int]:
    """The rows of these ids in a table of artists.

    Raises
    ------
    DataError
        An id that is not in the table; `place` says which table.
    """
    rows = {artist: row for row, artist in enumerate(artists["artist"])}
    missing = [each for each in ids if each not in rows]
    if missing:
        found = f"lack {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else "")
        raise DataError(place, found, remedy="run 'dvc repro', which brings all stages in step")
    return [rows[each] for each in ids]


def rank_test(test: Systems, params: RankingParams) -> tuple[Ranking, dict[str, Floats]]:
    """Let every test artist rank all other test artists, by every system and at random.

    Beside all `METRICS`, `CORRECTED_NDCG` is judged.

    Returns
    -------
    The ranking, and what `random_rankings` returns.
    """
    ids, candidates = list(test.artists["artist"]), others(len(test.artists))
    tables: list[pd.DataFrame] = []
    chances: dict[str, Floats] = {}
    for similarity, names in ((test.truth, PLAIN), (test.corrected, {NDCG_AT: CORRECTED_NDCG})):
        truth = truth_of(similarity, candidates, params)
        chance = random_rankings(truth, params)
        queries = judge(ids, truth, test.scores, chance, params)
        tables.append(queries[queries["metric"].isin(list(names))].replace({"metric": names}))
        chances |= {name: chance[metric] for metric, name in names.items()}
    ranking = Ranking(
        artists=test.artists,
        truth=test.truth,
        scores=test.scores,
        queries=pd.concat(tables, ignore_index=True),
        candidates="fold",
    )
    return ranking, chances


def truth_of(similarity: Floats, candidates: Bools, params: RankingParams) -> Truth:
    """Rank the candidates, (queries, artists), by similarity; the same for the same params."""
    return rank_truth(similarity, candidates, params.n_relevant, params.generator("truth"))


def random_rankings(truth: Truth, params: RankingParams) -> dict[str, Floats]:
    """Validator `n_chance` random rankings: metric -> (n_chance, queries)."""
    generator, shape = params.generator("chance"), truth.similarity.shape
    drawn = [
        query_metrics(truth, generator.random(shape), generator) for _ in range(params.n_chance)
    ]
    return {metric: np.array([each[metric] for each in drawn]) for metric in METRICS}


def judge(
    queries: Sequence[str],
    truth: Truth,
    scores: Mapping[str, Floats],
    chance: Mapping[str, Floats],
    params: RankingParams,
) -> pd.DataFrame:
    """Validator every system on every query.

    Parameters
    ----------
    queries
        The ids of the queries, in the order of the rows of `truth`.
    scores
        System -> (queries, artists). The first is the one that others are compared with.
    chance
        The result of `random_rankings`; a query's chance is its mean over them.

    Returns
    -------
    Columns `query`, `system`, `metric`, `value`; systems in order, `chance` second.
    """
    found = {
        system: query_metrics(truth, each, params.generator("scores"))
        for system, each in scores.items()
    }
    by_chance = {metric: each.mean(axis=0) for metric, each in chance.items()}
    first, *rest = found
    ordered = {first: found[first], CHANCE: by_chance} | {system: found[system] for system in rest}
    return pd.concat(
        [
            pd.DataFrame({"query": queries, "system": system, "metric": metric, "value": values})
            for system, metrics in ordered.items()
            for metric, values in metrics.items()
        ],
        ignore_index=True,
    )
