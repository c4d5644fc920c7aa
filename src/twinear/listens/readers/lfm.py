"""LFM-1b and LFM-2b: listens of Last.fm as data sets, whose artists are named in a second file.

LFM-1b: `LFM-1b_LEs.txt` (user, artist, album, track, time) and `LFM-1b_artists.txt` (id, name),
tab-separated without headers; http://www.cp.jku.at/datasets/LFM-1b/ and
https://doi.org/10.1007/s13735-017-0118-y. LFM-2b: `listening-events.tsv` (user_id, track_id,
album_id, timestamp) or `listening-counts.tsv` (user_id, track_id, count) and `tracks.tsv`
(track_id, artist_name, track_name), with headers; http://www.cp.jku.at/datasets/LFM-2b/.
The names are held in memory: 3 million artists of LFM-1b, 51 million tracks of LFM-2b.
"""

from collections.abc import Iterator, Sequence

import polars as pl

from twinear.base.errors import DataError
from twinear.listens.readers.rows import LINE, PairedFormat, Piece, TextFile, text
from twinear.listens.readers.text import split_tabs
from twinear.listens.readers.times import parse_times


def read_lfm_1b(events: TextFile, artists: TextFile) -> Iterator[Piece]:
    """Read the listens of LFM-1b; one of an artist without a name has none."""
    names = _names(_split(artists, ("id", "name"), 0), "id")
    for frame in _split(events, ("listener", "id", "album", "track", "time"), 0):
        named = frame.join(names.lazy(), on="id", how="left", maintain_order="left")
        yield _piece(events, named.with_columns(seconds=parse_times("time")))


def read_lfm_2b(listens: TextFile, tracks: TextFile) -> Iterator[Piece]:
    """Read the listens of LFM-2b, single ones or counted; the columns decide.

    Raises
    ------
    DataError
        A column is missing.
    """
    header = _header(listens, ("user_id", "track_id"))
    columns = _header(tracks, ("track_id", "artist_name"))
    names = _names(
        (frame.rename({"artist_name": "name"}) for frame in _split(tracks, columns, 1)), "track_id"
    )
    if "timestamp" in header:
        values = {"seconds": parse_times("timestamp")}
    else:
        _header(listens, ("count",))
        values = {"plays": pl.col("count")}
    for frame in _split(listens, header, 1):
        named = frame.join(names.lazy(), on="track_id", how="left", maintain_order="left")
        yield _piece(listens, named.with_columns(listener="user_id", **values))


def _header(file: TextFile, columns: Sequence[str]) -> list[str]:
    names = file.start.partition(b"\n")[0].decode(errors="replace").strip().split("\t")
    for column in columns:
        if column not in names or len(set(names)) < len(names):
            raise DataError(f"{file.name}:1", f"has no column '{column}'", expected="tabs between")
    return names


def _split(file: TextFile, columns: Sequence[str], n_headers: int) -> Iterator[pl.LazyFrame]:
    first_line = 1
    for chunk in file.chunks():
        lines = split_tabs(chunk, columns).with_row_index(LINE, first_line)
        yield lines.filter(pl.col(LINE) > n_headers)
        first_line += chunk.count(b"\n")


def _names(frames: Iterator[pl.LazyFrame], key: str) -> pl.DataFrame:
    parts = [frame.filter(~pl.col("malformed")).select(key, "name").collect() for frame in frames]
    empty = pl.DataFrame(schema={key: pl.String, "name": pl.String})
    return pl.concat([empty, *parts]).unique(key, keep="first", maintain_order=True)


def _piece(file: TextFile, frame: pl.LazyFrame) -> Piece:
    frame = frame.with_columns(mbid=pl.lit(""), name=text("name"))
    return Piece(frame=frame, file=file.name)


FORMATS = (
    PairedFormat(
        name="lfm_1b",
        title="LFM-1b",
        usual=("LFM-1b_LEs.txt", "LFM-1b_artists.txt"),
        timed=True,
        read=read_lfm_1b,
    ),
    PairedFormat(
        name="lfm_2b",
        title="LFM-2b, single listens",
        usual=("listening-events.tsv", "tracks.tsv"),
        timed=True,
        read=read_lfm_2b,
    ),
    PairedFormat(
        name="lfm_2b",
        title="LFM-2b, counts",
        usual=("listening-counts.tsv", "tracks.tsv"),
        timed=False,
        read=read_lfm_2b,
    ),
)
