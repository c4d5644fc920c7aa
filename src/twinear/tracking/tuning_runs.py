"""One MLflow run for a study of the search, with a child for each trial."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from twinear.tracking.provenance import KIND_TAG
from twinear.tracking.runs import Run, ending, start_run

KIND = "tuning"
STUDY_TAG = "study"


def open_study(name: str, params: Mapping[str, Any], identity: str) -> AbstractContextManager[Run]:
    """Open the run of a study: the latest one of equal identity, or a new one.

    Parameters
    ----------
    params
        The section `tuning`; logged when the run is new.

    Raises
    ------
    TwinearError
        The tracking server cannot be reached.
    """
    query = f"tags.{STUDY_TAG} = '{identity}' and tags.{KIND_TAG} = '{KIND}'"
    tags = {STUDY_TAG: identity}
    return ending(start_run(KIND, f"{KIND}-{name}", params, tags, resume=query))
