"""Whom listeners, the model and the baseline would suggest after an artist."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twinear.artists.identity import normalise_name
from twinear.base.errors import ParamsError, nearest
from twinear.report.inputs import MODEL, Evidence

TRUTH = "truth"
SOURCES = {TRUTH: "listeners", MODEL: "model", "l2": "L2 of spectrograms"}


@dataclass(frozen=True, kw_only=True)
class Suggestions:
    """The first of the other test artists, for one of them.

    Attributes
    ----------
    artist
        Its row among the test artists.
    lists
        Source -> rows, best first; of the truth only artists with any similarity.
    """

    artist: int
    lists: Mapping[str, Sequence[int]]

    def hit(self, source: str, row: int) -> bool:
        """Whether a suggestion of a source is one of the truth's too."""
        return source != TRUTH and row in self.lists[TRUTH]


def chosen_artists(wanted: Sequence[str], n_artists: int, evidence: Evidence) -> list[int]:
    """Choose rows of the test artists: those `wanted`, or else the `n_artists` most listened.

    Raises
    ------
    ParamsError
        A name of nobody among the test artists.
    """
    if wanted:
        return [_find(name, list(evidence.test.artists["name"])) for name in wanted]
    rank = {each: place for place, each in enumerate(evidence.similarity.artists["artist"])}
    ids = list(evidence.test.artists["artist"])
    return sorted(range(len(ids)), key=lambda row: rank.get(ids[row], len(rank)))[:n_artists]


def _find(name: str, names: Sequence[str]) -> int:
    known = {normalise_name(each): row for row, each in reversed(list(enumerate(names)))}
    key = normalise_name(name)
    if key not in known:
        near = nearest(key, known)
        raise ParamsError(
            "params.yaml: report.suggestions",
            f"'{name}' is no test artist",
            remedy=f"did you mean '{names[known[near[0]]]}'?"
            if near
            else "see artifacts/split.csv",
        )
    return known[key]


def suggest(row: int, n_suggestions: int, evidence: Evidence) -> Suggestions:
    """Find the `n_suggestions` best of every source for the test artist in `row`."""
    scores = {TRUTH: evidence.test.truth, **evidence.test.scores}
    lists = {
        source: _best(scores[source][row], row)[:n_suggestions]
        for source in SOURCES
        if source in scores
    }
    similar = [each for each in lists[TRUTH] if evidence.test.truth[row, each] > 0]
    return Suggestions(artist=row, lists=lists | {TRUTH: similar})


def _best(scores: npt.NDArray[np.floating], row: int) -> list[int]:
    return [int(each) for each in np.argsort(-scores, kind="stable") if each != row]
