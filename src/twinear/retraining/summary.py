"""What retraining did, in Markdown, for the page of a workflow and for `reports/`."""

from twinear.retraining.acceptance import Figures, drift
from twinear.retraining.retraining import Retraining

SHOWN = ("ndcg@10.value", "unordered@10.value", "mrr.value")
PICTURES = ("ranking", "training")


def summarise(retraining: Retraining, *, pictures: bool) -> str:
    """Lay out the outcome, its reason, the data, the checks and the metrics.

    Parameters
    ----------
    pictures
        Whether to show those of the report; they are found from the folder of the reports only.
    """
    parts = [_outcome(retraining), _data(retraining), _checks(retraining), _metrics(retraining)]
    if pictures and retraining.promotion:
        parts += [f"![{name}](figures/{name}.png)" for name in PICTURES]
    return "\n\n".join(filter(None, parts))


def _outcome(retraining: Retraining) -> str:
    lines = [f"# Retraining: {retraining.outcome}", retraining.reason]
    if promotion := retraining.promotion:
        trained = "A new scorer" if retraining.trained else "The scorer of before"
        champion = f"version {promotion.champion}" if promotion.champion else "nobody yet"
        lines.append(f"{trained} is version {promotion.version}, champion is {champion}.")
    return "\n\n".join([*lines, *([retraining.pushed] if retraining.pushed else [])])


def _data(retraining: Retraining) -> str:
    now, accepted = retraining.now, retraining.accepted
    if now is None:
        return ""
    rows = [
        (name, value, accepted.counts[name] if accepted else "–")
        for name, value in now.counts.items()
    ]
    table = ["| data | now | accepted |", "|---|--:|--:|"]
    table += [f"| {name} | {value} | {before} |" for name, value, before in rows]
    return "\n".join(table) + (f"\n\n{_drift(now, accepted)}" if accepted else "")


def _drift(now: Figures, accepted: Figures) -> str:
    popularity, seconds = drift(now, accepted)
    return f"Drift: popularity {popularity:.3f} powers of ten, durations {seconds:.2f} s."


def _checks(retraining: Retraining) -> str:
    checks = retraining.promotion.checks if retraining.promotion else ()
    return "\n".join(f"- {each}" for each in checks)


def _metrics(retraining: Retraining) -> str:
    """The table of `dvc metrics diff`, the metrics that people read first only."""
    head, *body = [line for line in retraining.changes.splitlines() if line[:1] == "|"] or [""]
    rows = [line for line in body[1:] if any(name in line for name in SHOWN)]
    if not rows:
        return ""
    return "\n".join(["Metrics beside the last commit:", "", head, body[0], *rows])
