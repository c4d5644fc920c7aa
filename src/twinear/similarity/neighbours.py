"""The artists most similar by listens, for every artist in the listens, with or without clips."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from twinear.artists.identity import find_artist, read_artists, write_artists
from twinear.base.checksums import VERIFIED_BYTES, verify_checksums, write_checksums
from twinear.base.errors import DataError
from twinear.base.files import replacing, require
from twinear.listens.sessions import Basket

AGAIN = "run 'dvc repro similarity'"
ROWS = 10_000  # artists in one row group of the file: a look-up reads one group


@dataclass(frozen=True, kw_only=True, eq=False)
class ListenNeighbours:
    """The most similar artists of every artist, best first.

    Attributes
    ----------
    artists
        artist (id), name, mbid, listeners, plays; most listeners first.
    neighbour
        (artists, n), int32: row of an artist, -1 where there are no more.
    similarity
        (artists, n), float32: the value of the measure, above 0, not scaled.
    listeners
        (artists, n), int32: listeners of both; or sessions with both, if these are the baskets.
    """

    artists: pd.DataFrame
    neighbour: npt.NDArray[np.int32]
    similarity: npt.NDArray[np.float32]
    listeners: npt.NDArray[np.int32]
    basket: Basket = "listener"

    def write(self, folder: Path) -> None:
        """Write artists.csv and neighbours.parquet: a row for each pair that is similar."""
        with replacing(folder) as temporary:
            temporary.mkdir()
            write_artists(self.artists, temporary / "artists.csv")
            schema = self._table(slice(0, 0)).schema
            path = temporary / "neighbours.parquet"
            with (
                path.open("wb") as file,
                pq.ParquetWriter(file, schema, write_page_checksum=True) as writer,
            ):
                for first in range(0, len(self.artists), ROWS):
                    writer.write_table(self._table(slice(first, first + ROWS)))
            write_checksums(temporary)

    def _table(self, rows: slice) -> pa.Table:
        present = self.neighbour[rows] >= 0
        artist = np.nonzero(present)[0] + rows.start
        columns: dict[str, npt.NDArray[Any]] = {
            "artist": artist.astype(np.int32),
            "neighbour": self.neighbour[rows][present],
            "similarity": self.similarity[rows][present],
            f"{self.basket}s": self.listeners[rows][present],
        }
        return pa.table(columns)


@dataclass(frozen=True, kw_only=True, eq=False)
class SimilarByListens:
    """An artist and the artists most similar to it.

    Attributes
    ----------
    table
        rank, artist (id), name, similarity, and listeners (of both) or sessions (with both).
    """

    artist: str
    name: str
    table: pd.DataFrame


def find_similar(folder: Path, artist: str, top: int) -> SimilarByListens:
    """Find the `top` most similar artists of an artist given by id or name, best first.

    Raises
    ------
    DataError
        No such artist (the message suggests similar names), or no neighbours in the folder.
    """
    artists = read_artists(folder / "artists.csv", AGAIN)
    query = find_artist(artists, artist, folder)
    row = int(artists.index[artists["artist"] == query["artist"]][0])
    path = require(folder / "neighbours.parquet", AGAIN)
    if path.stat().st_size <= VERIFIED_BYTES:
        verify_checksums(folder, [path.name], AGAIN)
    try:
        if not pq.read_metadata(path).num_rows:
            remedy = f"set similarity.neighbours and {AGAIN}"
            raise DataError(path, "holds no neighbours", remedy=remedy)
        # of a larger file the pages that are read are compared with checksums of their own
        found = pq.read_table(path, filters=[("artist", "=", row)], page_checksum_verification=True)
        pairs = found.to_pandas().head(top)
    except (ValueError, OSError) as error:
        raise DataError(path, f"is not a table of neighbours ({error})", remedy=AGAIN) from error
    table = artists[["artist", "name"]].iloc[pairs["neighbour"]].reset_index(drop=True)
    table = table.join(pairs.drop(columns=["artist", "neighbour"]).reset_index(drop=True))
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return SimilarByListens(artist=query["artist"], name=query["name"], table=table)
