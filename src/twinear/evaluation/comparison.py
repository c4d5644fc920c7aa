"""Systems judged on the same queries under several protocols: who wins, by how much, how surely.

A contest holds square tables: every artist is a query once, its row of each table is what a system
that was not trained on it scores. Whom a query ranks is the protocol's mask: `all` other artists
that take part, or those of its own `fold`. Every protocol is judged twice, against the similarity
and against the similarity corrected for popularity.

A system trained with several seeds has a table for each: its value for a query is the mean over
them, intervals and differences are over queries, and how far single seeds lie apart is told beside.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from twinear.metrics.hubness import hubness
from twinear.metrics.ranking_metrics import METRICS, Bools, Floats, Ints, Truth, query_metrics
from twinear.ranking.ranking import CHANCE, Candidates, RankingParams, random_rankings, truth_of
from twinear.ranking.summary import DIGITS, Numbers, Summary, paired_differences, summarise

SIMILARITY, CORRECTED = "similarity", "corrected"
Progress = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Contest:
    """What is judged.

    Attributes
    ----------
    artists
        Columns `artist` (id), `name`, `fold`; every one is a query.
    truths
        `SIMILARITY` and `CORRECTED` -> (artists, artists), a row for each query.
    candidates
        Protocol -> (artists, artists).
    scores
        System -> its tables, (artists, artists), one for each seed; what is no candidate of any
        protocol may be NaN.
    """

    artists: pd.DataFrame
    truths: Mapping[str, Floats]
    candidates: Mapping[Candidates, Bools]
    scores: Mapping[str, list[Floats]]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One protocol's numbers, for people and machines.

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
    """

    metrics: dict[str, Summary]
    differences: dict[str, dict[str, Summary]]
    seeds: dict[str, dict[str, list[float]]]
    hubness: dict[str, Numbers]


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """What came out.

    Attributes
    ----------
    queries
        Columns `query` (id), `fold`, `protocol`, `truth`, `system`, `metric`, `value` (the mean
        over seeds; NaN: not defined).
    verdicts
        Protocol -> its numbers.
    """

    queries: pd.DataFrame
    verdicts: dict[str, Verdict]


def candidate_masks(fold: Ints, left_out: Bools | None = None) -> dict[Candidates, Bools]:
    """Whom each query ranks under each protocol.

    Parameters
    ----------
    fold
        (artists,), the fold in which each is a query.
    left_out
        (artists, artists), true where a column takes no part while the row is a query.
    """
    others = ~np.eye(len(fold), dtype=np.bool_)
    if left_out is not None:
        others &= ~left_out
    return {"all": others, "fold": others & (fold[:, None] == fold)}


def judge_contest(contest: Contest, params: RankingParams, progress: Progress = iter) -> Judgement:
    """Validator every system under every protocol, against both truths.

    Raises
    ------
    DataError
        A query without candidates, a score that is not a number, a metric defined for no query.
    """
    tables, verdicts = [], {}
    for protocol in progress(list(contest.candidates)):
        verdicts[protocol], queries = _judge_protocol(contest, protocol, params)
        tables.append(queries)
    return Judgement(queries=pd.concat(tables, ignore_index=True), verdicts=verdicts)


def _judge_protocol(
    contest: Contest, protocol: Candidates, params: RankingParams
) -> tuple[Verdict, pd.DataFrame]:
    candidates = contest.candidates[protocol]
    metrics, apart, tables, seeds = {}, {}, [], {}
    for name, similarity in contest.truths.items():
        truth = truth_of(similarity, candidates, params)
        found = _by_seed(truth, contest.scores, params)
        chance = random_rankings(truth, params)
        queries = _table(contest.artists, found, chance)
        metrics[name] = summarise(queries, chance, params)
        apart[name] = paired_differences(queries, params)
        tables.append(queries.assign(protocol=protocol, truth=name))
        if name == SIMILARITY:
            seeds = {system: _means(each) for system, each in found.items() if len(each) > 1}
    verdict = Verdict(
        metrics=metrics,
        differences=apart,
        seeds=seeds,
        hubness=_hubness(contest, candidates, params),
    )
    columns = ["query", "fold", "protocol", "truth", "system", "metric", "value"]
    return verdict, pd.concat(tables, ignore_index=True)[columns]


def _by_seed(
    truth: Truth, scores: Mapping[str, list[Floats]], params: RankingParams
) -> dict[str, list[dict[str, Floats]]]:
    return {
        system: [query_metrics(truth, each, params.generator("scores")) for each in tables]
        for system, tables in scores.items()
    }


def _table(
    artists: pd.DataFrame,
    found: Mapping[str, list[dict[str, Floats]]],
    chance: Mapping[str, Floats],
) -> pd.DataFrame:
    """One row for each query, system and metric; chance comes second."""
    values = {
        system: {metric: _mean([each[metric] for each in seeds]) for metric in METRICS}
        for system, seeds in found.items()
    }
    first, *rest = values
    ordered = {
        first: values[first],
        CHANCE: {name: each.mean(axis=0) for name, each in chance.items()},
    }
    ordered |= {system: values[system] for system in rest}
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "query": artists["artist"],
                    "fold": artists["fold"],
                    "system": system,
                    "metric": metric,
                    "value": each,
                }
            )
            for system, metrics in ordered.items()
            for metric, each in metrics.items()
        ],
        ignore_index=True,
    )


def _mean(seeds: list[Floats]) -> Floats:
    return np.asarray(np.mean(seeds, axis=0))  # undefined for a query is so whatever the seed


def _means(seeds: list[dict[str, Floats]]) -> dict[str, list[float]]:
    return {
        metric: [round(float(np.nanmean(each[metric])), DIGITS) for each in seeds]
        for metric in METRICS
    }


def _hubness(contest: Contest, candidates: Bools, params: RankingParams) -> dict[str, Numbers]:
    tables = {**contest.scores, CHANCE: [np.zeros(candidates.shape)]}
    found = {
        system: [
            asdict(hubness(each, params.generator("hubness"), candidates=candidates))
            for each in seeds
        ]
        for system, seeds in tables.items()
    }
    return {
        system: {
            name: round(float(np.mean([one[name] for one in each])), DIGITS) for name in each[0]
        }
        for system, each in found.items()
    }


def pick_difference(verdict: Verdict, truth: str, system: str, other: str, metric: str) -> Numbers:
    """The paired difference `system` minus `other`, whichever way it is kept."""
    kept = verdict.differences[truth]
    if other in kept.get(system, {}):
        return kept[system][other][metric]
    turned = kept[other][system][metric]
    return {"value": -turned["value"], "low": -turned["high"], "high": -turned["low"]}
