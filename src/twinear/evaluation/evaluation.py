"""Scorers, matrices and embeddings judged on any data folder, whoever trained them on whatever.

Every artist with similarity and clips is a query, all others are its candidates. Artists that a
scorer was trained on can be left out of everything (`read_artists_to_leave_out`): a corpus whose
artists it never saw is the only fair judge.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from twinear.artists.identity import normalise_name
from twinear.base.errors import DataError
from twinear.base.files import require
from twinear.catalogue.catalogue import CatalogueParams, build_catalogue
from twinear.evaluation.comparison import CORRECTED, SIMILARITY, Contest, candidate_masks
from twinear.evaluation.dataset import Material
from twinear.metrics.popularity import popularity_corrected
from twinear.metrics.ranking_metrics import Floats
from twinear.model.scorer import Scorer
from twinear.ranking.ranking import rows_of
from twinear.ranking.systems import form_lineup, score_baselines

LEAST = 3  # artists that can be ranked at all


def score_by_scorer(
    scorer: Scorer, material: Material, params: CatalogueParams
) -> dict[str, Floats]:
    """The catalogue's scores and those of sound alone, in the order of the lineup."""
    ids = list(form_lineup(material.spectrograms, material.similarity).artists["artist"])
    catalogue = build_catalogue(material.spectrograms, scorer, params)
    rows = rows_of(catalogue.artists, ids, "catalogue")
    tables = {"catalogue": catalogue.scores, "siamese": catalogue.siamese}
    return {name: each[np.ix_(rows, rows)].astype(np.float64) for name, each in tables.items()}


def form_evaluation(material: Material, contenders: Mapping[str, Floats]) -> Contest:
    """Line the contenders up beside the baselines.

    Parameters
    ----------
    contenders
        Name -> (artists, artists) in the order of the lineup; the first is the one that others
        are compared with.

    Raises
    ------
    DataError
        Fewer than three artists to rank.
    """
    lineup = form_lineup(material.spectrograms, material.similarity)
    n_artists = len(lineup.artists)
    if n_artists < LEAST:
        raise DataError(
            "artists with similarity and clips",
            f"{n_artists} to rank",
            expected=f"at least {LEAST}",
            remedy="bring more artists, or leave fewer out",
        )
    scores = {**contenders, **score_baselines(lineup, material.spectrograms)}
    fold = np.zeros(n_artists, dtype=np.int64)
    return Contest(
        artists=lineup.artists[["artist", "name"]].assign(fold=fold),
        truths={SIMILARITY: lineup.truth, CORRECTED: popularity_corrected(lineup.truth)},
        candidates={"all": candidate_masks(fold)["all"]},
        scores={name: [each] for name, each in scores.items()},
    )


def read_artists_to_leave_out(path: Path, material: Material) -> set[str]:
    """The ids here of the artists that a file names.

    Parameters
    ----------
    path
        A table with a column `artist` (ids; with `name` beside it, namesakes are left out too),
        or an id or a name a line. Of a table with a column `split`, as the pairs stage writes
        it, those of `test` are not meant: they were not trained on.

    Raises
    ------
    DataError
        Missing, empty or unreadable, or nobody of here is in it.
    """
    require(path, "name a file of artists")
    words = _words(path)
    clips = material.spectrograms.clips.drop_duplicates("artist")
    normal = {normalise_name(each) for each in words}
    found = {
        str(row.artist)
        for row in clips.itertuples()
        if row.artist in words or normalise_name(str(row.name)) in normal
    }
    if not found:
        raise DataError(
            path,
            f"none of {len(words)} artists is in this data folder",
            expected="ids or names of some that are",
            remedy="leave --without out if no artist is in both",
        )
    return found


def _words(path: Path) -> set[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(path, f"is not text in UTF-8 ({error.reason})") from None
    header = next(csv.reader(lines[:1]), [])
    if "artist" not in header:
        return {line.strip() for line in lines if line.strip()}
    rows = [row for row in csv.DictReader(lines) if row.get("split") != "test"]
    return {row[key] or "" for row in rows for key in ("artist", "name") if row.get(key)}
