"""Every row of every format is kept or dropped for a reason, and counted."""

import json
import runpy
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.support.checksums import forget_checksums
from tests.support.dumps import (
    LASTFM,
    A,
    B,
    C,
    dense,
    dropped,
    listens_params,
    write_hetrec,
    write_lastfm,
    write_table,
)
from twinear.base.errors import DataError
from twinear.listens.listens import Listens, read_listens
from twinear.listens.rules import RULES

REAL = ROOT.parent / "shared" / "real"


# Last.fm-360K


def test_lastfm_rows_become_plays_of_artists_by_listeners(tmp_path: Path) -> None:
    text = f"u1\t{A}\tAir\t3\nu2\t{B}\tBlur\t5\nu1\t{B}\tBlur\t7\n"
    listens, report = read_listens(write_lastfm(tmp_path, text), listens_params())
    assert dense(listens) == {B: [7, 5], A: [3, 0]}
    assert listens.artists.to_dict("list") == {
        "artist": [B, A],
        "name": ["Blur", "Air"],
        "mbid": [B, A],
        "listeners": [2, 1],
        "plays": [12, 3],
    }
    assert asdict(report) == {
        "format": "lastfm_360k",
        "files": [LASTFM],
        "sources": [
            {"name": LASTFM, "format": "lastfm_360k", "title": "Last.fm-360K", "assumed": ""}
        ],
        "left_out": {},
        "rows": 3,
        "first_day": None,
        "last_day": None,
        "kept": 3,
        "dropped": dict.fromkeys(RULES, 0),
        "duplicates": 0,
        "listeners": 2,
        "sessions": None,
        "artists": 2,
        "plays": 15,
        "merged": 0,
        "undecodable": 0,
        "collisions": {
            "names": 0,
            "mbids": 0,
            "examples_of_names": {},
            "examples_of_mbids": {},
        },
        "popularity": [
            {"rank": 1, "listeners": 2, "share_of_plays": 0.8},
            {"rank": 2, "listeners": 1, "share_of_plays": 1.0},
        ],
    }


def test_quotes_and_carriage_returns_are_letters(tmp_path: Path) -> None:
    text = f'u1\t{A}\t"Weird Al\t3\r\nu2\t{A}\tCrash\rTest\t1\nu3\t\t"a"\t1\nu3\t{B}\t12" Mix\t2'
    listens, report = read_listens(write_lastfm(tmp_path, text), listens_params())
    assert report.rows == report.kept == 4
    assert dense(listens) == {A: [3, 1, 0], "a": [0, 0, 1], B: [0, 0, 2]}
    assert '12" Mix' in set(listens.artists["name"])


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (f"u\t{A}\tAir", "malformed"),
        (f"u\t{A}\ta\tb\t1", "malformed"),
        (f"u\t{A}\tAir\t1\t", "malformed"),
        ("", "malformed"),
        (f"\t{A}\tAir\t1", "without_listener"),
        (f"u\t{A}\tAir\t0", "bad_plays"),
        (f"u\t{A}\tAir\t-3", "bad_plays"),
        (f"u\t{A}\tAir\t1.5", "bad_plays"),
        (f"u\t{A}\tAir\tmany", "bad_plays"),
        (f"u\t{A}\tAir\t", "bad_plays"),
        (f"u\t{A}\tAir\tnan", "bad_plays"),
        (f"u\t{A}\tAir\t99999999999999999999", "bad_plays"),
        ("u\t\t \t1", "without_artist"),
        ("u\tno mbid\t\t1", "without_artist"),
        ("u\t\tAir\t1", "without_mbid"),
        ("u\t123\tAir\t1", "without_mbid"),
        (f"u\t{A}\t[unknown]\t1", "unwanted_name"),
        (f"u\t{A}\t[Unknown]\t1", "unwanted_name"),
        (f"sep 20, 2008\t{A}\tAir\t1", "without_profile"),
        (f"u\t{C}\tCan\t1", "few_listeners"),
    ],
)
def test_a_row_is_dropped_by_the_first_rule_that_applies(
    tmp_path: Path, row: str, rule: str
) -> None:
    good = f"u\t{B}\tBlur\t1\nv\t{B}\tBlur\t1\n"
    source = write_lastfm(tmp_path, f"{good}{row}\n", "u\tf\t20\tFrance\tx\nv\tm\n\tm\n")
    strict = listens_params(require_mbid=True, require_profile=True, min_listeners=2)
    listens, report = read_listens(source, strict)
    assert dropped(report) == {rule: 1}
    assert (report.rows, report.kept) == (3, 2)
    assert dense(listens) == {B: [1, 1]}


def test_each_rule_that_is_off_drops_nothing(tmp_path: Path) -> None:
    text = f"u\t\tAir\t1\nnobody\t{A}\t[unknown]\t2\n"
    source = write_lastfm(tmp_path, text, "u\tf\t20\tFrance\tx\n")
    listens, report = read_listens(source, listens_params(drop_names=[]))
    assert not dropped(report)
    assert dense(listens) == {A: [0, 2], "air": [1, 0]}


def test_profiles_are_asked_for_only_where_they_are(tmp_path: Path) -> None:
    source = write_lastfm(tmp_path, f"u\t{A}\tAir\t1\n")
    assert read_listens(source, listens_params(require_profile=True))[1].kept == 1


def test_duplicates_are_added_up_and_counted(tmp_path: Path) -> None:
    text = f"u\t{A}\tAir\t3\nu\t{A}\tAir\t4\nv\t\tAIR\t1\nu\t\tThe Air\t5\n"
    listens, report = read_listens(write_lastfm(tmp_path, text), listens_params())
    assert dense(listens) == {A: [12, 1]}
    assert (report.rows, report.kept, report.duplicates) == (4, 2, 2)


def test_an_artist_needs_its_listeners_after_its_spellings_are_joined(tmp_path: Path) -> None:
    text = "u\t\tBeyoncé\t1\nu\t\tBeyonce\t1\nv\t\tBEYONCE\t1\nu\t\tAir\t9\nu\t\tair\t9\n"
    listens, report = read_listens(write_lastfm(tmp_path, text), listens_params(min_listeners=2))
    assert dense(listens) == {"beyonce": [2, 1]}
    assert (report.duplicates, dropped(report)) == (2, {"few_listeners": 1})


def test_listeners_who_have_nothing_left_are_gone(tmp_path: Path) -> None:
    text = "u\t\tAir\t1\nv\t\tAir\t1\nw\t\tBlur\t1\n"
    listens, report = read_listens(write_lastfm(tmp_path, text), listens_params(min_listeners=2))
    assert listens.plays.shape == (2, 1)
    assert report.listeners == 2


def test_the_name_is_the_spelling_of_most_listeners(tmp_path: Path) -> None:
    text = f"u\t{A}\tAIR\t1\nv\t{A}\tAir\t1\nw\t{A}\tAir\t1\nx\t{A}\tAir France\t99\nu\t{B}\t\t1\n"
    listens, _ = read_listens(write_lastfm(tmp_path, text), listens_params())
    assert list(listens.artists["name"]) == ["Air", B]


def test_namesakes_with_two_mbids_are_two_artists(tmp_path: Path) -> None:
    text = f"u\t{A}\tNirvana\t1\nv\t{B.upper()}\tNirvana\t1\nw\t\tnirvana\t1\n"
    listens, _ = read_listens(write_lastfm(tmp_path, text), listens_params())
    assert list(listens.artists["artist"]) == [A, B, "nirvana"]
    assert list(listens.artists["mbid"]) == [A, B, ""]


def write_plays(folder: Path, names: list[str]) -> Path:
    """One listener and 10 ** i plays for name number i."""
    rows = [f"u{i}\t\t{name}\t{10**i}\n" for i, name in enumerate(names)]
    return write_lastfm(folder, "".join(rows))


def test_an_artist_is_one_however_it_is_spelt(tmp_path: Path) -> None:
    names = ["R.E.M.", "REM", "AC/DC", "ACDC", "Beatles, The", "The Beatles", "Florence + the M"]
    listens, _ = read_listens(write_plays(tmp_path, [*names, "Florence & the M"]), listens_params())
    plays = dict(zip(listens.artists["artist"], listens.artists["plays"], strict=True))
    both = {"rem": 11, "acdc": 1100, "beatles": 110_000, "florence and the m": 11_000_000}
    assert plays == both


def test_a_listen_of_an_artist_with_guests_counts_for_the_artist_alone(tmp_path: Path) -> None:
    names = ["Drake feat. Rihanna", "Drake", "Drake (ft. Rihanna)", "Earth, Wind & Fire"]
    listens, _ = read_listens(write_plays(tmp_path, names), listens_params())
    assert list(listens.artists["name"]) == ["Drake", "Earth, Wind & Fire"]
    assert list(listens.artists["plays"]) == [111, 1000]


def test_what_is_no_artist_is_dropped_by_default_and_counted(tmp_path: Path) -> None:
    names = ["Air", "Various Artists", "[unknown]", "<Unknown>", "[no artist]", "V.A.", "Unknown"]
    source = write_plays(tmp_path, names)
    listens, report = read_listens(source, listens_params())
    assert dropped(report) == {"unwanted_name": 6}
    assert list(listens.artists["name"]) == ["Air"]
    assert read_listens(source, listens_params(drop_names=["[unknown]"]))[1].kept == 6
    various = "89ad4ac3-39f7-470e-963a-56509c546377"
    source = write_lastfm(tmp_path, f"u\t{various}\tVarious\t1\nu\t{A}\tVarious\t2\n")
    listens, report = read_listens(source, listens_params())
    assert dropped(report) == {"unwanted_name": 1}
    assert dense(listens) == {A: [2]}  # somebody of that name


def test_bytes_that_are_not_utf8_cost_a_letter_and_no_row(tmp_path: Path) -> None:
    text = b"u\t\tBj\xf6rk\t1\nv\t\tAir\t1\n"
    assert read_listens(write_lastfm(tmp_path, text), listens_params())[1].kept == 2


# other formats


@pytest.mark.parametrize("header", [True, False])
def test_hetrec_is_read_with_its_names(tmp_path: Path, header: bool) -> None:
    plays = "userID\tartistID\tweight\r\n" if header else ""
    plays += "2\t51\t10\r\n2\t52  \t20\r\n3\t51\t5\r\n3\t99\t5\r\n3\t52\r\n"
    artists = 'id\tname\turl\tpictureURL\n51\t"Duran" Duran\tx\ty\n52\tBeyoncé\tx\n'
    listens, report = read_listens(write_hetrec(tmp_path, plays, artists), listens_params())
    assert dense(listens) == {"duran duran": [10, 5], "beyonce": [20, 0]}
    assert list(listens.artists["name"]) == ['"Duran" Duran', "Beyoncé"]
    assert dropped(report) == {"malformed": 1, "without_artist": 1}
    assert report.files == ["user_artists.dat", "artists.dat"]


def test_hetrec_in_windows_1252_keeps_its_accents(tmp_path: Path) -> None:
    artists = "id\tname\turl\tpictureURL\n1\tBeyoncé\tx\ty\n".encode("cp1252")
    listens, _ = read_listens(write_hetrec(tmp_path, "7\t1\t3\n", artists), listens_params())
    assert list(listens.artists["name"]) == ["Beyoncé"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_a_table_is_read_by_the_names_of_its_columns(tmp_path: Path, suffix: str) -> None:
    table = pl.DataFrame(
        {"when": ["x", "y", "z"], "n": [3.0, 1.5, 2.0], "who": [7, 7, 8], "artist": ["Air"] * 3}
    )
    write_table(tmp_path / f"plays{suffix}", table)
    columns = {"listener": "who", "artist": "artist", "mbid": "mbid", "plays": "n"}
    listens, report = read_listens(tmp_path, listens_params(columns=columns))
    assert dense(listens) == {"air": [3, 2]}
    assert (report.format, dropped(report)) == ("table", {"bad_plays": 1})
    file = tmp_path / f"plays{suffix}"
    assert dense(read_listens(file, listens_params(columns=columns))[0]) == dense(listens)


def test_a_csv_is_quoted_and_a_row_with_too_many_fields_is_malformed(tmp_path: Path) -> None:
    rows = ['u,"a, ""b"" c",,2', f"v,x,{A},3,4", f"w,Air,{A},3", "w,Air", 'w,"Air', 'w",,1']
    text = "\ufefflistener,artist,mbid,plays\n" + "\n".join(rows)
    (tmp_path / "plays[1].csv").write_text(text, encoding="utf-8")
    listens, report = read_listens(tmp_path, listens_params())
    assert dense(listens) == {A: [0, 3], "abc": [2, 0]}
    assert list(listens.artists["name"]) == ["Air", 'a, "b" c']
    assert dropped(report) == {"malformed": 2, "bad_plays": 2}


# bad input


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"listens: holds no listens, expected .*'twinear import'"),
        (
            {"readme.txt": b"x", "a.csv": b"", "._b.csv": b"listener,artist\n"},
            r"listens: holds no listens \(a\.csv is empty; readme\.txt has no column 'artist'",
        ),
        ({LASTFM: b""}, r"plays\.tsv: is empty"),
        ({LASTFM: b"PK\x03\x04\x00\x00"}, r"plays\.tsv: is cut off or damaged"),
        ({LASTFM: b"\x00\x01\x02" * 9}, r"plays\.tsv: is binary"),
        ({LASTFM: b"just\nprose\n"}, r"no listens left of 2 rows \(2 malformed\); .*format"),
        ({LASTFM: b"u\t\tAir\tx\n"}, r"no listens left of 1 rows \(1 bad_plays\)"),
        ({"user_artists.dat": b"1\t2\t3\n"}, r"artists\.dat: is missing"),
        (
            {"user_artists.dat": b"userID\tartist\tweight\n", "artists.dat": b"id\tname\n"},
            "has no column 'artistID' but artist",
        ),
        ({"a.csv": b"listener,artist,mbid,plays\n"}, "a.csv: holds no listens"),
        (
            {"a.csv": b"listener,artiste,plays\nu,Air,1\n"},
            r"a\.csv:1: has no column 'artist', did you mean 'artiste'.*listens\.columns",
        ),
        (
            {"a.tsv": b"listner\tartist\tplays\nu\tAir\t1\n"},
            r"a\.tsv:1: has no column 'listener', did you mean 'listner'.*listens\.columns",
        ),
        (
            {"a.jsonl": b'{"who": 1, "name": "Air"}\n'},
            r"a\.jsonl:1: has no column 'artist' but who, name",
        ),
        ({"a.parquet": b"PAR1 and more"}, r"a.parquet: cannot be read \("),
    ],
)
def test_files_that_cannot_be_read_are_one_clear_error(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    folder = tmp_path / "listens"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_listens(folder, listens_params())
    assert "\n" not in str(caught.value)


def test_missing_listens_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: is missing; .*'twinear import'"):
        read_listens(tmp_path / "nowhere", listens_params())


def test_the_rule_that_left_nothing_names_its_remedy(tmp_path: Path) -> None:
    plays = write_hetrec(
        tmp_path, "1\t2\t3\n4\t2\t1\n", "id\tname\turl\tpictureURL\n2\tAir\tx\ty\n"
    )
    with pytest.raises(DataError, match=r"2 without_mbid.*listens\.require_mbid"):
        read_listens(plays, listens_params(require_mbid=True))
    with pytest.raises(DataError, match=r"2 few_listeners.*listens\.min_listeners"):
        read_listens(plays, listens_params(min_listeners=3))


# laws

fields = st.text(alphabet='uw ab"\r', max_size=2)  # no "va", which is various artists
rows = st.lists(st.tuples(fields, st.sampled_from(["", A, B]), fields, st.integers(-1, 3)))


@given(rows=rows, noise=st.lists(st.sampled_from(["", "x", "a\tb", "a\tb\tc\td\te"])))
def test_every_row_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str, int]],
    noise: list[str],
) -> None:
    good = [f"{who}\t{mbid}\t{name}\t{n}" for who, mbid, name, n in rows]
    source = write_lastfm(
        tmp_path_factory.mktemp("law"), "\n".join([*good, *noise, "u\t\tx\t1", ""])
    )
    listens, report = read_listens(source, listens_params())
    assert report.rows == len(good) + len(noise) + 1
    assert report.rows == report.kept + report.duplicates + sum(report.dropped.values())
    assert report.dropped["malformed"] == len(noise)
    heard = [row for row in rows if row[0].strip() and row[3] > 0 and (row[1] or row[2].strip())]
    assert report.plays == sum(n for *_, n in heard) + 1
    assert report.listeners == len({who.strip() for who, *_ in heard} | {"u"})
    assert (listens.artists["plays"] == listens.plays.sum(axis=0)).all()


def test_plays_agree_with_counting_one_by_one(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    n = 3000
    who, what = random.integers(0, 90, n), random.zipf(1.4, n) % 200
    plays = random.integers(1, 50, n)
    rows = [f"u{u}\t\tartist {a}\t{p}\n" for u, a, p in zip(who, what, plays, strict=True)]
    listens, report = read_listens(write_lastfm(tmp_path, "".join(rows)), listens_params())
    expected: Counter[tuple[int, int]] = Counter()
    for u, a, p in zip(who.tolist(), what.tolist(), plays.tolist(), strict=True):
        expected[list(dict.fromkeys(who.tolist())).index(u), a] += p
    names = [int(name.removeprefix("artist ")) for name in listens.artists["artist"]]
    entries = listens.plays.tocoo()
    found = {
        (int(u), names[a]): int(p) for u, a, p in zip(*entries.coords, entries.data, strict=True)
    }
    assert found == expected
    assert report.duplicates == n - len(expected)
    order = listens.artists.sort_values(["listeners", "artist"], ascending=[False, True])
    assert list(order.index) == list(range(len(order)))


# in and out


def test_listens_survive_writing(tmp_path: Path) -> None:
    text = 'u\t\tsay "x", y\t1\nv\t\tNA\t2\nv\t\tsay x y\t2\nw\t\tNA\t9\n'
    written, _ = read_listens(write_lastfm(tmp_path / "raw", text), listens_params())
    written.write(tmp_path / "listens")
    read = Listens.read(tmp_path / "listens")
    pd.testing.assert_frame_equal(read.artists, written.artists)
    assert (read.plays.toarray() == written.plays.toarray()).all()
    assert read.plays.dtype == np.int64


def test_plays_that_do_not_fit_their_artists_are_refused(tmp_path: Path) -> None:
    read_listens(write_lastfm(tmp_path / "raw", "u\t\tAir\t1\n"), listens_params())[0].write(
        tmp_path / "listens"
    )
    forget_checksums(tmp_path / "listens")
    path = tmp_path / "listens" / "plays.parquet"
    pl.DataFrame({"listener": [0], "artist": [7], "plays": [1]}).write_parquet(path)
    with pytest.raises(DataError, match=r"plays\.parquet: is not a table of plays"):
        Listens.read(tmp_path / "listens")
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"is not a table of plays.*dvc repro listens"):
        Listens.read(tmp_path / "listens")


def test_the_stage_writes_listens_and_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_lastfm(tmp_path / "raw", f"u\t{A}\tAir\t1\nv\t{A}\tAir\t1\nv\t{B}\tÉ\t1\n")
    redirects = tmp_path / "redirects.csv"
    outs = [str(tmp_path / "out"), str(redirects), str(tmp_path / "reports" / "listens.json")]
    monkeypatch.setattr(sys, "argv", ["1_listens.py", str(source), *outs])
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "src/stages/1_listens.py"), run_name="__main__")
    report = json.loads((tmp_path / "reports" / "listens.json").read_text(encoding="utf-8"))
    assert report["dropped"]["few_listeners"] == 1
    assert list(Listens.read(tmp_path / "out").artists["name"]) == ["Air"]
    assert redirects.read_text() == "old,new\n"
    assert "listens: " in capsys.readouterr().err


@pytest.mark.skipif(not REAL.exists(), reason="the acceptance corpus is not here")
def test_the_real_hetrec_is_read_whole() -> None:
    listens, report = read_listens(REAL / "hetrec2011-lastfm-2k", listens_params(drop_names=[]))
    assert (report.rows, report.listeners, sum(report.dropped.values())) == (92_834, 1_892, 0)
    assert 17_400 < report.artists < 17_632  # some have two spellings
    assert listens.artists["name"][0] == "Lady Gaga"
