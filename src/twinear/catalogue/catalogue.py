"""Every artist encoded once: who sounds like whom, ranked.

The scores of two artists' clip pairs are averaged to the siamese score of the two. Then CSLS, the
listens of known artists and calibration enter (`combination`, `calibration`). Artists without
listens are in the catalogue like all others: they are what the project is for.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from twinear.base.errors import DataError
from twinear.base.files import replacing, require
from twinear.catalogue.calibration import calibrate
from twinear.catalogue.collaborative import TrainingArtists
from twinear.catalogue.combination import CombinationParams, combine, undo_standardisation

if TYPE_CHECKING:  # looking an artist up needs neither torch nor librosa
    from twinear.model.scorer import Scorer
    from twinear.spectrograms.spectrograms import Spectrograms

AGAIN = "run 'dvc repro catalogue'"
ROWS = 512  # clips scored against all others at a time


class CatalogueParams(CombinationParams):
    """How clips are pooled, what else enters, and how much of the ranking is kept."""

    pooling_power: float = Field(gt=0, le=40)
    n_neighbours: int = Field(gt=0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Catalogue:
    """All artists with clips, their embeddings and their scores.

    Attributes
    ----------
    artists
        Columns `artist` (id), `name`, `clips` (how many); sorted by id.
    embeddings
        (clips, units), float32.
    artist_index
        (clips,), the row in `artists` of each clip.
    siamese
        What the scorer alone says, (artists, artists), float32 in (0, 1); symmetric.
    scores
        With everything that entered, (artists, artists), float32 in (0, 1).
    neighbours
        Columns `artist`, `rank` (from 1), `neighbour`, `name`, `score`; best first.
    """

    artists: pd.DataFrame
    embeddings: np.ndarray
    artist_index: np.ndarray
    siamese: np.ndarray
    scores: np.ndarray
    neighbours: pd.DataFrame

    def write(self, folder: Path) -> None:
        """Write a folder, whole or not at all."""
        with replacing(folder) as temporary:
            temporary.mkdir()
            self.artists.to_csv(temporary / "artists.csv", index=False)
            for name in ("embeddings", "artist_index", "siamese", "scores"):
                np.save(temporary / f"{name}.npy", getattr(self, name))
            self.neighbours.to_parquet(temporary / "neighbours.parquet", index=False)

    @classmethod
    def read(cls, folder: Path) -> "Catalogue":
        """Read and check what `write` wrote; the scores are mapped, not loaded."""
        require(folder, AGAIN)
        artists = read_artists(folder)
        siamese, scores = (
            _read_array(folder / f"{name}.npy", mmap_mode="r") for name in ("siamese", "scores")
        )
        artist_index = _read_array(folder / "artist_index.npy")
        embeddings = _read_array(folder / "embeddings.npy")
        square = (len(artists), len(artists))
        if {siamese.shape, scores.shape} != {square} or len(artist_index) != len(embeddings):
            raise DataError(
                folder,
                f"{len(artists)} artists, scores {scores.shape}, {len(artist_index)} indices "
                f"of {len(embeddings)} clips",
                expected="shapes that agree",
                remedy=AGAIN,
            )
        return cls(
            artists=artists,
            embeddings=embeddings,
            artist_index=artist_index,
            siamese=siamese,
            scores=scores,
            neighbours=read_neighbours(folder),
        )


def read_artists(folder: Path) -> pd.DataFrame:
    """The artists of a catalogue's folder."""
    path = require(folder / "artists.csv", AGAIN)
    text = {"artist": str, "name": str}
    try:
        return pd.read_csv(path, dtype=text, keep_default_na=False)[["artist", "name", "clips"]]
    except (ValueError, KeyError) as error:
        raise _damaged(path, error) from error


def read_neighbours(folder: Path, **chosen: Any) -> pd.DataFrame:
    """The neighbours in a catalogue's folder; `chosen` goes to `pandas.read_parquet`."""
    path = require(folder / "neighbours.parquet", AGAIN)
    try:
        return pd.read_parquet(path, **chosen)
    except (ValueError, OSError) as error:
        raise _damaged(path, error) from error


def _read_array(path: Path, mmap_mode: Literal["r"] | None = None) -> np.ndarray:
    try:
        array: np.ndarray = np.load(require(path, AGAIN), mmap_mode=mmap_mode, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise _damaged(path, error) from error
    return array


def _damaged(path: Path, error: Exception) -> DataError:
    reason = str(error).splitlines()[0]
    return DataError(path, f"is not what was written there ({reason})", remedy=AGAIN)


def build_catalogue(
    spectrograms: "Spectrograms",
    scorer: "Scorer",
    params: CatalogueParams,
    training_artists: TrainingArtists | None = None,
    before_refit: "Scorer | None" = None,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Catalogue:
    """Encode every clip once and rank all artists for each artist.

    Without `training_artists`, whose listens may be used, only the siamese scores and CSLS enter.
    Scores are calibrated by `before_refit`, the scorer that was not trained on the validation
    artists, if it is given.
    """
    artists, artist_index = _artists(spectrograms.clips)
    embeddings = scorer.encode_spectrograms(spectrograms, progress)
    siamese = score_artists(scorer, embeddings, artist_index, params.pooling_power)
    known = None if training_artists is None else training_artists.locate(artists["artist"])
    scores = combine(siamese, params, known)
    if known is not None and before_refit is not None and known.validation.any():
        before = siamese
        if before_refit is not scorer:
            encoded = before_refit.encode_spectrograms(spectrograms, progress)
            before = score_artists(before_refit, encoded, artist_index, params.pooling_power)
        scores = calibrate(before, known, params)(scores)
    else:
        scores = undo_standardisation(scores, siamese, known)
    return Catalogue(
        artists=artists,
        embeddings=embeddings,
        artist_index=artist_index,
        siamese=siamese,
        scores=scores,
        neighbours=_neighbours(artists, scores, params.n_neighbours),
    )


def score_artists(
    scorer: "Scorer", embeddings: np.ndarray, artist_index: np.ndarray, power: float = 1.0
) -> np.ndarray:
    """The power mean of the scores of two artists' clips, (artists, artists), float32.

    A `power` of 1 is the mean over clip pairs; the larger, the more the most similar clips count.
    """
    counts = np.bincount(artist_index)
    mean = np.zeros((len(artist_index), len(counts)), dtype=np.float32)  # (clips, artists)
    mean[np.arange(len(artist_index)), artist_index] = 1 / counts[artist_index]
    exact = np.float32 if power == 1 else np.float64  # a high power of a low score is tiny
    scores = np.zeros((len(counts), len(counts)), dtype=exact)
    for start in range(0, len(artist_index), ROWS):
        block = slice(start, start + ROWS)
        of_clips = np.power(scorer.score(embeddings[block], embeddings), power, dtype=exact)
        scores += mean[block].T @ (of_clips @ mean)
    symmetric: np.ndarray = (scores + scores.T) / 2  # exactly, against rounding
    pooled: np.ndarray = np.power(symmetric, 1 / power).astype(np.float32)
    return pooled


def _artists(clips: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """The artists of some clips, and the row of each clip's."""
    artists = clips.groupby("artist", sort=True).agg(name=("name", "first"), clips=("file", "size"))
    artist_index = artists.index.get_indexer(pd.Index(clips["artist"]))
    return artists.reset_index(), artist_index.astype(np.int64)


def _neighbours(artists: pd.DataFrame, scores: np.ndarray, n_neighbours: int) -> pd.DataFrame:
    n = min(n_neighbours, len(artists) - 1)
    ranked = np.where(np.eye(len(artists), dtype=bool), -np.inf, scores)
    order = np.argsort(-ranked, axis=1, kind="stable")[:, :n]  # (artists, n)
    ids, names = artists["artist"].to_numpy(), artists["name"].to_numpy()
    return pd.DataFrame(
        {
            "artist": np.repeat(ids, n),
            "rank": np.tile(np.arange(1, n + 1, dtype=np.int32), len(artists)),
            "neighbour": ids[order].ravel(),
            "name": names[order].ravel(),
            "score": np.take_along_axis(scores, order, axis=1).ravel(),
        }
    )
