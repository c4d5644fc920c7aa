"""Compare a challenger with the champion: read both, evaluate both, decide, record.

Both are evaluated on the present data by the present code, even if the champion was promoted on
the same held-out queries: it takes seconds, and figures of another day cannot favour either. A
champion that this version of twinear cannot read (an older one wrote it) can neither be evaluated
nor serve: the challenger is then compared with chance alone, and the reason says so.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twinear.base.errors import DataError
from twinear.base.files import sha256, write_json
from twinear.compute.pool import Workers
from twinear.metrics.ranking_metrics import Floats
from twinear.model.pooling import Pooling
from twinear.model.scorer import Scorer
from twinear.ranking.ranking import RankingParams
from twinear.retraining.checks import CheckResult, run_checks
from twinear.retraining.held_out import Evaluator, HeldOut, PipelineFolders, read_held_out
from twinear.retraining.promotion_rule import PromotionParams, QueryNdcg, RuleOutcome, decide
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split
from twinear.tracking.promotions import Outcome, Succession, follow, read_succession, record
from twinear.tracking.registry import (
    CHAMPION,
    SCHEME,
    Version,
    find_version,
    get_version,
    read_split,
    resolve,
    scorer_file,
)
from twinear.tracking.runs import open_run
from twinear.training.untrained import untrained_scorer


@dataclass(frozen=True, kw_only=True)
class Rules:
    """All params of a promotion, and the sections to log if the challenger has no run yet."""

    promotion: PromotionParams
    ranking: RankingParams
    pooling: Pooling
    sections: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """What checks and rule say about a challenger, and the NDCG of each query behind it."""

    checks: tuple[CheckResult, ...]
    ndcg: QueryNdcg
    rule: RuleOutcome

    @property
    def promoted(self) -> bool:
        """Whether the challenger passed every check, and the rule makes it champion."""
        return self.rule.promoted and all(check.passed for check in self.checks)

    @property
    def reason(self) -> str:
        """The failed checks, then the reason of the rule."""
        return "; ".join(
            [*(str(each) for each in self.checks if not each.passed), self.rule.reason]
        )


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """The decision about a challenger, which is `version` and `scorer`."""

    # `promoted`, `refused`, `kept` (it is the champion already), `too late` (another change of
    # champion came first) or `rolled back`
    outcome: str
    reason: str
    version: int
    scorer: str
    champion: int | None  # the version that is champion now; None if there is none
    checks: tuple[CheckResult, ...] = ()
    numbers: Mapping[str, float]

    @property
    def stands(self) -> bool:
        """Whether the challenger is champion now."""
        return self.outcome in {"promoted", "kept", "rolled back"}

    def write(self, path: Path) -> None:
        """Write JSON for people and machines."""
        content = asdict(self)
        content["numbers"] = {name: round(value, 6) for name, value in self.numbers.items()}
        write_json(path, content)


def promote(
    challenger: str,
    folders: PipelineFolders,
    rules: Rules,
    workers: Workers,
    *,
    again: bool = False,
) -> Promotion:
    """Make the challenger champion if the rule allows it; every decision is recorded.

    The challenger is a scorer's file or `models:/…`; a file that is not registered is registered
    first. One that was rolled back may return with `again`. `DataError` if the challenger cannot be
    read or the pipeline has not run, `TwinearError` if the registry cannot be reached.
    """
    version = _register(challenger, folders, rules)
    follow()
    succession = read_succession()
    champion = succession.champion
    if champion and champion.scorer == version.scorer:
        return Promotion(
            outcome="kept",
            reason="it is the champion already",
            version=version.number,
            scorer=version.scorer,
            champion=champion.version,
            numbers={},
        )
    test = read_held_out(folders, rules.pooling)
    trained_on = _trained_on(version)
    incumbent, unreadable = None, ""
    if champion:
        standing = get_version(champion.version)
        trained_on |= _trained_on(standing)
        incumbent, unreadable = _read_champion(standing.uri)
    held_out = test.exclude(trained_on, rules.promotion.min_queries)
    with scorer_file(version.uri) as path:
        scorer = Scorer.read(path)
    judgement = judge(
        scorer,
        incumbent,
        held_out,
        folders,
        rules,
        workers,
        same_queries=champion is not None and champion.held_out == test.digest,
    )
    promoted, reasons = judgement.promoted, [judgement.reason]
    if unreadable:
        reasons.append(unreadable)
    if seen := trained_on & set(held_out.artists):
        reasons.append(f"{len(seen)} queries were in a training")
    if version.scorer in succession.rolled_back and not again:
        promoted, reasons = False, ["it was rolled back; --again allows it"]
    return _record(
        "promoted" if promoted else "refused",
        "; ".join(reasons),
        version,
        succession,
        digest=test.digest,
        checks=judgement.checks,
        numbers=judgement.rule.numbers | {"trained_on": float(len(seen))},
    )


def judge(
    challenger: Scorer,
    champion: Scorer | None,
    held_out: HeldOut,
    folders: PipelineFolders,
    rules: Rules,
    workers: Workers,
    *,
    same_queries: bool,
) -> Judgement:
    """Check a challenger and compare it with the champion; nothing is recorded.

    Parameters
    ----------
    champion
        None if there is none to compare with.
    folders
        Of the present data: hidden styles, and the clips that the untrained scorer is fitted to.
    same_queries
        See `QueryNdcg`.

    Raises
    ------
    DataError
        No query has a defined NDCG.
    """
    evaluator = Evaluator(held_out=held_out, params=rules.ranking)
    embeddings = held_out.encode(challenger, folders.data, workers)
    scores = held_out.score(challenger, embeddings)
    shuffled = evaluator.shuffled(scores, rules.promotion.n_shuffles)
    planted = folders.data / "truth.csv"
    checks = run_checks(challenger, embeddings, evaluator, shuffled, planted, rules.promotion)
    of_champion = None
    if champion is not None:
        encoded = held_out.encode(champion, folders.data, workers)
        of_champion = evaluator.ndcg(held_out.score(champion, encoded))
    ndcg = QueryNdcg(
        challenger=evaluator.ndcg(scores),
        chance=evaluator.chance,
        shuffled=shuffled,
        champion=of_champion,
        untrained=_untrained_ndcg(evaluator, folders, challenger),
        same_queries=same_queries,
    )
    rule = decide(ndcg, rules.promotion, rules.ranking)
    return Judgement(checks=tuple(checks), ndcg=ndcg, rule=rule)


def roll_back() -> Promotion:
    """Make the champion before this one champion again.

    `DataError` if there is none before, or this version of twinear cannot read it.
    """
    succession = read_succession()
    if len(succession.champions) < 2:
        found = "there is no champion before this one" if succession.champion else "is empty"
        raise DataError(CHAMPION, found, remedy="run 'twinear promote' first")
    leaving, returning = succession.champions[-1], succession.champions[-2]
    version = get_version(returning.version)
    with scorer_file(version.uri) as path:
        Scorer.read(path)  # one that cannot be read could not serve
    return _record("rolled back", f"version {leaving.version} was rolled back", version, succession)


def _record(
    outcome: Outcome,
    reason: str,
    version: Version,
    succession: Succession,
    *,
    digest: str = "",
    checks: Sequence[CheckResult] = (),
    numbers: Mapping[str, float] | None = None,
) -> Promotion:
    numbers = numbers or {}
    counts = record(outcome, version, succession.last, reason, digest, numbers)
    champion = follow()
    return Promotion(
        outcome=outcome if counts else "too late",
        reason=reason if counts else "another change of champion came first; run it again",
        version=version.number,
        scorer=version.scorer,
        champion=champion.number if champion else None,
        checks=tuple(checks),
        numbers=numbers,
    )


def _register(name: str, folders: PipelineFolders, rules: Rules) -> Version:
    """Find the version of a scorer; register a file that has none."""
    if name.startswith(SCHEME):
        return resolve(name)
    path = Path(name)
    scorer = Scorer.read(path)
    digest = sha256(path)
    if version := find_version(digest):
        return version
    with open_run(rules.sections, digest) as run:
        if path.resolve() == folders.scorer.resolve():  # trained on the present split
            run.log_files(folders.split)
        run.log_scorer(path, digest, scorer.inputs)
    if version := find_version(digest):
        return version
    raise DataError(path, "could not be registered", remedy="see MLflow's message above")


def _trained_on(version: Version) -> set[str]:
    """The artists that a version was trained or selected on."""
    with tempfile.TemporaryDirectory() as folder:
        path = read_split(version, Path(folder))
        if path is None:
            return set()
        split = Split.read(path)
        return {*split.members("train"), *split.members("validation")}


def _untrained_ndcg(evaluator: Evaluator, folders: PipelineFolders, scorer: Scorer) -> Floats:
    """Evaluate the untrained scorer of the present clips but those of the test artists."""
    test, held_out = Split.read(folders.split).members("test"), evaluator.held_out
    clips = Spectrograms.read(folders.artifacts / "spectrograms")
    rows = np.flatnonzero(~clips.clips["artist"].isin(test))
    taken = clips.select(rows).for_front_end(scorer.spectrograms)
    untrained = untrained_scorer(taken, scorer.model)
    embeddings = untrained.encode_spectrograms(held_out.spectrograms)
    return evaluator.ndcg(held_out.score(untrained, embeddings))


def _read_champion(uri: str) -> tuple[Scorer | None, str]:
    """Read the champion; None and a line if this version of twinear cannot read its file."""
    with scorer_file(uri) as path:
        try:
            return Scorer.read(path), ""
        except DataError as error:
            problem = str(error).removeprefix(f"{path}: ")
            return None, f"the champion {uri} cannot be read and was not compared ({problem})"
