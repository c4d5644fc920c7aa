"""One MLflow run for a study of the search, with a child for each trial."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from twinear.tracking.connection import is_off
from twinear.tracking.provenance import KIND_TAG
from twinear.tracking.runs import Run, ending, start_run

KIND = "tuning"
STUDY_TAG = "study"


@contextmanager
def open_study(name: str, params: Mapping[str, Any], identity: str) -> Iterator[Run]:
    """Open the run of a study.

    Parameters
    ----------
    name
        The study's name.
    params
        The section `tuning`; logged when the run is new.
    identity
        The latest run of a study of equal identity is opened again.

    Raises
    ------
    TwinearError
        The tracking server cannot be reached.
    """
    if is_off():
        yield Run()
        return
    query = f"tags.{STUDY_TAG} = '{identity}' and tags.{KIND_TAG} = '{KIND}'"
    tags = {STUDY_TAG: identity}
    with ending(start_run(KIND, f"{KIND}-{name}", params, tags, resume=query)) as run:
        yield run
