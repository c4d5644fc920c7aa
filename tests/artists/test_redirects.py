"""Merged MusicBrainz ids mean those that they were merged into, in listens and in clips."""

from pathlib import Path

import pytest

from tests.support.dumps import A, B, C, dense, listens_params, write_lastfm
from twinear.acquisition.import_corpus import import_corpus
from twinear.artists.clip_table import read_clip_table, resolve
from twinear.artists.redirects import add_redirects, read_redirects, write_redirects
from twinear.base.errors import DataError
from twinear.listens.listens import read_listens
from twinear.listens.readers.recognition import find_listens


def table(folder: Path, *pairs: tuple[str, str]) -> Path:
    path = folder / "redirects.csv"
    path.write_text("".join(f"{old},{new}\n" for old, new in [("old", "new"), *pairs]))
    return path


def test_chains_are_followed_to_their_end(tmp_path: Path) -> None:
    assert read_redirects(table(tmp_path, (A.upper(), B), (B, f" {C}"))) == {A: C, B: C}
    assert read_redirects(tmp_path / "nowhere.csv") == read_redirects(None) == {}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([(A, B), (B, C), (C, A)], r"redirects\.csv: aaaaaaaa.*circle"),
        ([(A, A)], "circle"),
        ([(C, A), (A, B), (B, A)], "circle"),
        ([(A, B), (A, C)], r"redirects\.csv:3: aaaaaaaa.* merged into bbbbbbbb"),
        ([(A, "Air")], r"redirects\.csv:2: .*MusicBrainz ids"),
        ([(A, "")], r"redirects\.csv:2: "),
        ([(A, f"{B},{C}")], r"redirects\.csv:2: "),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(
    tmp_path: Path, pairs: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_redirects(table(tmp_path, *pairs))


def test_a_file_that_is_no_such_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "redirects.csv"
    path.write_bytes(b"old,new\n\xff\xfe\n")
    with pytest.raises(DataError, match=r"redirects\.csv: .*UTF-8"):
        read_redirects(path)
    path.write_text("from,to\n")
    with pytest.raises(DataError, match=r"redirects\.csv: .*expected old,new"):
        read_redirects(path)


def test_what_is_newly_known_wins_and_never_makes_a_circle(tmp_path: Path) -> None:
    path = tmp_path / "listens" / "redirects.csv"
    add_redirects({A: B}, path)
    add_redirects({B: C}, path)
    assert read_redirects(path) == {A: C, B: C}
    add_redirects({C: B}, path)
    assert read_redirects(path) == {A: B, C: B}
    write_redirects(read_redirects(path), tmp_path / "again.csv")
    assert read_redirects(tmp_path / "again.csv") == read_redirects(path)


def test_listens_follow_merged_ids(tmp_path: Path) -> None:
    text = f"u\t{A.upper()}\tAir\t1\nu\t{B}\tAir\t2\nv\t{A}\tAir\t4\nv\t\tair\t8\nv\t{C}\tCan\t1\n"
    source = write_lastfm(tmp_path, text)
    assert set(dense(read_listens(source, listens_params())[0])) == {A, B, C, "air"}
    table(source, (A, B))
    listens, report = read_listens(source, listens_params())
    assert dense(listens) == {B: [3, 12], C: [0, 1]}
    assert (report.merged, report.collisions.names) == (1, 0)
    assert report.files == ["usersha1-artmbid-artname-plays.tsv", "redirects.csv"]


def test_clips_follow_merged_ids(tmp_path: Path) -> None:
    clips = tmp_path / "clips.csv"
    clips.write_text(f"file,artist,mbid\n1.mp3,Air France,{A.upper()}\n2.mp3,Can,{C}\n")
    redirected = read_clip_table(clips, {A: B})
    assert list(redirected["mbid"]) == list(redirected["id"]) == [B, C]
    listens, _ = read_listens(write_lastfm(tmp_path / "raw", f"u\t{B}\tAir\t1\n"), listens_params())
    assert list(resolve(redirected, listens.artists)["artist"]) == [B, C]


def test_an_import_takes_the_redirects_along(tmp_path: Path) -> None:
    source = write_lastfm(tmp_path / "raw", f"u\t{A}\tAir\t1\n")
    table(source, (A, B))
    (tmp_path / "music" / "Air").mkdir(parents=True)
    (tmp_path / "music" / "Air" / "a.mp3").write_text("audio")
    report = import_corpus(source, tmp_path / "music", tmp_path / "data")
    assert report.listens[-1] == "redirects.csv"
    found = find_listens(tmp_path / "data" / "listens").redirects
    assert read_redirects(found) == {A: B}
