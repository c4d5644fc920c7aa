"""Which artists a trial is trained, validated and evaluated on; test artists are never used.

`validation` is the split of the pipeline. `folds` assigns every artist except the test artists to a
fold by the hash of its id; each fold is validation once, all others are training artists.
"""

from twinear.base.errors import DataError
from twinear.split import Split, fold_of
from twinear.tuning.evaluation import TrialSplit

MIN_ARTISTS = 3  # of a fold: a query needs two others to rank


def objective_splits(split: Split, objective: str, n_folds: int) -> tuple[TrialSplit, ...]:
    """Make the splits over which the objective is a mean; `DataError` for a fold too small."""
    train, validation = _artists(split)
    if objective == "validation":
        return (TrialSplit(train=train, validation=validation),)
    folds = _folds(train + validation, n_folds)
    return tuple(TrialSplit(train=rest, validation=fold) for rest, fold in folds)


def validation_queries(split: Split) -> TrialSplit:
    """Make the pipeline's split, evaluated on its validation artists."""
    train, validation = _artists(split)
    return TrialSplit(train=train, validation=validation, queries=validation)


def held_out_queries(split: Split, n_folds: int) -> list[TrialSplit]:
    """Make the pipeline's split with a fold of its training artists left out as queries.

    These artists chose neither a trial of the objective `validation` nor an epoch.
    """
    train, validation = _artists(split)
    folds = _folds(train, n_folds)
    return [TrialSplit(train=rest, validation=validation, queries=fold) for rest, fold in folds]


def _artists(split: Split) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(split.members("train")), tuple(split.members("validation"))


def _folds(artists: tuple[str, ...], n_folds: int) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Cut artists into (all others, fold), for each fold that is not empty."""
    fold_numbers = fold_of(artists, n_folds)
    folds = []
    for number in sorted(set(fold_numbers.tolist())):
        rest = tuple(a for a, n in zip(artists, fold_numbers, strict=True) if n != number)
        fold = tuple(a for a, n in zip(artists, fold_numbers, strict=True) if n == number)
        if (fewest := min(len(rest), len(fold))) < MIN_ARTISTS:
            raise DataError(
                "folds of train and validation artists",
                f"one has {fewest}",
                expected=f"{MIN_ARTISTS} or more",
                remedy="lower split.n_folds, or set tuning.objective: validation",
            )
        folds.append((rest, fold))
    return folds
