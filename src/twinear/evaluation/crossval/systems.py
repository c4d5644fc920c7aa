"""The systems of a cross-validation: the rows of all folds combined to square tables."""

from collections.abc import Collection, Hashable, Mapping, Sequence

import numpy as np

from twinear.base.errors import DataError, nearest
from twinear.evaluation.comparison import CORRECTED, SIMILARITY, Comparison, candidate_masks
from twinear.evaluation.crossval.fold_scores import TRAINED, FoldScores
from twinear.evaluation.crossval.folds import Fold, left_out_mask, select_part
from twinear.evaluation.dataset import EvaluationData
from twinear.metrics.popularity import popularity_corrected
from twinear.metrics.ranking_metrics import Floats
from twinear.ranking.listener_equivalents import StrictScores
from twinear.ranking.listener_results import STRICT
from twinear.ranking.ranking import CATALOGUE, find_rows
from twinear.ranking.systems import BASELINES, score_baselines, score_cosine

COSINE = "cosine"


def choose_systems(
    wanted: Sequence[str], data: EvaluationData, matrices: Collection[str]
) -> list[str]:
    """Choose the wanted systems, or all: trained ones, baselines, cosine of embeddings, matrices.

    Raises
    ------
    DataError
        An unknown system, or two of one name.
    """
    cosine = [COSINE] if data.embeddings.shape[1] else []
    known = [*TRAINED, *BASELINES, *cosine, *matrices]
    twice = [name for name in known if known.count(name) > 1]
    if twice:
        raise DataError("matrices", f"the name '{twice[0]}' is taken", remedy="take another")
    for name in wanted:
        require_system(name, known, "systems")
    return [name for name in known if not wanted or name in wanted]


def require_system(name: str, known: Sequence[str], place: str) -> None:
    """Refuse an unknown system."""
    if name not in known:
        near = nearest(name, known)
        remedy = f"did you mean '{near[0]}'?" if near else ""
        raise DataError(place, f"no system '{name}'", expected=", ".join(known), remedy=remedy)


def combine_folds(
    data: EvaluationData,
    folds: Sequence[Fold],
    trained: Mapping[int, Sequence[FoldScores]],
    systems: Collection[str],
    matrices: Mapping[str, Floats],
) -> Comparison:
    """Combine the rows of every fold to square tables.

    `trained` holds the scores of each fold by seed; it may be empty if no trained system is among
    `systems`. `matrices` are (artists, artists), in the order of `data.artists`.
    """
    ids = data.artists.ids
    row = {artist: at for at, artist in enumerate(ids)}
    scores: dict[str, list[Floats]] = {}
    for name in TRAINED:
        if name in systems:
            scores[name] = []
            for of_seed in trained.values():
                table = np.full((len(ids), len(ids)), np.nan)
                for fold_scores in of_seed:
                    queries = [row[query] for query in fold_scores.queries]
                    columns = [row[artist] for artist in fold_scores.artists]
                    table[np.ix_(queries, columns)] = fold_scores.scores[name]
                scores[name].append(table)
    corrected, untrained = _score_untrained(data, folds, systems)
    scores |= {name: [table] for name, table in untrained.items()}
    scores |= {name: [table] for name, table in matrices.items() if name in systems}
    number = {query: fold.number for fold in folds for query in fold.queries}
    fold_numbers = np.array([number[artist] for artist in ids], dtype=np.int64)
    return Comparison(
        artists=data.artists.artists[["artist", "name"]].assign(fold=fold_numbers),
        truths={SIMILARITY: data.artists.truth, CORRECTED: corrected},
        candidates=candidate_masks(fold_numbers, left_out_mask(ids, folds)),
        scores=scores,
    )


def combine_strict(
    data: EvaluationData, trained: Mapping[int, Sequence[FoldScores]]
) -> dict[str, StrictScores]:
    """Score by the catalogues of all folds with another similarity of their known artists.

    The function takes the similarity of all artists, in the order of `data.artists`. Empty where no
    catalogue uses listens.
    """
    ids = data.artists.ids
    row = {artist: at for at, artist in enumerate(ids)}
    folds = [each for of_seed in trained.values() for each in of_seed]
    if not folds or any(each.before_listens is None for each in folds):
        return {}

    def scores(similarity: Floats) -> list[Floats]:
        tables = []
        for of_seed in trained.values():
            table = np.full((len(ids), len(ids)), np.nan)
            for each in of_seed:
                if each.before_listens is not None:
                    known = [row[artist] for artist in each.before_listens.known]
                    queries = [row[query] for query in each.queries]
                    # artists that take no part have no score
                    present = np.flatnonzero(np.isfinite(each.scores[CATALOGUE][0]))
                    columns = [row[each.artists[at]] for at in present]
                    table[np.ix_(queries, columns)] = each.before_listens.with_listens(
                        similarity[np.ix_(known, known)]
                    )
            tables.append(table)
        return tables

    return {STRICT: scores}


def _score_untrained(
    data: EvaluationData, folds: Sequence[Fold], systems: Collection[str]
) -> tuple[Floats, dict[str, Floats]]:
    """Correct the similarity and score by baselines, in each fold among those that take part."""
    artists = data.artists
    names = [name for name in (*BASELINES, COSINE) if name in systems]
    corrected, *tables = np.zeros((1 + len(names), *artists.truth.shape))
    scores = dict(zip(names, tables, strict=True))
    # with `on` test, and folds of artists, the same clips take part in all folds
    computed: dict[Hashable, tuple[EvaluationData, Floats, dict[str, Floats]]] = {}
    for fold in folds:
        key = (fold.left_out, fold.source)
        if key not in computed:
            part = select_part(data, fold)
            baselines = score_baselines(part.artists, part.spectrograms, systems)
            computed = {key: (part, popularity_corrected(part.artists.truth), baselines)}
        part, truth, baselines = computed[key]
        some = part.artists
        part_rows = find_rows(some.artists, fold.queries, "artists")
        rows = find_rows(artists.artists, fold.queries, "artists")
        square = np.ix_(rows, find_rows(artists.artists, some.ids, "artists"))
        corrected[square] = truth[part_rows]
        for name, table in baselines.items():
            scores[name][square] = table[part_rows]
        if COSINE in scores:  # dimensions are standardised over the training clips of each fold
            artist_of_clip = part.spectrograms.clips["artist"].iloc[some.clips]
            known = artist_of_clip.isin(set(fold.train)).to_numpy()
            embeddings = part.embeddings[some.clips]
            cosine = score_cosine(embeddings, some.artist_index, known)
            scores[COSINE][square] = cosine[part_rows]
    return corrected, scores
