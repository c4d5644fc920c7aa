"""Every format, compressed or not, becomes rows; dirt is counted, what is broken is said."""

import json
import tarfile
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.disk import limited_disk
from tests.support.dumps import (
    LASTFM,
    A,
    B,
    C,
    dense,
    dirty_360k,
    dropped,
    listen,
    listens_params,
    mbid,
    pack,
    write_dump,
    write_hetrec,
    write_lastfm,
    write_table,
)
from twinear.base.errors import DataError, ParamsError, TwinearError
from twinear.listens.listens import Listens, ListensParams, read_listens
from twinear.listens.readers import decompression, text_files
from twinear.listens.readers.dispatch import open_rows
from twinear.listens.readers.events import ListenRules
from twinear.listens.readers.formats import PLAYS
from twinear.listens.readers.recognition import find_listens

SUFFIXES = ["", ".gz", ".zst", ".bz2", ".xz"]
PACKED = SUFFIXES[1:]
LASTFM_1K = PLAYS["lastfm_1k"]
ALL = listens_params(require_mbid=True, require_profile=True)
DAY_2020, DAY_2021 = 1_577_836_800, 1_609_459_200  # 1 January, 0:00 UTC


@pytest.fixture(params=[None, 700], ids=["whole", "in pieces"])
def piece_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in pieces of some lines, as large files are."""
    if request.param:
        monkeypatch.setattr(decompression, "CHUNK_BYTES", request.param)


def within(first: str = "", last: str = "", **changes: object) -> ListensParams:
    return listens_params(window={"from": first, "to": last}, **changes)


def plays_of(listens: Listens) -> Counter[str]:
    """Artist -> all plays."""
    return Counter(dict(zip(listens.artists["artist"], listens.artists["plays"], strict=True)))


# Last.fm-360K with dirt


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_quirk_of_lastfm_360k_is_survived_and_counted(
    tmp_path: Path, piece_bytes: None, suffix: str, seed: int
) -> None:
    dirty = dirty_360k(600, seed)
    (tmp_path / f"{LASTFM}{suffix}").write_bytes(pack(dirty.content, suffix))
    profiles = "".join(f"u{n}\tf\t\tFrance\tJan 1, 2008\n" for n in range(20))
    (tmp_path / f"usersha1-profile.tsv{suffix}").write_bytes(pack(profiles.encode(), suffix))
    listens, report = read_listens(tmp_path, ALL)
    assert report.rows == 600
    assert dropped(report) == dict(dirty.dropped)
    assert (report.kept, report.duplicates) == (
        len(dirty.plays),
        dirty.n_good - len(dirty.plays),
    )
    expected: Counter[str] = Counter()
    for (_, artist), n in dirty.plays.items():
        expected[artist] += n
    assert plays_of(listens) == expected


def test_damaged_letters_of_utf8_are_counted(tmp_path: Path) -> None:
    text = f"u\t{A}\tBjörk\t1\nu\t{C}\tSigur Rós\t1\n".encode() + f"u\t{B}\t\xdf\t1\n".encode(
        "latin-1"
    )
    assert read_listens(write_lastfm(tmp_path, text), listens_params())[1].undecodable == 1


# Last.fm-1K


def event(who: str, time: str, artist: str, name: str) -> str:
    return f"{who}\t{time}\t{artist}\t{name}\t{C}\tA recording\n"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_listens_of_lastfm_1k_become_plays(tmp_path: Path, piece_bytes: None, suffix: str) -> None:
    lines = [
        event("user_000001", "2009-05-04T23:08:57Z", A, "Air"),
        event("user_000001", "2009-05-04T13:54:10Z", A, "Air"),
        event("user_000002", "2006-08-13T14:59:59Z", B, 'Blur "live"'),
        event("user_000002", "2006-08-13T14:59:59Z", "", "[unknown]"),
        event("user_000002", "yesterday", B, "Blur"),
        event("", "2006-08-13T14:59:59Z", B, "Blur"),
        "user_000002\t2006-08-13T14:59:59Z\tbroken\n",
    ] * 30
    (tmp_path / f"{LASTFM_1K}{suffix}").write_bytes(pack("".join(lines).encode(), suffix))
    (tmp_path / "userid-profile.tsv").write_text("#id\tgender\tage\tcountry\tregistered\n")
    listens, report = read_listens(tmp_path, listens_params(require_mbid=True))
    assert report.format == "lastfm_1k"
    assert dense(listens) == {A: [60, 0], B: [0, 30]}
    assert (report.rows, report.kept, report.duplicates) == (210, 2, 88)
    assert dropped(report) == {"malformed": 60, "without_listener": 30, "without_mbid": 30}


def test_a_window_keeps_the_listens_of_its_days(tmp_path: Path) -> None:
    days = ["2008-12-31T23:59:59Z", "2009-01-01T00:00:00Z", "2009-01-31T23:59:59Z"]
    lines = [event("u", day, A, "Air") for day in [*days, "2009-02-01T00:00:00Z", "never"]]
    (tmp_path / LASTFM_1K).write_text("".join(lines))
    listens, report = read_listens(tmp_path, within("2009-01-01", "2009-01-31"))
    assert plays_of(listens) == {A: 2}
    assert dropped(report) == {"outside_window": 2, "malformed": 1}
    assert report.rows == 5
    assert plays_of(read_listens(tmp_path, within("2009-01-31"))[0]) == {A: 2}
    assert plays_of(read_listens(tmp_path, within("", "2008-12-31"))[0]) == {A: 1}
    times = r"listens\.window: .*2010-01-01.*traname\.tsv, only from 2008-12-31 to 2009-02-01"
    with pytest.raises(ParamsError, match=times):
        read_listens(tmp_path, within("2010-01-01"))


@pytest.mark.parametrize("window", [("2009-02-01", "2009-01-31"), ("2009", ""), ("", "31.1.2009")])
def test_a_window_without_days_is_refused(window: tuple[str, str]) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml: listens\.window.*expected"):
        within(*window)


def test_a_window_needs_times(tmp_path: Path) -> None:
    with pytest.raises(
        ParamsError, match=r"listens\.window: .*2009-01-31.* lastfm_360k has no times"
    ):
        read_listens(write_lastfm(tmp_path, f"u\t{A}\tAir\t1\n"), within("", "2009-01-31"))


# ListenBrainz

MONTHS = {
    "2019/12": [listen(1, DAY_2020 - 1, "Old", mapped=[C])],
    "2020/1": [
        listen(1, DAY_2020, "Air & Can", mapped=[A, B]),
        listen(1, DAY_2020 + 1, "Air", mapped=[A], sent=[C]),
        listen("ann", DAY_2020 + 1, "Air", sent=[A]),
        listen("ann", "2020-01-31T12:00:00Z", "No Id"),
        "{not json",
        "",
        '{"user_id": 1, "listened_at": 1577836800}',
        listen(2, 10**400, "Air"),
        listen(None, DAY_2020, "Air", sent=[A]),
    ],
    "2021/10": [listen(1, DAY_2021 - 1, "Aïr", mapped=[A], user_name="renamed")],
}
WHOLE = {A: 4, B: 1, C: 1, "noid": 1}


def write_months(folder: Path, suffix: str) -> Path:
    for month, lines in MONTHS.items():
        path = folder / "listens" / f"{month}.listens{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pack("".join(f"{line}\n" for line in lines).encode(), suffix))
    return folder


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("packed", ["folder", "archive"])
def test_a_listenbrainz_dump_is_read_as_it_comes(
    tmp_path: Path, piece_bytes: None, packed: str, suffix: str
) -> None:
    if packed == "folder":
        write_months(tmp_path, suffix)
    else:
        write_dump(tmp_path / f"listenbrainz-listens-dump.tar{suffix}", MONTHS, suffix)
    listens, report = read_listens(tmp_path, listens_params())
    assert report.format == "listenbrainz"
    assert plays_of(listens) == WHOLE
    assert report.rows == 12  # one listen is by two artists
    assert dropped(report) == {"malformed": 4, "without_listener": 1}
    assert report.listeners == 2
    again, report = read_listens(tmp_path, within("2020-01-01", "2020-12-31"))
    assert plays_of(again) == {A: 4, B: 1, "noid": 1}
    assert dropped(report) == {"outside_window": 1, "malformed": 4, "without_listener": 1}


def test_a_name_comes_from_the_mapping_or_from_listens_by_one_artist(tmp_path: Path) -> None:
    artists = [{"artist_mbid": C, "artist_credit_name": "Can"}, {"artist_mbid": B}]
    mapping = {"artist_mbids": [C, B], "artists": artists}
    line = json.loads(listen(1, DAY_2020, "Can feat. Blur"))
    line["track_metadata"]["mbid_mapping"] = mapping
    lines = [json.dumps(line), *[listen(1, DAY_2020, "A & B", sent=[A, B, B])] * 3]
    lines += [listen(2, DAY_2020, "Air", sent=[A, None, 7])]
    write_dump(tmp_path / "dump.tar", {"2020/1": lines})
    listens, _ = read_listens(tmp_path, listens_params())
    assert dict(zip(listens.artists["artist"], listens.artists["name"], strict=True)) == {
        A: "Air",
        B: B,
        C: "Can",
    }
    assert plays_of(listens) == {A: 4, B: 4, C: 1}


def test_sums_that_would_fill_the_memory_go_to_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twinear.listens.readers.events.MAX_SUMS", 5)
    monkeypatch.setattr(decompression, "CHUNK_BYTES", 2000)
    lines = [listen(n % 7, DAY_2020, f"Artist {n % 11}", sent=[mbid(n % 11)]) for n in range(500)]
    write_dump(tmp_path / "dump.tar.zst", {"2020/1": lines}, ".zst")
    listens, report = read_listens(tmp_path, listens_params())
    assert (report.rows, report.kept, report.plays) == (500, 77, 500)
    expected = Counter(mbid(n % 11) for n in range(500))
    assert plays_of(listens) == expected


def test_nothing_stays_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    dump = write_dump(tmp_path / "dump.tar", MONTHS)
    chosen, rules = listens_params(), ListenRules(period=listens_params().window)
    with open_rows(dump, chosen.format, chosen.columns, rules) as rows:
        assert list((tmp_path / "scratch").rglob("*.parquet"))
        assert rows.summed
    assert not list((tmp_path / "scratch").iterdir())
    dump.write_bytes(dump.read_bytes()[:3000])
    with pytest.raises(DataError), open_rows(dump, chosen.format, chosen.columns, rules):
        pass
    assert not list((tmp_path / "scratch").iterdir())


# tables


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("kind", [".csv", ".tsv"])
def test_a_compressed_table_is_read_as_the_plain_one(
    tmp_path: Path, piece_bytes: None, kind: str, suffix: str
) -> None:
    names = ["Air", "Blur", "Can", "Dan"] * 40
    if kind == ".csv":
        names[1] = 'a, "b" c'
    plain = write_table(
        tmp_path / f"plays{kind}",
        pl.DataFrame({"line": 1, "listener": range(160), "artist": names, "plays": [2] * 160}),
    )
    (tmp_path / "packed").mkdir()
    packed = tmp_path / "packed" / f"plays{kind}{suffix}"
    packed.write_bytes(pack(plain.read_bytes(), suffix))
    expected, of_plain = read_listens(plain, listens_params())
    listens, report = read_listens(tmp_path / "packed", listens_params())
    assert dense(listens) == dense(expected)
    assert (report.rows, dropped(report)) == (of_plain.rows, dropped(of_plain))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_json_lines_are_a_table(tmp_path: Path, piece_bytes: None, suffix: str) -> None:
    rows = [
        '{"who": 7, "artist": "Air", "n": 3, "more": {"x": [1]}}',
        '{"who": "v", "artist": "Air", "n": "4", "mbid": null}',
        '{"who": "v", "artist": "Blur", "n": 2.5}',
        '{"who": "v", "artist": ["Air"], "n": 2}',
        '{"artist": "Air", "n": 2}',
        "[1, 2]",
        '{"who": ',
        "",
        '{"who": "w", "artist": "Bj\\u00f6rk", "n": 5}',
    ]
    (tmp_path / f"plays.jsonl{suffix}").write_bytes(pack(("\n".join(rows) * 1).encode(), suffix))
    columns = {"listener": "who", "artist": "artist", "mbid": "mbid", "plays": "n"}
    listens, report = read_listens(tmp_path, listens_params(columns=columns))
    assert dense(listens) == {"air": [3, 4, 0], "bjork": [0, 0, 5]}
    assert report.rows == 9
    assert dropped(report) == {"malformed": 4, "without_listener": 1, "bad_plays": 1}
    columns["listener"] = "whom"
    with pytest.raises(DataError, match=r"plays\.jsonl.*no column 'whom', did you mean 'who'"):
        read_listens(tmp_path, listens_params(columns=columns))


@pytest.mark.parametrize("suffix", PACKED)
def test_compressed_hetrec_is_read(tmp_path: Path, suffix: str) -> None:
    plain = write_hetrec(
        tmp_path / "plain", "userID\tartistID\tweight\n2\t51\t10\n", "51\tDuran\tx\ty\n"
    )
    (tmp_path / "packed").mkdir()
    for path in plain.iterdir():
        packed = tmp_path / "packed" / f"{path.name}{suffix}"
        packed.write_bytes(pack(path.read_bytes(), suffix))
    listens, report = read_listens(tmp_path / "packed", listens_params())
    assert (report.format, dense(listens)) == ("hetrec", {"duran": [10]})


# strict


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("u\tAir", "row malformed"),
        (f"\t{A}\tAir\t1", r"row without listener; .*listens\.columns\.listener"),
        (f"u\t{A}\tAir\t-1", "row bad plays; .*whole numbers"),
        ("u\t\t\t1", r"row without artist; .*listens\.columns\.artist"),
    ],
)
def test_strict_stops_at_the_first_bad_row(
    tmp_path: Path, piece_bytes: None, row: str, message: str, suffix: str
) -> None:
    good = [f"u{n}\t{A}\tAir\t1" for n in range(100)]
    text = "\n".join([*good, row, *good, "bad", ""])
    (tmp_path / f"{LASTFM}{suffix}").write_bytes(pack(text.encode(), suffix))
    with pytest.raises(DataError, match=rf"plays\.tsv{suffix}:101: {message}"):
        read_listens(tmp_path, listens_params(strict=True))
    assert read_listens(tmp_path, listens_params())[1].rows == 202


def test_strict_lets_rows_pass_that_are_only_unwanted(tmp_path: Path) -> None:
    source = write_lastfm(
        tmp_path, f"u\t\tAir\t1\nu\t{A}\t[unknown]\t1\nu\t{B}\tBlur\t1\n", "u\t\n"
    )
    _, report = read_listens(
        source, listens_params(strict=True, require_mbid=True, require_profile=True)
    )
    assert dropped(report) == {"without_mbid": 1, "unwanted_name": 1}


@pytest.mark.parametrize("suffix", ["", ".bz2"])
@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("plays.csv", 'listener,artist,plays\nu,"a b",1\n\nv,Air,2\n', 3),
        ("plays.csv", 'listener,artist,plays\nu,a,1\nu,"a,1\nv,Air,2\nv,"b",1\n', 3),
        ("plays.csv", 'sep=;\nlistener;artist;plays\nu;"a";1\nv;Air;x\n', 4),
        ("plays.json", '[{"artist": "Air", "plays": 1},\n{"artist": 1, "plays": 0}]', 2),
        ("plays.tsv", "listener\tartist\tplays\nu\tAir\t1\nu\tAir\t0\n", 3),
        ("plays.jsonl", '{"listener":1,"artist":"Air","plays":1}\nno\n', 2),
        ("user_artists.dat", "userID\tartistID\tweight\n1\t2\t3\n1\t2\tx\n", 3),
    ],
)
def test_strict_names_the_line_in_every_text(
    tmp_path: Path, name: str, text: str, line: int, suffix: str
) -> None:
    (tmp_path / f"{name}{suffix}").write_bytes(pack(text.encode(), suffix))
    (tmp_path / "artists.dat").write_text("2\tAir\tx\ty\n")
    with pytest.raises(DataError, match=rf"{name}{suffix}:{line}: row "):
        read_listens(tmp_path, listens_params(strict=True))


def test_strict_names_the_file_in_an_archive(tmp_path: Path, piece_bytes: None) -> None:
    dump = write_dump(tmp_path / "dump.tar", MONTHS)
    with pytest.raises(DataError, match=r"dump\.tar:.*listens/2020/1\.listens:5: row malformed"):
        read_listens(dump, listens_params(strict=True))
    months = write_months(tmp_path / "months", "")
    with pytest.raises(DataError, match=r"months/listens/2020/1\.listens:5: row malformed"):
        read_listens(months, listens_params(strict=True))
    table = write_table(tmp_path / "t.parquet", pl.DataFrame(TABLE))
    with pytest.raises(DataError, match=r"t\.parquet:2: row bad plays"):
        read_listens(table, listens_params(strict=True))


TABLE = {"listener": ["u", "v"], "artist": ["Air", "Air"], "plays": [1, 0]}


# bad input


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("name", [LASTFM, LASTFM_1K, "plays.csv", "plays.jsonl", "dump.tar"])
def test_what_is_cut_off_or_damaged_is_one_clear_error(
    tmp_path: Path, name: str, suffix: str
) -> None:
    content = {
        LASTFM: dirty_360k(2000, 1).content,
        LASTFM_1K: event("u", "2009-05-04T23:08:57Z", A, "Air").encode() * 5000,
        "plays.csv": b"listener,artist,plays\n" + b"u,Air,1\n" * 5000,
        "plays.jsonl": b'{"listener":1,"artist":"Air","plays":1}\n' * 5000,
        "dump.tar": write_dump(tmp_path / "x", {"2020/1": [listen(1, 1)] * 900}).read_bytes(),
    }[name]
    whole = pack(content, suffix)
    path = tmp_path / f"{name}{suffix}"
    middle = len(whole) // 2
    damaged = whole[:middle] + bytes(b ^ 0x55 for b in whole[middle : middle + 20])
    for broken in (whole[:middle], whole[:-3], damaged + whole[middle + 20 :]):
        path.write_bytes(broken)
        with pytest.raises(DataError, match="is cut off or damaged") as caught:
            read_listens(path, listens_params(format="auto"))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_plain_archive_that_is_cut_off_is_told(tmp_path: Path, share: float) -> None:
    months = {f"2020/{n}": [listen(n, DAY_2020)] * 40 for n in range(1, 9)}
    dump = write_dump(tmp_path / "dump.tar", months)
    dump.write_bytes(dump.read_bytes()[: int(dump.stat().st_size * share)])
    with pytest.raises(DataError, match=r"dump\.tar: is cut off"):
        read_listens(dump, listens_params())


def test_links_and_other_files_of_an_archive_are_left_alone(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "dump.tar", "w") as archive:
        link = tarfile.TarInfo("listens/2020/1.listens")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(DataError, match=r"dump\.tar: is .* an archive without files"):
        read_listens(tmp_path, listens_params())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("plays.csv", "listener,artist\n".encode("utf-16"), "holds no listens"),
        (LASTFM, "u\tAir\n".encode("utf-16"), r"no listens left of 1 rows \(1 malformed\)"),
        (f"{LASTFM}.gz", pack(b"\0\1\2" * 99, ".gz"), "is binary"),
        (f"{LASTFM_1K}", b"\0\1\2" * 99, "is binary"),
        ("plays.jsonl", b"PK\3\4" * 99, "is cut off or damaged"),
        ("dump.tar", b"no archive" * 999, r"dump\.tar:1: has no column 'artist' but no arch"),
        ("dump.tar.zst", pack(b"no archive" * 999, ".zst"), r"zst:1: has no column 'artist'"),
        (LASTFM, f"{A}\t\tAir\t1\n".encode() * 3, "no listens left"),
        (LASTFM, f"{'0' * 40}\tAir\t{A}\t1\n".encode(), "column of the artist .*MusicBrainz"),
        (LASTFM, f"{A}\t{'0' * 40}\tAir\t1\n".encode(), "column of the listener .*MusicBrainz"),
        (LASTFM, f"u\t{A}\t1\tAir\n".encode(), r"no listens left of 1 rows \(1 bad_plays\)"),
    ],
)
def test_other_files_than_the_name_says_are_one_clear_error(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_listens(tmp_path, listens_params(require_mbid=True))
    assert "\n" not in str(caught.value)


def test_a_line_that_never_ends_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decompression, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(text_files, "MAX_LINE_BYTES", 5000)
    text = b"listener,artist,plays\nu,Air,1\n" + b"v,Air,1" * 5000
    (tmp_path / "plays.csv.gz").write_bytes(pack(text, ".gz"))
    with pytest.raises(DataError, match=r"plays\.csv\.gz: has a line of more than 5000 bytes"):
        read_listens(tmp_path, listens_params())


def test_listeners_may_have_uuids(tmp_path: Path) -> None:
    source = write_lastfm(tmp_path, f"{A}\t{B}\tBlur\t1\n{C}\t{B}\tBlur\t1\n")
    assert read_listens(source, listens_params())[1].kept == 2


def test_artists_may_be_known_by_their_id_alone(tmp_path: Path) -> None:
    (tmp_path / "plays.csv").write_text(f"who,id,n\nu,{A},1\nv,{B},2\n")
    columns = {"listener": "who", "artist": "id", "mbid": "id", "plays": "n"}
    assert plays_of(read_listens(tmp_path, listens_params(columns=columns))[0]) == {A: 1, B: 2}


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    text = "".join(f"{n:040x}\t{mbid(n)}\tArtist {n}\t1\n" for n in range(20_000))
    (tmp_path / f"{LASTFM}.gz").write_bytes(pack(text.encode(), ".gz"))
    with (
        limited_disk(50_000),
        pytest.raises(DataError, match=r"no room .*TMPDIR"),
    ):
        read_listens(tmp_path, listens_params())


def test_a_table_named_redirects_is_no_listens(tmp_path: Path) -> None:
    (tmp_path / "redirects.csv").write_text("old,new\n")
    with pytest.raises(DataError, match="holds no listens"):
        find_listens(tmp_path)


@given(
    name=st.sampled_from([LASTFM, LASTFM_1K, "p.csv", "p.tsv", "p.jsonl", "d.listens", "d.tar"]),
    suffix=st.sampled_from(SUFFIXES),
    content=st.one_of(
        st.binary(max_size=300),
        st.text(alphabet='u\t\n\r",{}[]:1-\ufffdé', max_size=200).map(str.encode),
        st.lists(st.sampled_from([*MONTHS["2020/1"], "x"]), max_size=5).map(
            lambda lines: "\n".join(lines).encode()
        ),
    ),
    cut=st.integers(0, 30),
)
def test_any_bytes_are_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, name: str, suffix: str, content: bytes, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    packed = pack(content, suffix)
    (folder / f"{name}{suffix}").write_bytes(packed[: len(packed) - cut] if cut < 9 else packed)
    try:
        _, report = read_listens(folder, listens_params(strict=cut > 25))
    except TwinearError as error:
        told = str(error)
    else:
        told = ""
        assert report.rows == report.kept + report.duplicates + sum(report.dropped.values())
    assert "\n" not in told
