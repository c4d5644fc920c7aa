"""Scrobbles from Last.fm as exporters write them: CSV and the answers of its API.

`lastfm_csv`: artist, album, track, `01 Jan 2020 10:00`, without a header and in UTC
(https://benjaminbenben.com/lastfm-to-csv/). `lastfm_csv_header`: columns uts, artist, artist_mbid
and others (https://lastfm.ghan.nl/export/). `lastfm_stats`: `Artist;Album;AlbumId;Track;Date#user`,
milliseconds (https://lastfmstats.com).
`lastfm_scrobbles`: answers of user.getRecentTracks (https://www.last.fm/api/show/user.getRecentTracks)
and files made of them: their pages or tracks as an array or as JSON lines, and lastfmstats.com's
JSON. `lastfm_artists`: answers of user.getTopArtists and user.getWeeklyArtistChart, which have
plays instead of times (https://www.last.fm/api/show/user.getTopArtists).

What is being played just now has no time, and is no listen yet.
"""

import re
from collections.abc import Iterator

import msgspec
import polars as pl

from twinear.base.delimited import split_line
from twinear.listens.readers.json_text import as_list, decode, first_item, read_values
from twinear.listens.readers.rows import LINE, ListensFormat, Piece, TextFile
from twinear.listens.readers.single_listens import (
    MALFORMED,
    NO_LISTEN,
    Listen,
    Parsed,
    find_header,
    first_lines,
    listen_pieces,
    numbered_lines,
    row_pieces,
)

# CSV

DATE = re.compile(r"\d\d? [A-Z][a-z]{2} \d{4},? \d\d:\d\d")
HEADER = ("uts", "artist", "track")
OTHERS = {"listener", "user", "userid", "user_id"}  # columns of a table of several listeners
STATS = ("artist", "album", "albumid", "track")  # and the date
USER = re.compile(r'#([^"#]+)"?$')


def _split_scrobble(line: str) -> tuple[str, str] | None:
    """Return artist and time; the comma in a time may be unquoted.

    Examples
    --------
    >>> _split_scrobble("Muse,Absolution,Hysteria,01 Jan 2020 10:00")
    ('Muse', '01 Jan 2020 10:00')
    >>> _split_scrobble("Muse,Absolution,Hysteria,01 Jan 2020, 10:00")
    ('Muse', '01 Jan 2020, 10:00')
    """
    fields = split_line(line) or []
    if len(fields) == 5:
        fields[3:] = [",".join(fields[3:])]
    if len(fields) != 4 or not (DATE.fullmatch(fields[3]) or not fields[3].strip()):
        return None
    return fields[0], fields[3].strip()


def _recognise_csv(file: TextFile) -> str | None:
    scrobbles = [_split_scrobble(line) for line in first_lines(file)]
    is_scrobble = [scrobble is not None for scrobble in scrobbles]
    has_time = any(scrobble and scrobble[1] for scrobble in scrobbles)
    return "times in UTC" if has_time and sum(is_scrobble) > len(is_scrobble) / 2 else None


def _read_csv(file: TextFile) -> Iterator[Piece]:
    def parse(line: str) -> Parsed:
        scrobble = _split_scrobble(line)
        if scrobble is None:
            return MALFORMED
        name, time = scrobble
        return [Listen(name, time, file.listener)] if time else NO_LISTEN

    return listen_pieces(file, ((number, parse(line)) for number, line in numbered_lines(file)))


def _recognise_csv_header(file: TextFile) -> str | None:
    header = find_header(file, ",", HEADER)
    return None if header is None or OTHERS & set(header) else ""


def _read_csv_header(file: TextFile) -> Iterator[Piece]:
    def parse(row: dict[str, str]) -> Parsed:
        if not row["uts"].strip() and not row.get("utc_time", "").strip():
            return NO_LISTEN
        listener = row.get("username", "") or file.listener
        return [Listen(row["artist"], row["uts"], listener, row.get("artist_mbid", ""))]

    return row_pieces(file, ",", HEADER, parse)


def _recognise_stats(file: TextFile) -> str | None:
    header = find_header(file, ";", STATS)
    return None if header is None or not header[-1].startswith("date") else ""


def _read_stats(file: TextFile) -> Iterator[Piece]:
    user = USER.search("".join(first_lines(file, 1)))
    listener = user[1] if user else file.listener

    def parse(row: dict[str, str]) -> Parsed:
        *_, time = row.values()
        return [Listen(row["artist"], time, listener)]

    return row_pieces(file, ";", STATS, parse)


# Answers of the API


class _User(msgspec.Struct, gc=False):
    user: str = ""


class _Name(msgspec.Struct, gc=False):
    text: str = msgspec.field(name="#text", default="")
    name: str = ""
    mbid: str | None = None


class _Date(msgspec.Struct, gc=False):
    uts: str | int


class _NowPlaying(msgspec.Struct, gc=False):
    nowplaying: str | bool = False


class _Track(msgspec.Struct, gc=False):
    artist: _Name | str
    date: _Date | str | int | None = None
    attr: _NowPlaying = msgspec.field(name="@attr", default_factory=_NowPlaying)


class _Tracks(msgspec.Struct, gc=False):
    """A page of tracks, or the file of lastfmstats.com."""

    track: msgspec.Raw = msgspec.Raw()
    scrobbles: msgspec.Raw = msgspec.Raw()
    username: str = ""
    attr: _User = msgspec.field(name="@attr", default_factory=_User)


class _RecentTracks(msgspec.Struct, gc=False):
    recenttracks: _Tracks


def _recognise_scrobbles(file: TextFile) -> str | None:
    item = first_item(file.start)
    if "recenttracks" in item:
        return ""
    tracks = item.get("track") if isinstance(item.get("track"), list) else None
    if "username" in item and isinstance(item.get("scrobbles"), list):  # of lastfmstats.com
        return ""
    track = tracks[0] if tracks else item
    if not isinstance(track, dict) or not isinstance(track.get("artist"), dict):
        return None
    is_named = bool({"#text", "name"} & track["artist"].keys())
    return "" if is_named and {"date", "@attr"} & track.keys() else None


def _read_scrobbles(file: TextFile) -> Iterator[Piece]:
    def listens() -> Iterator[Parsed]:
        for value in read_values(file):
            answer = decode(value, _RecentTracks)
            page = answer.recenttracks if answer else decode(value, _Tracks) or _Tracks()
            texts = (page.track, page.scrobbles)
            tracks = next((text for text in texts if bytes(text).startswith((b"[", b"{"))), None)
            listener = page.attr.user or page.username or file.listener
            for track in [value] if tracks is None else as_list(tracks):
                yield _parse_track(track, listener)

    return listen_pieces(file, enumerate(listens(), 1))


def _parse_track(value: bytes | msgspec.Raw, listener: str) -> Parsed:
    track = decode(value, _Track)
    if track is None:
        return MALFORMED
    if track.attr.nowplaying:
        return NO_LISTEN
    artist, date = track.artist, track.date
    name = artist if isinstance(artist, str) else artist.name or artist.text
    mbid = "" if isinstance(artist, str) else artist.mbid or ""
    return [Listen(name, date.uts if isinstance(date, _Date) else date, listener, mbid)]


class _ArtistPlays(msgspec.Struct, gc=False):
    name: str
    playcount: str | int
    mbid: str | None = None


class _Artists(msgspec.Struct, gc=False):
    artist: msgspec.Raw = msgspec.Raw()
    attr: _User = msgspec.field(name="@attr", default_factory=_User)


class _Charts(msgspec.Struct, gc=False):
    topartists: _Artists | None = None
    weeklyartistchart: _Artists | None = None


def _recognise_artists(file: TextFile) -> str | None:
    item = first_item(file.start)
    return "" if item.keys() & {"topartists", "weeklyartistchart"} else None


def _read_artists(file: TextFile) -> Iterator[Piece]:
    def rows() -> Iterator[tuple[bool, str, str, str, str]]:
        for value in read_values(file):
            charts = decode(value, _Charts) or _Charts()
            chart = charts.topartists or charts.weeklyartistchart
            if chart is None:
                yield True, "", "", "", ""
                continue
            listener = chart.attr.user or file.listener
            for text in as_list(chart.artist):
                artist = decode(text, _ArtistPlays)
                if artist is None:
                    yield True, "", "", "", ""
                else:
                    yield False, listener, artist.mbid or "", artist.name, str(artist.playcount)

    columns = ("malformed", "listener", "mbid", "name", "plays")
    schema = {column: pl.Boolean if column == "malformed" else pl.String for column in columns}
    frame = pl.LazyFrame(list(rows()), schema=schema, orient="row").with_row_index(LINE, 1)
    yield Piece(frame=frame, file=file.name)


FORMATS: tuple[ListensFormat, ...] = tuple(
    ListensFormat(name=name, title=title, timed=timed, recognise=recognise, read=read)
    for name, title, timed, recognise, read in (
        ("lastfm_csv", "Last.fm, scrobbles without a header", True, _recognise_csv, _read_csv),
        (
            "lastfm_csv_header",
            "Last.fm, scrobbles with a header",
            True,
            _recognise_csv_header,
            _read_csv_header,
        ),
        ("lastfm_stats", "Last.fm, lastfmstats.com", True, _recognise_stats, _read_stats),
        (
            "lastfm_scrobbles",
            "Last.fm, recent tracks of its API",
            True,
            _recognise_scrobbles,
            _read_scrobbles,
        ),
        (
            "lastfm_artists",
            "Last.fm, artist charts of its API",
            False,
            _recognise_artists,
            _read_artists,
        ),
    )
)
