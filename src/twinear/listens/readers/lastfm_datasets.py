"""The public data sets Last.fm-360K and Last.fm-1K: tab-separated, without header or quotes."""

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from twinear.artists.identity import MBID
from twinear.listens.readers.rows import LINE, ListensFormat, Piece, TextFile, tidy
from twinear.listens.readers.text import split_tabs
from twinear.listens.readers.times import parse_times

COLUMNS_360K = ("listener", "mbid", "name", "plays")
COLUMNS_1K = ("listener", "time", "mbid", "name", "recording_mbid", "recording")
_ID = f"(?:{MBID.pattern})?"
LINE_360K = re.compile(rf"[^\t]+\t{_ID}\t[^\t]*\t *\d+\s*", re.IGNORECASE)
LINE_1K = re.compile(
    rf"[^\t]+\t\d{{4}}-\d\d-\d\dT[\d:]+Z\t{_ID}\t[^\t]*\t{_ID}\t[^\t]*", re.IGNORECASE
)
CHECKED_LINES = 200


def parse_lastfm_360k(lines: Path | bytes) -> pl.LazyFrame:
    """Parse a file or some lines of Last.fm-360K to the columns of `Rows.frame`."""
    return tidy(split_tabs(lines, COLUMNS_360K))


def _recognise_360k(file: TextFile) -> str | None:
    return "" if _most_lines_are(LINE_360K, file) else None


def _recognise_1k(file: TextFile) -> str | None:
    return "" if _most_lines_are(LINE_1K, file) else None


def _most_lines_are(pattern: re.Pattern[str], file: TextFile) -> bool:
    lines = file.start.decode(errors="replace").split("\n")[:CHECKED_LINES]
    fitting = sum(pattern.fullmatch(line) is not None for line in lines)
    return 2 * fitting > sum(line != "" for line in lines)


def _read_360k(file: TextFile) -> Iterator[Piece]:
    line = 1
    for chunk in file.chunks():
        yield Piece(
            frame=split_tabs(chunk, COLUMNS_360K).with_row_index(LINE, line), file=file.name
        )
        line += chunk.count(b"\n")


def _read_1k(file: TextFile) -> Iterator[Piece]:
    line = 1
    for chunk in file.chunks():
        listens = split_tabs(chunk, COLUMNS_1K).with_row_index(LINE, line)
        yield Piece(frame=listens.with_columns(seconds=parse_times("time")), file=file.name)
        line += chunk.count(b"\n")


FORMATS: tuple[ListensFormat, ...] = (
    ListensFormat(
        name="lastfm_360k",
        title="Last.fm-360K",
        timed=False,
        recognise=_recognise_360k,
        read=_read_360k,
    ),
    ListensFormat(
        name="lastfm_1k",
        title="Last.fm-1K",
        timed=True,
        recognise=_recognise_1k,
        read=_read_1k,
    ),
)
