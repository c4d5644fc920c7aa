"""The systems of a cross-validation lined up: each fold's rows put together to square tables."""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from twinear.base.errors import DataError, nearest
from twinear.evaluation.comparison import CORRECTED, SIMILARITY, Contest, candidate_masks
from twinear.evaluation.crossval.folds import Fold, left_out_mask
from twinear.evaluation.crossval.scoring import TRAINED, FoldScores
from twinear.evaluation.dataset import Material
from twinear.metrics.popularity import popularity_corrected
from twinear.metrics.ranking_metrics import Floats
from twinear.ranking.ranking import rows_of
from twinear.ranking.systems import BASELINES, Lineup, form_lineup, score_baselines, score_cosine

COSINE = "cosine"


def choose_systems(
    asked: Sequence[str], material: Material, matrices: Collection[str]
) -> list[str]:
    """The systems asked for, or all there are: trained ones, baselines, matrices.

    Raises
    ------
    DataError
        An unknown system, or one that is named twice.
    """
    pretrained = [COSINE] if material.pretrained.shape[1] else []
    known = [*TRAINED, *BASELINES, *pretrained, *matrices]
    twice = [each for each in known if known.count(each) > 1]
    if twice:
        raise DataError("--matrix", f"the name '{twice[0]}' is taken", remedy="take another")
    for each in asked:
        require_system(each, known, "--systems")
    return [each for each in known if not asked or each in asked]


def require_system(name: str, known: Sequence[str], place: str) -> None:
    """Refuse a system that is not there."""
    if name not in known:
        near = nearest(name, known)
        remedy = f"did you mean '{near[0]}'?" if near else ""
        raise DataError(place, f"no system '{name}'", expected=", ".join(known), remedy=remedy)


def form_contest(
    material: Material,
    folds: Sequence[Fold],
    trained: Mapping[int, Sequence[FoldScores]],
    systems: Sequence[str],
    matrices: Mapping[str, Floats],
) -> Contest:
    """Put every fold's rows together.

    Parameters
    ----------
    trained
        Seed -> the scores of each fold; may be empty if no trained system is asked for.
    matrices
        Name -> (artists, artists), in the order of the lineup.
    """
    lineup = form_lineup(material.spectrograms, material.similarity)
    ids = list(lineup.artists["artist"])
    scores: dict[str, list[Floats]] = {
        name: [_stacked(ids, seed, name) for seed in trained.values()]
        for name in TRAINED
        if name in systems
    }
    scores |= {name: [each] for name, each in _untrained(material, folds, lineup, systems).items()}
    scores |= {name: [each] for name, each in matrices.items() if name in systems}
    number = {query: fold.number for fold in folds for query in fold.queries}
    fold = np.array([number[each] for each in ids], dtype=np.int64)
    return Contest(
        artists=lineup.artists[["artist", "name"]].assign(fold=fold),
        truths={
            SIMILARITY: lineup.truth,
            CORRECTED: _by_fold(folds, ids, lambda part: {"": _corrected(lineup, part)})[""],
        },
        candidates=candidate_masks(fold, left_out_mask(ids, folds)),
        scores=scores,
    )


def _stacked(ids: list[str], folds: Sequence[FoldScores], name: str) -> Floats:
    """The rows of all folds in one table."""
    row = {artist: at for at, artist in enumerate(ids)}
    table = np.full((len(ids), len(ids)), np.nan)
    for each in folds:
        columns = [row[artist] for artist in each.artists]
        table[np.ix_([row[query] for query in each.queries], columns)] = each.scores[name]
    return table


def _untrained(
    material: Material, folds: Sequence[Fold], lineup: Lineup, systems: Sequence[str]
) -> dict[str, Floats]:
    """Baselines and the cosine of pretrained; those left out of a fold take no part in theirs."""
    ids = list(lineup.artists["artist"])

    def among(part: tuple[str, ...]) -> dict[str, Floats]:
        some = material.without(set(ids) - set(part))
        here = form_lineup(some.spectrograms, some.similarity)
        return score_baselines(here, some.spectrograms, systems)

    scores = _by_fold(folds, ids, among)
    if COSINE in systems:
        scores[COSINE] = _cosine(material, folds, lineup)
    return scores


def _cosine(material: Material, folds: Sequence[Fold], lineup: Lineup) -> Floats:
    """Dimensions are standardised over the training clips of each fold."""
    pretrained = material.pretrained[lineup.clips]
    artist_of_clip = material.spectrograms.clips["artist"].iloc[lineup.clips]
    table = np.zeros(lineup.truth.shape)
    for fold in folds:
        rows = rows_of(lineup.artists, fold.queries, "artists")
        known = artist_of_clip.isin(set(fold.train))
        table[rows] = score_cosine(pretrained, lineup.artist_index, known.to_numpy())[rows]
    return table


def _corrected(lineup: Lineup, part: tuple[str, ...]) -> Floats:
    rows = rows_of(lineup.artists, part, "artists")
    return popularity_corrected(lineup.truth[np.ix_(rows, rows)])


def _by_fold(
    folds: Sequence[Fold],
    ids: list[str],
    compute: Callable[[tuple[str, ...]], dict[str, Floats]],
) -> dict[str, Floats]:
    """Each fold's rows of tables computed among those that take part, once for equal parts."""
    row = {artist: at for at, artist in enumerate(ids)}
    tables: dict[str, Floats] = {}
    computed: dict[tuple[str, ...], dict[str, Floats]] = {}
    for fold in folds:
        out = set(fold.left_out)
        part = tuple(each for each in ids if each not in out)
        if part not in computed:
            computed[part] = compute(part)
        columns = [row[each] for each in part]
        within = {artist: at for at, artist in enumerate(part)}
        asking, at = ([rows[each] for each in fold.queries] for rows in (row, within))
        for name, square in computed[part].items():
            table = tables.setdefault(name, np.zeros((len(ids), len(ids))))
            table[np.ix_(asking, columns)] = square[at]
    return tables
