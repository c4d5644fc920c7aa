"""Which clips are similar to one clip, by the network alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from twinear.base.errors import DataError
from twinear.catalogue.head import sigmoid
from twinear.catalogue.search.protocol import best_first
from twinear.recommendation.collection import Collection

if TYPE_CHECKING:
    from twinear.model.scorer import Scorer

CLIPS = 65_536  # scored at a time


@dataclass(frozen=True, kw_only=True)
class SimilarClip:
    """A similar clip: its rank from 1, its file, title ("" if unknown), artist, score in (0, 1).

    `row` is the clip's among those of the collection.
    """

    rank: int
    row: int
    file: str
    title: str
    artist: str
    name: str
    score: float


def find_similar_clips(
    collection: Collection,
    clip: Path | str,
    top: int = 10,
    *,
    one_per_artist: bool = False,
    scorer: "Scorer | None" = None,
) -> list[SimilarClip]:
    """Find the clips that sound most like one, best first.

    Parameters
    ----------
    clip
        A clip of the catalogue (as in clips.csv), which is never in the answer, or an audio file.
    one_per_artist
        Only the best clip of each artist.

    Raises
    ------
    DataError
        Neither a clip of the catalogue nor a file.
    ClipError
        A file that cannot be heard.
    """
    if top < 1:
        raise DataError("top", f"is {top}", expected="at least 1")
    own, embedding = _embed(collection, clip, scorer)
    return find_nearest_clips(collection, embedding, own, top, one_per_artist=one_per_artist)


def find_nearest_clips(
    collection: Collection,
    embedding: npt.NDArray[np.float32],
    own: int | None,
    top: int,
    *,
    one_per_artist: bool = False,
) -> list[SimilarClip]:
    """Find the clips that score highest with an embedding, (1, units), best first.

    `own` is a row that is left out, or None.
    """
    head, clip_counts = collection.catalogue.scoring.head, []
    scores = []
    for group in collection.groups:
        clip_counts.append(group.clip_counts)
        for start in range(0, len(group.embeddings), CLIPS):
            scores.append(head.logit(embedding, group.embeddings[start : start + CLIPS])[0])
    logits = np.concatenate(scores)
    if own is not None:
        logits[own] = -np.inf
    rows = best_first(logits, top)
    if one_per_artist:
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(clip_counts))])
        best = best_first(np.maximum.reduceat(logits, offsets[:-1]), top)
        rows = np.array(
            [
                first + logits[first:last].argmax()
                for first, last in zip(offsets[best], offsets[best + 1], strict=True)
            ],
            dtype=np.int64,
        )
    rows = rows[np.isfinite(logits[rows])]
    found = collection.clips(rows)
    artists = collection.records(clip.artist_row for clip in found)
    return [
        SimilarClip(
            rank=rank,
            row=similar.row,
            file=similar.file,
            title=similar.title,
            artist=artist.artist,
            name=artist.name,
            score=float(score),
        )
        for rank, (similar, artist, score) in enumerate(
            zip(found, artists, sigmoid(logits[rows]), strict=True), start=1
        )
    ]


def _embed(
    collection: Collection, clip: Path | str, scorer: "Scorer | None"
) -> tuple[int | None, npt.NDArray[np.float32]]:
    """The row of a clip of the catalogue, or None for a file, and its embedding, (1, units)."""
    artists = collection.catalogue.artists
    try:
        found = artists.find_clip(str(clip))
    except DataError:
        if not Path(clip).exists():
            raise
        return None, collection.encode([clip], scorer)[1]
    if found.file != str(clip) and Path(clip).exists():  # a file of the same name is not the clip
        return None, collection.encode([clip], scorer)[1]
    return found.row, np.asarray(collection.catalogue.encoded.embeddings[[found.row]])


def similar_clips(
    folder: Path | str, clip: Path | str, top: int = 10, *, one_per_artist: bool = False
) -> list[SimilarClip]:
    """Find the clips of a catalogue that sound most like one, best first.

    Parameters
    ----------
    folder
        The catalogue's folder.
    clip, top, one_per_artist
        See `find_similar_clips`.

    Raises
    ------
    DataError
        Neither a clip of the catalogue nor a file, or no catalogue.
    ClipError
        A file that cannot be heard.
    """
    collection = Collection.open(Path(folder))
    return find_similar_clips(collection, clip, top, one_per_artist=one_per_artist)
