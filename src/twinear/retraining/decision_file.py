"""The committed decision, `reports/champion.json`, beside the registry that this machine sees.

The file travels with the repository, the registry does not: a fresh clone may name a champion that
its own, empty registry has never had.
"""

import json
from pathlib import Path

from twinear.base.errors import DataError
from twinear.tracking.registry import SCHEME, get_version, registry_errors
from twinear.tracking.runs import MODEL


def find_missing_champion(path: Path) -> DataError | None:
    """Make the error for a decision file whose champion the registry lacks; None if it has it.

    The version of the same number may also be another scorer. None for a file that is missing or
    names no champion.

    Raises
    ------
    DataError
        The file is damaged.
    TwinearError
        The registry cannot be reached.
    """
    if not path.exists():
        return None
    try:
        decision = json.loads(path.read_text(encoding="utf-8"))
        number, is_champion = decision["champion"], decision["champion"] == decision["version"]
        scorer = str(decision["scorer"]) if is_champion else ""
    except (ValueError, KeyError, TypeError) as error:
        found = f"is no decision ({error})"
        raise DataError(path, found, remedy="restore it from git, or remove it") from error
    if number is None:
        return None
    named = f"names the champion {SCHEME}{MODEL}/{number}" + (scorer and f", scorer {scorer[:10]}")
    with registry_errors(str(path)) as mlflow:
        registry = mlflow.get_tracking_uri()
    try:
        version = get_version(int(number))
    except DataError:
        found = f"{named}, which the registry {registry} does not have"
    else:
        if not scorer or version.scorer == scorer:
            return None
        found = f"{named}, but in the registry {registry} that is scorer {version.scorer[:10]}"
    remedy = "set MLFLOW_TRACKING_URI to the registry of that decision, or run 'twinear promote'"
    return DataError(path, found, remedy=remedy)
