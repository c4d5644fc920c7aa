"""Every decision about the champion, in order, and who is champion by them.

Decisions are versions of a registered model of their own, because the registry numbers versions
one after the other, atomically, for all who share its database; setting an alias asks nobody. A
change names the change that it follows. Of two that follow the same one the lower number counts
and the other is void, whoever looks. So two promotions at once cannot both win, and one that is
killed leaves no lock behind. The alias `champion`, which serving reads, is set after the decision
and checked against all decisions until they agree; a version promoted by hand in MLflow's own
pages is no decision and does not last.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from twinear.tracking.registry import (
    Version,
    explained,
    get_champion,
    mark_run,
    require_tracking,
    set_champion,
)
from twinear.tracking.runs import metric_name

DECISIONS = "twinear-decisions"
ABOUT = "Who became champion, who was refused, and why: one version for each decision."
Outcome = Literal["promoted", "refused", "rolled back"]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision as it was recorded.

    Parameters
    ----------
    number
        Its place among all decisions, from 1.
    follows
        The number of the change it was made after; 0 for none.
    version
        The version it is about; of a rollback, the one that became champion again.
    scorer
        SHA-256 of that version's file.
    held_out
        The digest of the queries, their truth and their clips; "" of a rollback.
    """

    number: int
    outcome: str
    follows: int
    version: int
    scorer: str
    held_out: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Succession:
    """What the decisions add up to: the changes that count, oldest first, and the champions.

    Parameters
    ----------
    champions
        Versions that are or would be champion, by rolling back; the last one is.
    rolled_back
        The scorers (SHA-256) that were taken back.
    """

    changes: tuple[Decision, ...]
    champions: tuple[Decision, ...]
    rolled_back: frozenset[str]

    @property
    def last(self) -> int:
        """The number of the last change; 0 for none."""
        return self.changes[-1].number if self.changes else 0

    @property
    def champion(self) -> Decision | None:
        """The promotion that made the present champion."""
        return self.champions[-1] if self.champions else None


def succeed(decisions: Iterable[Decision]) -> Succession:
    """Replay decisions in the order of their numbers; a change that came too late is void."""
    changes: list[Decision] = []
    champions: list[Decision] = []
    rolled_back: set[str] = set()
    for each in sorted(decisions, key=lambda each: each.number):
        last = changes[-1].number if changes else 0
        if each.outcome == "refused" or each.follows != last:
            continue
        changes.append(each)
        if each.outcome == "promoted":
            champions.append(each)
            rolled_back.discard(each.scorer)
        else:
            rolled_back.add(champions.pop().scorer)
    return Succession(
        changes=tuple(changes), champions=tuple(champions), rolled_back=frozenset(rolled_back)
    )


def read_succession() -> Succession:
    """What all decisions of this registry add up to."""
    return succeed(read_decisions())


def read_decisions() -> list[Decision]:
    """Every decision, oldest first."""
    mlflow = require_tracking()
    with explained(mlflow, DECISIONS):
        found = _all_versions(mlflow.MlflowClient())
        return sorted(map(_decision, found), key=lambda each: each.number)


def _all_versions(client: Any) -> list[Any]:
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name = '{DECISIONS}'", page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _decision(found: Any) -> Decision:
    tags = found.tags
    return Decision(
        number=int(found.version),
        outcome=tags["outcome"],
        follows=int(tags["follows"]),
        version=int(tags["version"]),
        scorer=tags["scorer"],
        held_out=tags["held_out"],
        reason=found.description or "",
    )


def record(
    outcome: Outcome,
    version: Version,
    follows: int,
    reason: str,
    held_out: str = "",
    numbers: Mapping[str, float] | None = None,
) -> bool:
    """Record a decision and let the alias follow; whether it counts.

    Parameters
    ----------
    follows
        `Succession.last`, as it was when the decision was made. When another change came since,
        this one is recorded and void.
    numbers
        What the decision rests on.
    """
    mlflow = require_tracking()
    number = _append(mlflow, outcome, version, follows, reason, held_out, numbers or {})
    counts = outcome == "refused" or number in {each.number for each in read_succession().changes}
    named = outcome if counts else "too late"
    measures = {f"promotion/{metric_name(name)}": each for name, each in (numbers or {}).items()}
    mark_run(version, {"decision": named, "decision_reason": reason}, measures)
    follow()
    return counts


def _append(
    mlflow: Any,
    outcome: Outcome,
    version: Version,
    follows: int,
    reason: str,
    held_out: str,
    numbers: Mapping[str, float],
) -> int:
    tags = {"outcome": outcome, "follows": str(follows), "version": str(version.number)}
    tags |= {"scorer": version.scorer, "held_out": held_out}
    tags |= {name: f"{value:.6g}" for name, value in numbers.items()}
    client = mlflow.MlflowClient()
    with explained(mlflow, DECISIONS):
        _create(mlflow, client)
        made = client.create_model_version(
            DECISIONS, version.uri, version.run_id, tags=tags, description=reason
        )
    return int(made.version)


def _create(mlflow: Any, client: Any) -> None:
    try:
        client.create_registered_model(DECISIONS, description=ABOUT)
    except mlflow.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def follow() -> Version | None:
    """Let the alias name the champion of the decisions, also when others decide meanwhile."""
    while champion := read_succession().champion:
        named = get_champion()
        if named and named.number == champion.version:
            return named
        set_champion(champion.version)
    return None
