"""Whether what was learned is better than what was there before, on artists it did not see.

First it is chosen what a scorer takes of a clip, where there is a choice (`embeddings_share`): the
embeddings of a pre-trained network, the statistics of the log-mel, or both. Nothing is learned from
listens yet, so every artist of training and validation is held out. The one-standard-error rule
below takes the first candidate that is as good as the best. By default they are in this order:
embeddings alone, which are the prior, as their network has heard far more music than any corpus
here holds; the log-mel alone; and both, which cost most and so have to be better than either.

Then learning is kept in steps, each of which has to earn its place:

- *listener factors* are learned in closed form, so they are quick to learn again: they are
  cross-fitted, and every artist of training and validation is held out once. Candidates are the
  untrained scorer and rising weights of the factors. The one-standard-error rule takes the first
  that is within one standard error of the best, paired (Breiman et al., "Classification and
  regression trees", 1984, where it chooses the size of a tree). On real and on planted music this
  gained more than a whole interval, at no more risk; see the lab book.
- The *network* is trained once, and the held-out artists are those of validation. It is kept, by
  itself or with listener factors, if the whole confidence interval of the paired difference from
  what the first step left is above 0.

Where the clips come from several sources with enough artists each (`spectrograms.sources`), every
source is also held out once. What ranks the artists of a source that it has not learned worse than
what was there before is not kept, however much it helps within the sources.

For every held-out artist a scorer ranks all other artists of training and validation, and the
held-out ones alone. The value of a query is the mean NDCG@10 of the two.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from twinear.base.text import format_interval, format_number
from twinear.metrics.bootstrap import Interval, bootstrap, resamples
from twinear.metrics.ranking_metrics import Bools, Floats, table_ndcg

Step = Literal["listener_factors", "network"]
Kept = Literal["untrained", "listener_factors", "network"]
Keep = Literal["better", "always", "never"]

NDCG_AT = 10
N_BOOTSTRAP, CONFIDENCE = 2000, 0.95
ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class StepDecision:
    """Whether a step of learning was kept, and why.

    Attributes
    ----------
    better
        Whether the held-out artists show it.
    queries
        Held-out artists.
    before, after
        Mean NDCG@10 over the queries of what was there before, and of what was learned; None where
        no query has a similar artist.
    difference
        After minus before, paired.
    factors_weight
        Of the listener factors in what was learned; 0: none.
    across_sources
        The difference where whole sources of clips are held out; None where there is one source, or
        where the step has failed before.
    """

    step: Step
    better: bool
    queries: int
    before: float | None
    after: float | None
    difference: Interval | None
    factors_weight: float
    across_sources: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class ShareCandidate:
    """How a share of the embeddings ranks without any learning.

    Attributes
    ----------
    ndcg
        Mean NDCG@10 over the queries; None where no query has a similar artist.
    chosen_minus_this
        By how much the chosen share is better, paired; None for itself.
    """

    share: float
    ndcg: float | None
    chosen_minus_this: Interval | None


@dataclass(frozen=True, kw_only=True)
class ShareDecision:
    """Which share the embeddings have, and why.

    Attributes
    ----------
    share
        1: the embeddings alone; 0: the log-mel alone.
    queries
        Held-out artists; 0 without listens, where the first candidate is taken.
    candidates
        In the order of `training.model.embeddings_shares`.
    """

    share: float
    queries: int
    candidates: tuple[ShareCandidate, ...] = ()


@dataclass(frozen=True, kw_only=True)
class KeepDecision:
    """Which scorer was kept.

    Attributes
    ----------
    kept
        The last step that was kept.
    keep
        `training.keep`.
    steps
        What was tried, in order.
    embeddings
        Their share; None where there was nothing to choose.
    """

    kept: Kept
    keep: Keep
    steps: tuple[StepDecision, ...] = ()
    embeddings: ShareDecision | None = None


def choose(values: Floats) -> int:
    """Choose the first candidate within one paired standard error of the best.

    Parameters
    ----------
    values
        (candidates, queries); a query that is not defined (NaN) for one is ignored.

    Examples
    --------
    >>> choose(np.array([[0.1, 0.5, 0.3], [0.2, 0.6, 0.4], [0.2, 0.59, 0.42]]))
    1
    """
    defined = values[:, np.isfinite(values).all(axis=0)]
    if defined.shape[1] < 2:
        return 0
    behind = defined[defined.mean(axis=1).argmax()] - defined
    error = behind.std(axis=1, ddof=1) / np.sqrt(defined.shape[1])
    return int(np.argmax(behind.mean(axis=1) <= error + ROUNDING))


def decide(
    values: Floats,
    weights: Sequence[float],
    step: Step,
    seed: int,
    across: Floats | None = None,
) -> StepDecision:
    """Decide from the values of the candidates, (candidates, queries); the first was there before.

    Parameters
    ----------
    weights
        Of the listener factors of the other candidates, (candidates - 1,).
    step
        "listener_factors" is decided by the one-standard-error rule, "network" by the interval.
    across
        Their values where whole sources are held out, (candidates, other queries). A candidate
        whose mean is below that of the first cannot be chosen.

    Of the other candidates the best by the one-standard-error rule is compared with the first.

    Examples
    --------
    >>> values = np.stack([np.full(50, 0.3), np.full(50, 0.31)])
    >>> decide(values, [0.0], "network", seed=1).better
    True
    >>> decide(values[[0, 0]], [0.0], "network", seed=1).better
    False
    >>> decide(values, [0.0], "network", seed=1, across=values[::-1]).better
    False
    """
    holds = np.ones(len(values), np.bool_)
    if across is not None:
        gained = (across - across[0])[:, np.isfinite(across).all(axis=0)]
        holds = gained.sum(axis=1) >= -ROUNDING
    rows = np.flatnonzero(holds[1:]) + 1 if holds[1:].any() else np.arange(1, len(values))
    row = int(rows[choose(values[rows])])
    difference = values[row] - values[0]
    defined = np.isfinite(difference)
    interval = _mean_interval(difference, seed)
    by_interval = interval is not None and interval.low > 0
    better = by_interval if step == "network" else choose(values[[0, *rows]]) > 0
    return StepDecision(
        step=step,
        better=better and bool(holds[row]),
        queries=int(defined.sum()),
        before=float(values[0][defined].mean()) if defined.any() else None,
        after=float(values[row][defined].mean()) if defined.any() else None,
        difference=interval,
        factors_weight=weights[row - 1],
        across_sources=None if across is None else _mean_interval(across[row] - across[0], seed),
    )


def decide_share(values: Floats, shares: Sequence[float], seed: int) -> ShareDecision:
    """Choose a share from the values of all, (shares, queries), by the one-standard-error rule.

    Examples
    --------
    >>> values = np.stack([np.full(50, 0.3), np.full(50, 0.31), np.full(50, 0.31)])
    >>> decide_share(values, [1.0, 0.0, 0.75], seed=1).share
    0.0
    """
    chosen = choose(values)
    defined = np.isfinite(values).all(axis=0)
    return ShareDecision(
        share=shares[chosen],
        queries=int(defined.sum()),
        candidates=tuple(
            ShareCandidate(
                share=share,
                ndcg=float(of_share[defined].mean()) if defined.any() else None,
                chosen_minus_this=(
                    None if row == chosen else _mean_interval(values[chosen] - of_share, seed)
                ),
            )
            for row, (share, of_share) in enumerate(zip(shares, values, strict=True))
        ),
    )


def _mean_interval(difference: Floats, seed: int) -> Interval | None:
    """Bootstrap the mean of paired differences, (queries,); None where none is defined."""
    if not np.isfinite(difference).any():
        return None
    drawn = resamples(len(difference), N_BOOTSTRAP, np.random.default_rng(seed))
    [interval] = bootstrap(difference[:, None], drawn, CONFIDENCE)
    return interval


def query_values(
    scores: Floats, similarity: Floats, held_out: Sequence[int] | np.ndarray, seed: int
) -> Floats:
    """Rank all artists, and the held-out ones, for each held-out artist, (held-out,).

    Parameters
    ----------
    scores, similarity
        (artists, artists).
    held_out
        Rows of the queries.
    """
    rows = np.asarray(held_out)
    inside = np.isin(np.arange(len(scores)), rows)
    return values_of_rows(scores[rows], similarity[rows], rows, inside, seed)


def values_of_rows(
    scores: Floats, similarity: Floats, rows: np.ndarray, held_out: Bools, seed: int
) -> Floats:
    """As `query_values`, of the rows of some held-out artists, (queries, artists).

    Parameters
    ----------
    rows
        The queries, (queries,).
    held_out
        Which artists are held out, (artists,).
    """
    others = np.arange(len(held_out)) != rows[:, None]
    together = others & held_out
    values = []
    for candidates in (others, together):
        if not candidates.any(axis=1).all():
            continue  # one held-out artist has no other beside it
        rng = np.random.default_rng(seed)
        values.append(table_ndcg(similarity, scores, candidates, NDCG_AT, rng))
    return np.asarray(np.mean(values, axis=0))


def measures(decision: KeepDecision) -> dict[str, float]:
    """Give the numbers of a decision by name, as they are tracked.

    They are of artists of training and validation, which the names say.
    """
    numbers = {
        f"validation_ndcg_gained_by_{step.step}": step.difference.value
        for step in decision.steps
        if step.difference is not None
    }
    if decision.embeddings is not None:
        numbers["embeddings_share"] = decision.embeddings.share
    return numbers


NAMES: dict[Kept, str] = {
    "untrained": "the untrained scorer",
    "listener_factors": "listener factors",
    "network": "the network",
}


def describe(decision: KeepDecision) -> str:
    """Say in a few sentences which scorer was kept, and by how much.

    Examples
    --------
    >>> step = StepDecision(
    ...     step="network",
    ...     better=False,
    ...     queries=16,
    ...     before=0.70,
    ...     after=0.71,
    ...     difference=Interval(value=0.01, low=-0.02, high=0.04),
    ...     factors_weight=0.0,
    ... )
    >>> print(describe(KeepDecision(kept="untrained", keep="better", steps=(step,))))
    The scorer is the untrained scorer. On 16 held-out artists the network changed NDCG@10 from
    .700 to .710, by +.010 [-.020, +.040]: not kept.
    """
    sentences = [f"The scorer is {NAMES[decision.kept]}."]
    if decision.embeddings is not None:
        sentences.append(_describe_share(decision.embeddings))
    if not decision.steps:
        sentences.append("Nothing was learned.")
    for step in decision.steps:
        if step.before is None or step.after is None or step.difference is None:
            sentences.append(f"No held-out artist could judge {NAMES[step.step]}.")
            continue
        by = step.difference
        values = f"from {format_number(step.before)} to {format_number(step.after)}"
        interval = format_interval(by.value, by.low, by.high, sign="+")
        kept = step.better or decision.keep == "always"
        sentences.append(
            f"On {step.queries} held-out artists {NAMES[step.step]} changed NDCG@{NDCG_AT} "
            f"{values}, by {interval}{_describe_across(step)}: {'kept' if kept else 'not kept'}."
        )
    return " ".join(sentences)


def count_kept(decisions: Sequence[KeepDecision]) -> str:
    """Say which scorers several trainings kept, and which shares of the embeddings they chose.

    Examples
    --------
    >>> share = ShareDecision(share=0.75, queries=16)
    >>> network = KeepDecision(kept="network", keep="better", embeddings=share)
    >>> count_kept([network, network, KeepDecision(kept="untrained", keep="better")])
    'the network in 2 of 3 trainings, the untrained scorer in 1; embeddings with share 0.75 in 2'
    """
    kept = Counter(NAMES[decision.kept] for decision in decisions).most_common()
    shares = Counter(each.embeddings.share for each in decisions if each.embeddings is not None)
    parts = [f"{name} in {n}" for name, n in kept]
    parts[0] += f" of {len(decisions)} trainings"
    text = ", ".join(parts)
    if shares:
        chosen = [f"share {share:g} in {n}" for share, n in shares.most_common()]
        text += f"; embeddings with {', '.join(chosen)}"
    return text


def _describe_across(step: StepDecision) -> str:
    by = step.across_sources
    if by is None:
        return ""
    interval = format_interval(by.value, by.low, by.high, sign="+")
    return f", and on sources of clips that it had not learned by {interval}"


def _describe_share(decision: ShareDecision) -> str:
    def words(share: float) -> str:
        if share == 1:
            return "the embeddings of a pre-trained network"
        if share == 0:
            return "statistics of their spectrograms"
        return "both"

    chosen = f"It compares clips by {words(decision.share)}"
    ndcg = {each.share: each.ndcg for each in decision.candidates}.get(decision.share)
    if ndcg is None:
        return f"{chosen}: no listens could choose."
    sentences = [
        f"{chosen}: without any learning NDCG@{NDCG_AT} on {decision.queries} held-out artists is "
        f"{format_number(ndcg)}."
    ]
    for each in decision.candidates:
        if each.ndcg is not None and (by := each.chosen_minus_this) is not None:
            interval = format_interval(by.value, by.low, by.high, sign="+")
            sentences.append(
                f"By {words(each.share)} it would be {format_number(each.ndcg)}; the difference is "
                f"{interval}."
            )
    return " ".join(sentences)
