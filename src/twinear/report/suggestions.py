"""The artists that listeners, the catalogue and a baseline would suggest for an artist."""

from collections.abc import Sequence

import numpy as np

from twinear.artists.identity import normalise_name
from twinear.base.errors import ParamsError, nearest
from twinear.ranking.ranking import CATALOGUE
from twinear.report.inputs import ReportInputs

TRUTH = "truth"
SOURCES = {TRUTH: "listeners", CATALOGUE: "catalogue", "l2": "L2 of spectrograms"}


def choose_artists(names: Sequence[str], n_artists: int, inputs: ReportInputs) -> list[int]:
    """Choose rows of the test artists: those named, or else the `n_artists` most listened."""
    if not names:
        ids = list(inputs.test.artists["artist"])
        rank = {artist: at for at, artist in enumerate(inputs.similarity.artists["artist"])}
        return sorted(range(len(ids)), key=lambda row: rank.get(ids[row], len(rank)))[:n_artists]
    known = list(inputs.test.artists["name"])
    row_of_name = {normalise_name(name): row for row, name in reversed(list(enumerate(known)))}
    rows = []
    for name in names:
        row = row_of_name.get(normalise_name(name))
        if row is None:
            remedy = "see artifacts/split.csv"
            for near in nearest(normalise_name(name), row_of_name)[:1]:
                remedy = f"did you mean '{known[row_of_name[near]]}'?"
            place, found = "params.yaml: report.suggestions", f"'{name}' is no test artist"
            raise ParamsError(place, found, remedy=remedy)
        rows.append(row)
    return rows


def suggest(row: int, n_suggestions: int, inputs: ReportInputs) -> dict[str, list[int]]:
    """Find the `n_suggestions` best artists of every source for the test artist in `row`.

    The result maps a source to rows, best first; of the truth only artists with any similarity.
    """
    scores = {TRUTH: inputs.test.truth, **inputs.test.scores}
    lists = {}
    for source in SOURCES:
        if source in scores:
            best = np.argsort(-scores[source][row], kind="stable")
            lists[source] = [int(other) for other in best if other != row][:n_suggestions]
    lists[TRUTH] = [other for other in lists[TRUTH] if inputs.test.truth[row, other] > 0]
    return lists
