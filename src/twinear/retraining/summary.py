"""The summary of a retraining in Markdown, for the page of a workflow and for `reports/`."""

from twinear.base.text import markdown_table
from twinear.retraining.acceptance import drift
from twinear.retraining.retraining import Retraining

PICTURES = ("ranking", "training")


def summarise(retraining: Retraining, *, pictures: bool) -> str:
    """Write the outcome, its reason, the data, the checks and the metrics.

    `pictures` links those of the report, which works from the folder of the reports only.
    """
    promotion = retraining.promotion
    parts = [f"# Retraining: {retraining.outcome}", retraining.reason]
    if promotion:
        scorer = "A new scorer" if retraining.trained else "The same scorer as before"
        champion = f"the champion is version {promotion.champion}"
        champion = champion if promotion.champion else "there is no champion yet"
        named = f"version {promotion.version}" if promotion.version else "not registered"
        parts.append(f"{scorer} is {named}, {champion}.")
    parts += [retraining.restored, retraining.pushed, _format_data(retraining)]
    if promotion:
        parts.append("\n".join(f"- {check}" for check in promotion.checks))
    table = [line for line in retraining.changes.splitlines() if line.startswith("|")]
    if table:  # `dvc metrics diff --md`
        parts.append("\n".join(["Metrics beside the last commit:", "", *table]))
    if pictures and retraining.succeeded:
        parts += [f"![{name}](figures/{name}.png)" for name in PICTURES]
    return "\n\n".join(filter(None, parts))


def _format_data(retraining: Retraining) -> str:
    now, accepted = retraining.now, retraining.accepted
    if now is None:
        return ""
    rows = [
        [name, str(count), str(accepted.counts[name]) if accepted else "–"]
        for name, count in now.counts.items()
    ]
    table = markdown_table(["data", "now", "accepted"], rows)
    if accepted is None:
        return table
    popularity, seconds = drift(now, accepted)
    moved = f"popularity {popularity:.3f} powers of ten, durations {seconds:.2f} s"
    return f"{table}\n\nDrift: {moved}."
