"""An example of every format of exports, with its quirks, and the rows that it holds."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from tests.support.dumps import A, B
from twinear.listens.readers.rows import LINE, ListensFormat, TextFile

DAY_2020 = 1_577_836_800  # 1 January, 0:00 UTC
TEN = DAY_2020 + 36_000  # 10:00


def text_file(
    content: bytes | str, listener: str = "someone", piece_bytes: int | None = None
) -> TextFile:
    """A file as the walker hands it to a format, in pieces of some lines if wanted."""
    text = content.encode() if isinstance(content, str) else content

    def chunks() -> Iterator[bytes]:
        lines, size = text.splitlines(keepends=True), piece_bytes or len(text) or 1
        while lines:
            piece = lines.pop(0)
            while lines and len(piece) < size:
                piece += lines.pop(0)
            yield piece

    return TextFile(
        name=f"listens/{listener}",
        listener=listener,
        folder_listener=f"folder of {listener}",
        start=text[: 1 << 16],
        chunks=chunks,
    )


@dataclass(frozen=True, kw_only=True)
class Example:
    """A file of a format and what must be read from it.

    Parameters
    ----------
    rows
        (line, listener, mbid, name, seconds or plays) of the rows that are well-formed.
    malformed
        The lines of the others.
    """

    format: str
    content: str
    rows: list[tuple[int, str, str, str, float | str]]
    malformed: list[int] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    played: list[float | None] = field(default_factory=list)


def read_example(form: ListensFormat, file: TextFile) -> Example:
    """Read a file into the form of the expected rows."""
    value = "seconds" if form.timed else "plays"
    frames = [piece.frame.collect() for piece in form.read(file)]
    columns = (LINE, "listener", "mbid", "name", value)
    rows: list[Any] = []
    malformed: list[int] = []
    skipped: list[int] = []
    played: list[float | None] = []
    for frame in frames:
        good = ~pl.col("malformed") & (pl.col(value).is_not_null())
        rows += frame.filter(good).select(columns).rows()
        malformed += frame.filter(~good)[LINE].to_list()
        if "skipped" in frame.columns:
            skipped += frame.filter(good & pl.col("skipped"))[LINE].to_list()
        if "seconds_played" in frame.columns:
            played += frame.filter(good)["seconds_played"].to_list()
    return Example(
        format=form.name,
        content="",
        rows=rows,
        malformed=malformed,
        skipped=skipped,
        played=played if any(seconds is not None for seconds in played) else [],
    )


def lb_listen(time: object, name: str, **more: object) -> dict[str, object]:
    metadata = {"artist_name": name, "track_name": "A song", "mbid_mapping": None} | more
    return {"listened_at": time, "inserted_at": TEN, "track_metadata": metadata}


def spotify_play(ts: str, artist: str | None, ms: int, **more: object) -> dict[str, object]:
    """A play with the columns that surround those that count."""
    return {
        "ts": ts,
        "platform": "ios",
        "ms_played": ms,
        "conn_country": "DE",
        "master_metadata_track_name": artist and "A song",
        "master_metadata_album_artist_name": artist,
        "episode_name": None if artist else "An episode",
        "reason_end": "fwdbtn",
        "skipped": True,
        **more,
    }


def api_track(artist: object, uts: str | None) -> dict[str, object]:
    date = {"date": {"uts": uts, "#text": "01 Jan 2020, 10:00"}} if uts else {}
    playing = {} if uts else {"@attr": {"nowplaying": "true"}}
    return {"artist": artist, "name": "A song", "album": {"#text": "", "mbid": ""}} | date | playing


MUSE, AIR = {"#text": "Muse", "mbid": A}, {"name": "Air", "mbid": "", "url": "…"}
TRACKS: tuple[object, ...] = (api_track(MUSE, str(TEN)), [], api_track(AIR, "x"))
APPLE_HEADER = (
    '"Apple ID Number","Artist Name","End Reason Type","Event Start Timestamp","Event Type",'
    '"Play Duration Milliseconds","Song Name"'
)

EXAMPLES = {
    "ListenBrainz, month of the export": Example(
        format="listenbrainz_export",
        content="".join(
            json.dumps(listen, ensure_ascii=False) + "\n"
            for listen in (
                lb_listen(TEN, "Muse", additional_info={"artist_mbids": [A]}),
                lb_listen(TEN + 0.5, "Björk & Air", mbid_mapping={"artist_mbids": [A, B]}),
                {
                    "listened_at": TEN,
                    "user_name": "another",
                    "track_metadata": {"artist_name": "Air"},
                },
                {"listened_at": TEN, "track_metadata": None},
                lb_listen("2020-01-01T10:00:00Z", "Can"),
                lb_listen(None, "Can"),
            )
        ),
        rows=[
            (1, "folder of someone", A, "Muse", TEN),
            (2, "folder of someone", A, "", TEN + 0.5),
            (2, "folder of someone", B, "", TEN + 0.5),
            (3, "another", "", "Air", TEN),
            (5, "folder of someone", "", "Can", TEN),
        ],
        malformed=[4, 6],
    ),
    "ListenBrainz, one array": Example(
        format="listenbrainz_export",
        content=json.dumps([lb_listen(TEN, "Muse"), {"x": 1}, lb_listen(TEN, "Air")], indent=1),
        rows=[
            (1, "folder of someone", "", "Muse", TEN),
            (3, "folder of someone", "", "Air", TEN),
        ],
        malformed=[2],
    ),
    "Spotify, extended": Example(
        format="spotify_extended",
        content=json.dumps(
            [
                spotify_play("2020-01-01T10:00:00Z", None, 1_800_000),
                spotify_play("2020-01-01T10:00:00Z", "Muse", 214_500, username="x"),
                spotify_play("2020-01-01T10:00:00Z", "Guns N' Roses", 1000),
                spotify_play("yesterday", "Muse", 1000),
                {"ts": 5, "ms_played": "1"},
            ]
        ),
        rows=[
            (1, "folder of someone", "", "", TEN),
            (2, "x", "", "Muse", TEN),
            (3, "folder of someone", "", "Guns N' Roses", TEN),
        ],
        malformed=[4, 5],
        skipped=[1],
        played=[1800.0, 214.5, 1.0],
    ),
    "Spotify": Example(
        format="spotify",
        content=json.dumps(
            [
                {
                    "endTime": "2020-01-01 10:00",
                    "artistName": "Muse",
                    "trackName": "H",
                    "msPlayed": 1000,
                },
                {"endTime": "2020-01-01 10:01", "artistName": "", "trackName": "?", "msPlayed": 5},
            ],
            indent=2,
        ),
        rows=[
            (1, "folder of someone", "", "Muse", TEN),
            (2, "folder of someone", "", "", TEN + 60),
        ],
        skipped=[2],
        played=[1.0, 0.005],
    ),
    "Apple Music": Example(
        format="apple_music",
        content=f"{APPLE_HEADER}\r\n"
        '"1","Earth, Wind & Fire","NATURAL_END_OF_TRACK","2020-01-01T10:00:00.123Z","PLAY_END",'
        '"180000","September"\r\n'
        '"1","Muse","","2020-01-01T10:00:00Z","PLAY_START","","Hysteria"\r\n'
        '"1","","","2020-01-01T10:00:00Z","PLAY_END","","Unknown"\r\n'
        '"1","Muse"\r\n',
        rows=[
            (2, "folder of someone", "", "Earth, Wind & Fire", TEN),
            (4, "folder of someone", "", "", TEN),
        ],
        malformed=[5],
        skipped=[4],
        played=[180.0, None],
    ),
    "YouTube Music": Example(
        format="youtube_music",
        content=json.dumps(
            [
                {
                    "header": header,
                    "title": "Watched Hysteria",
                    "titleUrl": "…",
                    **({"subtitles": [{"name": name, "url": "…"}]} if name else {}),
                    "time": "2020-01-01T10:00:00.123Z",
                    "products": ["YouTube"],
                }
                for header, name in (
                    ("YouTube", "A cat"),
                    ("YouTube Music", "Muse - Topic"),
                    ("YouTube Music", ""),
                )
            ]
        ),
        rows=[
            (2, "folder of someone", "", "Muse", TEN),
            (3, "folder of someone", "", "", TEN),
        ],
        skipped=[3],
    ),
    "Last.fm, CSV": Example(
        format="lastfm_csv",
        content="Air,Moon Safari,La femme d'argent,\n"
        "Muse,Absolution,Hysteria,01 Jan 2020 10:00\n"
        "Muse,Absolution,Hysteria,01 Jan 2020, 10:00\n"
        '"Earth, Wind & Fire",,"September","1 Jan 2020, 10:00"\n'
        "Muse,Absolution\n"
        "Can,Future Days,Moonshake,01 Jan 2020 10:00\n",
        rows=[
            (2, "someone", "", "Muse", TEN),
            (3, "someone", "", "Muse", TEN),
            (4, "someone", "", "Earth, Wind & Fire", TEN),
            (6, "someone", "", "Can", TEN),
        ],
        malformed=[5],
    ),
    "Last.fm, CSV with a header": Example(
        format="lastfm_csv_header",
        content="uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n"
        f'"{TEN}","01 Jan 2020, 10:00","Muse","{A}","Absolution","","Hysteria",""\n'
        f'"{TEN}","01 Jan 2020, 10:00","""Weird Al"" Yankovic","","","","",""\n'
        '"","","Air","","","","",""\n'
        f'"{TEN}","01 Jan 2020, 10:00","Muse\n'
        f'"{TEN}","01 Jan 2020, 10:00",Sunn O))),"","","","",""',
        rows=[
            (2, "someone", A, "Muse", TEN),
            (3, "someone", "", '"Weird Al" Yankovic', TEN),
            (6, "someone", "", "Sunn O)))", TEN),
        ],
        malformed=[5],
    ),
    "Last.fm, lastfmstats.com": Example(
        format="lastfm_stats",
        content='"Artist";"Album";"AlbumId";"Track";"Date#SomeOne"\n'
        f'"Muse";"Absolution";"";"Hysteria";"{TEN}000"\n'
        f'"Air; Can";"";"";"";"{TEN}125"\n'
        '"Air";"";"";""\n',
        rows=[(2, "SomeOne", "", "Muse", TEN), (3, "SomeOne", "", "Air; Can", TEN + 0.125)],
        malformed=[4],
    ),
    "Last.fm, recent tracks": Example(
        format="lastfm_scrobbles",
        content=json.dumps(
            {
                "recenttracks": {
                    "track": [
                        api_track(MUSE, None),
                        api_track(MUSE, str(TEN)),
                        api_track(AIR, str(TEN)),
                        {"name": "A song"},
                    ],
                    "@attr": {"user": "SomeOne", "page": "1", "totalPages": "7"},
                }
            },
            indent=2,
        ),
        rows=[(2, "SomeOne", A, "Muse", TEN), (3, "SomeOne", "", "Air", TEN)],
        malformed=[4],
    ),
    "Last.fm, pages of recent tracks": Example(
        format="lastfm_scrobbles",
        content=json.dumps(
            [
                {"track": [api_track(MUSE, str(TEN)), api_track(MUSE, str(TEN))], "@attr": {}},
                {"recenttracks": {"track": api_track(AIR, str(TEN)), "@attr": {"user": "x"}}},
                {"recenttracks": {"track": [], "@attr": {"user": "x"}}},
                api_track("Can", str(TEN)),
            ]
        ),
        rows=[
            (1, "someone", A, "Muse", TEN),
            (2, "someone", A, "Muse", TEN),
            (3, "x", "", "Air", TEN),
            (4, "someone", "", "Can", TEN),
        ],
    ),
    "Last.fm, recent tracks as JSON lines": Example(
        format="lastfm_scrobbles",
        content="".join(json.dumps(track) + "\n" for track in TRACKS),
        rows=[(1, "someone", A, "Muse", TEN)],
        malformed=[2, 3],
    ),
    "Last.fm, lastfmstats.com, JSON": Example(
        format="lastfm_scrobbles",
        content=json.dumps(
            {
                "username": "SomeOne",
                "scrobbles": [{"track": "H", "artist": "Muse", "album": "", "date": TEN * 1000}],
            }
        ),
        rows=[(1, "SomeOne", "", "Muse", TEN)],
    ),
    "Last.fm, top artists": Example(
        format="lastfm_artists",
        content=json.dumps(
            {
                "topartists": {
                    "artist": [
                        {"name": "Muse", "playcount": "5", "mbid": A, "@attr": {"rank": "1"}},
                        {"name": "Air", "playcount": 4},
                        {"name": "Can"},
                    ],
                    "@attr": {"user": "SomeOne", "totalPages": "1"},
                }
            }
        ),
        rows=[(1, "SomeOne", A, "Muse", "5"), (2, "SomeOne", "", "Air", "4")],
        malformed=[3],
    ),
    "Last.fm, weeks": Example(
        format="lastfm_artists",
        content='{"weeklyartistchart": {"artist": [], "@attr": {"user": "x"}}}\n'
        '{"weeklyartistchart": {"artist": {"name": "Muse", "playcount": "5"}}}\n',
        rows=[(1, "someone", "", "Muse", "5")],
    ),
    "Rockbox": Example(
        format="rockbox",
        content="#AUDIOSCROBBLER/1.1\n#TZ/UTC\n#CLIENT/Rockbox h3xx 1.1\n"
        f"Muse\tAbsolution\tHysteria\t8\t227\tL\t{TEN}\t{A}\n"
        f"Portishead\t\tCowboys\t\t245\tS\t{TEN}\t\n"
        f"<Untagged>\t\tCowboys\t\t245\tL\t{TEN}\n"
        f"Steppenwolf\tThe Pusher\t{TEN}\n",
        rows=[
            (4, "someone", "", "Muse", TEN),
            (5, "someone", "", "Portishead", TEN),
            (6, "someone", "", "", TEN),
        ],
        malformed=[7],
        skipped=[5],
    ),
    "Universal Scrobbler": Example(
        format="universal_scrobbler",
        content='"Muse", "Hysteria", "Absolution", "2020-01-01 10:00", "Muse", "227"\n'
        '"Earth, Wind & Fire","September","","2020-01-01 10:00:00","",""\n'
        f'Air,"La femme d\'argent",Moon Safari,{TEN}\n'
        '"Air","Sexy Boy","Moon Safari","2020-01-01 10:00","",""\n'
        '"Air","Sexy Boy","Moon Safari","","","300"\n'
        '"Air","Sexy Boy","Moon Safari","2020-01-01 10:00","",""\n',
        rows=[
            (1, "someone", "", "Muse", TEN),
            (2, "someone", "", "Earth, Wind & Fire", TEN),
            (3, "someone", "", "Air", TEN),
            (4, "someone", "", "Air", TEN),
            (6, "someone", "", "Air", TEN),
        ],
        malformed=[5],
    ),
    "libre.fm": Example(
        format="librefm",
        content="# libre.fm\n# of someone,\n\nTime,Artist,Track,Album\n"
        f'{TEN},Muse,Hysteria,Absolution\n{TEN},"Earth, Wind & Fire",September,\n{TEN},Air\n',
        rows=[
            (5, "someone", "", "Muse", TEN),
            (6, "someone", "", "Earth, Wind & Fire", TEN),
        ],
        malformed=[7],
    ),
    "lastexport.py": Example(
        format="lastexport",
        content=f"{TEN}\tHysteria\tMuse\tAbsolution\t\t{A}\t\n"
        f'{TEN}\tSeptember\t"Weird Al" Yankovic\t\t\t\t\n{TEN}\tHysteria\tMuse\n'
        f"{TEN}\tLa femme d'argent\tAir\t\t\t\t\n{TEN}\tMoonshake\tCan\t\t\t\t{B}\n",
        rows=[
            (1, "someone", A, "Muse", TEN),
            (2, "someone", "", '"Weird Al" Yankovic', TEN),
            (4, "someone", "", "Air", TEN),
            (5, "someone", "", "Can", TEN),
        ],
        malformed=[3],
    ),
    "Maloja": Example(
        format="maloja",
        content=json.dumps(
            {
                "maloja": {"export_time": TEN},
                "scrobbles": [
                    {
                        "time": TEN,
                        "track": {"artists": ["Muse", "Air"], "title": "H", "length": None},
                        "duration": 120,
                        "origin": "client:default",
                    },
                    {"time": TEN, "track": {"artists": []}},
                    {"time": "10:00"},
                ],
            },
            indent=3,
        ),
        rows=[
            (1, "someone", "", "Muse", TEN),
            (1, "someone", "", "Air", TEN),
            (2, "someone", "", "", TEN),
        ],
        malformed=[3],
        played=[120.0, 120.0, None],
    ),
    "Maloja, log": Example(
        format="maloja_tsv",
        content=f"{TEN}\tMuse␟Air\tHysteria\tAbsolution\n{TEN}\tB\\num\tSong\t\t200\n{TEN}\tAir\tX\n"
        f"{TEN}\n{TEN}\tAir\tX\n",
        rows=[
            (1, "someone", "", "Muse", TEN),
            (1, "someone", "", "Air", TEN),
            (2, "someone", "", "B#", TEN),
            (3, "someone", "", "Air", TEN),
            (5, "someone", "", "Air", TEN),
        ],
        malformed=[4],
    ),
    "Pano Scrobbler": Example(
        format="pano_scrobbler",
        content=f'{{"timeMs": {TEN}000, "artist": "Muse", "track": "H", "album": "A"}}\n'
        '{"artist": "Muse", "track": "H"}\n',
        rows=[(1, "someone", "", "Muse", TEN)],
        malformed=[2],
    ),
}
