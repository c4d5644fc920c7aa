"""Compare systems on the same queries under several protocols, with paired intervals.

Scores are square tables: every artist is a query once, and its row of a table holds the scores of a
system that was not trained on it. The protocol is the mask of the candidates that a query ranks:
`all` other artists that take part, or those of its own `fold`. Every protocol is evaluated twice,
against the similarity and against the similarity corrected for popularity.

A system trained with several seeds has a table for each. Its value for a query is the mean over
them; intervals and differences are over queries; the means of the single seeds are given too.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from twinear.base.files import replacing
from twinear.evaluation.other_truths import OtherTruth
from twinear.evaluation.progress import Progress, no_progress
from twinear.metrics.hubness import hubness
from twinear.metrics.pair_metrics import PAIR_METRICS, pair_metrics
from twinear.metrics.ranking_metrics import METRICS, Bools, Floats, Ints, query_metrics
from twinear.ranking.listener_equivalents import (
    JudgedSystems,
    StrictScores,
    listener_equivalents,
)
from twinear.ranking.listener_results import ListenerEquivalents
from twinear.ranking.ranking import (
    Candidates,
    RankingParams,
    build_truth,
    random_rankings,
    tabulate_queries,
    with_chance,
)
from twinear.ranking.summary import DIGITS, MetricTable, Numbers, paired_differences, summarise
from twinear.similarity.listener_sample import ListenerSample

SIMILARITY, CORRECTED = "similarity", "corrected"


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """What is compared."""

    artists: pd.DataFrame  # columns `artist` (id), `name`, `fold`; every one is a query
    # `SIMILARITY` and `CORRECTED` -> (artists, artists), a row for each query
    truths: Mapping[str, Floats]
    candidates: Mapping[Candidates, Bools]  # protocol -> (artists, artists)
    # system -> its tables, (artists, artists), one for each seed; the score of an artist that is no
    # candidate under any protocol may be NaN
    scores: Mapping[str, list[Floats]]
    sample: ListenerSample | None = None  # of the listeners behind the similarity
    # systems whose listens of known artists come from half of the listeners, see `ranking`
    strict: Mapping[str, StrictScores] = field(default_factory=dict)
    others: Mapping[str, OtherTruth] = field(default_factory=dict)  # other people's, by name


@dataclass(frozen=True, kw_only=True)
class TruthResult:
    """The numbers of one protocol against other people's truth.

    Attributes
    ----------
    kind
        "listens", or "pairs" that editors call similar.
    artists, queries
        In common with the evaluated ones, and those of them that have a candidate.
    agreement, same
        See `OtherTruth`; `agreement` is None where it is not defined.
    metrics
        System -> metric -> value, low, high.
    differences
        System -> other -> metric -> value, low, high of the first minus the other.
    """

    kind: str
    artists: int
    queries: int
    agreement: float | None
    same: bool
    metrics: MetricTable
    differences: dict[str, MetricTable]

    def difference(self, system: str, other: str, metric: str) -> Numbers:
        """Get the paired difference `system` minus `other`, whichever way it is stored."""
        return _difference(self.differences, system, other, metric)


@dataclass(frozen=True, kw_only=True)
class ProtocolResult:
    """The numbers of one protocol.

    Attributes
    ----------
    metrics
        Truth -> system -> metric -> value, low, high.
    differences
        Truth -> system -> other -> metric -> value, low, high of the first minus the other.
    seeds
        System -> metric -> the means of single seeds; only systems that have several.
    hubness
        System -> measure -> value.
    listeners
        What the systems are worth in listeners; None where the listens are not known.
    others
        Name of other people's truth -> its numbers; left out where no query is defined.
    """

    metrics: dict[str, MetricTable]
    differences: dict[str, dict[str, MetricTable]]
    seeds: dict[str, dict[str, list[float]]]
    hubness: dict[str, Numbers]
    listeners: ListenerEquivalents | None = None
    others: dict[str, TruthResult] = field(default_factory=dict)

    def difference(self, truth: str, system: str, other: str, metric: str) -> Numbers:
        """Get the paired difference `system` minus `other`, whichever way it is stored."""
        return _difference(self.differences[truth], system, other, metric)


def _difference(stored: Mapping[str, MetricTable], system: str, other: str, metric: str) -> Numbers:
    if other in stored.get(system, {}):
        return stored[system][other][metric]
    reverse = stored[other][system][metric]
    return {"value": -reverse["value"], "low": -reverse["high"], "high": -reverse["low"]}


@dataclass(frozen=True, kw_only=True, eq=False)
class ComparisonResult:
    """The result of a comparison.

    Attributes
    ----------
    queries
        Columns `query` (id), `fold`, `protocol`, `truth`, `system`, `metric`, `value` (the mean
        over seeds; NaN where not defined).
    protocols
        Protocol -> its numbers.
    facts
        What was compared: a few names and counts.
    """

    queries: pd.DataFrame
    protocols: dict[str, ProtocolResult]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Give everything but the values of single queries as plain values, the facts first."""
        return {**self.facts, "protocols": {k: asdict(v) for k, v in self.protocols.items()}}

    def write_queries(self, path: Path) -> None:
        """Write the values of all queries as Parquet."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            self.queries.to_parquet(file, index=False)


def candidate_masks(fold: Ints, left_out: Bools | None = None) -> dict[Candidates, Bools]:
    """Make the mask of the candidates of each query for each protocol.

    `fold`, (artists,), is the fold in which each is a query; `left_out`, (artists, artists), is
    true where a column takes no part while the row is a query.

    Examples
    --------
    >>> candidate_masks(np.array([0, 1, 0]))["fold"].astype(int).tolist()
    [[0, 0, 1], [0, 0, 0], [1, 0, 0]]
    """
    others = ~np.eye(len(fold), dtype=np.bool_)
    if left_out is not None:
        others &= ~left_out
    return {"all": others, "fold": others & (fold[:, None] == fold)}


def compare_systems(
    comparison: Comparison,
    params: RankingParams,
    progress: Progress = no_progress,
    facts: Mapping[str, Any] | None = None,
) -> ComparisonResult:
    """Evaluate every system under every protocol, against both truths.

    Raises
    ------
    DataError
        A query without candidates, a score that is not a number, a metric defined for no query.
    """
    tables, protocols = [], {}
    for protocol in progress(list(comparison.candidates), desc="evaluating", unit="protocol"):
        protocols[protocol], queries = _evaluate_protocol(comparison, protocol, params)
        tables.append(queries)
    columns = ["query", "fold", "protocol", "truth", "system", "metric", "value"]
    queries = pd.concat(tables, ignore_index=True)[columns]
    return ComparisonResult(queries=queries, protocols=protocols, facts=facts or {})


def _evaluate_protocol(
    comparison: Comparison, protocol: Candidates, params: RankingParams
) -> tuple[ProtocolResult, pd.DataFrame]:
    candidates = comparison.candidates[protocol]
    artists = comparison.artists[["artist", "fold"]].rename(columns={"artist": "query"})
    metrics, differences, tables, seeds, hubs = {}, {}, [], {}, {}
    for name, similarity in comparison.truths.items():
        truth = build_truth(similarity, candidates, params)
        chance = random_rankings(truth, params)
        by_seed = {
            system: [query_metrics(truth, table, params.generator("scores")) for table in scores]
            for system, scores in comparison.scores.items()
        }
        # A metric that is not defined for a query is NaN with every seed.
        means = {
            system: {
                metric: np.asarray(np.mean([values[metric] for values in seed_values], axis=0))
                for metric in METRICS
            }
            for system, seed_values in by_seed.items()
        }
        queries = tabulate_queries(artists, means, chance)
        metrics[name] = summarise(queries, chance, params)
        differences[name] = paired_differences(queries, params)
        tables.append(queries.assign(protocol=protocol, truth=name))
        if name == SIMILARITY:
            seeds = {
                system: {
                    metric: [round(float(np.nanmean(v[metric])), DIGITS) for v in seed_values]
                    for metric in METRICS
                }
                for system, seed_values in by_seed.items()
                if len(seed_values) > 1
            }
    constant = [np.zeros(candidates.shape)]
    for system, scores in with_chance(comparison.scores, constant).items():
        of_seeds = [
            asdict(hubness(table, params.generator("hubness"), candidates=candidates))
            for table in scores
        ]
        hubs[system] = {
            name: round(float(np.mean([values[name] for values in of_seeds])), DIGITS)
            for name in of_seeds[0]
        }
    others = {}
    for name, other in comparison.others.items():
        judged_by = _evaluate_other(comparison, other, candidates, params)
        if judged_by is not None:
            others[name], queries = judged_by
            tables.append(queries.assign(protocol=protocol, truth=name))
    listeners = None
    if comparison.sample is not None:
        ids = list(comparison.artists["artist"])
        judged = JudgedSystems(
            ids=ids,
            candidates=candidates,
            scores=comparison.scores,
            strict=comparison.strict,
            known=ids,
        )
        listeners = listener_equivalents(judged, comparison.sample, params)
    result = ProtocolResult(
        metrics=metrics,
        differences=differences,
        seeds=seeds,
        hubness=hubs,
        listeners=listeners,
        others=others,
    )
    return result, pd.concat(tables, ignore_index=True)


def _evaluate_other(
    comparison: Comparison, other: OtherTruth, candidates: Bools, params: RankingParams
) -> tuple[TruthResult, pd.DataFrame] | None:
    """Evaluate against other people's truth; None where it is defined for no query."""
    mask = candidates & other.present & other.present[:, None]
    rows = np.flatnonzero(mask.any(axis=1))
    if not (mask & (other.similarity > 0)).any():
        return None
    pairs = other.kind == "pairs"
    evaluate, metrics = (pair_metrics, PAIR_METRICS) if pairs else (query_metrics, METRICS)
    truth = build_truth(other.similarity[rows], mask[rows], params)
    chance = random_rankings(truth, params, evaluate)
    means = {}
    for system, scores in comparison.scores.items():
        by_seed = [evaluate(truth, each[rows], params.generator("scores")) for each in scores]
        means[system] = {
            metric: np.asarray(np.mean([values[metric] for values in by_seed], axis=0))
            for metric in metrics
        }
    artists = comparison.artists[["artist", "fold"]].rename(columns={"artist": "query"}).iloc[rows]
    queries = tabulate_queries(artists, means, chance)
    defined = queries.groupby("metric")["value"].transform(lambda values: values.notna().any())
    queries = queries[defined].reset_index(drop=True)
    kept = {metric: chance[metric] for metric in metrics if metric in set(queries["metric"])}
    result = TruthResult(
        kind=other.kind,
        artists=int(other.present.sum()),
        queries=len(rows),
        agreement=None if np.isnan(other.agreement) else round(other.agreement, DIGITS),
        same=other.same,
        metrics=summarise(queries, kept, params),
        differences=paired_differences(queries, params),
    )
    return result, queries
