"""Every decision about the champion, in order, and the champion that follows from them.

Decisions are versions of a registered model of their own, because the registry numbers versions
one after the other, atomically, for all who share its database; an alias can be overwritten by
anyone. A change names the change that it follows. Of two that follow the same one, the lower number
counts and the other is void, for every reader. So two promotions at once cannot both win, and one
that is killed leaves no lock behind. The alias `champion`, which serving reads, is set after the
decision and checked against all decisions until they agree. A version promoted by hand in MLflow's
own pages is not a decision, and the next command sets the alias back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from twinear.tracking.registry import (
    Version,
    add_to_description,
    get_champion,
    mark_run,
    registry_errors,
    set_champion,
)
from twinear.tracking.runs import metric_name

DECISIONS = "twinear-decisions"
ABOUT = "Which scorer became champion, which was refused, and why: one version for each decision."
ON_RUN = ("difference", "lead")  # of the numbers of a decision, on the run; all are on the decision
Outcome = Literal["promoted", "refused", "rolled back"]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision as it was recorded."""

    number: int  # its place among all decisions, from 1
    outcome: str
    follows: int  # the number of the change it was made after; 0 for the first
    version: int  # the version it is about; of a rollback, the one that became champion again
    scorer: str  # SHA-256 of that version's file
    held_out: str  # the digest of the queries, their truth and their clips; "" of a rollback
    reason: str


@dataclass(frozen=True, kw_only=True)
class Succession:
    """The result of all decisions."""

    changes: tuple[Decision, ...]  # those that count and changed the champion, oldest first
    champions: tuple[Decision, ...]  # the champion (last) and those to which rolling back returns
    rolled_back: frozenset[str]  # the scorers (SHA-256) that were rolled back

    @property
    def last(self) -> int:
        """The number of the last change; 0 if there is none."""
        return self.changes[-1].number if self.changes else 0

    @property
    def champion(self) -> Decision | None:
        """The promotion that made the present champion."""
        return self.champions[-1] if self.champions else None


def replay(decisions: Iterable[Decision]) -> Succession:
    """Apply decisions in the order of their numbers; a change that came too late is void."""
    changes: list[Decision] = []
    champions: list[Decision] = []
    rolled_back: set[str] = set()
    for decision in sorted(decisions, key=lambda decision: decision.number):
        last = changes[-1].number if changes else 0
        if decision.outcome == "refused" or decision.follows != last:
            continue
        changes.append(decision)
        if decision.outcome == "promoted":
            champions.append(decision)
            rolled_back.discard(decision.scorer)
        else:
            rolled_back.add(champions.pop().scorer)
    return Succession(
        changes=tuple(changes), champions=tuple(champions), rolled_back=frozenset(rolled_back)
    )


def read_succession() -> Succession:
    """Apply all decisions of this registry."""
    return replay(read_decisions())


def read_decisions() -> list[Decision]:
    """Read every decision, oldest first."""
    with registry_errors(DECISIONS) as mlflow:
        client = mlflow.MlflowClient()
        page = client.search_model_versions(f"name = '{DECISIONS}'")
        registered = [*page]
        while page.token:
            page = client.search_model_versions(f"name = '{DECISIONS}'", page_token=page.token)
            registered += page
    return [
        Decision(
            number=int(version.version),
            outcome=version.tags["outcome"],
            follows=int(version.tags["follows"]),
            version=int(version.tags["version"]),
            scorer=version.tags["scorer"],
            held_out=version.tags["held_out"],
            reason=version.description or "",
        )
        for version in sorted(registered, key=lambda version: int(version.version))
    ]


def record(
    outcome: Outcome,
    version: Version,
    follows: int,
    reason: str,
    held_out: str = "",
    numbers: Mapping[str, float] | None = None,
) -> bool:
    """Record a decision and set the alias; return whether the decision counts.

    `follows` is `Succession.last`, as it was when the decision was made. If another change came
    since, this one is recorded and void. `numbers` are what the decision is based on.
    """
    numbers = numbers or {}
    tags = {"outcome": outcome, "follows": str(follows), "version": str(version.number)}
    tags |= {"scorer": version.scorer, "held_out": held_out}
    tags |= {name: f"{value:.6g}" for name, value in numbers.items()}
    with registry_errors(DECISIONS) as mlflow:
        client = mlflow.MlflowClient()
        try:
            client.create_registered_model(DECISIONS, description=ABOUT)
        except mlflow.MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        created = client.create_model_version(
            DECISIONS, version.uri, version.run_id, tags=tags, description=reason
        )
    number = int(created.version)
    counts = outcome == "refused" or number in {each.number for each in read_succession().changes}
    metrics = {
        f"promotion/{metric_name(name)}": value
        for name, value in numbers.items()
        if name.startswith(ON_RUN)
    }
    decision = outcome if counts else "too late"
    mark_run(version, {"decision": decision, "decision_reason": reason}, metrics)
    add_to_description(version, f"Decision {number}: **{decision}**, {reason}.")
    follow()
    return counts


def follow() -> Version | None:
    """Set the alias to the champion of the decisions, also while others decide."""
    while champion := read_succession().champion:
        aliased = get_champion()
        if aliased and aliased.number == champion.version:
            return aliased
        set_champion(champion.version)  # then look again: another decision may have come
    return None
