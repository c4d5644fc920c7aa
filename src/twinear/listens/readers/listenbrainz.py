"""ListenBrainz dumps: JSON lines in `listens/YYYY/M.listens`, in a tar archive or unpacked.

A listener is the `user_id`, else the `user_name`. Artists are those in `mbid_mapping`, found by
ListenBrainz, else those in `additional_info`, sent by the player, else the name alone. A listen by
several artists counts for each. See https://listenbrainz.readthedocs.io/en/latest/users/json.html
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from twinear.listens.readers.decompression import chunks, open_months
from twinear.listens.readers.events import PeriodCounts, summed_rows
from twinear.listens.readers.formats import ListensFiles
from twinear.listens.readers.period import Period
from twinear.listens.readers.rows import LINE, Piece, Rows

MAX_SUMS = 500_000  # in memory at once, about 150 MB
MAX_SECONDS = 2.5e11  # since 1970: in the year 9892

Key = tuple[bool, str, str, str]  # malformed, listener, mbid, name


class _Artist(msgspec.Struct, gc=False):
    artist_mbid: Any = None
    artist_credit_name: Any = None


class _Mapping(msgspec.Struct, gc=False):
    artist_mbids: Any = None
    artists: list[_Artist] | None = None


class _Info(msgspec.Struct, gc=False):
    artist_mbids: Any = None


class _Metadata(msgspec.Struct, gc=False):
    artist_name: Any = None
    additional_info: _Info | None = None
    mbid_mapping: _Mapping | None = None


class DumpListen(msgspec.Struct, gc=False):
    """A listen in the JSON of ListenBrainz."""

    track_metadata: _Metadata
    listened_at: int | float | str
    user_id: int | str | None = None
    user_name: str | None = None


DECODER = msgspec.json.Decoder(DumpListen)


def listenbrainz(files: ListensFiles, folder: Path, period: Period) -> Rows:
    """Open the listens of a dump, summed."""
    counts = PeriodCounts()
    paths = files.months or (files.plays,)
    pieces = (piece for path in paths for piece in _read_dump(path, period, counts))
    return summed_rows(files, folder, pieces, period, counts)


def _read_dump(path: Path, period: Period, counts: PeriodCounts) -> Iterator[Piece]:
    for name, stream in open_months(path):
        sums = _ListenSums(period, counts)
        first_line = 1
        for chunk in chunks(stream, path):
            listens = decode_listens(chunk)
            sums.add(listens, first_line)
            first_line += len(listens)
            if len(sums.plays) > MAX_SUMS:
                yield Piece(frame=sums.frame(), file=name)
                sums = _ListenSums(period, counts)
        yield Piece(frame=sums.frame(), file=name)


def decode_listens(chunk: bytes) -> list[DumpListen | None]:
    """Decode every line; None where it does not hold a listen."""
    n_lines = chunk.count(b"\n") + (not chunk.endswith(b"\n"))
    try:
        listens: list[DumpListen | None] = [*DECODER.decode_lines(chunk)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        listens = []
    if len(listens) == n_lines:
        return listens
    listens = []  # the decoder stops at an error and skips blank lines: line by line, then
    for line in chunk.removesuffix(b"\n").split(b"\n"):
        try:
            listens.append(DECODER.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            listens.append(None)
    return listens


class _ListenSums:
    """Listens summed by listener and artist, with the line of the first."""

    def __init__(self, period: Period, counts: PeriodCounts) -> None:
        self.plays: dict[Key, int] = {}
        self._lines: dict[Key, int] = {}
        self._first, self._end = period.seconds
        self._counts = counts

    def add(self, listens: Iterable[DumpListen | None], line: int) -> None:
        """Add the listens of consecutive lines that are in the period."""
        counts, low, high = self._counts, float("inf"), float("-inf")
        for number, listen in enumerate(listens, line):
            seconds = None if listen is None else _seconds(listen.listened_at)
            if listen is None or seconds is None:
                self._count((True, "", "", ""), number)
                continue
            low, high = min(low, seconds), max(high, seconds)
            artists = artists_of(listen.track_metadata)
            if not self._first <= seconds < self._end:
                counts.outside += len(artists)
                continue
            counts.inside += len(artists)
            user = listen.user_name if listen.user_id is None else listen.user_id
            for mbid, name in artists:
                self._count((False, "" if user is None else str(user), mbid, name), number)
        counts.add_times(low, high)

    def _count(self, key: Key, line: int) -> None:
        self.plays[key] = self.plays.get(key, 0) + 1
        self._lines.setdefault(key, line)

    def frame(self) -> pl.LazyFrame:
        """Return the sums as rows, in the order of their first lines."""
        schema = {"malformed": pl.Boolean} | dict.fromkeys(("listener", "mbid", "name"), pl.String)
        frame = pl.LazyFrame(list(self.plays), schema=schema, orient="row")
        plays, lines = list(self.plays.values()), list(self._lines.values())
        return frame.with_columns(plays=pl.Series(plays), **{LINE: pl.Series(lines)})


def _seconds(listened_at: float | str) -> float | None:
    """Return seconds since 1970 from seconds or ISO 8601; None for anything else.

    Examples
    --------
    >>> _seconds("2020-01-01T00:00:00Z"), _seconds("yesterday")
    (1577836800.0, None)
    """
    if isinstance(listened_at, str):
        try:
            time = datetime.fromisoformat(listened_at)
        except ValueError:
            return None
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return float(listened_at) if abs(listened_at) < MAX_SECONDS else None


def artists_of(metadata: _Metadata) -> list[tuple[str, str]]:
    """Return (MBID, name) of each artist of a listen.

    Several artists who share one credited name get "", since the name is that of none of them.
    """
    mapping, info = metadata.mbid_mapping, metadata.additional_info
    if mapping and mapping.artists:
        artists = (
            (_as_text(artist.artist_mbid), _as_text(artist.artist_credit_name))
            for artist in mapping.artists
        )
        return list(dict.fromkeys(artists))
    mbids = _as_texts(mapping.artist_mbids if mapping else None)
    mbids = mbids or _as_texts(info.artist_mbids if info else None)
    if len(mbids) > 1:
        return [(mbid, "") for mbid in mbids]
    return [(mbids[0] if mbids else "", _as_text(metadata.artist_name))]


def _as_texts(value: Any) -> list[str]:
    """Return the distinct texts of a list, [] for anything else."""
    texts = map(_as_text, value) if isinstance(value, list) else ()
    return list(dict.fromkeys(filter(None, texts)))


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else ""
