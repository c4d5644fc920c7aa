"""Artist-disjoint folds: every artist is held out once, and no fold depends on another's artists.

The fold of an artist is `sha256(id) mod k`, or that of the text in a column of clips.csv, so that
the folds of another study can be had by its own ids. One fold is test, the next validation, the
others train. When settings are being chosen, `on="validation"` judges the validation folds and
leaves the test fold out of everything, candidates and mutual proximity included.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from twinear.artists.clip_table import resolve
from twinear.base.errors import DataError, nearest
from twinear.evaluation.dataset import read_data_clips
from twinear.metrics.ranking_metrics import Bools, Ints
from twinear.split import fold_of

On = Literal["test", "validation"]
LEAST = 3  # artists to train on, to choose an epoch by, or to rank


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Who does what while one fold is held out; ids in the order of the artists."""

    number: int  # of the fold that is test
    train: tuple[str, ...]
    validation: tuple[str, ...]
    queries: tuple[str, ...]  # who is judged: never trained on
    left_out: tuple[str, ...]  # who takes no part at all

    @property
    def judges_validation(self) -> bool:
        """Whether the queries are the validation artists, who choose the epoch."""
        return self.queries == self.validation

    @property
    def listened(self) -> tuple[str, ...]:
        """Whose listens may be used."""
        judged = set(self.queries)
        return tuple(each for each in self.train + self.validation if each not in judged)


def cut_folds(artists: Sequence[str], fold: Ints, n_folds: int, on: On, least: int) -> list[Fold]:
    """Hold out every fold once.

    Parameters
    ----------
    artists
        Ids.
    fold
        (artists,), from 0 to `n_folds` - 1.
    on
        Who is judged: the fold held out, or the validation fold.
    least
        The fewest artists a judged fold may have.

    Raises
    ------
    DataError
        A fold with too few artists.
    """
    if n_folds < 3:
        raise DataError("folds", f"{n_folds}", expected="3 or more: train, validation, test")
    members = [
        tuple(a for a, at in zip(artists, fold, strict=True) if at == n) for n in range(n_folds)
    ]
    for number, those in enumerate(members):
        if len(those) < max(least, LEAST):
            raise DataError(
                f"fold {number} of {n_folds}",
                f"has {len(those)} of {len(artists)} artists",
                expected=f"at least {max(least, LEAST)}",
                remedy="bring more artists with listens and clips, take fewer folds, or lower "
                "split.min_test",
            )
    return [_fold(members, number, on) for number in range(n_folds)]


def _fold(members: list[tuple[str, ...]], number: int, on: On) -> Fold:
    following = (number + 1) % len(members)
    rest = [those for at, those in enumerate(members) if at not in (number, following)]
    return Fold(
        number=number,
        train=tuple(each for those in rest for each in those),
        validation=members[following],
        queries=members[number if on == "test" else following],
        left_out=() if on == "test" else members[number],
    )


def fold_by_id(artists: Sequence[str], n_folds: int) -> Ints:
    """The fold of each artist by its id; (artists,)."""
    return fold_of(artists, n_folds)


def fold_by_column(artists: pd.DataFrame, clips: Path, column: str, n_folds: int) -> Ints:
    """The fold of each artist by what a column of clips.csv says of its clips; (artists,).

    Parameters
    ----------
    artists
        Columns artist (id), name, mbid.
    clips
        A data folder's clips.csv.

    Raises
    ------
    DataError
        No such column, an artist without a value, or with several.
    """
    values = _column(clips, column)
    resolved = resolve(read_data_clips(clips.parent), artists)
    said: dict[str, set[str]] = {}
    for row in resolved.itertuples():
        said.setdefault(str(row.artist), set()).add(values[str(row.file)])
    texts = []
    for row in artists.itertuples():
        found = said.get(str(row.artist), set())
        if len(found) != 1 or "" in found:
            several = ", ".join(repr(each) for each in sorted(found)) or "nothing"
            raise DataError(
                f"{clips}: {column}",
                f"says {several} of {row.name}",
                expected="one value for all clips of an artist",
                remedy="mend the column, or leave --fold-by out",
            )
        texts.append(found.pop())
    return fold_of(texts, n_folds)


def _column(clips: Path, column: str) -> dict[str, str]:
    """File -> what the column says of it."""
    with clips.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        known = reader.fieldnames or []
        if column not in known:
            near = nearest(column, known)
            raise DataError(
                f"{clips}:1",
                f"has no column '{column}'",
                expected=f"one of {', '.join(known)}",
                remedy=f"did you mean '{near[0]}'?" if near else "name one of these in --fold-by",
            )
        return {(row["file"] or "").strip(): (row[column] or "").strip() for row in reader}


def left_out_mask(artists: Sequence[str], folds: Sequence[Fold]) -> Bools:
    """Which artists take no part while each artist is a query; (artists, artists)."""
    row = {artist: at for at, artist in enumerate(artists)}
    mask = np.zeros((len(artists), len(artists)), dtype=np.bool_)
    for fold in folds:
        asking, out = ([row[each] for each in those] for those in (fold.queries, fold.left_out))
        mask[np.ix_(asking, out)] = True
    return mask
