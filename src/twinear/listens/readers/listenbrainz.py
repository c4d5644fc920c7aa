"""ListenBrainz dumps: JSON lines in `listens/YYYY/M.listens`, in a tar archive or unpacked.

A listener is its `user_id`, else its `user_name`. Artists are those that ListenBrainz found
(`mbid_mapping`), else those that were sent (`additional_info`), else the name alone; a listen by
several artists is one of each. See https://listenbrainz.readthedocs.io/en/latest/users/json.html
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from twinear.listens.readers.decompression import chunks, months
from twinear.listens.readers.events import Seen, summed
from twinear.listens.readers.formats import ListensFiles
from twinear.listens.readers.period import Window
from twinear.listens.readers.rows import Rows
from twinear.listens.readers.spool import LINE, Piece

MAX_SUMS = 500_000  # in memory at once, about 150 MB
MAX_SECONDS = 2.5e11  # since 1970: the year 9892

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


class _Listen(msgspec.Struct, gc=False):
    track_metadata: _Metadata
    listened_at: int | float | str
    user_id: int | str | None = None
    user_name: str | None = None


DECODER = msgspec.json.Decoder(_Listen)


def listenbrainz(files: ListensFiles, scratch: Path, window: Window) -> Rows:
    """The listens of a dump, summed up."""
    seen = Seen()
    paths = files.months or (files.plays,)
    pieces = (piece for path in paths for piece in _of_file(path, window, seen))
    return summed(files, scratch, window, pieces, seen)


def _of_file(path: Path, window: Window, seen: Seen) -> Iterator[Piece]:
    for name, stream in months(path):
        sums = _Sums(window, seen)
        first = 1
        for chunk in chunks(stream, path):
            listens = _decoded(chunk)
            sums.add(listens, first)
            first += len(listens)
            if len(sums.plays) > MAX_SUMS:
                yield Piece(frame=sums.frame(), file=name)
                sums = _Sums(window, seen)
        yield Piece(frame=sums.frame(), file=name)


def _decoded(chunk: bytes) -> list[_Listen | None]:
    """Every line's listen; None where the line is none."""
    n_lines = chunk.count(b"\n") + (not chunk.endswith(b"\n"))
    try:
        listens = DECODER.decode_lines(chunk)
    except (msgspec.DecodeError, UnicodeDecodeError):
        listens = []
    if len(listens) == n_lines:
        return [*listens]
    return [_line(line) for line in chunk.removesuffix(b"\n").split(b"\n")]


def _line(line: bytes) -> _Listen | None:
    try:
        return DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class _Sums:
    """Listens summed up by listener and artist, with the line of the first."""

    def __init__(self, window: Window, seen: Seen) -> None:
        self.plays: dict[Key, int] = {}
        self._lines: dict[Key, int] = {}
        self._first, self._end = window.seconds
        self._seen = seen

    def add(self, listens: Iterable[_Listen | None], line: int) -> None:
        """Add the listens of consecutive lines, those in the window."""
        seen, low, high = self._seen, float("inf"), float("-inf")
        for number, listen in enumerate(listens, line):
            seconds = None if listen is None else _seconds(listen.listened_at)
            if listen is None or seconds is None:
                self._count((True, "", "", ""), number)
                continue
            low, high = min(low, seconds), max(high, seconds)
            artists = _artists(listen.track_metadata)
            if not self._first <= seconds < self._end:
                seen.outside += len(artists)
                continue
            seen.inside += len(artists)
            who = listen.user_name if listen.user_id is None else listen.user_id
            for mbid, name in artists:
                self._count((False, "" if who is None else str(who), mbid, name), number)
        seen.note(low, high)

    def _count(self, key: Key, line: int) -> None:
        n = self.plays.get(key, 0)
        self.plays[key] = n + 1
        if not n:
            self._lines[key] = line

    def frame(self) -> pl.LazyFrame:
        """The sums as rows, in the order of their first lines."""
        schema = {"malformed": pl.Boolean} | dict.fromkeys(("listener", "mbid", "name"), pl.String)
        frame = pl.LazyFrame(list(self.plays), schema=schema, orient="row")
        plays, lines = list(self.plays.values()), list(self._lines.values())
        return frame.with_columns(plays=pl.Series(plays), **{LINE: pl.Series(lines)})


def _seconds(listened_at: float | str) -> float | None:
    """Seconds since 1970, of those or of ISO 8601; None if it is neither."""
    if isinstance(listened_at, str):
        try:
            time = datetime.fromisoformat(listened_at)
        except ValueError:
            return None
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return float(listened_at) if abs(listened_at) < MAX_SECONDS else None


def _artists(metadata: _Metadata) -> list[tuple[str, str]]:
    """(MBID, name) of each artist of a listen; of several without names of their own "" each."""
    mapping, info = metadata.mbid_mapping, metadata.additional_info
    if mapping and mapping.artists:
        named = (
            (_word(each.artist_mbid), _word(each.artist_credit_name)) for each in mapping.artists
        )
        return list(dict.fromkeys(named))
    mbids = _words(mapping.artist_mbids if mapping else None)
    mbids = mbids or _words(info.artist_mbids if info else None)
    name = _word(metadata.artist_name)
    if len(mbids) > 1:
        return [(mbid, "") for mbid in mbids]
    return [(mbids[0] if mbids else "", name)]


def _words(value: Any) -> list[str]:
    return list(dict.fromkeys(filter(None, map(_word, value)))) if isinstance(value, list) else []


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""
