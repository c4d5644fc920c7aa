"""Logs of players and scrobblers: Rockbox, Universal Scrobbler, libre.fm, Maloja, Pano Scrobbler.

`rockbox`: `.scrobbler.log` of portable players, versions 1.0 and 1.1
(http://www.audioscrobbler.net/wiki/Portable_Player_Logging). `universal_scrobbler`: its CSV for
many scrobbles, "artist", "track", "album", "timestamp", "album artist", "duration" without a header
(http://universalscrobbler.com/bulk.php); a row without a time is malformed. `librefm`: the export
of libre.fm, a CSV with the columns Time, Artist, Track, Album after some lines of comments.
`lastexport`: tab-separated time, track, artist, album and the three MBIDs, as lastexport.py writes
it from Last.fm, libre.fm and any GNU FM (https://github.com/encukou/lastscrape-gui). `maloja`: its
JSON export; `maloja_tsv`: its older logs, time, artists, title, album (https://github.com/krateng/maloja).
`pano_scrobbler`: its JSON lines (https://github.com/kawaiiDango/pano-scrobbler).

libre.fm's and Pano Scrobbler's are described by the importers of ListenBrainz,
https://github.com/metabrainz/listenbrainz-server/tree/master/listenbrainz/background/listens_importer.
multi-scrobbler documents no file of its own.
"""

import re
from collections.abc import Callable, Iterator

import msgspec

from twinear.base.delimited import split_line
from twinear.listens.readers.json_text import as_list, decode, first_item, read_values
from twinear.listens.readers.rows import ListensFormat, Piece, TextFile
from twinear.listens.readers.single_listens import (
    MALFORMED,
    NO_LISTEN,
    Listen,
    Parsed,
    find_header,
    first_lines,
    json_pieces,
    listen_pieces,
    numbered_lines,
    row_pieces,
)

UNIX_TIME = re.compile(r"\d{9,10}")  # between 1973 and 2286
MBID_OR_NOTHING = re.compile(r"(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?")

ParseLine = Callable[[TextFile, str], Parsed]


def _read_lines(parse: ParseLine) -> Callable[[TextFile], Iterator[Piece]]:
    """Return the function that reads files of which each line is parsed on its own."""

    def read(file: TextFile) -> Iterator[Piece]:
        lines = numbered_lines(file)
        return listen_pieces(file, ((number, parse(file, line)) for number, line in lines))

    return read


def _recognise_lines(is_line: Callable[[str], bool]) -> Callable[[TextFile], str | None]:
    """Return the function that recognises files by most of their first lines."""

    def recognise(file: TextFile) -> str | None:
        found = [is_line(line) for line in first_lines(file)]
        return "" if found and sum(found) > len(found) / 2 else None

    return recognise


# Rockbox


def _recognise_rockbox(file: TextFile) -> str | None:
    if not file.start.startswith(b"#AUDIOSCROBBLER/1."):
        return None
    return "" if b"#TZ/UTC" in file.start else "times in the player's zone are taken for UTC"


def _parse_rockbox(file: TextFile, line: str) -> Parsed:
    if line.startswith("#"):
        return NO_LISTEN
    fields = line.split("\t")
    if len(fields) not in (7, 8) or fields[5] not in ("L", "S"):  # some leave the MBID out
        return MALFORMED
    name = "" if fields[0] == "<Untagged>" else fields[0]
    return [Listen(name, fields[6], file.listener, skipped=fields[5] == "S")]


# Universal Scrobbler

BETWEEN_QUOTED = re.compile(r'"\s*,\s+"')


def _split_universal(line: str) -> list[str]:
    """Split a line; blanks may follow its commas."""
    return split_line(BETWEEN_QUOTED.sub('","', line)) or []


def _is_universal(line: str) -> bool:
    fields = _split_universal(line)
    time = r"\d{9,10}|\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?Z?"
    return 4 <= len(fields) <= 6 and re.fullmatch(time, fields[3]) is not None


def _parse_universal(file: TextFile, line: str) -> Parsed:
    fields = _split_universal(line)
    return [Listen(fields[0], fields[3], file.listener)] if 4 <= len(fields) <= 6 else MALFORMED


# libre.fm and GNU FM

LIBREFM = ("time", "artist", "track", "album")


def _recognise_librefm(file: TextFile) -> str | None:
    header = find_header(file, ",", LIBREFM)
    return "" if header and set(header) == set(LIBREFM) else None


def _read_librefm(file: TextFile) -> Iterator[Piece]:
    def parse(row: dict[str, str]) -> Parsed:
        return [Listen(row["artist"], row["time"], file.listener)]

    return row_pieces(file, ",", LIBREFM, parse)


def _is_lastexport(line: str) -> bool:
    fields = line.split("\t")
    is_scrobble = len(fields) == 7 and UNIX_TIME.fullmatch(fields[0]) is not None
    return is_scrobble and all(map(MBID_OR_NOTHING.fullmatch, fields[5:]))


def _parse_lastexport(file: TextFile, line: str) -> Parsed:
    fields = line.split("\t")
    if len(fields) != 7:
        return MALFORMED
    return [Listen(fields[2], fields[0], file.listener, fields[5])]


# Maloja


class _MalojaTrack(msgspec.Struct, gc=False):
    artists: list[str] = []


class _Scrobble(msgspec.Struct, gc=False):
    time: int
    track: _MalojaTrack
    duration: float | None = None


class _Maloja(msgspec.Struct, gc=False):
    scrobbles: msgspec.Raw


def _recognise_maloja(file: TextFile) -> str | None:
    scrobble = first_item(file.start, "scrobbles")
    return "" if {"time", "track"} <= scrobble.keys() else None


def _read_maloja(file: TextFile) -> Iterator[Piece]:
    def scrobbles() -> Iterator[Parsed]:
        for value in read_values(file):
            export = decode(value, _Maloja)
            for text in as_list(export.scrobbles) if export else [value]:
                yield _parse_scrobble(file, text)

    return listen_pieces(file, enumerate(scrobbles(), 1))


def _parse_scrobble(file: TextFile, text: bytes | msgspec.Raw) -> Parsed:
    scrobble = decode(text, _Scrobble)
    if scrobble is None:
        return MALFORMED
    return [
        Listen(name, scrobble.time, file.listener, seconds_played=scrobble.duration)
        for name in dict.fromkeys(scrobble.track.artists or [""])
    ]


def _is_maloja_line(line: str) -> bool:
    fields = line.split("\t")
    numbers = [field.isdecimal() for field in fields]
    return (
        3 <= len(fields) <= 5
        and UNIX_TIME.fullmatch(fields[0]) is not None
        and not any(numbers[1:3])
    )


def _parse_maloja_line(file: TextFile, line: str) -> Parsed:
    fields = line.split("\t")
    if not 3 <= len(fields) <= 5:
        return MALFORMED
    names = fields[1].replace(r"\num", "#").split("␟")
    return [Listen(name, fields[0], file.listener) for name in dict.fromkeys(names)]


# Pano Scrobbler


class _PanoScrobble(msgspec.Struct, rename="camel", gc=False):
    artist: str
    time_ms: int


def _recognise_pano(file: TextFile) -> str | None:
    return "" if {"timeMs", "artist", "track"} <= first_item(file.start).keys() else None


def _read_pano(file: TextFile) -> Iterator[Piece]:
    def parse(value: bytes | msgspec.Raw) -> Parsed:
        scrobble = decode(value, _PanoScrobble)
        if scrobble is None:
            return MALFORMED
        return [Listen(scrobble.artist, scrobble.time_ms / 1000, file.listener)]

    return json_pieces(file, parse)


FORMATS: tuple[ListensFormat, ...] = tuple(
    ListensFormat(name=name, title=title, timed=True, recognise=recognise, read=read)
    for name, title, recognise, read in (
        ("rockbox", "Rockbox, .scrobbler.log", _recognise_rockbox, _read_lines(_parse_rockbox)),
        (
            "universal_scrobbler",
            "Universal Scrobbler, CSV",
            _recognise_lines(_is_universal),
            _read_lines(_parse_universal),
        ),
        ("librefm", "libre.fm, export", _recognise_librefm, _read_librefm),
        (
            "lastexport",
            "lastexport.py, of Last.fm or libre.fm",
            _recognise_lines(_is_lastexport),
            _read_lines(_parse_lastexport),
        ),
        ("maloja", "Maloja, export", _recognise_maloja, _read_maloja),
        (
            "maloja_tsv",
            "Maloja, log",
            _recognise_lines(_is_maloja_line),
            _read_lines(_parse_maloja_line),
        ),
        ("pano_scrobbler", "Pano Scrobbler, export", _recognise_pano, _read_pano),
    )
)
