"""The most similar artists by listens, of every artist in the listens, with or without clips."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from twinear.artists.identity import find_artist, read_artists, write_artists
from twinear.base.errors import DataError
from twinear.base.files import replacing, require

AGAIN = "run 'dvc repro similarity'"
ROWS = 10_000  # artists in one group of the file: looking one up reads its group only


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbours:
    """Neighbours of every artist, best first.

    Attributes
    ----------
    artists
        artist (id), name, mbid, listeners, plays; most listeners first.
    neighbour
        (artists, n), int32: row of an artist, -1 where there are no more.
    similarity
        (artists, n), float32: the measure itself, above 0 and not scaled.
    listeners
        (artists, n), int32: how many hear both.
    """

    artists: pd.DataFrame
    neighbour: npt.NDArray[np.int32]
    similarity: npt.NDArray[np.float32]
    listeners: npt.NDArray[np.int32]

    def write(self, folder: Path) -> None:
        """Write artists.csv and neighbours.parquet: a row for each pair that is similar."""
        with replacing(folder) as temporary:
            temporary.mkdir()
            write_artists(self.artists, temporary / "artists.csv")
            schema = self._table(slice(0, 0)).schema
            path = temporary / "neighbours.parquet"
            with path.open("wb") as file, pq.ParquetWriter(file, schema) as writer:
                for first in range(0, len(self.artists), ROWS):
                    writer.write_table(self._table(slice(first, first + ROWS)))

    def _table(self, rows: slice) -> pa.Table:
        found = self.neighbour[rows] >= 0
        of = np.nonzero(found)[0]
        columns: dict[str, npt.NDArray[Any]] = {
            "artist": (of + rows.start).astype(np.int32),
            "neighbour": self.neighbour[rows][found],
            "similarity": self.similarity[rows][found],
            "listeners": self.listeners[rows][found],
        }
        return pa.table(columns)


@dataclass(frozen=True, kw_only=True, eq=False)
class Similar:
    """An artist and those most similar to it: rank, artist (id), name, similarity, listeners."""

    artist: str
    name: str
    table: pd.DataFrame


def find_similar(folder: Path, artist: str, top: int) -> Similar:
    """The `top` most similar of an artist given by id or name, best first.

    Raises
    ------
    DataError
        No such artist (the message names the nearest), or no neighbours kept.
    """
    artists = read_artists(folder / "artists.csv", AGAIN)
    wanted = find_artist(artists, artist, folder)
    row = int(artists.index[artists["artist"] == wanted["artist"]][0])
    path = require(folder / "neighbours.parquet", AGAIN)
    try:
        if not pq.read_metadata(path).num_rows:
            remedy = f"set similarity.neighbours and {AGAIN}"
            raise DataError(path, "holds no neighbours", remedy=remedy)
        found = pq.read_table(path, filters=[("artist", "=", row)]).to_pandas().head(top)
    except (ValueError, OSError) as error:
        raise DataError(path, f"is not a table of neighbours ({error})", remedy=AGAIN) from error
    others = artists.iloc[found["neighbour"]]
    table = pd.DataFrame(
        {
            "rank": np.arange(1, len(found) + 1),
            "artist": others["artist"].to_numpy(),
            "name": others["name"].to_numpy(),
            "similarity": found["similarity"].to_numpy(),
            "listeners": found["listeners"].to_numpy(),
        }
    )
    return Similar(artist=wanted["artist"], name=wanted["name"], table=table)
