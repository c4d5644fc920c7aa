"""Several systems rank the same artists: their scores, and the value of each metric for each query.

`Systems` holds the scores, `Ranking` adds the values of the metrics. Each kind of random choice
(ties, random rankings, resamples) has a random stream of its own, all from one seed: a system gets
the same values whatever other systems are evaluated with it.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import pandas as pd
from pydantic import Field

from twinear.base.arrays import NOT_ARRAYS
from twinear.base.checksums import verify_checksums, write_checksums
from twinear.base.errors import DataError
from twinear.base.files import replacing, require, write_text
from twinear.base.params import Params
from twinear.base.text import one_line
from twinear.metrics.ranking_metrics import (
    METRICS,
    Bools,
    Floats,
    Ints,
    Truth,
    query_metrics,
    rank_truth,
)

Candidates = Literal["all", "fold"]
CANDIDATES: tuple[Candidates, ...] = ("all", "fold")
CATALOGUE, SIAMESE, CHANCE = "catalogue", "siamese", "chance"
CORRECTED_NDCG = "corrected_ndcg@10"  # against the similarity corrected for popularity
HEADLINE = "ndcg@10"
REMEDY = "run 'dvc repro ranking'"
Stream = Literal[
    "truth", "scores", "chance", "bootstrap", "hubness", "listeners", "sample", "queries"
]
STREAMS: tuple[Stream, ...] = get_args(Stream)
T = TypeVar("T")
PAIRS = 2**22  # of queries and candidates that are evaluated at a time
CHANCE_PAIRS = 2 * 10**8  # ranked at random in all; of more, fewer random rankings
LEAST_CHANCE = 10  # random rankings in any case


class RankingParams(Params):
    """How a ranking is evaluated.

    Of more test artists than `max_queries`, so many are drawn as queries; 0: all. The last three
    are those of `listener_equivalents`: how many random halves of the listeners, and of more
    listeners or queries so many.
    """

    n_relevant: int = Field(ge=1)
    n_bootstrap: int = Field(ge=100)  # of fewer resamples the ends of an interval are noise
    confidence: float = Field(gt=0, lt=1)
    n_chance: int = Field(ge=1)
    seed: int = Field(ge=0)
    max_queries: int = Field(ge=0)
    listener_draws: int = Field(ge=1)
    max_listeners: int = Field(ge=4)
    max_listener_queries: int = Field(ge=1)

    def n_random(self, n_pairs: int) -> int:
        """Return how many random rankings of `n_pairs` pairs of query and candidate are drawn.

        They are `n_chance`, and fewer of large corpora: the mean over many queries needs no more.
        """
        return min(self.n_chance, max(CHANCE_PAIRS // max(n_pairs, 1), LEAST_CHANCE))

    def generator(self, stream: Stream) -> np.random.Generator:
        """Make a generator at the start of one of the `STREAMS`."""
        return np.random.default_rng([self.seed, STREAMS.index(stream)])

    def draw_queries(self, n_artists: int) -> Ints:
        """Draw the rows of the artists that are queries, rising."""
        if not 0 < self.max_queries < n_artists:
            return np.arange(n_artists)
        drawn = self.generator("queries").choice(n_artists, self.max_queries, replace=False)
        return np.sort(drawn)


@dataclass(frozen=True, kw_only=True, eq=False)
class Systems:
    """The scores of several systems for the same artists, and the similarity from listens."""

    artists: pd.DataFrame  # columns `artist` (id, unique), `name`
    truth: Floats  # (queries, artists), the similarity
    corrected: Floats  # the same, corrected for popularity among all artists of the catalogue
    scores: dict[str, Floats]  # system -> (queries, artists)
    queries: Ints | None = None  # their rows, rising; None: every artist is one

    @property
    def query_rows(self) -> Ints:
        """The rows of the artists that are queries, (queries,)."""
        return np.arange(len(self.artists)) if self.queries is None else self.queries

    def sample(self, rows: Ints) -> "Systems":
        """Keep some artists as queries, where every one is, and all as candidates."""
        if len(rows) == len(self.artists):
            return self
        return Systems(
            artists=self.artists,
            truth=self.truth[rows],
            corrected=self.corrected[rows],
            scores={system: scores[rows] for system, scores in self.scores.items()},
            queries=rows,
        )

    def select(self, ids: Sequence[str]) -> "Systems":
        """Select artists by id, in this order, where every one is a query."""
        rows = find_rows(self.artists, ids, "artists with similarity and clips")
        square = np.ix_(rows, rows)
        return Systems(
            artists=self.artists.iloc[rows].reset_index(drop=True),
            truth=self.truth[square],
            corrected=self.corrected[square],
            scores={system: scores[square] for system, scores in self.scores.items()},
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """How several systems rank the test artists for each other, and how well.

    Where queries were drawn, `artists` are these, and truth and scores are those among them; the
    values are of rankings of all test artists.
    """

    artists: pd.DataFrame  # columns `artist` (id), `name`
    truth: Floats  # (artists, artists), the similarity; a row for each query
    scores: dict[str, Floats]  # system -> (artists, artists); without chance
    # columns `query` (id), `system`, `metric`, `value` (NaN where not defined)
    queries: pd.DataFrame
    candidates: Candidates  # which artists a query ranks: those of its "fold", or "all" others

    def write(self, folder: Path) -> None:
        """Write a folder, whole or not at all."""
        with replacing(folder) as temporary:
            temporary.mkdir()
            self.artists.to_csv(temporary / "artists.csv", index=False)
            arrays: dict[str, Any] = {"truth": self.truth, **self.scores}
            np.savez(temporary / "scores.npz", **arrays)
            self.queries.to_parquet(temporary / "queries.parquet", index=False)
            write_text(temporary / "protocol.json", json.dumps({"candidates": self.candidates}))
            write_checksums(temporary)

    @classmethod
    def read(cls, folder: Path) -> "Ranking":
        """Read and check what `write` wrote; `DataError` if it is missing or has changed."""
        require(folder, REMEDY)
        names = ["artists.csv", "scores.npz", "queries.parquet", "protocol.json"]
        verify_checksums(folder, names, REMEDY)
        text = {"artist": str, "name": str}
        artists_path, scores_path, queries_path, path = (
            require(folder / name, REMEDY) for name in names
        )
        try:
            artists = pd.read_csv(artists_path, dtype=text, keep_default_na=False)
            with np.load(scores_path, allow_pickle=False) as arrays:
                scores = {name: arrays[name] for name in arrays.files}
            queries = pd.read_parquet(queries_path)
        except NOT_ARRAYS as error:
            found = f"cannot be read ({one_line(str(error))})"
            raise DataError(folder, found, remedy=REMEDY) from error
        shapes = {table.shape for table in scores.values()}
        if "truth" not in scores or shapes != {(len(artists), len(artists))}:
            found = f"holds {', '.join(scores)} of shapes {sorted(shapes)}"
            expected = f"truth and scores of {len(artists)} artists"
            raise DataError(folder / "scores.npz", found, expected=expected, remedy=REMEDY)
        protocol = path.read_text(encoding="utf-8").strip()
        by_text = {json.dumps({"candidates": name}): name for name in CANDIDATES}
        if protocol not in by_text:
            expected = f'{{"candidates": …}} with {" or ".join(CANDIDATES)}'
            raise DataError(path, f"holds {protocol!r}", expected=expected, remedy=REMEDY)
        return cls(
            artists=artists,
            truth=scores.pop("truth"),
            scores=scores,
            queries=queries,
            candidates=by_text[protocol],
        )


def find_rows(artists: pd.DataFrame, ids: Sequence[str], place: str) -> list[int]:
    """Find the rows of these ids in a table of artists; errors call the table `place`."""
    rows = {artist: row for row, artist in enumerate(artists["artist"])}
    missing = [artist for artist in ids if artist not in rows]
    if missing:
        found = f"lack {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else "")
        raise DataError(place, found, remedy="run 'dvc repro', which brings all stages in step")
    return [rows[artist] for artist in ids]


def rank_test(test: Systems, params: RankingParams) -> tuple[Ranking, dict[str, Floats]]:
    """Let the test artists that are queries rank all others, by every system and at random.

    Queries are evaluated in blocks: memory does not grow with their number beyond the scores.

    Returns the ranking, with `CORRECTED_NDCG` beside all `METRICS`, and the values of the random
    rankings: metric -> (`RankingParams.n_random`, queries).
    """
    rows, n_artists = test.query_rows, len(test.artists)
    n_pairs = len(rows) * n_artists
    # of all blocks together, each of which would be allowed more
    params = params.model_copy(update={"n_chance": params.n_random(n_pairs)})
    artists = test.artists.iloc[rows].reset_index(drop=True)
    queries = pd.DataFrame({"query": artists["artist"]})
    plain = {metric: metric for metric in METRICS}
    tables: list[pd.DataFrame] = []
    chance: dict[str, Floats] = {}
    for similarity, names in ((test.truth, plain), (test.corrected, {HEADLINE: CORRECTED_NDCG})):
        evaluated = [
            _evaluate_block(similarity[block], test, block, params)
            for block in np.array_split(np.arange(len(rows)), math.ceil(n_pairs / PAIRS))
        ]
        values, random_values = (_join_blocks(each) for each in zip(*evaluated, strict=True))
        drawn = {metric: random_values["", metric] for metric in METRICS}
        of_systems: dict[str, dict[str, Floats]] = {}
        for (system, metric), of_queries in values.items():
            of_systems.setdefault(system, {})[metric] = of_queries
        table = tabulate_queries(queries, of_systems, drawn)
        tables.append(table[table["metric"].isin(list(names))].replace({"metric": names}))
        chance |= {name: drawn[metric] for metric, name in names.items()}
    ranking = Ranking(
        artists=artists,
        truth=test.truth[:, rows],
        scores={system: scores[:, rows] for system, scores in test.scores.items()},
        queries=pd.concat(tables, ignore_index=True),
        candidates="fold",
    )
    return ranking, chance


Values = dict[tuple[str, str], Floats]  # system ("" of random rankings) and metric -> (…, queries)


def _evaluate_block(
    similarity: Floats, test: Systems, block: Ints, params: RankingParams
) -> tuple[Values, Values]:
    """Evaluate the systems and random rankings for some of the queries."""
    if block[0]:  # other ties and random rankings than of the first block
        params = params.model_copy(update={"seed": params.seed + int(block[0])})
    candidates = np.arange(len(test.artists)) != test.query_rows[block][:, None]
    truth = build_truth(similarity, candidates, params)
    chance = {("", metric): drawn for metric, drawn in random_rankings(truth, params).items()}
    values = {
        (system, metric): of_queries
        for system, scores in test.scores.items()
        for metric, of_queries in query_metrics(
            truth, scores[block], params.generator("scores")
        ).items()
    }
    return values, chance


def _join_blocks(blocks: Sequence[Values]) -> Values:
    return {key: np.concatenate([block[key] for block in blocks], axis=-1) for key in blocks[0]}


def build_truth(similarity: Floats, candidates: Bools, params: RankingParams) -> Truth:
    """Rank the candidates, (queries, artists), by similarity; equal params break ties equally."""
    return rank_truth(similarity, candidates, params.n_relevant, params.generator("truth"))


def random_rankings(
    truth: Truth,
    params: RankingParams,
    evaluate: Callable[[Truth, Floats, np.random.Generator], dict[str, Floats]] = query_metrics,
) -> dict[str, Floats]:
    """Evaluate random rankings: metric -> (`RankingParams.n_random`, queries)."""
    generator, shape = params.generator("chance"), truth.similarity.shape
    drawn = [
        evaluate(truth, generator.random(shape), generator)
        for _ in range(params.n_random(truth.similarity.size))
    ]
    return {metric: np.array([values[metric] for values in drawn]) for metric in drawn[0]}


def evaluate_queries(
    queries: pd.DataFrame,
    truth: Truth,
    scores: Mapping[str, Floats],
    chance: Mapping[str, Floats],
    params: RankingParams,
) -> pd.DataFrame:
    """Evaluate every system on every query, in the columns and the order of `tabulate_queries`.

    Of the `scores`, (queries, artists), the first are those that others are compared with; `chance`
    is the result of `random_rankings`.
    """
    values = {
        system: query_metrics(truth, table, params.generator("scores"))
        for system, table in scores.items()
    }
    return tabulate_queries(queries, values, chance)


def tabulate_queries(
    queries: pd.DataFrame, values: Mapping[str, Mapping[str, Floats]], chance: Mapping[str, Floats]
) -> pd.DataFrame:
    """Make one row for each query, system and metric.

    The columns are those of `queries`, which has a row for each query, then `system`, `metric`,
    `value`; the systems are in the order of `with_chance`. `values` are system -> metric ->
    (queries,). `chance` is metric -> (draws, queries); a query's value is its mean over them.
    """
    mean_chance = {metric: drawn.mean(axis=0) for metric, drawn in chance.items()}
    names, columns = zip(
        *(
            ((system, metric), column)
            for system, metrics in with_chance(values, mean_chance).items()
            for metric, column in metrics.items()
        ),
        strict=True,
    )
    systems, metrics = (pd.Series(each).repeat(len(queries)) for each in zip(*names, strict=True))
    return pd.concat([queries] * len(names), ignore_index=True).assign(
        system=systems.array, metric=metrics.array, value=np.concatenate(columns)
    )


def with_chance(systems: Mapping[str, T], chance: T) -> dict[str, T]:
    """Put chance after the first system, and after the siamese network if that comes second.

    Examples
    --------
    >>> list(with_chance({"catalogue": 1, "siamese": 2, "l2": 3}, 0))
    ['catalogue', 'siamese', 'chance', 'l2']
    """
    items = list(systems.items())
    n_before = 2 if [name for name, _ in items[1:2]] == [SIAMESE] else 1
    return dict([*items[:n_before], (CHANCE, chance), *items[n_before:]])
