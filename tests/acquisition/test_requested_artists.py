"""Of whom clips are wanted."""

from pathlib import Path

import pandas as pd
import pytest

from twinear.acquisition.previews.requested_artists import (
    choose_requested_artists,
    read_requested_artists,
    top_artists,
)
from twinear.acquisition.previews.source import RequestedArtist
from twinear.artists.identity import write_artists
from twinear.base.errors import DataError, TwinearError

A = "aaaaaaaa-0000-4000-8000-000000000000"


def listens(folder: Path) -> Path:
    rows = [(A, "Air", A, 9, 90), ("blur", "Blur", "", 5, 60), ("can", "Can", "", 1, 10)]
    columns = ["artist", "name", "mbid", "listeners", "plays"]
    folder.mkdir()
    write_artists(pd.DataFrame(rows, columns=columns), folder / "artists.csv")
    return folder


def test_the_top_are_those_with_the_most_listeners(tmp_path: Path) -> None:
    assert top_artists(listens(tmp_path / "listens"), 2) == [
        RequestedArtist(artist=A, name="Air", mbid=A),
        RequestedArtist(artist="blur", name="Blur", mbid=""),
    ]


def test_a_list_is_one_name_a_line(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    names = f"Earth, Wind & Fire\n\n  Björk feat. Other\n{A.upper()}\nBJORK\n"
    path.write_text(names, encoding="utf-8")
    assert read_requested_artists(path) == [
        RequestedArtist(artist="earth wind and fire", name="Earth, Wind & Fire", mbid=""),
        RequestedArtist(artist="bjork", name="Björk", mbid=""),
        RequestedArtist(artist=A, name="", mbid=A),
    ]


@pytest.mark.parametrize("header", ["artist,mbid", "artist,name,mbid,listeners,plays"])
def test_a_list_may_be_a_table(tmp_path: Path, header: str) -> None:
    path = tmp_path / "list.csv"
    row = f"Air,{A}" if header == "artist,mbid" else f"{A},Air,{A},9,90"
    other = '"Earth, Wind & Fire",' if header == "artist,mbid" else ",Blur,,1,1"
    path.write_text(f"\ufeff{header}\n{row}\n\n{other}\n", encoding="utf-8")
    found = read_requested_artists(path)
    assert found[0] == RequestedArtist(artist=A, name="Air", mbid=A)
    assert found[1].name in ("Earth, Wind & Fire", "Blur")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("text", ['Björk\nNA\n"Heroes\n', "ID;Artist\r\n;Björk\r\n1;NA\r\n"])
def test_a_list_of_any_program_is_read(tmp_path: Path, text: str, encoding: str) -> None:
    (tmp_path / "list").write_bytes(text.encode(encoding))
    names = [artist.name for artist in read_requested_artists(tmp_path / "list")]
    assert names == ["Björk", "NA", '"Heroes'][: text.count("\n") if ";" not in text else 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "names no artist"),
        (b"artist,mbid\n", "names no artist"),
        (b"artist,mbid\nAir,\n,x\n", r"list:3: has no artist"),
        (
            b'artist,mbid\nMuse,\n"Heroes,\nABBA,\nQueen,\n',
            r"list:3: has a quoted field that is not",
        ),
        (b"artist,mbid\nEarth, Wind & Fire,\n", r"list:2: has more fields than the header"),
        ("Ç\nБьörk\n".encode() + b"\xff", r"list:3: .*no text in UTF-8"),
    ],
)
def test_a_list_that_cannot_be_used_says_why(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_requested_artists(tmp_path / "list")


def test_exactly_one_way_is_chosen(tmp_path: Path) -> None:
    with pytest.raises(TwinearError, match="needs one of --top and --artists"):
        choose_requested_artists(tmp_path, None, None)
    with pytest.raises(TwinearError, match="needs one of --top and --artists"):
        choose_requested_artists(tmp_path, 3, tmp_path)
    with pytest.raises(DataError, match=r"artists\.csv: is missing; run 'dvc repro listens'"):
        choose_requested_artists(tmp_path, 3, None)
    assert len(choose_requested_artists(listens(tmp_path / "listens"), 1, None)) == 1
