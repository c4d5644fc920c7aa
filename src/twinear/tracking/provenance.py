"""The origin of a run: its kind, the git commit, the hash of the data, the params that differ.

Written as tags of a run, so that MLflow's table can show, filter and group by them, and as its
description, which stands at the top of its page.
"""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from twinear.base.params import PARAMS, load_yaml

Kind = Literal["pipeline", "crossval", "fold", "tuning", "trial", "imported"]
KIND_TAG, COMMIT_TAG, DATA_TAG = "kind", "commit", "data"
CHANGED_TAG = "changed"  # the params that differ from the committed ones
NOTE_TAG = "mlflow.note.content"  # the description that MLflow shows
DATA = Path("data.dvc")
UNKNOWN, NOTHING = "unknown", "nothing"
MAX_TAG = 500  # letters of a tag that a column shows at most

READING: dict[Kind, str] = {
    "pipeline": "`ndcg_at_10` is that of the catalogue on the held-out test artists, between "
    "`ndcg_at_10_lower` and `ndcg_at_10_upper`. What is called `validation…` was seen when epochs "
    "and params were chosen. `baselines.csv` has all measures of all systems.",
    "crossval": "Each artist is held out once. The figures are of the first system; "
    "`comparison.csv` has all measures of all systems. The folds are the runs below this one.",
    "fold": "One fold: the means over its queries, and the training curves, the mean over seeds.",
    "tuning": "A search. The trials are the runs below this one. `best_validation_ndcg` chose the "
    "best trial, so it is optimistically biased; no test artist was used.",
    "trial": "One trial of a search. `best_validation_ndcg` is its value; no test artist was used.",
    "imported": "A scorer file that no run here has trained, registered by `twinear promote`. The "
    "params are those that the file holds; its commit and its data are not known.",
}


def provenance(kind: Kind) -> dict[str, str]:
    """Collect the tags of a run of that kind; a file of elsewhere has no commit and data here."""
    if kind == "imported":
        return {KIND_TAG: kind, COMMIT_TAG: UNKNOWN, DATA_TAG: UNKNOWN}
    return {KIND_TAG: kind, COMMIT_TAG: _git("rev-parse", "HEAD") or UNKNOWN, DATA_TAG: data_hash()}


def description(kind: Kind, params: Mapping[str, Any]) -> dict[str, str]:
    """Make the tags that describe a run of flat params: those that differ come first."""
    changed = None if kind == "imported" else changed_params(params)
    lines = []
    if changed:
        lines += ["Differs from the committed params:", ""]
        lines += [
            f"- `{name}`: **{_show(here)}**, committed {_show(committed)}"
            for name, (here, committed) in changed.items()
        ]
    elif changed is not None:
        lines += ["All params are as committed."]
    text = "\n".join(["\n".join(lines), "", READING[kind]]).strip()
    found = ", ".join(f"{name}={_show(here)}" for name, (here, _) in (changed or {}).items())
    tag = UNKNOWN if changed is None else found or NOTHING
    return {NOTE_TAG: text, CHANGED_TAG: tag if len(tag) <= MAX_TAG else f"{tag[: MAX_TAG - 1]}…"}


def changed_params(params: Mapping[str, Any]) -> dict[str, tuple[Any, Any]] | None:
    """Find the flat params that differ from the committed file: name -> here, committed.

    None where there is no commit, or none with params.
    """
    from ruamel.yaml.error import YAMLError  # slow to import, as below

    try:
        committed = load_yaml(_git("show", f"HEAD:./{PARAMS}").encode())
    except YAMLError:
        return None
    if not isinstance(committed, dict):
        return None
    before = flatten(committed)
    return {
        name: (value, before.get(name))
        for name, value in params.items()
        if name not in before or before[name] != value
    }


def flatten(sections: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested sections to one level, keys joined by dots.

    Examples
    --------
    >>> flatten({"training": {"model": {"channels": 32}, "seed": 1}})
    {'training.model.channels': 32, 'training.seed': 1}
    """
    flat: dict[str, Any] = {}
    for key, value in sections.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def data_hash(path: Path = DATA) -> str:
    """Return DVC's hash of the data folder, as `data.dvc` pins it."""
    from ruamel.yaml import YAML  # slow to import, and scorers are looked up without it
    from ruamel.yaml.error import YAMLError

    try:
        return str(YAML(typ="safe").load(path)["outs"][0]["md5"])
    except (OSError, YAMLError, KeyError, IndexError, TypeError):
        return UNKNOWN


def _show(value: Any) -> str:
    return "–" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _git(*words: str) -> str:
    """The output of git; "" where it fails. Uncommitted changes of code are not shown."""
    try:
        git = subprocess.run(["git", *words], capture_output=True, text=True, check=False)  # noqa: S603, S607
    except OSError:
        return ""
    return git.stdout.strip() if git.returncode == 0 else ""
