"""Embeddings of imagined artists in clusters, with a few hubs, and listens that follow them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from twinear.catalogue.building import ScoredArtists, find_neighbours, prepare
from twinear.catalogue.calibration import SiameseScale
from twinear.catalogue.catalogue import write_catalogue
from twinear.catalogue.collaborative import KnownArtists
from twinear.catalogue.encoded import EncodedArtists, Floats, plain_artists
from twinear.catalogue.head import CosineHead, Head
from twinear.catalogue.params import CatalogueParams
from twinear.catalogue.scoring import sort_clips
from twinear.model.scorer import Scorer

PLAIN = CatalogueParams(  # the sound alone
    csls_weight=0.0,
    collaborative_weight=0.0,
    collaborative_inverse_temperature=1.0,
    collaborative_artists=0,
    collaborative_neighbours=0,
    collaborative_denoised=0.0,
    popularity_weight=0.0,
    pooling="pairs",
    pooling_power=1.0,
    n_neighbours=100,
    search="auto",
    exact_below=20_000,
)
EVERYTHING = PLAIN.model_copy(
    update={
        "csls_weight": 0.5,
        "collaborative_weight": 2.0,
        "collaborative_inverse_temperature": 1.25,
        "popularity_weight": 0.5,
    }
)
MEAN = EVERYTHING.model_copy(update={"pooling": "mean", "collaborative_denoised": 0.5})
COSINE = CosineHead(scale=6.0, bias=-3.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Planted:
    artists: EncodedArtists
    known: KnownArtists
    head: Head

    @property
    def artist_index(self) -> npt.NDArray[np.int64]:
        return np.repeat(np.arange(len(self.artists)), self.artists.clip_counts)

    def logits(self) -> npt.NDArray[np.float64]:
        """Of every two clips."""
        clips = self.artists.embeddings.astype(np.float64)
        if isinstance(self.head, CosineHead):
            return np.asarray(self.head.bias + self.head.scale * clips @ clips.T)
        apart = np.abs(clips[:, None] - clips) * self.head.weight
        return np.asarray(self.head.bias - apart.sum(axis=2))


def planted(
    n_artists: int = 60,
    n_known: int = 40,
    units: int = 12,
    seed: int = 0,
    head: Head = COSINE,
    max_clips: int = 3,
) -> Planted:
    """Artists of one clip or more; the last tenth of the known are for validation."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, max(n_artists // 15, 2), n_artists)
    centres = rng.normal(size=(cluster.max() + 1, units))
    artist = centres[cluster] + 0.6 * rng.normal(size=(n_artists, units))
    artist[: n_artists // 30] = artist.mean(axis=0) + 0.1 * rng.normal(size=units)  # hubs
    _, offsets = sort_clips(
        np.repeat(np.arange(n_artists), rng.integers(1, max_clips + 1, n_artists)), n_artists
    )
    clips = np.repeat(artist, np.diff(offsets), axis=0)
    clips += 0.4 * rng.normal(size=clips.shape)
    clips /= np.linalg.norm(clips, axis=1, keepdims=True)
    rows = rng.permutation(n_artists)[:n_known]
    alike = cluster[rows][:, None] == cluster[rows]
    noise = rng.random((n_known, n_known))
    similarity = np.where(alike, 0.5, 0.05) * (noise + noise.T) / 2
    # most artists of different clusters share no listeners
    similarity[rng.random(similarity.shape) < np.where(alike, 0.2, 0.8)] = 0
    similarity = np.minimum(similarity, similarity.T)
    np.fill_diagonal(similarity, 1)
    known = KnownArtists(
        rows=rows,
        similarity=similarity.astype(np.float32),
        listeners=rng.integers(2, 1000, n_known),
        validation=np.arange(n_known) >= n_known - n_known // 10,
        factors=rng.normal(size=(n_known, 8)).astype(np.float32),
        training_factors=rng.normal(size=(n_known, 8)).astype(np.float32),
    )
    artists = plain_artists(offsets, clips.astype(np.float32))
    return Planted(artists=artists, known=known, head=head)


def unit_rows(values: npt.NDArray[np.float64]) -> Floats:
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), dtype=np.float32)


def written(
    folder: Path,
    table: pd.DataFrame,
    some: Planted,
    params: CatalogueParams = PLAIN,
    *,
    listens: bool = True,
    scorer: Scorer | None = None,
) -> Path:
    """Write a catalogue of planted artists, with a scorer or a file that stands for it.

    `table` has the columns `artist` and `name`, and perhaps `listeners`.
    """
    index = folder.with_name("planted-index")
    known = some.known if listens else None
    scoring, encoded = prepare(some.artists, some.head, params, known, index=index)
    counts = encoded.clip_counts
    files = [
        f"clips/{artist}-{nth}.mp3"
        for artist, count in zip(table["artist"], counts, strict=True)
        for nth in range(count)
    ]
    artists = ScoredArtists(
        table=table[["artist", "name"]].assign(clips=counts),
        clips=pd.DataFrame({"file": files, "title": "", "seconds": 30.0}),
        encoded=encoded,
        scoring=scoring,
        calibration=SiameseScale(mean=scoring.mean, deviation=scoring.deviation),
        index=index if index.exists() else None,
    )
    scorer_file = folder.with_name("planted-scorer")
    if scorer is None:
        scorer_file.write_bytes(b"not read")
    else:
        scorer.write(scorer_file)
    neighbours = find_neighbours(artists, params.n_neighbours)
    write_catalogue(
        artists, neighbours, table.get("listeners", np.zeros(len(table))), scorer_file, folder
    )
    return folder
