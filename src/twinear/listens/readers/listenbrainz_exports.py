"""ListenBrainz: what a user exports, and the dump for Spark.

The export of a user is an archive of `listens/YYYY/M.jsonl` beside feedback and pins, which are no
listens; before 2025 it was one JSON array. Its listens are those of the dump (`listenbrainz`), but
the user is not named in them. See
https://listenbrainz.readthedocs.io/en/latest/users/listenbrainz-dumps.html and, for the columns of
the dump for Spark, listenbrainz/dumps in https://github.com/metabrainz/listenbrainz-server.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from twinear.base.errors import DataError
from twinear.listens.readers.json_text import decode, first_item, read_values
from twinear.listens.readers.listenbrainz import DumpListen, decode_listens, listens_frame
from twinear.listens.readers.rows import (
    LINE,
    POLARS_ERRORS,
    ListensFormat,
    Piece,
    TextFile,
    unreadable,
)
from twinear.listens.readers.single_listens import PIECE_ITEMS
from twinear.listens.readers.times import parse_times

SPARK_COLUMNS = ("listened_at", "user_id", "artist_name")
SPARK_MBIDS = "artist_credit_mbids"
SPARK_ROWS = 1_000_000  # in memory at once, about 200 MB


def recognise(file: TextFile) -> str | None:
    """Recognise an array of listens, and JSON lines of listens that do not name the listener."""
    item = first_item(file.start)
    is_listen = "listened_at" in item and isinstance(item.get("track_metadata"), dict)
    is_dump = not _is_array(file) and ("user_id" in item or "user_name" in item)
    return "" if is_listen and not is_dump else None


def read(file: TextFile) -> Iterator[Piece]:
    """Read listens; the listener is in them or else named by the folder."""
    line = 1
    for listens in _decode(file):
        listener = pl.col("listener").fill_null(file.folder_listener)
        yield Piece(frame=listens_frame(listens, line).with_columns(listener), file=file.name)
        line += len(listens)


def _is_array(file: TextFile) -> bool:
    return file.start.lstrip().startswith(b"[")


def _decode(file: TextFile) -> Iterator[list[DumpListen | None]]:
    if _is_array(file):
        texts = iter(read_values(file))
        while batch := list(islice(texts, PIECE_ITEMS)):
            yield [decode(text, DumpListen) for text in batch]
    else:
        yield from map(decode_listens, file.chunks())


FORMATS: tuple[ListensFormat, ...] = (
    ListensFormat(
        name="listenbrainz_export",
        title="ListenBrainz, export of a user",
        timed=True,
        recognise=recognise,
        read=read,
    ),
)


def read_spark(path: Path, name: str) -> Iterator[Piece]:
    """Read a Parquet file of the dump for Spark; a listen by several artists is a row for each.

    As in the dump, several artists have their MBIDs and no name, since the credited name is that
    of none of them.

    Parameters
    ----------
    name
        For messages.

    Raises
    ------
    DataError
        No Parquet file, or one of other columns.
    """
    try:
        frame = pl.scan_parquet(path, glob=False)
        columns = frame.collect_schema().names()
        n_rows = frame.select(pl.len()).collect().item()
    except POLARS_ERRORS as error:
        raise unreadable(Path(name), error) from error
    for column in SPARK_COLUMNS:
        if column not in columns:
            raise DataError(name, f"has no column '{column}'", remedy="fetch the dump again")
    mbids = pl.col(SPARK_MBIDS) if SPARK_MBIDS in columns else pl.lit(None)
    mbids = mbids.cast(pl.List(pl.String)).list.unique(maintain_order=True)
    rows = frame.with_row_index(LINE, 1).select(
        LINE,
        malformed=pl.lit(False),
        listener="user_id",
        seconds=parse_times("listened_at"),
        mbid=pl.when(mbids.list.len() > 0).then(mbids).otherwise(pl.lit([""])),
        name="artist_name",
    )
    several = pl.col("mbid").list.len() > 1
    rows = rows.with_columns(name=pl.when(several).then(pl.lit("")).otherwise("name"))
    for first in range(0, n_rows, SPARK_ROWS):
        piece = rows.slice(first, SPARK_ROWS).explode("mbid")
        yield Piece(frame=piece, file=name)
