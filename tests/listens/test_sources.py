"""Listens as people have them: any encoding, separator, archive and folder, one reading of all."""

import contextlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import polars as pl
import pytest

from tests.support.disk import limited_disk
from tests.support.dumps import (
    LASTFM,
    A,
    B,
    dense,
    dropped,
    listen,
    listens_params,
    pack,
    write_dump,
    write_lastfm,
)
from twinear.acquisition.import_corpus import import_corpus
from twinear.base.errors import DataError, ParamsError
from twinear.listens.listens import ListensReport, read_listens
from twinear.listens.readers import decompression
from twinear.listens.readers.recognition import find_listens

PLAYS = "listener,artist,plays\nu1,Radiohead,5\nu2,Radiohead,3\nu2,Björk,4\n"
WHOLE = {"radiohead": [5, 3], "bjork": [0, 4]}
JSON = [
    {"listener": "u1", "artist": "Radiohead", "plays": 5},
    {"listener": "u2", "artist": "Radiohead", "plays": 3},
    {"listener": "u2", "artist": "Björk", "plays": 4},
]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in JSON)
ARRAY = json.dumps(JSON, ensure_ascii=False)
LASTFM_360K = "u1\t\tRadiohead\t5\nu2\t\tRadiohead\t3\nu2\t\tBjörk\t4\n"
HETREC = {
    "user_artists.dat": "userID\tartistID\tweight\n2\t51\t13883\n",
    "artists.dat": "id\tname\turl\tpictureURL\n51\tDuran Duran\t\t\n",
}


def read(*sources: Path, **changes: object) -> tuple[dict[str, list[int]], ListensReport]:
    """Artist -> plays by listener; the report."""
    listens, report = read_listens(sources, listens_params(**changes))
    return dense(listens), report


def zipped(files: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return archive.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as opened:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
    return archive.getvalue()


@pytest.fixture(params=[None, 64], ids=["whole", "in pieces"])
def piece_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in pieces of some lines, as large files are."""
    if request.param:
        monkeypatch.setattr(decompression, "CHUNK_BYTES", request.param)


# text of any encoding and separator

TEXTS: dict[str, str] = {
    "plays.csv": PLAYS,
    "semicolon.csv": PLAYS.replace(",", ";"),
    "bar.txt": PLAYS.replace(",", "|"),
    "tab.tsv": PLAYS.replace(",", "\t"),
    "quoted.csv": '"' + PLAYS[:-1].replace(",", '","').replace("\n", '"\n"') + '"\n',
    "semicolon_quoted.csv": '"' + PLAYS[:-1].replace(",", '";"').replace("\n", '"\n"') + '"\n',
    "excel.csv": "sep=;\n" + PLAYS.replace(",", ";"),
    "caps.csv": PLAYS.replace("listener,artist,plays", "Listener, ARTIST ,Plays"),
    "synonyms.csv": PLAYS.replace("listener,artist,plays", "User ID,artist_name,Play-Count"),
    "more.csv": "".join(f"{line},x\n" for line in PLAYS.splitlines()),
    "returns.csv": PLAYS.replace("\n", "\r"),
    "windows.csv": PLAYS.replace("\n", "\r\n"),
    "lines.jsonl": LINES,
    "caps.jsonl": LINES.replace("listener", "LISTENER").replace("plays", "Plays"),
    "array.json": ARRAY,
    "pretty.json": json.dumps(JSON, indent=2, ensure_ascii=False),
    "named by nothing": LASTFM_360K,
    LASTFM: LASTFM_360K,
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("name", TEXTS)
def test_every_text_is_read_in_every_encoding(
    tmp_path: Path, piece_bytes: None, name: str, encoding: str
) -> None:
    (tmp_path / name).write_bytes(TEXTS[name].encode(encoding))
    plays, report = read(tmp_path)
    assert plays == WHOLE
    assert not dropped(report)
    assert report.undecodable == 0
    told = {"cp1252": "encoding Windows-1252", "utf-16": "encoding utf-16"}.get(encoding, "")
    assert told in report.sources[0].assumed


def test_the_report_says_what_was_assumed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user;Artist;uts\nu;Air;1577872800\n", newline="")
    _, report = read(tmp_path)
    [source] = report.sources
    assert (source.name, source.format, source.title) == ("a.csv", "table", "table of text")
    for assumed in (
        "semicolon",
        "listener: column 'user'",
        "one listen",
        "time: column 'uts', UTC",
    ):
        assert assumed in source.assumed


def test_letters_far_into_a_text_decide_its_encoding(tmp_path: Path) -> None:
    text = "listener,artist,plays\n" + "u,Air,1\n" * 20_000 + "u,Björk,2\n"
    for encoding in ("utf-8", "cp1252"):
        (tmp_path / "plays.csv").write_bytes(text.encode(encoding))
        assert read(tmp_path)[0] == {"air": [20_000], "bjork": [2]}
    far = LASTFM_360K.replace("Björk", "Bjork") * 3000 + "u2\t\tSigur Rós\t1\n"
    (tmp_path / "plays.csv").write_bytes(far.encode("cp1252"))
    assert read(tmp_path)[0]["sigur ros"] == [0, 1]


def test_damaged_utf8_stays_utf8(tmp_path: Path) -> None:
    text = PLAYS.encode() + "u3,Sigur Rós,1\n".encode() + b"u3,Bj\xf6rk,1\n"
    (tmp_path / "plays.csv").write_bytes(text)
    plays, report = read(tmp_path)
    assert plays["sigur ros"] == [0, 0, 1]
    assert report.undecodable == 1
    lines = LINES.encode() + b'{"listener": "u3", "artist": "Bj\xf6rk", "plays": 1}\n'
    (tmp_path / "plays.csv").write_bytes(lines)
    assert read(tmp_path)[1].undecodable == 1


# quotes


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    ("rows", "expected", "malformed"),
    [
        (['u1,"Heroes,5', "u2,Muse,3", "u4,Zeroes,1"], {"muse": [3, 0], "zeroes": [0, 1]}, 1),
        (['u1,"Weird Al" Yankovic,5', "u2,Muse,3"], {"weird al yankovic": [5, 0]}, 0),
        (['u1,12" Ensemble,5', "u2,Muse,3"], {"12 ensemble": [5, 0]}, 0),
        (['u1,"Muse"",5', "u2,Muse,3"], {"muse": [3]}, 1),
        (["u1,a,5,6", "u2,Muse,3"], {"muse": [3]}, 1),
        (["u1,Mu" + "u" * 1000 + ",5", "u2,Muse,3"], {"muse": [3]}, 1),
    ],
)
def test_a_damaged_line_costs_no_other(
    tmp_path: Path,
    piece_bytes: None,
    rows: list[str],
    expected: dict[str, list[int]],
    malformed: int,
    separator: str,
) -> None:
    text = "\n".join(["listener,artist,plays", *rows, ""]).replace(",", separator)
    (tmp_path / "plays.csv").write_text(text)
    plays, report = read(tmp_path)
    assert {**plays, **expected} == plays
    assert report.dropped["malformed"] == malformed
    assert report.rows == len(rows)
    if malformed:
        with pytest.raises(DataError, match=r"plays\.csv:2: row malformed"):
            read(tmp_path, strict=True)


def test_one_quote_opens_and_another_closes_far_below(tmp_path: Path) -> None:
    rows = [f"u{n},Band {n % 7},{n % 9 + 1}" for n in range(2000)]
    rows[99], rows[1900] = 'u99,"Zero,1', 'u1900,One",1'
    (tmp_path / "plays.csv").write_text("\n".join(["listener,artist,plays", *rows]))
    _, report = read(tmp_path)
    assert (report.rows, dropped(report)) == (2000, {"malformed": 1})
    with pytest.raises(DataError, match=r"plays\.csv:101: row malformed"):
        read(tmp_path, strict=True)


def test_names_that_are_too_long_are_damage_in_every_format(tmp_path: Path) -> None:
    name = "é" * 1001
    for text in (
        f"u\t\t{name}\t5\nu\t\tAir\t1\n",
        f'[{{"listener": "u", "artist": "{name}"}}, {{"listener": "u", "artist": "Air"}}]',
    ):
        (tmp_path / "plays").write_text(text, encoding="utf-8")
        plays, report = read(tmp_path)
        assert (plays, dropped(report)) == ({"air": [1]}, {"malformed": 1})
        (tmp_path / "plays").write_text(text.replace(name, name[1:]), encoding="utf-8")
        assert not dropped(read(tmp_path)[1])


# one row a listen


def test_a_row_is_a_listen_where_there_are_no_plays(tmp_path: Path) -> None:
    (tmp_path / "listens.csv").write_text(
        "listener,timestamp,artist,track\n"
        "u1,1700000000,Muse,Hysteria\nu1,1700000300,Muse,TSP\nu2,soon,Muse,TSP\n"
    )
    plays, report = read(tmp_path)
    assert (plays, dropped(report)) == ({"muse": [2]}, {"malformed": 1})
    (tmp_path / "listens.csv").write_text("listener,artist\nu1,Muse\nu1,Muse\nu2,Muse\n")
    assert read(tmp_path)[0] == {"muse": [2, 1]}
    with pytest.raises(ParamsError, match=r"listens\.window: .* table has no times"):
        read(tmp_path, window={"from": "2020-01-01", "to": ""})


@pytest.mark.parametrize(
    "time",
    [
        *("1577872800", "1577872800000", "2020-01-01T10:00:00Z", "2020-01-01 11:00:00+01:00"),
        *("2020-01-01 10:00", "01 Jan 2020 10:00", '"01 Jan 2020, 10:00"', "2020/01/01 10:00:00"),
    ],
)
def test_times_are_read_in_their_usual_forms(tmp_path: Path, time: str) -> None:
    (tmp_path / "a.csv").write_text(f"artist,date\nMuse,{time}\n")
    day = {"from": "2020-01-01", "to": "2020-01-01"}
    assert read(tmp_path, window=day)[0] == {"muse": [1]}
    day = {"from": "2020-01-02", "to": ""}
    with pytest.raises(ParamsError, match=r"window: no listens .*a\.csv, only from 2020-01-01"):
        read(tmp_path, window=day)


def test_a_parquet_of_listens_has_times_too(tmp_path: Path) -> None:
    rows = {"User": ["u", "u"], "Artist Name": ["Muse", "Muse"], "played at": [1577872800, None]}
    pl.DataFrame(rows).with_columns(pl.from_epoch("played at")).write_parquet(
        tmp_path / "no suffix"
    )
    plays, report = read(tmp_path)
    assert (plays, dropped(report)) == ({"muse": [1]}, {"malformed": 1})


# archives

PACKED: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda files: pack(tarred(files), ".gz"),
    "tar.xz": lambda files: pack(tarred(files), ".xz"),
    "zip in tar": lambda files: tarred({"a/b.zip": zipped(files)}),
}


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("folder", ["", "export/2020/"])
@pytest.mark.parametrize("name", ["plays.csv", "array.json", LASTFM, "caps.jsonl"])
def test_a_file_in_an_archive_is_the_same_as_the_file(
    tmp_path: Path, name: str, folder: str, packed: str
) -> None:
    files = {
        folder + name: TEXTS[name].encode("utf-16"),
        folder + "README.txt": b"Listens.\n",
        "__MACOSX/._plays.csv": b"\0\5\x16\7\0\2\0\0Mac OS X        ",
        ".hidden/plays.csv": PLAYS.encode(),
    }
    (tmp_path / "download").write_bytes(PACKED[packed](files))
    plays, report = read(tmp_path / "download")
    assert plays == WHOLE
    assert report.files == ["download"]
    assert [Path(name).name for name in report.left_out] == ["README.txt"]


@pytest.mark.parametrize("packed", PACKED)
def test_data_sets_are_read_as_they_are_downloaded(tmp_path: Path, packed: str) -> None:
    folder = "lastfm-dataset-360K/"
    files = {
        f"{folder}README.txt": b"Last.fm\n",
        f"{folder}{LASTFM}": f"u\t{A}\tMuse\t5\nv\t{A}\tMuse\t5\n".encode(),
        f"{folder}usersha1-profile.tsv": b"u\tf\t\tFrance\tJan 1, 2008\n",
    }
    (tmp_path / "360K").write_bytes(PACKED[packed](files))
    plays, report = read(tmp_path, require_profile=True)
    assert (plays, dropped(report)) == ({A: [5]}, {"without_profile": 1})
    hetrec = {name: content.encode() for name, content in HETREC.items()}
    tags = b"userID\tartistID\ttagID\tday\tmonth\tyear\n2\t52\t13\t1\t4\t2009\n"
    archive = PACKED[packed]({**hetrec, "user_taggedartists.dat": tags})
    (tmp_path / "360K").write_bytes(archive)
    plays, report = read(tmp_path)
    assert (plays, report.format) == ({"duran duran": [13883]}, "hetrec")


def test_a_message_names_the_file_in_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    path.write_bytes(zipped({"a/plays.csv": b"listener,artist,plays\nu,Air,x\n"}))
    with pytest.raises(DataError, match=r"export\.zip:a/plays\.csv:2: row bad plays"):
        read(path, strict=True)
    path.write_bytes(zipped({"a/plays.csv": b"listener,plays\nu,1\n"}))
    with pytest.raises(DataError, match=r"export\.zip:a/plays\.csv:1: has no column 'artist'"):
        read(path)


def test_nothing_is_written_outside_of_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "a[b]*"  # a name that is no pattern
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name in ("../../outside.csv", "/outside.csv", "plays.csv", "plays.csv"):
            info = tarfile.TarInfo(name)
            info.size = len(PLAYS.encode())
            archive.addfile(info, io.BytesIO(PLAYS.encode()))
        link = tarfile.TarInfo("link.csv")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.csv")
        archive.addfile(link)
    (tmp_path / "secret.csv").write_text(PLAYS)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.tar").write_bytes(content.getvalue())
    plays, _ = read(tmp_path / "in")
    assert plays == {"radiohead": [20, 12], "bjork": [0, 16]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a[b]*", "in", "secret.csv"]
    assert not list(scratch.iterdir())


def test_an_archive_that_does_not_fit_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("plays.csv")
        info.size = 1 << 60
        archive.fileobj.write(info.tobuf() + bytes(1 << 16))
    with pytest.raises(DataError, match=r"bomb\.tar:plays\.csv: unpacks to more bytes than"):
        read(path)
    path.write_bytes(zipped({"plays.csv": PLAYS.encode() * 10_000}))
    with limited_disk(50_000), pytest.raises(DataError, match=r"no room .*TMPDIR"):
        read(path)


def test_an_archive_of_itself_comes_to_an_end(tmp_path: Path) -> None:
    content = PLAYS.encode()
    for _ in range(6):
        content = zipped({"plays.csv": content})
    (tmp_path / "deep.zip").write_bytes(content)
    with pytest.raises(DataError, match="is binary"):
        read(tmp_path)


def test_an_encrypted_or_damaged_archive_is_one_clear_error(tmp_path: Path) -> None:
    whole = zipped({"plays.csv": PLAYS.encode() * 99})
    encrypted = bytearray(whole)
    for start in (whole.find(b"PK\3\4") + 6, whole.find(b"PK\1\2") + 8):
        encrypted[start] |= 1
    newer = bytearray(whole)
    newer[whole.find(b"PK\1\2") + 6] = 250  # the version that is needed to unpack it
    for content, message in (
        (bytes(encrypted), r"x\.zip: cannot be unpacked \(.*encrypted"),
        (whole[: len(whole) // 2], r"x\.zip: is cut off or damaged"),
        (bytes(newer), r"x\.zip: cannot be unpacked \(.*version"),
        (whole[:60] + b"\x55" * 9 + whole[69:], r"x\.zip.* is cut off or damaged"),
    ):
        (tmp_path / "x.zip").write_bytes(content)
        with pytest.raises(DataError, match=message):
            read(tmp_path)


def test_sound_and_tables_of_clips_are_no_listens(tmp_path: Path) -> None:
    (tmp_path / "song.mp3").write_bytes(b"\xff\xfb" + bytes(range(1, 256)) * 9)
    (tmp_path / "clips.csv").write_text("file,artist,mbid\na.mp3,Air,\n")
    with pytest.raises(DataError, match=r"song\.mp3 is binary") as caught:
        find_listens(tmp_path)
    assert "clips.csv is a table of clips" in str(caught.value)


def test_damaged_parquet_is_one_clear_error_also_where_polars_panics(tmp_path: Path) -> None:
    path = tmp_path / "plays.parquet"
    pl.DataFrame({"listener": ["u"], "artist": ["Air"], "plays": [1]}).write_parquet(path)
    whole = path.read_bytes()
    for at in range(590, 710, 10):  # in the schema
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        with contextlib.suppress(DataError):
            assert read(tmp_path)[1].rows == 1


def test_a_spark_dump_is_read_member_by_member(tmp_path: Path) -> None:
    def part(user: int, name: str) -> bytes:
        rows: dict[str, list[Any]] = {
            "listened_at": [1_700_000_000],
            "user_id": [user],
            "artist_name": [name],
            "artist_credit_mbids": [[A]],
        }
        content = io.BytesIO()
        pl.DataFrame(rows).with_columns(pl.from_epoch("listened_at")).write_parquet(content)
        return content.getvalue()

    files = {"dump/0.parquet": part(1, "Muse"), "dump/1.parquet": part(2, "Muse")}
    (tmp_path / "dump.tar").write_bytes(tarred(files))
    plays, report = read(tmp_path)
    assert (plays, report.format) == ({A: [1, 1]}, "listenbrainz_spark")
    (tmp_path / "dump.tar").write_bytes(zipped(files))
    assert read(tmp_path)[0] == {A: [1, 1]}


# folders, and what is no listens


@pytest.mark.parametrize(
    "name",
    [
        *("._plays.csv", ".DS_Store", ".Trash-1000/plays.csv", "@eaDir/plays.csv", "Thumbs.db"),
        *("#recycle/plays.csv", "$RECYCLE.BIN/plays.csv", "System Volume Information/plays.csv"),
        *("__MACOSX/plays.csv", "deep/.git/plays.csv"),
    ],
)
def test_system_files_are_never_data(tmp_path: Path, name: str) -> None:
    for path in (tmp_path / "deep" / "plays.csv", tmp_path / name):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PLAYS, encoding="utf-8")
    plays, report = read(tmp_path)
    assert (plays, report.left_out) == (WHOLE, {})


def test_other_files_are_left_out_by_name_and_reason(tmp_path: Path) -> None:
    others = {
        "README.txt": b"x",
        "feedback.jsonl": b'{"recording_mbid":"a","score":1}\n',
        "user.json": b'{"user_id":1,"username":"x"}',
        "terms.pdf": b"%PDF-1.4\n\0\0\0\0\0\0",
        "empty.csv": b"",
        "source.json": b"{}",
        "redirects.csv": f"old,new\n{A},{B}\n".encode(),
        "typo.csv": b"listener,artiste,plays\n",
    }
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "listens" / "2023").mkdir(parents=True)
    line = {"listened_at": 1_700_000_000, "track_metadata": {"artist_name": "Muse"}}
    (tmp_path / "listens" / "2023" / "11.jsonl").write_text(json.dumps(line) + "\n")
    plays, report = read(tmp_path)
    assert (plays, report.rows) == ({"muse": [1]}, 1)
    assert set(report.left_out) == {*others} - {"source.json", "redirects.csv"}
    assert "did you mean 'artiste'" in report.left_out["typo.csv"]
    assert report.files == ["listens/2023/11.jsonl", "redirects.csv"]


def test_links_are_followed_once_and_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "plays.csv").write_text(PLAYS, encoding="utf-8")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one").symlink_to(tmp_path / "real")
    (tmp_path / "in" / "two").symlink_to(tmp_path / "real")
    (tmp_path / "in" / "self").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "nowhere").symlink_to(tmp_path / "nothing")
    assert read(tmp_path / "in")[0] == WHOLE


def test_names_that_are_not_utf8_survive(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"Bj\xf6rk")
    folder.mkdir()
    (folder / os.fsdecode(b"pl\xe4ys.csv")).write_text("artist\nMuse\n")
    plays, report = read(tmp_path)
    assert plays == {"muse": [1]}
    json.dumps(report.files, ensure_ascii=False).encode()
    (folder / os.fsdecode(b"pl\xe4ys.csv")).write_text("artist,plays\nMuse,x\n")
    with pytest.raises(DataError, match=r"row bad plays") as caught:
        read(tmp_path, strict=True)
    str(caught.value).encode()


# several sources and files


def test_each_file_without_listeners_is_one_listener(tmp_path: Path) -> None:
    for folder in ("A", "B"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "scrobbles.csv").write_text("artist,album\nMuse,H\nMuse,T\n")
    (tmp_path / "B" / "scrobbles.csv").write_text("artist,album\nMuse,H\nAir,M\n")
    expected = {"muse": [2, 1], "air": [0, 1]}
    assert read(tmp_path)[0] == expected
    assert read(tmp_path / "A", tmp_path / "B")[0] == expected
    files = [tmp_path / folder / "scrobbles.csv" for folder in ("A", "B")]
    assert read(*files)[0] == expected
    assert read(*files, *files, tmp_path / "A")[0] == expected


def test_sources_of_several_formats_are_added_up(tmp_path: Path) -> None:
    write_lastfm(tmp_path / "one", f"u\t{A}\tMuse\t5\n")
    (tmp_path / "two.csv").write_text(f"listener,artist,mbid,plays\nv,Muse,{A},3\nu,Muse,{A},1\n")
    write_dump(tmp_path / "dump.tar", {"2020/1": [listen("w", 1_577_836_800, "Muse", mapped=[A])]})
    (tmp_path / "listens.csv").write_text("user,artist,time,artist mbid\nx,Muse,1577836800,{A}\n")
    sources = [tmp_path / name for name in ("one", "two.csv", "dump.tar", "listens.csv")]
    plays, report = read(*sources)
    assert plays == {A: [6, 3, 1, 1]}
    assert (report.rows, report.format) == (5, "lastfm_360k, table, listenbrainz")
    assert [source.name for source in report.sources][:2] == [f"one/{LASTFM}", "two.csv"]
    (tmp_path / "two.csv").write_text("listener,artist,plays\nv,Muse,3\nu,Muse,x\n")
    with pytest.raises(DataError, match=r"two\.csv:3: row bad plays"):
        read(*sources, strict=True)
    timed = [tmp_path / "dump.tar", tmp_path / "listens.csv"]
    window = {"from": "2020-01-01", "to": "2020-01-01"}
    assert read(*timed, window=window)[1].rows == 2
    with pytest.raises(ParamsError, match=r"listens\.window: .* lastfm_360k has no times"):
        read(*sources, window=window)


def test_files_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        (tmp_path / f"{number}.csv").write_text(f"listener,artist\nu{number},Muse\n")
    assert [source.name for source in read(tmp_path)[1].sources] == ["1.csv", "9.csv", "10.csv"]


def test_the_format_may_be_given(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("just\nprose\n")
    with pytest.raises(DataError, match=r"no listens left of 2 rows \(2 malformed\)"):
        read(tmp_path, format="lastfm_360k")
    (tmp_path / "a").write_text(PLAYS, encoding="utf-8")
    (tmp_path / "b").write_text(LASTFM_360K, encoding="utf-8")
    plays, report = read(tmp_path, format="table")
    assert (plays, report.left_out) == (
        WHOLE,
        {"b": "has no column 'artist' but u1, , Radiohead, 5"},
    )
    plays, report = read(tmp_path, format="lastfm_360k")
    assert (plays, report.left_out) == (WHOLE, {"a": "is no lastfm_360k"})
    with pytest.raises(ParamsError, match=r"listens\.format: .*did you mean 'lastfm_360k'"):
        read(tmp_path, format="lastfm360k")


def test_an_import_keeps_folders_and_archives(tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "scrobbles.csv").write_text("artist\nMuse\n")
    (tmp_path / "A" / "README.txt").write_text("x")
    (tmp_path / "b.zip").write_bytes(zipped({"x/scrobbles.csv": b"artist\nAir\n"}))
    found = find_listens([tmp_path / "A", tmp_path / "b.zip"])
    assert list(found.copies) == [PurePath("A/scrobbles.csv"), PurePath("b.zip")]
    for place, path in found.copies.items():
        (tmp_path / "data" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / place).write_bytes(path.read_bytes())
    assert read(tmp_path / "data")[0] == {"muse": [1, 0], "air": [0, 1]}
    (tmp_path / "music" / "Air").mkdir(parents=True)
    (tmp_path / "music" / "Air" / "a.mp3").write_text("audio")
    import_corpus(tmp_path / "A", tmp_path / "music", tmp_path / "corpus")
    files = [path.name for path in (tmp_path / "corpus" / "listens").iterdir()]
    assert files == ["scrobbles.csv"]
