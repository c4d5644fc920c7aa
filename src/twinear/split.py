"""Stage 5: artists split into train, validation and test; pairs are formed inside a split only.

`fractions` cuts twice with scikit-learn's `train_test_split`, as the original did: first the
training artists, then validation from test. `folds` gives every artist a fold by the SHA-256 of
its id, so that an artist never changes folds when others come or go; one fold is test, the next
is validation. This module knows ids and names, neither similarity nor audio nor listens.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from twinear.base.errors import DataError
from twinear.base.files import replacing, require
from twinear.base.params import Params

REMEDY = "run 'dvc repro split'"
SPLITS = ("train", "validation", "test")
Fraction = Annotated[float, Field(gt=0, lt=1)]
RandomState = Annotated[int, Field(ge=0, lt=2**32)]


class SplitParams(Params):
    """How artists are split."""

    method: Literal["fractions", "folds"]
    fractions: tuple[Fraction, Fraction, Fraction]
    seeds: tuple[RandomState, RandomState]
    n_folds: int = Field(ge=3)
    test_fold: int = Field(ge=0)
    min_test: int = Field(ge=3)

    @model_validator(mode="after")
    def _consistent(self) -> "SplitParams":
        if abs(sum(self.fractions) - 1) > 1e-9:
            raise ValueError(f"fractions that sum to 1, not {sum(self.fractions):g}")
        if self.test_fold >= self.n_folds:
            raise ValueError(f"a test_fold below n_folds ({self.n_folds})")
        return self


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Which artist belongs to which split; rows in the order of the similarity.

    Attributes
    ----------
    artists
        Columns `artist` (id, unique), `name`, `split` (one of `SPLITS`).
    """

    artists: pd.DataFrame

    @classmethod
    def from_ids(cls, artists: pd.DataFrame, **splits: Sequence[str]) -> "Split":
        """Make a split by hand: ids of `train`, of `validation`; all other artists are test.

        Examples
        --------
        >>> artists = pd.DataFrame({"artist": ["a1", "a2", "a3"], "name": ["Can", "Low", "Neu!"]})
        >>> split = Split.from_ids(artists, train=["a3"], validation=["a1"])
        >>> split.members("test")
        ['a2']
        """
        split_of = {artist: split for split, ids in splits.items() for artist in ids}
        named = artists[["artist", "name"]]
        return cls(artists=named.assign(split=named["artist"].map(split_of).fillna("test")))

    def members(self, split: str) -> list[str]:
        """List the ids of the artists of one split, in order."""
        return list(self.artists.loc[self.artists["split"] == split, "artist"])

    def write(self, path: Path) -> None:
        """Write a CSV, whole or not at all."""
        with replacing(path) as temporary:
            self.artists.to_csv(temporary, index=False)

    @classmethod
    def read(cls, path: Path) -> "Split":
        """Read and check what `write` wrote."""
        require(path, REMEDY)
        try:
            artists = pd.read_csv(path, dtype=str, keep_default_na=False)
        except ValueError as error:
            raise DataError(path, f"is not a table ({error})", remedy=REMEDY) from error
        missing = {"artist", "name", "split"} - set(artists.columns)
        if missing or not set(artists["split"]) <= set(SPLITS):
            raise DataError(
                path,
                f"columns {list(artists.columns)}, splits {sorted(set(artists.get('split', ())))}",
                expected=f"columns artist, name, split with splits {', '.join(SPLITS)}",
                remedy=REMEDY,
            )
        return cls(artists=artists)


def split_artists(artists: pd.DataFrame, params: SplitParams) -> Split:
    """Give each artist a split.

    Parameters
    ----------
    artists
        Columns `artist` (id, unique) and `name`. With `fractions` their order matters.

    Raises
    ------
    DataError
        Too few artists for every split to have a pair, or for test to have `min_test`.
    """
    ids = list(artists["artist"])
    cut = _by_fractions if params.method == "fractions" else _by_folds
    split = pd.Series("train", index=ids)
    validation, test = cut(ids, params)
    split[validation] = "validation"
    split[test] = "test"
    counts = {name: int((split == name).sum()) for name in SPLITS}
    least = {"train": 3, "validation": 3, "test": params.min_test}
    if any(counts[name] < least[name] for name in SPLITS):
        found = ", ".join(f"{counts[name]} {name} artists" for name in SPLITS)
        raise _too_few(found, params.min_test)
    return Split(artists=artists[["artist", "name"]].assign(split=split.to_numpy()))


def _by_fractions(ids: list[str], params: SplitParams) -> tuple[list[str], list[str]]:
    if len(ids) < 4:
        raise _too_few(f"{len(ids)} artists with similarity and clips", params.min_test)
    from sklearn.model_selection import train_test_split  # slow to import, needed here alone

    _, validation, test = params.fractions
    first, second = params.seeds
    held_out = round(validation + test, 12)
    _, rest = train_test_split(ids, test_size=held_out, random_state=first)
    kept, tested = train_test_split(rest, test_size=round(test / held_out, 12), random_state=second)
    return kept, tested


def _by_folds(ids: list[str], params: SplitParams) -> tuple[list[str], list[str]]:
    fold = fold_of(ids, params.n_folds)
    chosen = (params.test_fold + 1) % params.n_folds
    array = np.array(ids, dtype=object)
    return list(array[fold == chosen]), list(array[fold == params.test_fold])


def fold_of(ids: Sequence[str], n_folds: int) -> np.ndarray:
    """Compute the fold of each id, `sha256(id) mod n_folds`, (ids,).

    The fold of an id does not depend on the other ids.

    Examples
    --------
    >>> fold_of(["Nina Simone", "Fela Kuti", "Low"], n_folds=5).tolist()
    [0, 4, 3]
    """
    hashes = (hashlib.sha256(artist.encode()).hexdigest() for artist in ids)
    return np.array([int(digest, 16) % n_folds for digest in hashes], dtype=np.int64)


def _too_few(found: str, min_test: int) -> DataError:
    return DataError(
        "split",
        found,
        expected=f"at least 3 train, 3 validation and {min_test} test artists",
        remedy="bring more artists with listens and clips, change split in params.yaml, or import "
        "the clips without listens to compare them by sound alone",
    )
