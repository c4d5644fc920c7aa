"""The origin of a run: its kind, the git commit, the hash of the data.

Written as tags of a run, so that MLflow's table can show, filter and group by them.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path

KIND_TAG, COMMIT_TAG, DATA_TAG = "kind", "commit", "data"
DATA = Path("data.dvc")
UNKNOWN = "unknown"


def provenance(kind: str) -> dict[str, str]:
    """Collect the tags of a run of that kind (pipeline, crossval, tuning)."""
    return {KIND_TAG: kind, COMMIT_TAG: _commit(), DATA_TAG: data_hash()}


def describe(tags: Mapping[str, str]) -> str:
    """Describe in Markdown what the run is and how to read it."""
    return (
        f"A run of the {tags[KIND_TAG]} at commit `{tags[COMMIT_TAG][:10]}` on data "
        f"`{tags[DATA_TAG][:10]}`.\n\n`ndcg_at_10` is that of the catalogue on the test artists, "
        "between `ndcg_at_10_low` and `ndcg_at_10_high`; `validation_ndcg` is the curve by epoch. "
        "The tag `scorer` is the SHA-256 of the scorer's file."
    )


def data_hash(path: Path = DATA) -> str:
    """Return DVC's hash of the data folder, as `data.dvc` pins it."""
    from ruamel.yaml import YAML  # slow to import, and scorers are looked up without it
    from ruamel.yaml.error import YAMLError

    try:
        return str(YAML(typ="safe").load(path)["outs"][0]["md5"])
    except (OSError, YAMLError, KeyError, IndexError, TypeError):
        return UNKNOWN


def _commit() -> str:
    """The commit that is checked out; uncommitted changes are not shown."""
    try:
        command = ["git", "rev-parse", "HEAD"]
        git = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return UNKNOWN
    return git.stdout.strip() if git.returncode == 0 else UNKNOWN
