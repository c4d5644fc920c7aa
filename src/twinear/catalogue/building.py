"""Clips, scorer and known artists -> all that a catalogue needs to answer, block by block.

Two passes over all pairs of artists, of which no more than a block is in memory: the first finds
each artist's nearness and the known artists that stand for it, the second its neighbours. From
`exact_below` artists on the first pass looks at the nearest artists of an index only.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from twinear.catalogue.calibration import Calibration, SiameseScale, fit_calibration
from twinear.catalogue.collaborative import (
    Colistening,
    KnownArtists,
    TrainingArtists,
    combine_listens,
    popularity_scores,
    represent,
)
from twinear.catalogue.csls import mean_nearest
from twinear.catalogue.encoded import EncodedArtists, Floats, evenly_spaced, plain_artists
from twinear.catalogue.head import Head, head_of
from twinear.catalogue.indexing import build_index, search_of, write_represented
from twinear.catalogue.nearest import prepare_by_search
from twinear.catalogue.params import CatalogueParams
from twinear.catalogue.scoring import ARTISTS, Scoring, measure_scale, sort_clips
from twinear.catalogue.search.protocol import best_first
from twinear.similarity.similarity import dense

if TYPE_CHECKING:
    from twinear.model.scorer import Scorer
    from twinear.spectrograms.spectrograms import Spectrograms

SCALE_ARTISTS = 4096  # known artists whose pairs give the scale; of more, evenly spaced ones
CALIBRATION_ARTISTS = 2048  # queries, and candidates, whose pairs are used for the calibration

Progress = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredArtists:
    """Artists with all that their scores need.

    Attributes
    ----------
    table
        Columns `artist` (id), `name`, `clips` (how many); sorted by id.
    clips
        Columns `file`, `title`, `seconds`; in the order of the embeddings.
    calibration
        Totals to expected similarities.
    index
        The folder of the index, if there is one; `write_catalogue` takes it.
    """

    table: pd.DataFrame
    clips: pd.DataFrame
    encoded: EncodedArtists
    scoring: Scoring
    calibration: Calibration | SiameseScale
    index: Path | None = None

    def rows(self, ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """Find the rows of these ids, which are all there."""
        found = pd.Index(self.table["artist"]).get_indexer(pd.Index(ids))
        return np.asarray(found, dtype=np.int64)

    def scores(self, queries: npt.ArrayLike, candidates: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Score artists by row, with everything that enters, (queries, candidates), in (0, 1)."""
        totals = self.scoring.score(
            self.encoded.select(queries), self.encoded.select(candidates)
        ).total
        return self.calibration.apply(totals)

    def siamese(self, queries: npt.ArrayLike, candidates: npt.ArrayLike) -> Floats:
        """Score artists by row, by the network alone, (queries, candidates), in (0, 1)."""
        return self.scoring.siamese(self.encoded.select(queries), self.encoded.select(candidates))


def score_catalogue(
    spectrograms: "Spectrograms",
    scorer: "Scorer",
    params: CatalogueParams,
    training_artists: TrainingArtists | None = None,
    before_refit: "Scorer | None" = None,
    progress: Progress = iter,
    work: Path | None = None,
) -> ScoredArtists:
    """Encode every clip once and prepare the scores of all artists.

    Without `training_artists`, whose listens may be used, only the siamese scores and CSLS enter.
    Scores are calibrated by `before_refit`, the scorer that was not trained on the validation
    artists, if it is given. `work` is an empty folder for the index of a catalogue that needs one;
    without it all artists are scored.
    """
    clips = spectrograms.clips
    groups = clips.groupby("artist", sort=True)
    table = groups.agg(name=("name", "first"), clips=("file", "size")).reset_index()
    order, offsets = sort_clips(groups.ngroup(), len(table))
    embeddings = scorer.encode_spectrograms(spectrograms, progress)[order]
    known = None if training_artists is None else training_artists.locate(table["artist"])
    artists = plain_artists(offsets, embeddings)
    index = None if work is None else work / "index"
    scoring, encoded = prepare(artists, head_of(scorer), params, known, progress, index)
    if known is not None and before_refit is not None and known.validation.any():
        before = artists
        if before_refit is not scorer:
            encoded_before = before_refit.encode_spectrograms(spectrograms, progress)[order]
            before = plain_artists(offsets, encoded_before)
        other = None
        if work is not None and len(artists) >= params.exact_below:
            other = work / "calibration"
        calibration: Calibration | SiameseScale = calibrate(
            before, head_of(before_refit), params, known, progress, other
        )
    else:
        calibration = SiameseScale(mean=scoring.mean, deviation=scoring.deviation)
    described = clips.reindex(columns=["file", "title", "seconds"]).iloc[order]
    return ScoredArtists(
        table=table,
        clips=described.fillna({"title": "", "seconds": 0.0}).reset_index(drop=True),
        encoded=encoded,
        scoring=scoring,
        calibration=calibration,
        index=index if index is not None and index.exists() else None,
    )


def prepare(
    artists: EncodedArtists,
    head: Head,
    params: CatalogueParams,
    known: KnownArtists | None,
    progress: Progress = iter,
    index: Path | None = None,
) -> tuple[Scoring, EncodedArtists]:
    """Find the scale of the scores, and each artist's nearness and representatives.

    Parameters
    ----------
    index
        A folder that does not exist yet, for the index of a catalogue that needs one.
    """
    if known is not None and len(known.rows) < 2:
        known = None
    colistening, popularity = None, np.zeros(len(artists), np.float32)
    if known is not None:
        colistening = combine_listens(
            known, params.collaborative_denoised, params.collaborative_neighbours
        )
        if params.popularity_weight:
            popularity[known.rows] = params.popularity_weight * popularity_scores(known.listeners)
    scoring = define_scoring(artists, head, params, colistening)
    complete = complete_artists(artists, scoring, progress, index)
    return scoring, replace(complete, popularity=popularity)


def define_scoring(
    artists: EncodedArtists, head: Head, params: CatalogueParams, colistening: Colistening | None
) -> Scoring:
    """Measure the scale of the scores among the known artists, or among all if none is known."""
    rows = np.arange(len(artists)) if colistening is None else colistening.rows
    some = evenly_spaced(rows, SCALE_ARTISTS)
    mean, deviation = measure_scale(head, artists, some, params.pooling, params.pooling_power)
    return Scoring(
        head=head, params=params, mean=mean, deviation=deviation, colistening=colistening
    )


def complete_artists(
    artists: EncodedArtists,
    scoring: Scoring,
    progress: Progress = iter,
    index: Path | None = None,
) -> EncodedArtists:
    """Find each artist's nearness, and the known artists that stand for it.

    Of `exact_below` artists or more, only those that an index finds are scored.
    """
    params, n_artists = scoring.params, len(artists)
    search = search_of(params, scoring.head, n_artists)
    known = None if scoring.colistening is None else scoring.colistening.rows
    searches = None
    if index is not None and search != "exact":
        searches = build_index(artists, known, search, index, params.pooling, progress)
    if searches is not None and n_artists >= params.exact_below:
        prepared = prepare_by_search(
            scoring, artists, searches.by_sound, searches.known_by_sound, progress
        )
        complete = replace(
            artists,
            nearness=prepared.nearness,
            representatives=prepared.representatives,
            weights=prepared.weights,
        )
    else:
        complete = _complete_exactly(artists, scoring, progress)
    if searches is not None and index is not None:
        write_represented(complete, 0 if known is None else len(known), index)
    return complete


def _complete_exactly(
    artists: EncodedArtists, scoring: Scoring, progress: Progress
) -> EncodedArtists:
    params, n_artists, colistening = scoring.params, len(artists), scoring.colistening
    nearness = np.zeros(n_artists, np.float32)
    n_known = 1 if colistening is None else len(colistening.rows)
    kept = min(params.collaborative_artists or n_known, n_known)
    representatives = np.full((n_artists, kept), -1, np.int32)
    weights = np.zeros((n_artists, kept), np.float32)
    for start in progress(range(0, n_artists, ARTISTS)):
        stop = min(start + ARTISTS, n_artists)
        sound = scoring.sound(scoring.siamese(artists.block(start, stop), artists))
        if colistening is not None:
            temperature = params.collaborative_inverse_temperature
            representatives[start:stop], weights[start:stop] = represent(
                sound, colistening.rows, temperature, kept
            )
        sound[np.arange(stop - start), np.arange(start, stop)] = -np.inf
        nearness[start:stop] = mean_nearest(sound)
    if colistening is not None:  # a known artist stands for itself
        rows = colistening.rows
        representatives[rows], weights[rows] = -1, 0
        representatives[rows, 0], weights[rows, 0] = np.arange(len(rows)), 1
    return replace(artists, nearness=nearness, representatives=representatives, weights=weights)


def calibrate(
    artists: EncodedArtists,
    head: Head,
    params: CatalogueParams,
    known: KnownArtists,
    progress: Progress = iter,
    index: Path | None = None,
) -> Calibration:
    """Learn the map from totals to similarities on the validation artists; it keeps their order.

    The validation artists are queries without listens, scored by a network that was not trained on
    them, as test artists are: after calibration a score of 0.7 means that such pairs have a
    similarity of about 0.7. The listens of test artists never enter.
    """
    scoring, encoded = prepare(artists, head, params, known.without_validation(), progress, index)
    queries = evenly_spaced(np.flatnonzero(known.validation), CALIBRATION_ARTISTS)
    candidates = evenly_spaced(np.arange(len(known.rows)), CALIBRATION_ARTISTS)
    pairs = queries[:, None] != candidates
    totals = scoring.score(
        encoded.select(known.rows[queries]), encoded.select(known.rows[candidates])
    ).total
    similarity = dense(known.similarity[queries][:, candidates])
    return fit_calibration(totals[pairs], similarity[pairs])


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbours:
    """The nearest artists of each, best first: rows and scores, (artists, n)."""

    rows: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float64]


def find_neighbours(
    artists: ScoredArtists, n_neighbours: int, progress: Progress = iter
) -> Neighbours:
    """Rank all other artists for each artist, exactly, and keep the first.

    With an index none are kept: it answers in milliseconds.
    """
    encoded, n_artists = artists.encoded, len(artists.encoded)
    n = 0 if artists.index else max(min(n_neighbours, n_artists - 1), 0)
    rows = np.empty((n_artists, n), np.int32)
    scores = np.empty((n_artists, n))
    for start in progress(range(0, n_artists, ARTISTS)):
        stop = min(start + ARTISTS, n_artists)
        totals = artists.scoring.score(encoded.block(start, stop), encoded).total
        totals[np.arange(stop - start), np.arange(start, stop)] = -np.inf  # never itself
        for nth, row in enumerate(range(start, stop)):
            best = best_first(totals[nth], n)
            rows[row], scores[row] = best, artists.calibration.apply(totals[nth, best])
    return Neighbours(rows=rows, scores=scores)
