"""A challenger against the champion: find both, judge both anew, decide, record.

Both are judged on the present data by the present code, also when the champion was promoted on the
same held-out queries: it costs seconds, and no figure of another day can flatter either.
"""

import json
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from twinear.base.errors import DataError
from twinear.base.files import sha256, write_text
from twinear.compute.pool import Workers
from twinear.model.scorer import Scorer
from twinear.ranking.ranking import RankingParams
from twinear.retraining.checks import Check, examine
from twinear.retraining.held_out import Folders, HeldOut, Jury, read_held_out
from twinear.retraining.promotion_rule import Match, PromotionParams, Verdict, decide
from twinear.split import Split
from twinear.tracking.promotions import (
    Decision,
    Outcome,
    Succession,
    follow,
    read_succession,
    record,
)
from twinear.tracking.registry import (
    SCHEME,
    Version,
    find_version,
    get_version,
    read_split,
    resolve,
    scorer_file,
)
from twinear.tracking.runs import open_run


@dataclass(frozen=True, kw_only=True)
class Rules:
    """All params that a promotion reads, and the sections of a run that has to be made."""

    promotion: PromotionParams
    ranking: RankingParams
    sections: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """What was decided about a challenger.

    Parameters
    ----------
    outcome
        `promoted`, `refused`, `kept` (it is the champion already), `too late` (another change of
        champion came first) or `rolled back`.
    version, scorer
        The challenger.
    champion
        The version that is champion now; None: there is none.
    """

    outcome: str
    reason: str
    version: int
    scorer: str
    champion: int | None
    checks: tuple[Check, ...] = ()
    numbers: Mapping[str, float]

    @property
    def stands(self) -> bool:
        """Whether the challenger is champion now."""
        return self.outcome in {"promoted", "kept", "rolled back"}

    def write(self, path: Path) -> None:
        """Write JSON for people and machines."""
        content = asdict(self)
        content["numbers"] = {name: round(each, 6) for name, each in self.numbers.items()}
        write_text(path, json.dumps(content, indent=2, ensure_ascii=False))


def promote(
    challenger: str, folders: Folders, rules: Rules, workers: Workers, *, again: bool = False
) -> Promotion:
    """Make the challenger champion if the rule says so; every decision is recorded.

    Parameters
    ----------
    challenger
        A scorer's file or `models:/…`; a file that is not registered is registered first.
    again
        Whether a scorer that was rolled back may come back.

    Raises
    ------
    DataError
        No such scorer, or the pipeline has not run.
    TwinearError
        The registry cannot be reached.
    """
    version = _registered(challenger, folders, rules)
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
    digest, checks, verdict = _judge(version, champion, folders, rules, workers)
    if version.scorer in succession.rolled_back and not again:
        verdict = replace(verdict, promoted=False, reason="it was rolled back; --again forgives it")
    return _recorded(version, succession, digest, checks, verdict)


def roll_back() -> Promotion:
    """Make the champion before this one champion again.

    Raises
    ------
    DataError
        There is none before.
    """
    succession = read_succession()
    if len(succession.champions) < 2:
        found = "there is no champion before this one" if succession.champion else "is empty"
        raise DataError("models:/twinear@champion", found, remedy="run 'twinear promote' first")
    leaving, back = succession.champions[-1], succession.champions[-2]
    reason = f"version {leaving.version} was taken back"
    verdict = Verdict(promoted=True, reason=reason, numbers={})
    return _recorded(get_version(back.version), succession, "", [], verdict, "rolled back")


def _recorded(
    version: Version,
    succession: Succession,
    digest: str,
    checks: list[Check],
    verdict: Verdict,
    named: Outcome = "promoted",
) -> Promotion:
    outcome: Outcome = named if verdict.promoted else "refused"
    counts = record(outcome, version, succession.last, verdict.reason, digest, verdict.numbers)
    champion = follow()
    return Promotion(
        outcome=outcome if counts else "too late",
        reason=verdict.reason if counts else "another change of champion came first; run it again",
        version=version.number,
        scorer=version.scorer,
        champion=champion.number if champion else None,
        checks=tuple(checks),
        numbers=verdict.numbers,
    )


def _registered(name: str, folders: Folders, rules: Rules) -> Version:
    if name.startswith(SCHEME):
        return resolve(name)
    path = Path(name)
    scorer = Scorer.read(path)
    digest = sha256(path)
    if found := find_version(digest):
        return found
    with open_run(rules.sections, digest) as run:
        if path.resolve() == folders.scorer.resolve():  # of this split
            run.log_files(folders.split)
        run.log_scorer(path, digest, scorer.inputs)
    if found := find_version(digest):
        return found
    raise DataError(path, "could not be registered", remedy="see above what MLflow said")


def _judge(
    version: Version, champion: Decision | None, folders: Folders, rules: Rules, workers: Workers
) -> tuple[str, list[Check], Verdict]:
    whole = read_held_out(folders)
    heard = _heard(version) | (_heard(get_version(champion.version)) if champion else set())
    held_out = whole.without(heard, rules.promotion.min_queries)
    jury = Jury(held_out=held_out, params=rules.ranking)
    scorer, embeddings = _encoded(version.uri, held_out, folders.data, workers)
    planted = folders.data / "truth.csv"
    checks = examine(scorer, embeddings, jury, planted, rules.promotion)
    against = None
    if champion:
        uri = get_version(champion.version).uri
        against = jury.judge(held_out.score(*_encoded(uri, held_out, folders.data, workers)))
    match = Match(
        challenger=jury.judge(held_out.score(scorer, embeddings)),
        chance=jury.chance,
        champion=against,
        same=champion is not None and champion.held_out == whole.digest,
    )
    verdict = decide(match, rules.promotion.margin, rules.ranking)
    verdict = _with_heard(verdict, heard & set(held_out.artists))
    return whole.digest, checks, _with_checks(verdict, checks)


def _encoded(uri: str, held_out: HeldOut, data: Path, workers: Workers) -> tuple[Scorer, Any]:
    with scorer_file(uri) as path:
        scorer = Scorer.read(path)
    return scorer, held_out.encode(scorer, data, workers)


def _heard(version: Version) -> set[str]:
    """The artists that a version was trained or chosen on."""
    with tempfile.TemporaryDirectory() as folder:
        path = read_split(version, Path(folder))
        if path is None:
            return set()
        split = Split.read(path)
        return {*split.members("train"), *split.members("validation")}


def _with_heard(verdict: Verdict, heard: Collection[str]) -> Verdict:
    """Say how many queries one of the two has heard in training."""
    numbers = verdict.numbers | {"heard": float(len(heard))}
    if not heard:
        return replace(verdict, numbers=numbers)
    reason = f"{verdict.reason}; {len(heard)} queries were in a training"
    return replace(verdict, reason=reason, numbers=numbers)


def _with_checks(verdict: Verdict, checks: list[Check]) -> Verdict:
    """Refuse a scorer that failed a check, whatever it ranks."""
    failed = [str(each) for each in checks if not each.passed]
    if not failed:
        return verdict
    return replace(verdict, promoted=False, reason="; ".join([*failed, verdict.reason]))
