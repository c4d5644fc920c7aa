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
from twinear.base.files import require, sha256, write_json
from twinear.catalogue.catalogue import SCORER
from twinear.compute.pool import Workers
from twinear.metrics.ranking_metrics import Floats
from twinear.model.pooling import Pooling
from twinear.model.scorer import Scorer, ScorerError
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
    attach,
    find_run,
    find_version,
    get_version,
    read_split,
    register,
    resolve,
    scorer_file,
)
from twinear.tracking.runs import MODEL, open_run
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
    version: int | None  # None of a file that cannot be read: it was not registered
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

    The challenger is a scorer's file or `models:/…`. A file that is not registered is registered
    when its checks have run; one that is there and cannot be read is refused, and not registered.
    One that was rolled back may return with `again`. `DataError` if the challenger is missing or
    the pipeline has not run, `TwinearError` if the registry cannot be reached.
    """
    follow()
    succession = read_succession()
    champion = succession.champion
    if not challenger.startswith(SCHEME):
        require(Path(challenger), "name a scorer's file, or run 'dvc repro training'")
    try:
        read = _read_challenger(challenger, folders)
    except ScorerError as error:
        return Promotion(
            outcome="refused",
            reason=str(error),
            version=None,
            scorer="",
            champion=champion.version if champion else None,
            numbers={},
        )
    scorer, version = read.scorer, read.version
    if champion and version and champion.scorer == read.digest:
        _attach_catalogue(version, folders)
        return Promotion(
            outcome="kept",
            reason="it is the champion already",
            version=version.number,
            scorer=version.scorer,
            champion=champion.version,
            numbers={},
        )
    test = read_held_out(folders, rules.pooling)
    trained_on, incumbent, unreadable = read.trained_on, None, ""
    if champion:
        standing = get_version(champion.version)
        trained_on |= _trained_on(standing)
        incumbent, unreadable = _read_champion(standing.uri)
    held_out = test.exclude(trained_on, rules.promotion.min_queries)
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
    if read.digest in succession.rolled_back and not again:
        promoted, reasons = False, ["it was rolled back; --again allows it"]
    version = version or _register(challenger, folders, rules)
    promotion = _record(
        "promoted" if promoted else "refused",
        "; ".join(reasons),
        version,
        succession,
        digest=test.digest,
        checks=judgement.checks,
        numbers=judgement.rule.numbers | {"trained_on": float(len(seen))},
    )
    if promotion.stands:
        _attach_catalogue(version, folders)
    return promotion


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


@dataclass(frozen=True, kw_only=True, eq=False)
class _Challenger:
    scorer: Scorer
    digest: str  # SHA-256 of its file
    version: Version | None  # None: not registered yet
    trained_on: set[str]  # artists


def _read_challenger(name: str, folders: PipelineFolders) -> _Challenger:
    """Read a challenger, and find its version if it has one; nothing is registered."""
    with scorer_file(name) as path:
        scorer, digest = Scorer.read(path), sha256(path)
        own = path.resolve() == folders.scorer.resolve()
    named = name.startswith((f"{SCHEME}{MODEL}/", f"{SCHEME}{MODEL}@"))
    version = resolve(name) if named else find_version(digest)
    if version is None and own:  # trained on the present split
        split = Split.read(folders.split)
        trained_on = {*split.members("train"), *split.members("validation")}
    else:
        trained_on = _trained_on(
            version or Version(number=0, scorer=digest, run_id=find_run(digest))
        )
    return _Challenger(scorer=scorer, digest=digest, version=version, trained_on=trained_on)


def _register(name: str, folders: PipelineFolders, rules: Rules) -> Version:
    """Find the version of a scorer; make one of a candidate that has none.

    A scorer that no run has logged gets a run: with the present params if the pipeline has trained
    it, else with those that its file holds.
    """
    if name.startswith(f"{SCHEME}{MODEL}/") or name.startswith(f"{SCHEME}{MODEL}@"):
        return resolve(name)
    with scorer_file(name) as path:
        scorer, digest = Scorer.read(path), sha256(path)
        if version := find_version(digest):
            return version
        if not find_run(digest):
            own = path.resolve() == folders.scorer.resolve()
            params = rules.sections if own else scorer.params
            with open_run(params, digest, "pipeline" if own else "imported") as run:
                if own:  # trained on the present split
                    run.log_files(folders.split)
                run.log_scorer(path, digest, scorer.inputs)
    return register(digest)


def _attach_catalogue(version: Version, folders: PipelineFolders) -> None:
    """Keep the pipeline's catalogue with the champion, if it is of that scorer."""
    scorer = folders.catalogue / SCORER
    if scorer.exists() and sha256(scorer) == version.scorer:
        attach(version, folders.catalogue)


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
