"""Evaluate scorers, matrices of scores and embeddings on any data folder.

Every artist with similarity and clips is a query, all other artists are its candidates. Artists
that a scorer was trained on can be left out (`EvaluationOptions.without`): only artists that it has
never seen give a fair result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from twinear.artists.identity import normalise_name
from twinear.base.delimited import find_separator, split_line
from twinear.base.errors import DataError
from twinear.base.params import PARAMS
from twinear.base.table import read_lines, read_table
from twinear.catalogue.building import score_catalogue
from twinear.catalogue.params import CatalogueParams
from twinear.evaluation.comparison import (
    CORRECTED,
    SIMILARITY,
    Comparison,
    ComparisonResult,
    candidate_masks,
    compare_systems,
)
from twinear.evaluation.crossval.systems import require_system
from twinear.evaluation.dataset import EvaluationData, PreparationParams, prepare
from twinear.evaluation.external_embeddings import read_embedding_table, score_embeddings
from twinear.evaluation.external_scores import read_matrices
from twinear.evaluation.other_truths import read_truths
from twinear.evaluation.progress import Progress, no_progress
from twinear.evaluation.recipes import Recipe, read_recipe
from twinear.metrics.popularity import popularity_corrected
from twinear.metrics.ranking_metrics import Floats
from twinear.model.scorer import Scorer
from twinear.ranking.ranking import CHANCE, RankingParams
from twinear.ranking.systems import score_baselines, select_scores

MIN_ARTISTS = 3  # that can be ranked at all


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What to evaluate, and on which data.

    Attributes
    ----------
    scorer
        A scorer's file. At least one of `scorer`, `matrices`, `embeddings` is needed.
    matrices, embeddings
        Name -> file of scores, or of embeddings by clip or artist, computed elsewhere.
    truths
        Name -> file of other people's truth, see `other_truths`.
    data
        The data folder: listens/, clips/, clips.csv.
    without
        A file of artists to leave out, for `read_artists_to_leave_out`.
    params, recipe, settings
        The params file, a file of sections that override its own, and single keys
        (`catalogue.csls_weight=0.5`) that override both.
    against
        The system that others are compared with; it must be one of those evaluated.
    artifacts
        Prepared data is kept in `prepared/` of this folder.
    """

    scorer: Path | None = None
    matrices: Mapping[str, Path] = field(default_factory=dict)
    embeddings: Mapping[str, Path] = field(default_factory=dict)
    truths: Mapping[str, Path] = field(default_factory=dict)
    data: Path = Path("data")
    without: Path | None = None
    params: Path = PARAMS
    recipe: Path | None = None
    settings: Sequence[str] = ()
    against: str = ""
    artifacts: Path = Path("artifacts")


def evaluate(options: EvaluationOptions, progress: Progress = no_progress) -> ComparisonResult:
    """Compare a scorer, matrices and embeddings with the baselines on a data folder.

    Parameters
    ----------
    progress
        Wraps the clips and the protocols; `tqdm.tqdm` shows bars.

    Raises
    ------
    TwinearError
        Nothing to evaluate, or params, data or scores that cannot be used.

    Examples
    --------
    >>> options = EvaluationOptions(scorer=Path("scorer.safetensors"), data=Path("other"))
    >>> result = evaluate(options)  # doctest: +SKIP
    >>> result.protocols["all"].metrics["similarity"]["catalogue"]["mrr"]  # doctest: +SKIP
    {'value': 0.41, 'low': 0.35, 'high': 0.47}
    """
    if options.scorer is None and not options.matrices and not options.embeddings:
        expected = "a scorer's file, a matrix of scores or a table of embeddings"
        raise DataError("evaluate", "nothing to evaluate", expected=expected)
    recipe = read_recipe(options.params, options.recipe, options.settings)
    params = recipe.read("ranking", RankingParams)
    scorer = None if options.scorer is None else Scorer.read(options.scorer)
    front = None if scorer is None else scorer.spectrograms
    preparation = PreparationParams.from_recipe(recipe, front)
    extractor = "" if scorer is None else scorer.inputs.extractor
    data = EvaluationData.read(
        prepare(options.data, preparation, options.artifacts, progress, extractor)
    )
    left_out = read_artists_to_leave_out(options.without, data) if options.without else set()
    data = data.without(left_out)
    scores = _score(options, scorer, recipe, data)
    n_artists = len(data.artists.ids)
    if n_artists < MIN_ARTISTS:
        raise DataError(
            "artists with similarity and clips",
            f"{n_artists} to rank",
            expected=f"at least {MIN_ARTISTS}",
            remedy="bring more artists, or leave fewer out",
        )
    tables = scores | score_baselines(data.artists, data.spectrograms)
    if options.against:
        require_system(options.against, [*tables, CHANCE], "against")
    truth = data.artists.truth
    fold = np.zeros(n_artists, dtype=np.int64)  # all artists form one
    comparison = Comparison(
        artists=data.artists.artists[["artist", "name"]].assign(fold=fold),
        truths={SIMILARITY: truth, CORRECTED: popularity_corrected(truth)},
        candidates={"all": candidate_masks(fold)["all"]},
        scores={name: [table] for name, table in tables.items()},
        others=read_truths(options.truths, data.identities, truth, recipe),
    )
    facts = {"data": str(options.data), "artists": n_artists, "left_out": len(left_out)}
    return compare_systems(comparison, params, progress, facts)


def _score(
    options: EvaluationOptions, scorer: Scorer | None, recipe: Recipe, data: EvaluationData
) -> dict[str, Floats]:
    """Score by what is evaluated, in the order scorer, matrices, embeddings."""
    scores: dict[str, Floats] = {}
    if scorer is not None:
        params = recipe.read("catalogue", CatalogueParams)
        catalogue = score_catalogue(data.spectrograms, scorer, params)
        scores |= select_scores(catalogue, data.artists.ids)
    scores |= read_matrices(options.matrices, data.artists.artists)
    clips = list(data.spectrograms.clips["file"].iloc[data.artists.clips])
    for name, path in options.embeddings.items():
        table = read_embedding_table(path)
        cosine, l2 = score_embeddings(table, data.artists, clips, options.data, path)
        scores |= {f"{name}_cosine": cosine, f"{name}_l2": l2}
    return scores


def read_artists_to_leave_out(path: Path, data: EvaluationData) -> set[str]:
    """Find the ids of the artists that a file names.

    It is a table with a column `artist` (ids; artists of the same `name` are left out too, if there
    is such a column), or an id or a name on each line. In a table with a column `split`, as the
    split stage writes it, the artists of `test` are skipped: they were not trained on.

    Raises
    ------
    DataError
        Missing, empty or unreadable, or none of its artists is in the data.
    """
    remedy = "name a file of artists"
    lines = read_lines(path, remedy).lines
    header = lines[0][1].lower() if lines else ""
    if "artist" in map(str.strip, split_line(header, find_separator(header)) or ()):
        table = read_table(path, ("artist", "name", "split"), remedy)
        rows = [row.values for row in table.rows if row.values.get("split") != "test"]
        words = {row[key] for row in rows for key in ("artist", "name") if row.get(key)}
    else:
        words = {line.strip() for _, line in lines}
    normal = {normalise_name(word) for word in words}
    artists = {
        str(row.artist)
        for row in data.spectrograms.clips.drop_duplicates("artist").itertuples()
        if row.artist in words or normalise_name(str(row.name)) in normal
    }
    if not artists:
        raise DataError(
            path,
            f"none of {len(words)} artists is in this data folder",
            expected="ids or names of artists that are",
            remedy="leave --without out if no artist is in both",
        )
    return artists
