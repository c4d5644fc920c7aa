"""A table of embeddings made elsewhere: a vector for each clip, or for each artist.

The formats are those of `spectrograms.embedding_table`, with `clip` or `artist` as the names of the
rows. Vectors of several frames are averaged over them. A clip is named as in clips.csv: by `file`,
or by `source`, its name before it was imported. Vectors of other clips are ignored.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from twinear.artists.clip_table import read_clip_rows
from twinear.base.errors import DataError
from twinear.base.files import require
from twinear.evaluation.external_scores import artist_finder, match_artists
from twinear.metrics.ranking_metrics import Floats
from twinear.ranking.baselines import l2
from twinear.ranking.systems import EvaluationSet, score_cosine, standardise
from twinear.spectrograms.embedding_table import EmbeddingTable


def read_embedding_table(path: Path) -> EmbeddingTable:
    """Read a table of embeddings, float64, by clip or by artist.

    Raises
    ------
    DataError
        Missing, another form, empty, ragged, a name twice, or a value that is not a number.
    """
    require(path, "name a table of embeddings")
    return EmbeddingTable.read(path, ("clip", "artist"), np.float64, whole_numbers=True)


def score_embeddings(
    table: EmbeddingTable, artists: EvaluationSet, clips: Sequence[str], data: Path, path: Path
) -> tuple[Floats, Floats]:
    """Score artists by cosine and by minus the L2 distance, both of standardised dimensions.

    `clips` are the files of the artists' clips; clips.csv in the folder `data` holds their names
    before their import. `path` is the file of the table, for messages. Both tables are (artists,
    artists).

    Raises
    ------
    DataError
        A clip or an artist without a vector.
    """
    row_of_name = {name: row for row, name in enumerate(table.clips)}
    if table.key == "clip":
        rows_of_clips = [row.values for row in read_clip_rows(data / "clips.csv").rows]
        other_names = {row["file"]: row.get("source", "") for row in rows_of_clips}
        wanted = list(clips)
        artist_index = artists.artist_index
    else:
        wanted = list(artists.artists["artist"])
        other_names = {}
        if not set(wanted) <= set(table.clips):  # some are named by their names
            find = artist_finder(artists.artists)
            known = [name for name in table.clips if find(name) is not None]
            artist_rows = match_artists(known, artists.artists, path)
            other_names = {wanted[row]: name for name, row in zip(known, artist_rows, strict=True)}
        artist_index = np.arange(len(wanted))
    maybe_rows = [
        row_of_name.get(name, row_of_name.get(other_names.get(name) or name)) for name in wanted
    ]
    missing = [name for name, row in zip(wanted, maybe_rows, strict=True) if row is None]
    if missing:
        key = table.key
        raise DataError(
            path,
            f"lacks {len(missing)} of {len(wanted)} {key}s, the first '{missing[0]}'",
            expected=f"a vector for every {key} of the artists with similarity",
            remedy=f"embed them too, and name each {key} as the data folder does",
        )
    rows = [row for row in maybe_rows if row is not None]
    vectors = np.asarray(table.vector, dtype=np.float64)[rows]
    if vectors.ndim == 3:
        vectors = vectors.mean(axis=2)  # over frames
    known_clips = np.ones(len(vectors), dtype=np.bool_)
    standard = standardise(vectors, known_clips).astype(np.float32)
    return score_cosine(vectors, artist_index, known_clips), l2(standard[:, :, None], artist_index)
