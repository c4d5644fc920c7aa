"""Which artists a trial learns from and is judged by; test artists are in none.

`validation` is the split of the pipeline. `folds` gives every artist but the test artists a fold by
the hash of its id; each fold is validation once, all others train.
"""

from twinear.base.errors import DataError
from twinear.split import Split, fold_of
from twinear.tuning.evaluation import Part

LEAST = 3  # artists, for one to have two others to rank


def parts_of(split: Split, objective: str, n_folds: int) -> tuple[Part, ...]:
    """The parts of an objective.

    Raises
    ------
    DataError
        A fold with too few artists.
    """
    train, validation = (tuple(split.members(each)) for each in ("train", "validation"))
    if objective == "validation":
        return (Part(train=train, validation=validation),)
    return tuple(
        Part(train=rest, validation=fold) for rest, fold in _folds(train + validation, n_folds)
    )


def same_queries(split: Split) -> Part:
    """The pipeline's split, judged on its validation artists."""
    train, validation = (tuple(split.members(each)) for each in ("train", "validation"))
    return Part(train=train, validation=validation, queries=validation)


def unheard_queries(split: Split, n_folds: int) -> list[Part]:
    """The pipeline's split with a fold of its training artists left out, to be judged on.

    None of them chose a trial of the objective `validation`, nor an epoch.
    """
    train, validation = (tuple(split.members(each)) for each in ("train", "validation"))
    return [
        Part(train=rest, validation=validation, queries=fold)
        for rest, fold in _folds(train, n_folds)
    ]


def _folds(artists: tuple[str, ...], n_folds: int) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The rest and the fold, for each fold that there is."""
    number = fold_of(artists, n_folds)
    cut = [
        (
            tuple(a for a, n in zip(artists, number, strict=True) if n != each),
            tuple(a for a, n in zip(artists, number, strict=True) if n == each),
        )
        for each in range(n_folds)
    ]
    found = [(rest, fold) for rest, fold in cut if fold]
    for rest, fold in found:
        if min(len(rest), len(fold)) < LEAST:
            raise DataError(
                "folds of train and validation artists",
                f"one has {min(len(rest), len(fold))}",
                expected=f"{LEAST} or more",
                remedy="lower split.n_folds, or take tuning.objective: validation",
            )
    return found
