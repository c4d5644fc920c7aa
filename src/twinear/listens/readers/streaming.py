"""What streaming services export: Spotify, Apple Music, YouTube Music.

Their users are not named in it, but for some exports of Spotify: the listener is the folder.
A play counts however the service judges it: a song that was skipped after two minutes was listened
to. What is no music, or music without an artist, is marked as skipped.

Deezer exports a spreadsheet (.xlsx), which is not read.
"""

from collections.abc import Iterator

import msgspec

from twinear.listens.readers.json_text import decode, first_item
from twinear.listens.readers.rows import ListensFormat, Piece, TextFile
from twinear.listens.readers.single_listens import (
    MALFORMED,
    NO_LISTEN,
    Listen,
    Parsed,
    find_header,
    json_pieces,
    row_pieces,
)

# Spotify: https://support.spotify.com/article/understanding-my-data/


class _ExtendedPlay(msgspec.Struct, gc=False):
    ts: str
    ms_played: float | None = None
    username: str | None = None
    artist: str | None = msgspec.field(name="master_metadata_album_artist_name", default=None)


class _Play(msgspec.Struct, rename="camel", gc=False):
    end_time: str
    artist_name: str | None = None
    ms_played: float | None = None


def _recognise_spotify_extended(file: TextFile) -> str | None:
    keys = {"ts", "ms_played", "master_metadata_album_artist_name"}
    return "" if keys <= first_item(file.start).keys() else None


def _read_spotify_extended(file: TextFile) -> Iterator[Piece]:
    def parse(value: bytes | msgspec.Raw) -> Parsed:
        play = decode(value, _ExtendedPlay)
        if play is None:
            return MALFORMED
        listener = play.username or file.folder_listener
        return [_spotify_listen(play.artist, play.ts, listener, play.ms_played)]

    return json_pieces(file, parse)


def _recognise_spotify(file: TextFile) -> str | None:
    keys = {"endTime", "artistName", "msPlayed"}
    return "times in UTC" if keys <= first_item(file.start).keys() else None


def _read_spotify(file: TextFile) -> Iterator[Piece]:
    def parse(value: bytes | msgspec.Raw) -> Parsed:
        play = decode(value, _Play)
        if play is None:
            return MALFORMED
        listener = file.folder_listener
        return [_spotify_listen(play.artist_name, play.end_time, listener, play.ms_played)]

    return json_pieces(file, parse)


def _spotify_listen(artist: str | None, time: str, listener: str, ms: float | None) -> Listen:
    """Make a listen; podcasts, audiobooks and videos have no artist."""
    return Listen(
        name=artist or "",
        time=time,
        listener=listener,
        skipped=not artist,
        seconds_played=None if ms is None else ms / 1000,
    )


# Apple Music: https://privacy.apple.com, "Apple Music Play Activity.csv". The columns are described
# in https://medium.com/@mozart38/apple-music-activity-analyser-part-1-dd02173f095f

APPLE = ("artist name", "event start timestamp", "event type", "play duration milliseconds")


def _recognise_apple(file: TextFile) -> str | None:
    return None if find_header(file, ",", APPLE) is None else ""


def _read_apple(file: TextFile) -> Iterator[Piece]:
    def parse(row: dict[str, str]) -> Parsed:
        name, time, event, milliseconds = (row[column] for column in APPLE)
        if event != "PLAY_END":  # the other events of a play
            return NO_LISTEN
        seconds = int(milliseconds) / 1000 if milliseconds.isdecimal() else None
        return [Listen(name, time, file.folder_listener, "", not name, seconds)]

    return row_pieces(file, ",", APPLE, parse)


# YouTube Music: https://takeout.google.com, the history as JSON ("watch-history.json")

TOPIC = " - Topic"  # follows the artist in the name of a channel that YouTube made


class _Channel(msgspec.Struct, gc=False):
    name: str = ""


class _Watched(msgspec.Struct, gc=False):
    header: str
    time: str
    subtitles: list[_Channel] = []


def _recognise_youtube(file: TextFile) -> str | None:
    keys = {"header", "title", "time", "products"}
    found = keys <= first_item(file.start).keys()
    return "music only, the artist is the channel" if found else None


def _read_youtube(file: TextFile) -> Iterator[Piece]:
    def parse(value: bytes | msgspec.Raw) -> Parsed:
        watched = decode(value, _Watched)
        if watched is None:
            return MALFORMED
        if watched.header != "YouTube Music":
            return NO_LISTEN
        name = watched.subtitles[0].name.removesuffix(TOPIC) if watched.subtitles else ""
        return [Listen(name, watched.time, file.folder_listener, skipped=not name)]

    return json_pieces(file, parse)


FORMATS: tuple[ListensFormat, ...] = tuple(
    ListensFormat(name=name, title=title, timed=True, recognise=recognise, read=read)
    for name, title, recognise, read in (
        (
            "spotify_extended",
            "Spotify, extended streaming history",
            _recognise_spotify_extended,
            _read_spotify_extended,
        ),
        ("spotify", "Spotify, streaming history", _recognise_spotify, _read_spotify),
        ("apple_music", "Apple Music, play activity", _recognise_apple, _read_apple),
        ("youtube_music", "YouTube Music, watch history", _recognise_youtube, _read_youtube),
    )
)
