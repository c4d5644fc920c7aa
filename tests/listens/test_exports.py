"""Exports of services and players: every format reads its own files, and no other claims them."""

import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.dumps import A, B, listens_params
from tests.support.exports import (
    EXAMPLES,
    TEN,
    Example,
    api_track,
    lb_listen,
    read_example,
    text_file,
)
from twinear.base.errors import DataError
from twinear.listens.listens import read_listens
from twinear.listens.readers import lfm, listenbrainz_exports
from twinear.listens.readers.registry import FORMATS
from twinear.listens.readers.rows import LINE, ListensFormat, Piece

BY_NAME = {form.name: form for form in FORMATS}


def test_every_format_has_an_example() -> None:
    assert {example.format for example in EXAMPLES.values()} == set(BY_NAME)


@pytest.mark.parametrize("piece_bytes", [None, 100], ids=["whole", "in pieces"])
@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_an_example_is_read(example: Example, piece_bytes: int | None) -> None:
    read = read_example(
        BY_NAME[example.format], text_file(example.content, piece_bytes=piece_bytes)
    )
    assert read.rows == example.rows
    assert read.malformed == example.malformed
    assert read.skipped == example.skipped
    assert read.played == example.played


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_only_its_own_format_recognises_an_example(example: Example) -> None:
    file = text_file(example.content)
    claims = [form.name for form in FORMATS if form.recognise(file) is not None]
    assert claims == [example.format]


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_a_cut_example_gives_rows_or_an_error(example: Example) -> None:
    content = example.content.encode()
    for end in range(0, len(content), 7):
        file = text_file(content[:end])
        claims = [form.name for form in FORMATS if form.recognise(file) is not None]
        assert len(claims) <= 1
        try:
            rows = read_example(BY_NAME[example.format], file)
        except DataError:
            continue
        assert len(rows.rows) <= len(example.rows)


CASES = {
    "lb_user_zip, lb_user_dir, lb_lone_feedback: 11.jsonl": (
        '{"listened_at": 1700000000, "track_metadata": {"artist_name": "Muse", "track_name": "H", '
        '"additional_info": {}, "mbid_mapping": null}}',
        "listenbrainz_export",
        [(1, "folder of someone", "", "Muse", 1_700_000_000)],
    ),
    "lb_json_array": (
        '[{"listened_at": 1700000000, "track_metadata": {"artist_name": "Muse", '
        '"track_name": "H", "additional_info": {}, "mbid_mapping": null}}]',
        "listenbrainz_export",
        [(1, "folder of someone", "", "Muse", 1_700_000_000)],
    ),
    "spotify_ext": (
        '[{"ts": "2023-01-01T00:00:00Z", "username": "x", "ms_played": 1000, '
        '"master_metadata_album_artist_name": "Muse"}]',
        "spotify_extended",
        [(1, "x", "", "Muse", 1_672_531_200)],
    ),
    "spotify_plain": (
        '[{"endTime": "2020-01-01 00:00", "artistName": "Muse", "trackName": "x", '
        '"msPlayed": 1000}]',
        "spotify",
        [(1, "folder of someone", "", "Muse", 1_577_836_800)],
    ),
    "lastfm_csv": (
        "Muse,Absolution,Hysteria,01 Jan 2020 10:00\nABBA,Gold,SOS,02 Jan 2020 11:00\n",
        "lastfm_csv",
        [
            (1, "someone", "", "Muse", 1_577_872_800),
            (2, "someone", "", "ABBA", 1_577_962_800),
        ],
    ),
    "lastfm_csv_hdr": (
        "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n"
        '"1577872800","01 Jan 2020, 10:00","Muse","","Absolution","","Hysteria",""\n',
        "lastfm_csv_header",
        [(2, "someone", "", "Muse", 1_577_872_800)],
    ),
    "lastfm_api_json": (
        '{"topartists": {"artist": [{"name": "Muse", "playcount": "5", "mbid": ""}]}}',
        "lastfm_artists",
        [(1, "someone", "", "Muse", "5")],
    ),
    "rockbox": (
        "#AUDIOSCROBBLER/1.1\n#TZ/UTC\n#CLIENT/Rockbox\nMuse\tAbs\tHyst\t3\t200\tL\t1700000000\t\n",
        "rockbox",
        [(4, "someone", "", "Muse", 1_700_000_000)],
    ),
}


@pytest.mark.parametrize(("content", "name", "rows"), CASES.values(), ids=CASES)
def test_a_reported_file_is_recognised_and_read(
    content: str, name: str, rows: list[tuple[object, ...]]
) -> None:
    file = text_file(content)
    assert [form.name for form in FORMATS if form.recognise(file) is not None] == [name]
    assert read_example(BY_NAME[name], file).rows == rows


OTHERS = {
    "feedback": '{"recording_msid": null, "recording_mbid": "a", "score": 1, "created": 17}\n',
    "pins": '{"recording_msid": null, "recording_mbid": "a", "blurb_content": "", "created": 17}\n',
    "user": '{"user_id":1,"username":"x"}',
    "podcasts": '[{"endTime": "2020-01-01 00:00", "podcastName": "P", "msPlayed": 1000}]',
    "playlists": '{"playlists": [{"name": "P", "items": [{"track": {"artistName": "Muse"}}]}]}',
    "library": '{"tracks": [{"artist": "Muse", "album": "A", "track": "H"}]}',
    "searches": '[{"platform": "IOS", "searchTime": "2020-01-01", "searchQuery": "muse"}]',
    "inferences": '{"inferences": ["1P_Custom"]}',
    "error of the API": '{"error": 6, "message": "User not found"}',
    "table of plays": "listener,artist,plays\nu1,Muse,5\nu2,Air,1577872800\n",
    "table of plays without a header": "u1,Muse,5\nu2,Air,5\n",
    "table of listens": "listener,timestamp,artist,track\nu1,1700000000,Muse,Hysteria\n",
    "table of several users": "user,uts,artist,track\nu1,1700000000,Muse,Hysteria\n",
    "HetRec": "2\t51\t13883\n2\t52\t11690\n",
    "LFM-1b": "31435741\t2\t4\t4\t1385212958\n",
    "a document": "Listens\n\nTime, artist, track and album of what I heard.\n",
    "nothing": "",
}


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_what_is_no_export_is_claimed_by_no_format(content: str) -> None:
    file = text_file(content)
    assert not [form.name for form in FORMATS if form.recognise(file) is not None]


@pytest.mark.parametrize("form", FORMATS, ids=BY_NAME)
@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_a_format_that_is_forced_on_another_file_reads_nothing_or_is_refused(
    form: ListensFormat, content: str
) -> None:
    try:
        example = read_example(form, text_file(content))
    except DataError:
        return
    assert len(example.rows) <= len(content.splitlines())


def test_what_is_assumed_of_an_export_is_said() -> None:
    lastfm, rockbox = BY_NAME["lastfm_csv"], BY_NAME["rockbox"]
    assert lastfm.recognise(text_file(EXAMPLES["Last.fm, CSV"].content)) == "times in UTC"
    log = EXAMPLES["Rockbox"].content
    assert rockbox.recognise(text_file(log)) == ""
    assert "UTC" in str(rockbox.recognise(text_file(log.replace("#TZ/UTC", "#TZ/UNKNOWN"))))


@pytest.mark.parametrize(
    ("example", "end", "item"),
    [("ListenBrainz, one array", -1, 4), ("Spotify, extended", 700, 3), ("Maloja", -1, None)],
)
def test_json_that_is_cut_off_is_refused_with_its_item(
    example: str, end: int, item: int | None
) -> None:
    file = text_file(EXAMPLES[example].content[:end])
    place = r"listens/someone: " if item is None else rf"listens/someone:{item}: "
    with pytest.raises(DataError, match=f"^{place}.*cut off.*; export it again"):
        read_example(BY_NAME[EXAMPLES[example].format], file)


def test_an_item_that_is_no_json_costs_no_other() -> None:
    good = '{"endTime": "2020-01-01 10:00", "artistName": "Muse", "msPlayed": 1}'
    for bad in (good.replace("Muse", r"\ud800"), good.replace("1}", "NaN}")):
        example = read_example(BY_NAME["spotify"], text_file(f"[{good}, {bad}, {good}]"))
        assert [row[3] for row in example.rows] == ["Muse", "Muse"]
        assert example.malformed == [2]


def test_a_stray_quote_costs_one_row_of_a_csv() -> None:
    header = "uts,artist,track\n"
    rows = f'{TEN},Muse,"Hysteria\n{TEN},12" Ensemble,Song\n{TEN},Air,Song"\n'
    example = read_example(BY_NAME["lastfm_csv_header"], text_file(header + rows))
    assert [row[3] for row in example.rows] == ['12" Ensemble', "Air"]
    assert example.malformed == [2]


def test_columns_may_be_in_any_order_and_case() -> None:
    rows = f"Username,Track,Artist,UTS\nu1,Hysteria,Muse,{TEN}\n,Hysteria,Muse,{TEN}\n"
    example = read_example(BY_NAME["lastfm_csv_header"], text_file(rows))
    assert example.rows == [(2, "u1", "", "Muse", TEN), (3, "someone", "", "Muse", TEN)]


# The dump of ListenBrainz for Spark


def read_all(pieces: Iterator[Piece], *columns: str) -> list[tuple[object, ...]]:
    """The columns of all pieces."""
    return pl.concat([piece.frame.select(columns) for piece in pieces]).collect().rows()


def test_a_listen_of_the_spark_dump_counts_for_each_artist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listenbrainz_exports, "SPARK_ROWS", 2)
    path = tmp_path / "0.parquet"
    pl.DataFrame(
        {
            "listened_at": [datetime(2020, 1, 1, 10, tzinfo=UTC)] * 4,
            "user_id": [1, 1, 2, 2],
            "artist_name": ["Muse", "Air & Can", "Björk", "Neu!"],
            "artist_credit_mbids": [[A], [A, B, A], None, []],
        },
        schema_overrides={"listened_at": pl.Datetime("ms", "UTC")},
    ).write_parquet(path)
    rows = read_all(
        listenbrainz_exports.read_spark(path, "spark.tar:0.parquet"),
        LINE,
        "listener",
        "mbid",
        "name",
        "seconds",
    )
    assert rows == [
        (1, 1, A, "Muse", TEN),
        (2, 1, A, "", TEN),
        (2, 1, B, "", TEN),
        (3, 2, "", "Björk", TEN),
        (4, 2, "", "Neu!", TEN),
    ]


def test_a_file_of_the_spark_dump_that_is_damaged_or_of_another_kind_is_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "0.parquet"
    path.write_bytes(b"PAR1PAR1")  # as in the report
    with pytest.raises(DataError, match=r"^spark\.tar:0\.parquet: cannot be read"):
        read_all(listenbrainz_exports.read_spark(path, "spark.tar:0.parquet"), LINE)
    pl.DataFrame({"user_id": [1]}).write_parquet(path)
    with pytest.raises(DataError, match=r"^spark\.tar:0\.parquet: .*'listened_at'"):
        read_all(listenbrainz_exports.read_spark(path, "spark.tar:0.parquet"), LINE)


# LFM-1b and LFM-2b


@pytest.mark.parametrize("piece_bytes", [None, 30], ids=["whole", "in pieces"])
def test_the_artists_of_lfm_1b_come_from_their_own_file(piece_bytes: int | None) -> None:
    artists = text_file('1\tMuse\n2\t"Weird Al" Yankovic\n', piece_bytes=piece_bytes)
    lines = [f"7\t1\t4\t4\t{TEN}", f"7\t2\t4\t4\t{TEN}", f"8\t3\t4\t4\t{TEN}", f"8\t1\t{TEN}"]
    events = text_file("\n".join(lines), piece_bytes=piece_bytes)
    rows = read_all(
        lfm.read_lfm_1b(events, artists), LINE, "malformed", "listener", "name", "seconds"
    )
    assert rows[:3] == [
        (1, False, "7", "Muse", TEN),
        (2, False, "7", '"Weird Al" Yankovic', TEN),
        (3, False, "8", "", TEN),
    ]
    assert rows[3][:2] == (4, True)


@pytest.mark.parametrize("piece_bytes", [None, 30], ids=["whole", "in pieces"])
def test_lfm_2b_has_listens_or_counts(piece_bytes: int | None) -> None:
    tracks = text_file(
        "track_id\tartist_name\ttrack_name\n1\tMuse\tH\n2\tMuse\tS\n", piece_bytes=piece_bytes
    )
    events = text_file(
        "user_id\ttrack_id\talbum_id\ttimestamp\n7\t1\t4\t2020-01-01 10:00:00\n7\t2\t4\tx\n",
        piece_bytes=piece_bytes,
    )
    columns = (LINE, "listener", "mbid", "name")
    rows = read_all(lfm.read_lfm_2b(events, tracks), *columns, "seconds")
    assert rows == [(2, "7", "", "Muse", TEN), (3, "7", "", "Muse", None)]
    counts = text_file("user_id\ttrack_id\tcount\n7\t1\t5\n", piece_bytes=piece_bytes)
    rows = read_all(lfm.read_lfm_2b(counts, tracks), *columns, "plays")
    assert rows == [(2, "7", "", "Muse", "5")]
    with pytest.raises(DataError, match=r":1: .*'artist_name'"):
        read_all(lfm.read_lfm_2b(events, text_file("track_id\tname\n")), *columns)


# Whatever the text is, what went in comes out

# not what would end or damage a line: line feeds, carriage returns, surrogates
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1, max_size=12
)
TIMES = st.integers(10**9, 2 * 10**9)
LISTENS = st.lists(st.tuples(TEXT, TIMES), min_size=1, max_size=5)


def names_and_times(name: str, content: str) -> list[tuple[object, object]]:
    example = read_example(BY_NAME[name], text_file(content))
    assert not example.malformed
    return [(row[3], row[4]) for row in example.rows]


def quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"'


@given(LISTENS)
def test_any_artist_comes_out_of_json_as_it_went_in(listens: list[tuple[str, int]]) -> None:
    json_of: dict[str, object] = {
        "listenbrainz_export": [lb_listen(time, artist) for artist, time in listens],
        "lastfm_scrobbles": [api_track({"#text": artist}, str(time)) for artist, time in listens],
        "maloja": {
            "scrobbles": [{"time": time, "track": {"artists": [name]}} for name, time in listens]
        },
        "youtube_music": [
            {"header": "YouTube Music", "time": f"{time}", "subtitles": [{"name": artist}]}
            for artist, time in listens
        ],
    }
    for name, content in json_of.items():
        text = json.dumps(content, ensure_ascii=len(listens) % 2 == 0)
        assert names_and_times(name, text) == listens


@given(LISTENS)
def test_any_artist_comes_out_of_csv_as_it_went_in(listens: list[tuple[str, int]]) -> None:
    header = "uts,artist,track\n"
    rows = [f"{time},{quoted(artist)},{quoted(artist)}\n" for artist, time in listens]
    assert names_and_times("lastfm_csv_header", header + "".join(rows)) == listens


@given(LISTENS)
def test_any_artist_without_tabs_comes_out_of_a_log_as_it_went_in(
    listens: list[tuple[str, int]],
) -> None:
    listens = [(artist.replace("\t", "#"), time) for artist, time in listens]
    rows = [f"{artist}\tb\tc\t1\t2\tL\t{time}\t\n" for artist, time in listens]
    read = names_and_times("rockbox", "#AUDIOSCROBBLER/1.1\n" + "".join(rows))
    assert read == [(name, time) for name, time in listens if not name.startswith("#")]


# Found by fuzzing


def test_a_byte_order_mark_in_the_middle_of_a_text_is_no_sign_of_its_encoding(
    tmp_path: Path,
) -> None:
    rows = "listener,artist,plays\n" + "u1,Muse,1\n" * 9000
    path = tmp_path / "plays.csv"
    path.write_bytes(rows.encode() + b"u1,\xff\xfeAir,1\n" + rows.encode("cp1252"))
    _, report = read_listens(path, listens_params())
    assert report.rows == 18_002


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("plays.csv", "listener,artist,plays\nu1,Muse,1\n")
    content = bytearray(path.read_bytes())
    end = content.rindex(b"PK\5\6")
    content[end + 16 : end + 20] = (1 << 20).to_bytes(4, "little")  # where its list begins
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"export\.zip: is cut off or damaged"):
        read_listens(path, listens_params())


def test_json_that_is_nested_deeply_is_refused_or_malformed() -> None:
    deep = '{"a":' * 5000
    good = '{"endTime": "2020-01-01 10:00", "artistName": "Muse", "msPlayed": 1}'
    text = f"[{good}, {deep}1{'}' * 5000}]"
    example = read_example(BY_NAME["spotify"], text_file(text))
    assert (len(example.rows), example.malformed) == (1, [2])
    with pytest.raises(DataError, match="cut off or damaged"):
        read_example(BY_NAME["spotify"], text_file(deep))
