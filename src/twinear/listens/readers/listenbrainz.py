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

from twinear.listens.readers.archives import open_members
from twinear.listens.readers.decompression import read_pieces
from twinear.listens.readers.formats import MONTH
from twinear.listens.readers.json_text import NOT_JSON, first_item
from twinear.listens.readers.rows import LINE, ListensFormat, Piece, TextFile
from twinear.listens.readers.text_files import whole_lines

MAX_SECONDS = 2.5e11  # since 1970: in the year 9892


class _Artist(msgspec.Struct, gc=False):
    artist_mbid: Any = None
    artist_credit_name: Any = None


class _Mapping(msgspec.Struct, gc=False):
    artist_mbids: Any = None
    artists: list[_Artist] | None = None


class _Info(msgspec.Struct, gc=False):
    artist_mbids: Any = None
    duration_played: Any = None


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


def read_dump(path: Path, name: str) -> Iterator[Piece]:
    """Read the months of a dump out of its archive, one after the other."""
    for member in open_members(path, name):
        if MONTH.search(str(member.name)):
            place = f"{name}:{member.name}"
            yield from _read(whole_lines(read_pieces(member.stream, place), place), place)


def _read_month(file: TextFile) -> Iterator[Piece]:
    return _read(file.chunks(), file.name)


def _recognise_month(file: TextFile) -> str | None:
    item = first_item(file.start)
    names_listener = "user_id" in item or "user_name" in item
    is_dump = names_listener and {"listened_at", "track_metadata"} <= set(item)
    return "" if is_dump and not file.start.lstrip().startswith(b"[") else None


def _read(chunks: Iterable[bytes], name: str) -> Iterator[Piece]:
    first_line = 1
    for chunk in chunks:
        listens = decode_listens(chunk)
        yield Piece(frame=_to_frame(listens, first_line), file=name)
        first_line += len(listens)


FORMATS: tuple[ListensFormat, ...] = (
    ListensFormat(
        name="listenbrainz",
        title="ListenBrainz, dump",
        timed=True,
        recognise=_recognise_month,
        read=_read_month,
    ),
)


def decode_listens(chunk: bytes) -> list[DumpListen | None]:
    """Decode every line; None where it does not hold a listen."""
    n_lines = chunk.count(b"\n") + (not chunk.endswith(b"\n"))
    try:
        listens: list[DumpListen | None] = [*DECODER.decode_lines(chunk)]
    except NOT_JSON:
        listens = []
    if len(listens) == n_lines:
        return listens
    listens = []  # the decoder stops at an error and skips blank lines: line by line, then
    for line in chunk.removesuffix(b"\n").split(b"\n"):
        try:
            listens.append(DECODER.decode(line))
        except NOT_JSON:
            listens.append(None)
    return listens


def _to_frame(listens: Iterable[DumpListen | None], first_line: int) -> pl.LazyFrame:
    """Return a row for each artist of each listen; its seconds are missing if it has no time."""
    lines: list[int] = []
    seconds: list[float | None] = []
    listeners: list[str | None] = []
    played: list[float | None] = []
    artists: list[tuple[str, str]] = []  # MBID and name
    for line, listen in enumerate(listens, first_line):
        time = None if listen is None else _seconds(listen.listened_at)
        if listen is None or time is None:
            listener, length, by = None, None, [("", "")]
        else:
            user = listen.user_name if listen.user_id is None else listen.user_id
            listener = None if user is None else str(user)
            info = listen.track_metadata.additional_info
            length = info.duration_played if info else None
            by = artists_of(listen.track_metadata)
        for artist in by:
            lines.append(line)
            seconds.append(time)
            listeners.append(listener)
            played.append(length)
            artists.append(artist)
    rows = pl.DataFrame(artists, schema={"mbid": pl.String, "name": pl.String}, orient="row")
    return rows.lazy().with_columns(
        pl.Series(LINE, lines, pl.Int64),
        pl.Series("seconds", seconds, pl.Float64),
        pl.Series("listener", listeners, pl.String),
        pl.Series("seconds_played", played, pl.Float64, strict=False),
        malformed=pl.lit(False),
    )


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
